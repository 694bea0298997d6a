//! What was acknowledged before a stop holds after the next start.

use keystile_core::decision::{ApplicationState, KeyState};
use keystile_core::journal::Outcome;
use keystile_core::key::KeyId;
use keystile_core::lock::{Lock, LockLevel, LockRule};
use keystile_core::refusal::{LockNotice, Reason};
use keystile_core::time::Timestamp;
use keystile_store::sqlite::keys::key::NewKeyRow;
use uuid::Uuid;

use crate::make::{LOCKS, owner, plan, subject, write};
use crate::test_store::{TestStore, wait};

fn bench() -> TestStore {
    TestStore::new(&[
        plan("small", &[("10 per day", &[])], LOCKS),
        plan("never", &[("10 per day", &[])], LockRule::Never),
    ])
}

#[test]
fn a_lock_and_its_story_survive_a_restart() {
    let mut bench = bench();
    let (busy, by_hand) = (bench.issue("small"), bench.issue("small"));
    bench.reserve_many(busy, 10);
    assert!(bench.reserve(busy).is_err());
    let entry = bench.entry(by_hand);
    let until = bench.store().now().0 + 60_000;
    bench
        .change(move |work| {
            let lock = Lock {
                level: LockLevel::All,
                reason: "asked for".to_owned(),
                actor: owner(),
                since: work.now(),
                until: Some(Timestamp(until)),
                evidence: None,
            };
            work.lock_key(&entry, lock).map(|_| ())
        })
        .unwrap();
    let rows = (bench.row(busy), bench.row(by_hand));
    bench.reopen();
    assert_eq!((bench.row(busy), bench.row(by_hand)), rows);
    assert_eq!(
        bench.state(busy),
        KeyState::Locked(LockNotice { level: LockLevel::Writes, until: None })
    );
    let notice = LockNotice { level: LockLevel::All, until: Some(Timestamp(until)) };
    assert_eq!(bench.state(by_hand), KeyState::Locked(notice));
    assert_eq!(bench.reserve(busy).unwrap_err().refusal.reason, Reason::KeyLocked);
    assert_eq!(bench.reserve(by_hand).unwrap_err().refusal.lock, Some(notice));
    // Unlocked with its counts kept, the key locks again at its next write.
    bench.unlock(busy);
    bench.reopen();
    assert_eq!(bench.state(busy), KeyState::Active);
    assert!(bench.reserve(busy).is_err());
    assert_eq!(bench.row(busy).locks, 2);
}

#[test]
fn counts_survive_a_restart() {
    let mut bench = bench();
    let key = bench.issue("never");
    for round in 1..=5 {
        bench.reserve_many(key, 2);
        bench.reopen();
        assert_eq!(bench.used(key), [2 * round]);
    }
    assert!(bench.reserve(key).is_err());
}

#[test]
fn a_reset_survives_a_restart() {
    let mut bench = bench();
    let key = bench.issue("never");
    bench.reserve_many(key, 10);
    bench.reset(key);
    bench.reserve_many(key, 4);
    bench.reopen();
    assert_eq!(bench.used(key), [4]);
}

#[test]
fn revocation_suspension_and_the_end_of_a_rolled_key_survive_a_restart() {
    let mut bench = bench();
    let (revoked, suspended, rolled) =
        (bench.issue("small"), bench.issue("never"), bench.issue("small"));
    let entry = bench.entry(revoked);
    bench.change(move |work| work.revoke_key(&entry, &owner(), "leaked")).unwrap();
    let application = bench.row(suspended).application_row;
    bench
        .change(move |work| {
            work.set_application_state(application, ApplicationState::Suspended, &owner())
        })
        .unwrap();
    let (store, hash) = (bench.store().clone(), bench.store().pepper().hash(b"successor"));
    let (id, new) = (bench.row(rolled).id, KeyId::new(Uuid::now_v7()));
    bench
        .change(move |work| {
            let new =
                NewKeyRow { id: new, hash, prefix: "ks_new".to_owned(), plan: "small".to_owned() };
            let (old, ends) = (work.find_key(&id)?, Timestamp(work.now().0 + 5_000));
            work.roll_key(&store, &old, &new, ends, &owner()).map(|_| ())
        })
        .unwrap();
    let check = |bench: &TestStore| {
        assert_eq!(bench.state(revoked), KeyState::Revoked);
        assert_eq!(bench.reserve(revoked).unwrap_err().refusal.reason, Reason::KeyRevoked);
        assert_eq!(bench.entry(suspended).application.state(), ApplicationState::Suspended);
        assert_eq!(
            bench.reserve(suspended).unwrap_err().refusal.reason,
            Reason::ApplicationSuspended
        );
        assert!(bench.reserve(hash).is_ok());
    };
    check(&bench);
    assert_eq!(bench.state(rolled), KeyState::Active);
    bench.reopen();
    check(&bench);
    assert_eq!(bench.state(rolled), KeyState::Active);
    bench.reopen_later(6_000);
    check(&bench);
    assert_eq!(bench.state(rolled), KeyState::Revoked);
    assert_eq!(bench.reserve(rolled).unwrap_err().refusal.reason, Reason::KeyRevoked);
}

#[test]
fn a_lock_passes_on_to_the_successor() {
    let bench = bench();
    let key = bench.issue("small");
    bench.reserve_many(key, 10);
    assert!(bench.reserve(key).is_err());
    let (store, hash, id) =
        (bench.store().clone(), bench.store().pepper().hash(b"successor"), bench.row(key).id);
    bench
        .change(move |work| {
            let new = KeyId::new(Uuid::now_v7());
            let new =
                NewKeyRow { id: new, hash, prefix: "ks_new".to_owned(), plan: "small".to_owned() };
            let old = work.find_key(&id)?;
            work.roll_key(&store, &old, &new, work.now(), &owner()).map(|_| ())
        })
        .unwrap();
    assert!(bench.is_locked(hash));
}

#[test]
fn what_was_under_way_at_a_stop_is_unknown_and_stays_counted() {
    let mut bench = bench();
    let key = bench.issue("never");
    let mut reserved = bench.reserve_many(key, 6);
    bench.settle(reserved.remove(0), Outcome::Applied);
    bench.settle(reserved.remove(0), Outcome::NotSent);
    drop(reserved);
    assert_eq!(bench.reopen().left_unknown, 4);
    let outcomes: Vec<_> = bench.journal().iter().map(|record| record.outcome).collect();
    assert_eq!(outcomes[..2], [Outcome::Applied, Outcome::NotSent]);
    assert_eq!(outcomes[2..], [Outcome::Unknown; 4]);
    assert_eq!(bench.used(key), [5]);
    assert_eq!(bench.reopen().left_unknown, 0);
}

#[test]
fn what_was_not_sent_is_given_back_and_stays_so() {
    let mut bench = bench();
    let key = bench.issue("never");
    let reserved = bench.reserve_many(key, 10);
    for reserved in reserved.into_iter().take(3) {
        bench.settle(reserved, Outcome::NotSent);
    }
    assert_eq!(bench.used(key), [7]);
    bench.reopen();
    assert_eq!(bench.used(key), [7]);
    bench.reserve_many(key, 3);
    assert!(bench.reserve(key).is_err());
}

#[test]
fn a_write_that_the_upstream_refused_is_given_back_only_where_the_api_says_so() {
    let mut bench = bench();
    let (sent, applied) = (bench.issue("never"), bench.issue("never"));
    for (key, api) in [(sent, "notes"), (applied, "drafts")] {
        let reserved = bench.ask(key, (api, "POST", "/x"), 3).unwrap().unwrap();
        bench.settle(reserved, Outcome::RefusedByUpstream);
        let reserved = bench.ask(key, (api, "POST", "/x"), 2).unwrap().unwrap();
        bench.settle(reserved, Outcome::Unknown);
    }
    assert_eq!((bench.used(sent), bench.used(applied)), (vec![5], vec![2]));
    bench.reopen();
    assert_eq!((bench.used(sent), bench.used(applied)), (vec![5], vec![2]));
}

#[test]
fn a_write_that_its_caller_gave_up_before_it_was_recorded_leaves_nothing() {
    let mut bench = bench();
    let key = bench.issue("never");
    let request = write(&bench.policy, subject(&bench.entry(key)), ("notes", "POST", "/notes"), 1);
    let (release, held) = std::sync::mpsc::channel::<()>();
    let store = bench.store().clone();
    wait(async {
        // The first change keeps the writer busy until the caller of the write has gone.
        let busy = store.change(move |_| Ok(held.recv().is_ok()));
        let asked = Box::pin(store.reserve(request));
        tokio::select! { biased; _ = busy => {}, _ = asked => {}, () = std::future::ready(()) => {} }
        drop(release);
    });
    drop(store);
    bench.reopen();
    assert!(bench.journal().is_empty());
    assert_eq!(bench.used(key), [0]);
}

#[test]
fn a_write_that_its_caller_gave_up_while_it_was_recorded_is_given_back() {
    let mut bench = bench();
    let key = bench.issue("never");
    let request = write(&bench.policy, subject(&bench.entry(key)), ("notes", "POST", "/notes"), 1);
    let ((reached, begun), (release, held)) =
        (std::sync::mpsc::channel::<()>(), std::sync::mpsc::channel::<()>());
    let (go, gone) = std::sync::mpsc::channel::<()>();
    let store = bench.store().clone();
    wait(async {
        // One change holds the writer until the write and another change wait for it as one group. The
        // other holds the group, in which the write is recorded by then, until its caller has gone.
        let (one, two, three) = (store.clone(), store.clone(), store.clone());
        let first = tokio::spawn(async move { one.change(move |_| Ok(gone.recv().is_ok())).await });
        tokio::task::yield_now().await;
        let asked = tokio::spawn(async move { two.reserve(request).await });
        tokio::task::yield_now().await;
        let second = tokio::spawn(async move {
            let held = move |_: &mut keystile_store::WriteTx<'_>| {
                drop(reached);
                Ok(held.recv().is_ok())
            };
            three.change(held).await
        });
        tokio::task::yield_now().await;
        drop(go);
        assert!(begun.recv().is_err());
        asked.abort();
        assert!(asked.await.unwrap_err().is_cancelled());
        drop(release);
        assert!(!first.await.unwrap().unwrap() && !second.await.unwrap().unwrap());
    });
    drop(store);
    bench.reopen();
    let outcomes: Vec<_> = bench.journal().iter().map(|record| record.outcome).collect();
    assert_eq!(outcomes, [Outcome::NotSent]);
    assert_eq!(bench.used(key), [0]);
}

#[test]
fn every_event_of_a_key_is_told_once_and_in_order() {
    let mut bench = bench();
    let key = bench.issue("small");
    bench.reserve_many(key, 10);
    assert!(bench.reserve(key).is_err());
    assert!(bench.reserve(key).is_err());
    bench.unlock(key);
    bench.reopen();
    let kinds: Vec<_> = bench.events(key).into_iter().rev().map(|event| event.kind).collect();
    assert_eq!(kinds, ["key_created", "key_locked", "key_unlocked"]);
}

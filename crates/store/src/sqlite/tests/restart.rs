//! What was acknowledged before a stop holds after the next start.

use keystile_core::journal::Outcome;
use keystile_core::keys::application::ApplicationState;
use keystile_core::keys::key::{KeyId, KeyState};
use keystile_core::keys::lock::{Lock, LockLevel, LockRule, LockTarget};
use keystile_core::refusal::{LockNotice, Reason};
use keystile_core::time::Timestamp;
use uuid::Uuid;

use crate::keys::NewKeyRow;
use crate::sqlite::tests::make::{LOCKS, owner, plan, requester, write};
use crate::sqlite::tests::test_store::{TestStore, wait};

fn fixture() -> TestStore {
    TestStore::new(&[
        plan("small", &[("10 per day", &[])], LOCKS),
        plan("never", &[("10 per day", &[])], LockRule::Never),
    ])
}

#[test]
fn a_lock_and_its_story_survive_a_restart() {
    let mut fixture = fixture();
    let (busy, by_hand) = (fixture.issue("small"), fixture.issue("small"));
    fixture.reserve_many(busy, 10);
    assert!(fixture.reserve(busy).is_err());
    let entry = fixture.entry(by_hand);
    let until = fixture.store().now().0 + 60_000;
    fixture
        .change(move |work| {
            let lock = Lock {
                level: LockLevel::All,
                reason: "asked for".to_owned(),
                actor: owner(),
                since: work.now(),
                until: Some(Timestamp(until)),
                evidence: None,
                on: LockTarget::Key,
            };
            work.lock_key(&entry, lock).map(|_| ())
        })
        .unwrap();
    let rows = (fixture.row(busy), fixture.row(by_hand));
    fixture.reopen();
    assert_eq!((fixture.row(busy), fixture.row(by_hand)), rows);
    assert_eq!(
        fixture.state(busy),
        KeyState::Locked(LockNotice { level: LockLevel::Writes, until: None, on: LockTarget::Key })
    );
    let until = Some(Timestamp(until));
    let notice = LockNotice { level: LockLevel::All, until, on: LockTarget::Key };
    assert_eq!(fixture.state(by_hand), KeyState::Locked(notice));
    assert_eq!(fixture.reserve(busy).unwrap_err().refusal.reason, Reason::KeyLocked);
    assert_eq!(fixture.reserve(by_hand).unwrap_err().refusal.lock, Some(notice));
    // Unlocked with its counts kept, the key locks again at its next write.
    fixture.unlock(busy);
    fixture.reopen();
    assert_eq!(fixture.state(busy), KeyState::Active);
    assert!(fixture.reserve(busy).is_err());
    assert_eq!(fixture.row(busy).locks, 2);
}

#[test]
fn counts_survive_a_restart() {
    let mut fixture = fixture();
    let key = fixture.issue("never");
    for round in 1..=5 {
        fixture.reserve_many(key, 2);
        fixture.reopen();
        assert_eq!(fixture.used(key), [2 * round]);
    }
    assert!(fixture.reserve(key).is_err());
}

#[test]
fn a_reset_survives_a_restart() {
    let mut fixture = fixture();
    let key = fixture.issue("never");
    fixture.reserve_many(key, 10);
    fixture.reset(key);
    fixture.reserve_many(key, 4);
    fixture.reopen();
    assert_eq!(fixture.used(key), [4]);
}

#[test]
fn revocation_suspension_and_the_end_of_a_rolled_key_survive_a_restart() {
    let mut fixture = fixture();
    let (revoked, suspended, rolled) =
        (fixture.issue("small"), fixture.issue("never"), fixture.issue("small"));
    let entry = fixture.entry(revoked);
    fixture.change(move |work| work.revoke_key(&entry, &owner(), "leaked")).unwrap();
    let application = fixture.row(suspended).application_row;
    fixture
        .change(move |work| {
            work.set_application_state(application, ApplicationState::Suspended, &owner())
        })
        .unwrap();
    let hash = fixture.store().pepper().hash(b"successor");
    let (id, new) = (fixture.row(rolled).id, KeyId::new(Uuid::now_v7()));
    fixture
        .change(move |work| {
            let new = NewKeyRow {
                id: new,
                hash,
                prefix: "ks_new".to_owned(),
                plan: "small".to_owned(),
                origin: None,
            };
            let (old, ends) = (work.find_key(&id)?, Timestamp(work.now().0 + 5_000));
            work.roll_key(&old, &new, ends, &owner()).map(|_| ())
        })
        .unwrap();
    let check = |fixture: &TestStore| {
        assert_eq!(fixture.state(revoked), KeyState::Revoked);
        assert_eq!(fixture.reserve(revoked).unwrap_err().refusal.reason, Reason::KeyRevoked);
        assert_eq!(fixture.entry(suspended).application.state(), ApplicationState::Suspended);
        assert_eq!(
            fixture.reserve(suspended).unwrap_err().refusal.reason,
            Reason::ApplicationSuspended
        );
        assert!(fixture.reserve(hash).is_ok());
    };
    check(&fixture);
    assert_eq!(fixture.state(rolled), KeyState::Active);
    fixture.reopen();
    check(&fixture);
    assert_eq!(fixture.state(rolled), KeyState::Active);
    fixture.reopen_later(6_000);
    check(&fixture);
    assert_eq!(fixture.state(rolled), KeyState::Revoked);
    assert_eq!(fixture.reserve(rolled).unwrap_err().refusal.reason, Reason::KeyRevoked);
}

#[test]
fn a_lock_passes_on_to_the_successor() {
    let fixture = fixture();
    let key = fixture.issue("small");
    fixture.reserve_many(key, 10);
    assert!(fixture.reserve(key).is_err());
    let (hash, id) = (fixture.store().pepper().hash(b"successor"), fixture.row(key).id);
    fixture
        .change(move |work| {
            let new = KeyId::new(Uuid::now_v7());
            let new = NewKeyRow {
                id: new,
                hash,
                prefix: "ks_new".to_owned(),
                plan: "small".to_owned(),
                origin: None,
            };
            let old = work.find_key(&id)?;
            work.roll_key(&old, &new, work.now(), &owner()).map(|_| ())
        })
        .unwrap();
    assert!(fixture.is_locked(hash));
}

#[test]
fn what_was_under_way_at_a_stop_is_unknown_and_stays_counted() {
    let mut fixture = fixture();
    let key = fixture.issue("never");
    let mut reserved = fixture.reserve_many(key, 6);
    fixture.settle(reserved.remove(0), Outcome::Applied);
    fixture.settle(reserved.remove(0), Outcome::NotSent);
    drop(reserved);
    assert_eq!(fixture.reopen().left_unknown, 4);
    let outcomes: Vec<_> = fixture.journal().iter().map(|record| record.outcome).collect();
    assert_eq!(outcomes[..2], [Outcome::Applied, Outcome::NotSent]);
    assert_eq!(outcomes[2..], [Outcome::Unknown; 4]);
    assert_eq!(fixture.used(key), [5]);
    assert_eq!(fixture.reopen().left_unknown, 0);
}

#[test]
fn what_was_not_sent_is_given_back_and_stays_so() {
    let mut fixture = fixture();
    let key = fixture.issue("never");
    let reserved = fixture.reserve_many(key, 10);
    for reserved in reserved.into_iter().take(3) {
        fixture.settle(reserved, Outcome::NotSent);
    }
    assert_eq!(fixture.used(key), [7]);
    fixture.reopen();
    assert_eq!(fixture.used(key), [7]);
    fixture.reserve_many(key, 3);
    assert!(fixture.reserve(key).is_err());
}

#[test]
fn a_write_that_the_upstream_refused_is_given_back_only_where_the_api_says_so() {
    let mut fixture = fixture();
    let (sent, applied) = (fixture.issue("never"), fixture.issue("never"));
    for (key, api) in [(sent, "notes"), (applied, "drafts")] {
        let reserved = fixture.ask(key, (api, "POST", "/x"), 3).unwrap().unwrap();
        fixture.settle(reserved, Outcome::RefusedByUpstream);
        let reserved = fixture.ask(key, (api, "POST", "/x"), 2).unwrap().unwrap();
        fixture.settle(reserved, Outcome::Unknown);
    }
    assert_eq!((fixture.used(sent), fixture.used(applied)), (vec![5], vec![2]));
    fixture.reopen();
    assert_eq!((fixture.used(sent), fixture.used(applied)), (vec![5], vec![2]));
}

#[test]
fn a_write_that_its_caller_gave_up_before_it_was_recorded_leaves_nothing() {
    let mut fixture = fixture();
    let key = fixture.issue("never");
    let request =
        write(&fixture.policy, requester(&fixture.entry(key)), ("notes", "POST", "/notes"), 1);
    let (release, held) = std::sync::mpsc::channel::<()>();
    let store = fixture.store().clone();
    wait(async {
        // The first change keeps the writer busy until the caller of the write has gone.
        let busy = store.write(move |_| Ok(held.recv().is_ok()));
        let asked = Box::pin(store.reserve(request));
        tokio::select! { biased; _ = busy => {}, _ = asked => {}, () = std::future::ready(()) => {} }
        drop(release);
    });
    drop(store);
    fixture.reopen();
    assert!(fixture.journal().is_empty());
    assert_eq!(fixture.used(key), [0]);
}

#[test]
fn a_write_that_its_caller_gave_up_while_it_was_recorded_is_given_back() {
    let mut fixture = fixture();
    let key = fixture.issue("never");
    let request =
        write(&fixture.policy, requester(&fixture.entry(key)), ("notes", "POST", "/notes"), 1);
    let ((reached, begun), (release, held)) =
        (std::sync::mpsc::channel::<()>(), std::sync::mpsc::channel::<()>());
    let (go, gone) = std::sync::mpsc::channel::<()>();
    let store = fixture.store().clone();
    wait(async {
        // One change holds the writer until the write and another change wait for it as one group. The
        // other holds the group, in which the write is recorded by then, until its caller has gone.
        let (one, two, three) = (store.clone(), store.clone(), store.clone());
        let first = tokio::spawn(async move { one.write(move |_| Ok(gone.recv().is_ok())).await });
        tokio::task::yield_now().await;
        let asked = tokio::spawn(async move { two.reserve(request).await });
        tokio::task::yield_now().await;
        let second = tokio::spawn(async move {
            let held = move |_: &mut crate::sqlite::writer::write_tx::WriteTx<'_>| {
                drop(reached);
                Ok(held.recv().is_ok())
            };
            three.write(held).await
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
    fixture.reopen();
    let outcomes: Vec<_> = fixture.journal().iter().map(|record| record.outcome).collect();
    assert_eq!(outcomes, [Outcome::NotSent]);
    assert_eq!(fixture.used(key), [0]);
}

#[test]
fn a_write_that_its_caller_gave_up_once_it_was_answered_is_given_back() {
    let mut fixture = fixture();
    let key = fixture.issue("never");
    let request =
        write(&fixture.policy, requester(&fixture.entry(key)), ("notes", "POST", "/notes"), 1);
    let store = fixture.store().clone();
    wait(async {
        let mut asked = std::pin::pin!(store.reserve(request));
        std::future::poll_fn(|context| {
            assert!(asked.as_mut().poll(context).is_pending());
            std::task::Poll::Ready(())
        })
        .await;
        // What comes after it in the queue is durable, so it is answered, and nobody has looked.
        store.flush().await.unwrap();
    });
    drop(store);
    fixture.reopen();
    let outcomes: Vec<_> = fixture.journal().iter().map(|record| record.outcome).collect();
    assert_eq!(outcomes, [Outcome::NotSent]);
    assert_eq!(fixture.used(key), [0]);
}

#[test]
fn every_event_of_a_key_is_told_once_and_in_order() {
    let mut fixture = fixture();
    let key = fixture.issue("small");
    fixture.reserve_many(key, 10);
    assert!(fixture.reserve(key).is_err());
    assert!(fixture.reserve(key).is_err());
    fixture.unlock(key);
    fixture.reopen();
    let kinds: Vec<_> = fixture.events(key).into_iter().rev().map(|event| event.kind).collect();
    assert_eq!(kinds, ["key_created", "key_locked", "key_unlocked"]);
}

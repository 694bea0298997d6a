//! A change is all or nothing, in the database and in what requests see.

use keystile_core::keys::hash::KeyHash;
use keystile_core::keys::key::KeyState;
use keystile_core::keys::lock::{Lock, LockLevel, LockTarget};
use keystile_core::refusal::Reason;
use tokio::task::JoinSet;

use crate::error::{Error, Result};
use crate::reservation::ReserveAnswer;
use crate::sqlite::tests::make::{LOCKS, owner, plan, requester, write};
use crate::sqlite::tests::test_store::{TestStore, wait};
use crate::sqlite::writer::write_tx::WriteTx;

fn fixture() -> (TestStore, KeyHash) {
    let fixture = TestStore::new(&[plan("small", &[("3 per day", &[])], LOCKS)]);
    let key = fixture.issue("small");
    (fixture, key)
}

type Change = Box<dyn FnOnce(&mut WriteTx<'_>) -> Result<()> + Send>;

pub(crate) fn lock(work: &WriteTx<'_>) -> Lock {
    Lock {
        level: LockLevel::Writes,
        reason: "asked for".to_owned(),
        actor: owner(),
        since: work.now(),
        until: None,
        evidence: None,
        on: LockTarget::Key,
    }
}

/// One transaction of the writer with everything in it: it is held until all have been asked.
pub(crate) fn in_one_group(
    fixture: &TestStore,
    key: KeyHash,
    changes: Vec<Change>,
    writes: usize,
) -> (Vec<Result<()>>, Vec<Result<ReserveAnswer>>) {
    let (release, held) = std::sync::mpsc::channel::<()>();
    wait(async {
        let store = fixture.store().clone();
        let mut busy = JoinSet::new();
        busy.spawn(async move { store.write(move |_| Ok(held.recv().is_ok())).await });
        tokio::task::yield_now().await;
        let (mut changing, mut asked) = (Vec::new(), Vec::new());
        for change in changes {
            let store = fixture.store().clone();
            changing.push(tokio::spawn(async move { store.write(change).await }));
        }
        for _ in 0..writes {
            let (store, requester) = (fixture.store().clone(), requester(&fixture.entry(key)));
            let request = write(&fixture.policy, requester, ("notes", "POST", "/notes"), 1);
            asked.push(tokio::spawn(async move { store.reserve(request).await }));
        }
        tokio::task::yield_now().await;
        release.send(()).unwrap();
        let (mut changes, mut answers) = (Vec::new(), Vec::new());
        for change in changing {
            changes.push(change.await.unwrap());
        }
        for answer in asked {
            answers.push(answer.await.unwrap());
        }
        busy.join_all().await;
        (changes, answers)
    })
}

#[test]
fn a_change_that_fails_leaves_nothing_behind() {
    let (mut fixture, key) = fixture();
    fixture.reserve_many(key, 3);
    assert!(fixture.reserve(key).is_err());
    let entry = fixture.entry(key);
    let failed: Result<()> = fixture.change(move |work| {
        work.unlock_key(&entry, &owner(), "by mistake")?;
        work.reset_budgets(&entry)?;
        Err(Error::Conflict("changed my mind".to_owned()))
    });
    assert!(matches!(failed, Err(Error::Conflict(_))));
    assert!(fixture.is_locked(key), "requests see an unlock that never was");
    assert_eq!(fixture.events_named(key, "key_unlocked"), 0);
    assert_eq!(fixture.reserve(key).unwrap_err().refusal.reason, Reason::KeyLocked);
    assert_eq!(fixture.used(key), [3]);
    fixture.reopen();
    assert!(fixture.is_locked(key));
}

#[test]
fn a_change_that_fails_does_not_disturb_the_others_of_its_transaction() {
    let (fixture, key) = fixture();
    let entry = fixture.entry(key);
    let failing = Box::new(move |work: &mut WriteTx<'_>| {
        let lock = lock(work);
        work.lock_key(&entry, lock)?;
        Err(Error::Conflict("changed my mind".to_owned()))
    });
    let (changes, writes) = in_one_group(&fixture, key, vec![failing], 3);
    assert!(matches!(changes[0], Err(Error::Conflict(_))));
    assert!(writes.iter().all(|write| matches!(write, Ok(Ok(_)))));
    assert_eq!(fixture.state(key), KeyState::Active);
    assert_eq!(fixture.row(key).lock, None);
}

#[test]
fn a_lock_stops_the_writes_after_it_in_the_same_transaction() {
    let (fixture, key) = fixture();
    let entry = fixture.entry(key);
    let locking = Box::new(move |work: &mut WriteTx<'_>| {
        let lock = lock(work);
        work.lock_key(&entry, lock).map(|_| ())
    });
    let (changes, writes) = in_one_group(&fixture, key, vec![locking], 2);
    assert!(changes[0].is_ok());
    let reason = |write: Result<ReserveAnswer>| write.unwrap().unwrap_err().refusal.reason;
    assert_eq!(writes.into_iter().map(reason).collect::<Vec<_>>(), [Reason::KeyLocked; 2]);
}

#[test]
fn a_revoked_key_stays_revoked_when_its_budget_ends_in_the_same_transaction() {
    let (fixture, key) = fixture();
    fixture.reserve_many(key, 3);
    let entry = fixture.entry(key);
    let revoking =
        Box::new(move |work: &mut WriteTx<'_>| work.revoke_key(&entry, &owner(), "leaked"));
    let (changes, writes) = in_one_group(&fixture, key, vec![revoking], 1);
    assert!(changes[0].is_ok());
    assert!(matches!(writes[0], Ok(Err(_))));
    assert_eq!(fixture.state(key), KeyState::Revoked);
    let entry = fixture.entry(key);
    drop(fixture.change(move |work| work.unlock_key(&entry, &owner(), "by mistake")));
    assert_eq!(fixture.state(key), KeyState::Revoked);
    let entry = fixture.entry(key);
    let locked = fixture.change(move |work| {
        let lock = lock(work);
        work.lock_key(&entry, lock).map(|_| ())
    });
    assert!(matches!(locked, Err(Error::Conflict(_))));
}

#[test]
fn giving_back_what_was_counted_before_a_reset_frees_nothing_after_it() {
    let (fixture, key) = fixture();
    let before = fixture.reserve_many(key, 3);
    fixture.reset(key);
    fixture.reserve_many(key, 3);
    for reserved in before {
        fixture.settle(reserved, keystile_core::journal::Outcome::NotSent);
    }
    assert_eq!(fixture.used(key), [3]);
    assert!(fixture.reserve(key).is_err());
}

#[test]
fn the_name_of_an_application_is_taken_once() {
    let (fixture, _) = fixture();
    let again =
        fixture.change(|work| work.create_application("small", "small", &owner()).map(|_| ()));
    assert!(matches!(again, Err(Error::Exists(_))));
    let unknown = fixture.change(|work| work.application_or_new("new", None, &owner()).map(|_| ()));
    assert!(matches!(unknown, Err(Error::Conflict(_))));
}

#[test]
fn a_closed_store_answers_that_it_is_unavailable() {
    let (fixture, key) = fixture();
    let reserved = fixture.reserve(key).unwrap();
    fixture.store().close();
    fixture.store().close();
    fixture.settle(reserved, keystile_core::journal::Outcome::Applied);
    assert!(matches!(fixture.ask(key, ("notes", "POST", "/notes"), 1), Err(Error::Unavailable)));
    assert!(matches!(wait(fixture.store().flush()), Err(Error::Unavailable)));
}

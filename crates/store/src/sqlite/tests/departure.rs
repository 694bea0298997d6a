//! A write counts in its budgets from the moment when it begins to leave (P1).

use std::time::Duration;

use keystile_core::journal::Outcome;
use keystile_core::refusal::Reason;

use crate::reservation::Reserved;
use crate::sqlite::tests::make::{LOCKS, plan};
use crate::sqlite::tests::test_store::TestStore;

fn sleep(millis: u64) {
    std::thread::sleep(Duration::from_millis(millis));
}

/// A budget of five in two seconds, used up by writes that were sent a second after their reservation.
#[expect(clippy::vec_box, reason = "the store hands reservations out and takes them back in boxes")]
fn late() -> (TestStore, keystile_core::keys::hash::KeyHash, Vec<Box<Reserved>>) {
    let fixture = TestStore::new(&[plan("brief", &[("5 per 2 seconds", &[])], LOCKS)]);
    let key = fixture.issue("brief");
    let reserved = fixture.reserve_many(key, 5);
    sleep(1_000);
    for write in &reserved {
        write.departure.note();
    }
    sleep(1_200);
    (fixture, key, reserved)
}

fn is_full_and_not_locked(fixture: &TestStore, key: keystile_core::keys::hash::KeyHash) {
    let refused = fixture.reserve(key).unwrap_err();
    assert_eq!(refused.refusal.reason, Reason::BudgetExhausted);
    assert!(refused.refusal.retry_after_secs.is_some_and(|secs| secs <= 2));
    assert!(!fixture.is_locked(key), "the caller did not go over");
}

#[test]
fn a_write_counts_from_its_sending_also_when_it_is_counted_anew() {
    let (mut fixture, key, reserved) = late();
    is_full_and_not_locked(&fixture, key);
    fixture.reload_policy();
    is_full_and_not_locked(&fixture, key);
    for write in reserved {
        fixture.settle(write, Outcome::Applied);
    }
    fixture.reload_policy();
    assert_eq!(fixture.used(key), [5]);
    sleep(900);
    fixture.reserve(key).unwrap();
}

#[test]
fn a_write_counts_from_its_sending_across_a_restart() {
    let (mut fixture, key, reserved) = late();
    for write in reserved {
        fixture.settle(write, Outcome::Applied);
    }
    fixture.reopen();
    assert_eq!(fixture.used(key), [5]);
    sleep(900);
    assert_eq!(fixture.used(key), [0]);
}

#[test]
fn a_write_that_was_under_way_at_a_stop_counts_from_the_next_start() {
    let fixture = TestStore::new(&[plan("brief", &[("5 per 2 seconds", &[])], LOCKS)]);
    let key = fixture.issue("brief");
    let reserved = fixture.reserve_many(key, 5);
    sleep(1_000);
    let mut fixture = fixture;
    assert_eq!(fixture.reopen().left_unknown, 5);
    drop(reserved);
    sleep(1_200);
    assert_eq!(fixture.used(key), [5]);
    sleep(900);
    assert_eq!(fixture.used(key), [0]);
}

#[test]
fn a_write_that_waits_to_be_sent_counts_without_end_and_locks_nobody() {
    let fixture = TestStore::new(&[plan("brief", &[("2 per second", &[])], LOCKS)]);
    let key = fixture.issue("brief");
    let mut reserved = fixture.reserve_many(key, 2);
    sleep(1_100);
    let refused = fixture.reserve(key).unwrap_err();
    assert_eq!(refused.refusal.reason, Reason::BudgetExhausted);
    fixture.settle(reserved.pop().unwrap(), Outcome::NotSent);
    fixture.reserve(key).unwrap().departure.note();
    assert_eq!(fixture.used(key), [2]);
    assert!(!fixture.is_locked(key));
    // Whoever does go over is locked as ever.
    reserved[0].departure.note();
    assert_eq!(fixture.reserve(key).unwrap_err().refusal.reason, Reason::BudgetExhausted);
    sleep(1_100);
    let writes = fixture.reserve_many(key, 2);
    assert_eq!(fixture.reserve(key).unwrap_err().refusal.reason, Reason::KeyLocked);
    drop(writes);
}

//! The store's clock across restarts, and what ends by it.

use keystile_core::actor::Actor;
use keystile_core::keys::key::KeyState;
use keystile_core::keys::lock::LockRule;
use rusqlite::Connection;

use crate::clock::wall_clock;
use crate::error::Error;
use crate::sqlite::tests::make::{locks_for, plan};
use crate::sqlite::tests::test_store::TestStore;

const HOUR: i64 = 3_600_000;

fn fixture() -> TestStore {
    TestStore::new(&[
        plan("hourly", &[("4 per day", &[])], locks_for(HOUR)),
        plan("brief", &[("1 per day", &[])], locks_for(200)),
        plan("never", &[("4 per day", &[])], LockRule::Never),
    ])
}

fn set_anchor(fixture: &TestStore, anchor: &str) {
    let database = Connection::open(fixture.path().join("keystile.db")).unwrap();
    database.execute("UPDATE meta SET value = ?1 WHERE name = 'clock'", [anchor]).unwrap();
}

#[test]
fn a_lock_for_a_time_opens_by_itself_and_says_so() {
    let fixture = fixture();
    let key = fixture.issue("brief");
    fixture.reserve_many(key, 1);
    assert!(fixture.reserve(key).is_err());
    let until = fixture.row(key).lock.unwrap().until.unwrap();
    let entry = fixture.entry(key);
    assert!(matches!(
        entry.state(keystile_core::time::Timestamp(until.0 - 1)),
        KeyState::Locked(_)
    ));
    assert_eq!(entry.state(until), KeyState::Active);
    // Requests see it at once, listings a moment later.
    while fixture.row(key).lock.is_some() {
        std::thread::sleep(std::time::Duration::from_millis(20));
        assert!(fixture.store().now().0 < until.0 + 5_000, "the lock stays listed");
    }
    assert!(fixture.store().now() >= until);
    let told = fixture.events(key).remove(0);
    assert_eq!((told.kind.as_str(), told.actor), ("key_unlocked", Actor::Time));
    assert_eq!(fixture.events_named(key, "key_unlocked"), 1);
    // Its budget is still used up, so its next write locks it again.
    assert!(fixture.reserve(key).is_err());
    assert_eq!(fixture.row(key).locks, 2);
}

#[test]
fn a_lock_does_not_open_early_after_a_restart() {
    let mut fixture = fixture();
    let key = fixture.issue("hourly");
    fixture.reserve_many(key, 4);
    assert!(fixture.reserve(key).is_err());
    fixture.reopen_later(HOUR - 10_000);
    assert!(fixture.is_locked(key));
    assert!(fixture.reserve(key).is_err());
    fixture.reopen_later(10_000);
    assert_eq!(fixture.state(key), KeyState::Active);
    // The budget's day has not passed yet.
    assert!(fixture.reserve(key).is_err());
    fixture.reopen_later(25 * HOUR);
    assert!(fixture.reserve(key).is_ok());
}

#[test]
fn a_window_gives_back_after_it_has_passed_and_not_before() {
    let mut fixture = fixture();
    let key = fixture.issue("never");
    fixture.reserve_many(key, 2);
    fixture.reopen_later(12 * HOUR);
    fixture.reserve_many(key, 2);
    fixture.reopen_later(12 * HOUR - 60_000);
    assert!(fixture.reserve(key).is_err());
    fixture.reopen_later(60_000 + 24 * HOUR / 60);
    assert_eq!(fixture.used(key), [2]);
    fixture.reserve_many(key, 2);
    assert!(fixture.reserve(key).is_err());
}

#[test]
fn the_clock_goes_on_from_its_anchor_whatever_the_wall_clock_says() {
    let mut fixture = fixture();
    fixture.reopen_later(5 * HOUR);
    let ahead = fixture.store().now().0 - wall_clock().0;
    assert!((ahead - 5 * HOUR).abs() < 1_000, "{ahead} ms ahead");
    fixture.reopen();
    let ahead = fixture.store().now().0 - wall_clock().0;
    assert!((ahead - 5 * HOUR).abs() < 1_000, "{ahead} ms ahead");
}

/// A virtual machine that is set back to a snapshot keeps the id of its boot, and a data directory on
/// another disk does not go back with it.
#[test]
fn the_clock_is_never_behind_what_is_on_record_in_the_same_boot() {
    let mut fixture = fixture();
    let key = fixture.issue("never");
    fixture.reserve_many(key, 2);
    let last = fixture.journal().last().unwrap().time;
    fixture.reopen_later(-6 * HOUR);
    assert!(fixture.store().now() >= last);
    fixture.reserve_many(key, 2);
    assert!(fixture.reserve(key).is_err());
    assert!(fixture.journal().is_sorted_by_key(|record| record.time));
}

#[test]
fn the_anchor_of_another_boot_is_not_believed() {
    let mut fixture = fixture();
    let key = fixture.issue("never");
    fixture.reserve_many(key, 4);
    for anchor in ["11111111-2222-3333-4444-555555555555 99999999999999", "nonsense", ""] {
        fixture.stop();
        set_anchor(&fixture, anchor);
        fixture.start();
        assert!((fixture.store().now().0 - wall_clock().0).abs() < 1_000);
        assert!(fixture.reserve(key).is_err());
    }
}

#[test]
fn after_a_boot_with_a_wall_clock_in_the_past_windows_still_hold() {
    let mut fixture = fixture();
    let key = fixture.issue("never");
    // As if the wall clock had been two days ahead in the boot before.
    fixture.reopen_later(48 * HOUR);
    fixture.reserve_many(key, 4);
    let last = fixture.journal().last().unwrap().time;
    fixture.stop();
    set_anchor(&fixture, "another-boot 0");
    fixture.start();
    assert!(fixture.store().now() >= last);
    assert!(fixture.reserve(key).is_err());
}

#[test]
fn numbers_have_no_gaps_and_times_never_fall_along_them() {
    let mut fixture = fixture();
    let key = fixture.issue("never");
    let steps = [0, -HOUR, HOUR, -2 * HOUR];
    for step in steps {
        drop(fixture.reserve_many(key, 1));
        // A change that fails takes no number with it.
        let failed: Result<(), _> = fixture.change(|_| Err(Error::Unavailable));
        assert!(failed.is_err());
        fixture.reopen_later(step);
    }
    let records = fixture.journal();
    let numbers: Vec<i64> = records.iter().map(|record| record.id.0).collect();
    assert_eq!(numbers, [1, 2, 3, 4]);
    assert!(records.is_sorted_by_key(|record| (record.time, record.id)), "{records:?}");
}

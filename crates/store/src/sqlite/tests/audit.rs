//! The audit shows whatever was done to it behind Keystile's back.

use rusqlite::Connection;

use crate::error::{Error, Result};
use crate::sqlite::audit::event::{Event, EventKind, EventQuery, list};
use crate::sqlite::audit::{ChainCheck, verify};
use crate::sqlite::files::backup::{backup, restore};
use crate::sqlite::tests::make::{LOCKS, owner, plan};
use crate::sqlite::tests::test_store::TestStore;

fn fixture(keys: usize) -> TestStore {
    let fixture = TestStore::new(&[plan("small", &[("3 per day", &[])], LOCKS)]);
    for _ in 0..keys {
        fixture.issue("small");
    }
    fixture
}

fn check(fixture: &TestStore) -> ChainCheck {
    fixture.store().read(|read| verify(read, fixture.store().pepper())).unwrap()
}

/// What somebody does who can write to the file, and has removed what keeps them from it.
fn tampered(fixture: &mut TestStore, sql: &str) -> ChainCheck {
    fixture.stop();
    // The mark would miss some of it before the chain does.
    std::fs::remove_file(fixture.path().join("keystile.mark")).unwrap();
    let database = Connection::open(fixture.path().join("keystile.db")).unwrap();
    for trigger in ["event_stays", "event_is_kept", "event_comes_last"] {
        database.execute_batch(&format!("DROP TRIGGER {trigger}")).unwrap();
    }
    database.execute_batch(sql).unwrap();
    drop(database);
    fixture.start();
    check(fixture)
}

#[test]
fn an_audit_that_nobody_touched_is_whole_across_restarts_and_failed_changes() {
    let mut fixture = fixture(5);
    let failed: Result<()> = fixture.change(|work| {
        work.record_event(&Event::named(EventKind::SignedIn, Some("ada"), &owner(), "never"))?;
        Err(Error::Conflict("changed my mind".to_owned()))
    });
    assert!(failed.is_err());
    fixture.reopen();
    fixture.issue("small");
    let found = check(&fixture);
    // The application, and six keys.
    assert_eq!((found.older, found.count, found.fault), (0, 7, None));
    let events = fixture
        .store()
        .read(|read| list(read, &EventQuery { limit: 100, ..EventQuery::default() }));
    let ids: Vec<_> = events.unwrap().iter().map(|event| event.id).collect();
    assert_eq!(ids, [7, 6, 5, 4, 3, 2, 1]);
}

#[test]
fn the_head_differs_with_each_event_and_stays_without_one() {
    let mut fixture = fixture(1);
    let first = check(&fixture).head;
    fixture.reopen();
    assert_eq!(check(&fixture).head, first);
    fixture.issue("small");
    assert_ne!(check(&fixture).head, first);
}

#[test]
fn whatever_is_done_to_a_row_is_found_at_that_row() {
    for (sql, at) in [
        ("UPDATE event SET detail = 'nothing' WHERE id = 4", Some(4)),
        ("UPDATE event SET time = time + 1 WHERE id = 4", Some(4)),
        ("UPDATE event SET kind = 'key_revoked' WHERE id = 4", Some(4)),
        ("UPDATE event SET actor = '{\"by\":\"time\"}' WHERE id = 4", Some(4)),
        ("UPDATE event SET key = 1 WHERE id = 4", Some(4)),
        ("UPDATE event SET application = NULL WHERE id = 4", Some(4)),
        ("UPDATE event SET subject = 'ada' WHERE id = 4", Some(4)),
        ("UPDATE event SET hash = zeroblob(32) WHERE id = 4", Some(4)),
        ("UPDATE event SET hash = NULL WHERE id = 4", Some(4)),
        // What was between 3 and 5 is missing.
        ("DELETE FROM event WHERE id = 4", Some(5)),
        ("DELETE FROM event WHERE id = 1", Some(2)),
        (
            "UPDATE event SET id = 100 WHERE id = 4; UPDATE event SET id = 4 WHERE id = 5; UPDATE event SET id = 5 WHERE id = 100",
            Some(4),
        ),
        ("DELETE FROM event WHERE id = 7", None),
        ("DELETE FROM event WHERE id > 2", None),
        ("DELETE FROM event", None),
        ("UPDATE audit SET count = 6", None),
        ("UPDATE audit SET seal = NULL", None),
        (
            "DELETE FROM event WHERE id = 7; UPDATE audit SET count = 6, last = 6, hash = (SELECT hash FROM event WHERE id = 6)",
            None,
        ),
        (
            "INSERT INTO event (id, time, kind, actor, detail) VALUES (8, 0, 'signed_in', '{\"by\":\"time\"}', '')",
            Some(8),
        ),
    ] {
        let mut fixture = fixture(6);
        let fault = tampered(&mut fixture, sql).fault;
        let fault = fault.unwrap_or_else(|| panic!("{sql}: nothing is found"));
        assert_eq!(fault.event, at, "{sql}: {}", fault.problem);
    }
}

#[test]
fn a_row_put_in_by_hand_keeps_no_key_from_being_locked() {
    let mut fixture = fixture(2);
    let sql = "INSERT INTO event (id, time, kind, actor, detail) VALUES (77, 0, 'signed_in', '{\"by\":\"time\"}', '')";
    tampered(&mut fixture, sql);
    let key = fixture.issue("small");
    fixture.reserve_many(key, 3);
    assert!(fixture.reserve(key).is_err());
    assert!(fixture.is_locked(key));
    assert_eq!(check(&fixture).fault.unwrap().event, Some(77));
}

#[test]
fn events_are_only_appended() {
    let fixture = fixture(2);
    let database = Connection::open(fixture.path().join("keystile.db")).unwrap();
    for sql in [
        "UPDATE event SET detail = ''",
        "DELETE FROM event",
        "DELETE FROM event WHERE id = 2",
        "REPLACE INTO event (id, time, kind, actor, detail) VALUES (2, 0, '', '', '')",
        "INSERT INTO event (id, time, kind, actor, detail) VALUES (0, 0, '', '', '')",
    ] {
        let said = database.execute_batch(sql).unwrap_err().to_string();
        assert!(said.contains("events are"), "{sql}: {said}");
    }
    assert_eq!(check(&fixture).fault, None);
}

#[test]
fn retention_deletes_no_event() {
    let fixture = fixture(3);
    let end = fixture.store().now().plus(keystile_core::time::SPAN_MAX);
    fixture.change(move |work| work.delete_records_before(end, 1_000)).unwrap();
    assert_eq!(check(&fixture).count, 4);
}

#[test]
fn a_restored_backup_goes_on_with_its_chain() {
    let fixture = fixture(3);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("copy.db");
    backup(fixture.store(), &file).unwrap();
    let data = tempfile::tempdir().unwrap();
    restore(data.path(), &file).unwrap();
    let restored = TestStore::at(data, &fixture);
    assert_eq!(check(&restored), check(&fixture));
    restored.issue("small");
    assert_eq!((check(&restored).count, check(&restored).fault), (5, None));
}

#[test]
fn another_pepper_makes_another_chain() {
    let fixture = fixture(2);
    let other = keystile_core::keys::hash::Pepper::new([1; 32]);
    let found = fixture.store().read(|read| verify(read, &other)).unwrap();
    assert_eq!(found.fault.unwrap().event, Some(1));
}

#[test]
fn many_events_take_time_in_proportion() {
    let fixture = fixture(1);
    let write = |many: usize| {
        let start = std::time::Instant::now();
        fixture
            .change(move |work| {
                (0..many).try_for_each(|_| {
                    work.record_event(&Event::named(
                        EventKind::SignedIn,
                        Some("ada"),
                        &owner(),
                        "with a passkey",
                    ))
                })
            })
            .unwrap();
        start.elapsed()
    };
    let times: Vec<_> = (0..6).map(|_| write(10_000)).collect();
    // The machine may be busy at any of them.
    let (first, last) = (times[..2].iter().max().unwrap(), times[3..].iter().min().unwrap());
    assert!(*last < *first * 3, "{times:?}");
    assert_eq!(check(&fixture).fault, None);
}

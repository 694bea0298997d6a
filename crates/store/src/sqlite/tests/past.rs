//! Somebody does something to the files past Keystile while it runs, or before it reads them.

use std::fs;

use keystile_core::keys::hash::KeyHash;
use keystile_core::keys::lock::LockRule;
use rusqlite::Connection;

use crate::error::Error;
use crate::sqlite::files::backup::{backup, restore, verify};
use crate::sqlite::tests::make::{LOCKS, plan};
use crate::sqlite::tests::test_store::{TestStore, open};

fn fixture() -> (TestStore, KeyHash) {
    let plans = [
        plan("small", &[("3 per day", &[])], LOCKS),
        plan("never", &[("900 per day", &[])], LockRule::Never),
    ];
    let fixture = TestStore::new(&plans);
    let key = fixture.issue("never");
    (fixture, key)
}

fn is_refused(fixture: &TestStore, key: KeyHash) -> bool {
    matches!(fixture.ask(key, ("notes", "POST", "/notes"), 1), Err(Error::Unavailable))
}

#[expect(clippy::disallowed_methods, reason = "a test that waits holds up nobody")]
fn wait_until(what: &str, is_so: impl Fn() -> bool) {
    for _ in 0..600 {
        if is_so() {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    panic!("waited in vain: {what}");
}

#[test]
fn while_a_file_of_the_store_is_gone_or_another_nothing_is_admitted() {
    for name in ["keystile.db", "keystile.db-wal", "keystile.lock"] {
        let (fixture, key) = fixture();
        fixture.reserve_many(key, 2);
        let (file, aside) = (fixture.path().join(name), fixture.path().join("aside"));
        fs::rename(&file, &aside).unwrap();
        assert!(is_refused(&fixture, key), "{name} is gone");
        let fault = fixture.store().fault().unwrap();
        assert!(fault.contains(name) && fault.contains("deleted or replaced"), "{fault}");
        fs::copy(&aside, &file).unwrap();
        assert!(is_refused(&fixture, key), "{name} is another");
        fs::rename(&aside, &file).unwrap();
        wait_until("it goes on by itself", || fixture.store().fault().is_none());
        assert_eq!(fixture.used(key), [2]);
        assert!(fixture.reserve(key).is_ok());
    }
}

#[test]
fn a_deleted_database_is_noticed_without_a_write_and_can_still_be_saved() {
    let (fixture, key) = fixture();
    fixture.reserve_many(key, 5);
    fs::remove_file(fixture.path().join("keystile.db")).unwrap();
    wait_until("it is noticed", || fixture.store().fault().is_some());
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("saved");
    assert_eq!(backup(fixture.store(), &file).unwrap().records, 5);
    let data = tempfile::tempdir().unwrap();
    restore(data.path(), &file).unwrap();
    assert_eq!(TestStore::at(data, &fixture).used(key), [5]);
}

const PLANTS: [(&str, &str); 4] = [
    (
        "unlocks",
        "CREATE TRIGGER unlocks AFTER INSERT ON journal BEGIN UPDATE key SET lock = NULL; END",
    ),
    ("secrets", "CREATE VIEW secrets AS SELECT hash FROM key"),
    ("notes", "CREATE TABLE notes (text TEXT)"),
    ("key_by_lock", "CREATE INDEX key_by_lock ON key (lock)"),
];

#[test]
fn a_backup_that_holds_something_foreign_is_refused_by_its_name() {
    let (fixture, _) = fixture();
    for (name, plant) in PLANTS {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("backup");
        backup(fixture.store(), &file).unwrap();
        Connection::open(&file).unwrap().execute_batch(plant).unwrap();
        let data = tempfile::tempdir().unwrap();
        for refused in [verify(&file), restore(data.path(), &file)] {
            let Err(Error::Foreign(what)) = refused else { panic!("{plant}: {refused:?}") };
            assert!(what.contains(name), "{what}");
        }
        assert!(!data.path().join("keystile.db").exists());
    }
}

#[test]
fn a_store_that_holds_something_foreign_does_not_open() {
    for (name, plant) in PLANTS {
        let (mut fixture, _) = fixture();
        fixture.stop();
        Connection::open(fixture.path().join("keystile.db")).unwrap().execute_batch(plant).unwrap();
        let Err(Error::Foreign(what)) = open(fixture.path()) else { panic!("{plant}") };
        assert!(what.contains(name), "{what}");
    }
}

#[test]
fn a_trigger_that_is_planted_while_the_store_runs_stops_writes_until_it_is_gone() {
    let (fixture, key) = fixture();
    fixture.reserve_many(key, 1);
    let other = Connection::open(fixture.path().join("keystile.db")).unwrap();
    other.busy_timeout(std::time::Duration::from_secs(5)).unwrap();
    other.execute_batch(PLANTS[0].1).unwrap();
    assert!(is_refused(&fixture, key));
    assert!(fixture.store().fault().unwrap().contains("unlocks"));
    other.execute_batch("DROP TRIGGER unlocks").unwrap();
    wait_until("it goes on by itself", || fixture.store().fault().is_none());
    assert!(fixture.reserve(key).is_ok());
}

#[test]
fn a_log_that_cannot_be_brought_into_the_database_is_reported() {
    let (fixture, _) = fixture();
    let other = Connection::open(fixture.path().join("keystile.db")).unwrap();
    other.execute_batch("BEGIN; SELECT count(*) FROM key").unwrap();
    let fill = || {
        let sql =
            "INSERT OR REPLACE INTO meta (name, value) VALUES ('filler', hex(randomblob(1000000)))";
        fixture.change(move |work| Ok(work.connection().execute(sql, [])?)).unwrap();
    };
    for _ in 0..20 {
        fill();
    }
    wait_until("it is reported", || {
        fill();
        fixture.store().warning().is_some()
    });
    let warning = fixture.store().warning().unwrap();
    assert!(warning.contains("MiB") && warning.contains("reading it"), "{warning}");
    assert!(fixture.store().fault().is_none(), "writes go on");
    drop(other);
    wait_until("it is over", || {
        fill();
        fixture.store().warning().is_none()
    });
}

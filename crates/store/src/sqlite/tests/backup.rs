//! Backups: whole, private, made while writes go on, and refused when they are not whole.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use keystile_core::journal::Outcome;
use keystile_core::keys::hash::KeyHash;
use keystile_core::keys::lock::LockRule;
use rusqlite::Connection;

use crate::error::Error;
use crate::sqlite::files::backup::{backup, restore, verify};
use crate::sqlite::tests::make::{LOCKS, plan, requester, write};
use crate::sqlite::tests::test_store::{TestStore, wait};

fn fixture() -> TestStore {
    TestStore::new(&[
        plan("small", &[("3 per day", &[])], LOCKS),
        plan("never", &[("100000 per day", &[])], LockRule::Never),
    ])
}

/// A backup of a store with two keys and six writes, of which one is under way.
fn backed_up() -> (TestStore, KeyHash, tempfile::TempDir, PathBuf) {
    let fixture = fixture();
    let key = fixture.issue("small");
    fixture.issue("never");
    for reserved in fixture.reserve_many(key, 2) {
        fixture.settle(reserved, Outcome::Applied);
    }
    drop(fixture.reserve(key));
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("keystile.backup");
    let contents = backup(fixture.store(), &file).unwrap();
    assert_eq!((contents.keys, contents.records), (2, 3));
    assert_eq!(verify(&file).unwrap(), contents);
    (fixture, key, folder, file)
}

fn restored(file: &Path, like: &TestStore) -> TestStore {
    let folder = tempfile::tempdir().unwrap();
    restore(folder.path(), file).unwrap();
    TestStore::at(folder, like)
}

#[test]
fn a_backup_made_while_writes_run_restores_to_one_moment_of_them() {
    let fixture = fixture();
    let (locked, busy) = (fixture.issue("small"), fixture.issue("never"));
    fixture.reserve_many(locked, 3);
    assert!(fixture.reserve(locked).is_err());
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("keystile.backup");
    let is_done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                while !is_done.load(Ordering::Relaxed) {
                    let request = write(
                        &fixture.policy,
                        requester(&fixture.entry(busy)),
                        ("notes", "POST", "/x"),
                        1,
                    );
                    let reserved = wait(fixture.store().reserve(request)).unwrap().unwrap();
                    if reserved.id.0 % 3 == 0 {
                        fixture.settle(reserved, Outcome::NotSent);
                    }
                }
            });
        }
        while fixture.list(&crate::journal::RecordQuery { limit: 100, ..Default::default() }).len()
            < 100
        {}
        let contents = backup(fixture.store(), &file).unwrap();
        assert!(contents.records >= 100);
        is_done.store(true, Ordering::Relaxed);
    });
    let copy = restored(&file, &fixture);
    assert!(copy.is_locked(locked));
    assert!(copy.reserve(locked).is_err());
    let records = copy.journal();
    assert!(records.iter().all(|record| record.outcome != Outcome::Pending));
    assert!(
        records
            .iter()
            .enumerate()
            .all(|(place, record)| record.id.0 == i64::try_from(place).unwrap() + 1)
    );
    let id = copy.row(busy).id;
    let cost: u64 = records
        .iter()
        .filter(|record| record.key.as_ref() == Some(&id) && record.outcome != Outcome::NotSent)
        .map(|record| u64::from(record.cost))
        .sum();
    assert_eq!(copy.used(busy), [cost]);
    assert!(copy.reserve(busy).is_ok());
}

#[test]
fn a_restored_store_knows_its_keys_and_counts_and_closes_what_was_under_way() {
    let (fixture, key, _folder, file) = backed_up();
    let mut copy = restored(&file, &fixture);
    assert_eq!(copy.used(key), [3]);
    assert_eq!(copy.journal()[2].outcome, Outcome::Unknown);
    assert!(copy.reserve(key).is_err());
    assert!(!fixture.is_locked(key), "the copy is a store of its own");
    copy.reopen();
    assert!(copy.is_locked(key));
    assert_eq!(verify(&file).unwrap().records, 3);
}

#[test]
fn a_backup_is_private_and_never_overwrites() {
    let (fixture, _, folder, file) = backed_up();
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(matches!(backup(fixture.store(), &file), Err(Error::Exists(_))));
    let names: Vec<_> =
        std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, ["keystile.backup"]);
}

#[test]
fn a_cut_off_or_overwritten_backup_is_refused_and_the_store_stays() {
    let (mut fixture, key, folder, file) = backed_up();
    let whole = std::fs::read(&file).unwrap();
    let damaged = folder.path().join("damaged");
    fixture.stop();
    let refuse = |bytes: &[u8]| {
        std::fs::write(&damaged, bytes).unwrap();
        assert!(verify(&damaged).is_err(), "{} of {} bytes", bytes.len(), whole.len());
        assert!(restore(fixture.path(), &damaged).is_err());
    };
    for length in [0, 100, 4_096, whole.len() / 2, whole.len() - 4_096, whole.len() - 1] {
        refuse(&whole[..length]);
    }
    for page in [0, 1, whole.len() / 8_192] {
        let mut bytes = whole.clone();
        bytes[page * 4_096..][..64].fill(0xA5);
        refuse(&bytes);
    }
    fixture.start();
    assert_eq!(fixture.used(key), [3]);
}

#[test]
fn an_edited_backup_is_refused() {
    let edits = [
        "DELETE FROM meta WHERE name = 'pepper'",
        "UPDATE meta SET value = 'ab' WHERE name = 'pepper'",
        "PRAGMA user_version = 4000",
        "PRAGMA application_id = 5",
        "DROP TABLE event",
    ];
    for edit in edits {
        let (_fixture, _, _folder, file) = backed_up();
        Connection::open(&file).unwrap().execute_batch(edit).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        assert!(verify(&file).is_err(), "{edit}");
        assert!(restore(&data, &file).is_err(), "{edit}");
        assert!(!data.exists(), "{edit}: it is not begun");
    }
}

#[test]
fn a_data_directory_is_no_backup() {
    let (mut fixture, _, _folder, _) = backed_up();
    fixture.stop();
    assert!(matches!(verify(&fixture.path().join("keystile.db")), Err(Error::Corrupt(_))));
}

/// The replaced store is of use only with everything that it had: its latest commits and its pepper.
#[test]
fn a_replaced_store_stays_beside_the_restored_one_whole() {
    let (other, key, _folder, file) = backed_up();
    let fixture = fixture();
    let replaced = fixture.issue("never");
    fixture.reserve_many(replaced, 5);
    // As a crash leaves it: the latest commits are in the log.
    let crashed = tempfile::tempdir().unwrap();
    for name in ["keystile.db", "keystile.db-wal", "pepper"] {
        std::fs::copy(fixture.path().join(name), crashed.path().join(name)).unwrap();
    }
    let pepper = std::fs::read(fixture.path().join("pepper")).unwrap();
    restore(crashed.path(), &file).unwrap();

    let aside = tempfile::tempdir().unwrap();
    for entry in std::fs::read_dir(crashed.path().join("before-restore-1")).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), aside.path().join(entry.file_name())).unwrap();
    }
    let copy = TestStore::at(crashed, &other);
    assert_eq!(copy.used(key), [3]);
    assert_eq!(std::fs::read(aside.path().join("pepper")).ok(), Some(pepper));
    let before = TestStore::at(aside, &fixture);
    assert_eq!(before.used(replaced), [5]);
}

#[test]
fn a_file_that_is_no_backup_is_named_and_the_store_is_not_called_damaged() {
    let folder = tempfile::tempdir().unwrap();
    let data = tempfile::tempdir().unwrap();
    let other = folder.path().join("other.db");
    Connection::open(&other).unwrap().execute_batch("CREATE TABLE t (a)").unwrap();
    for (name, bytes) in [("empty", &b""[..]), ("short", b"junk"), ("junk", &[b'x'; 8192])] {
        std::fs::write(folder.path().join(name), bytes).unwrap();
    }
    for name in ["empty", "short", "junk", "other.db"] {
        let file = folder.path().join(name);
        let error = restore(data.path(), &file).unwrap_err();
        let expected = "cannot be restored: it is not a backup that Keystile wrote";
        assert_eq!(error.to_string(), format!("the file {} {expected}", file.display()));
        assert!(!data.path().join("keystile.db").exists(), "{name}");
    }
}

/// A restore can be killed between any two of its steps; whatever is left, it is repeated, and nothing that was
/// replaced is lost.
#[test]
fn a_restore_that_was_cut_off_is_no_new_store_and_loses_nothing_when_it_is_repeated() {
    let (other, key, _folder, file) = backed_up();
    let mut fixture = fixture();
    fixture.issue("never");
    fixture.stop();
    let database = std::fs::read(fixture.path().join("keystile.db")).unwrap();
    let files = ["keystile.db", "keystile.mark", "pepper"];
    for steps in 0..=files.len() {
        let data = tempfile::tempdir().unwrap();
        for name in files {
            std::fs::copy(fixture.path().join(name), data.path().join(name)).unwrap();
        }
        std::fs::write(data.path().join("keystile.restoring"), "half").unwrap();
        std::fs::create_dir(data.path().join("before-restore-1")).unwrap();
        for name in &files[..steps] {
            let to = data.path().join("before-restore-1").join(name);
            std::fs::rename(data.path().join(name), to).unwrap();
        }
        if steps > 0 {
            assert!(
                matches!(
                    crate::sqlite::tests::test_store::open(data.path()),
                    Err(Error::Lost { .. })
                ),
                "{steps}"
            );
        }
        for _ in 0..2 {
            restore(data.path(), &file).unwrap();
        }
        let kept = (1..=3).filter(|number| {
            let path = data.path().join(format!("before-restore-{number}/keystile.db"));
            std::fs::read(path).is_ok_and(|kept| kept == database)
        });
        assert_eq!(kept.count(), 1, "what was replaced is there, once: {steps}");
        assert_eq!(TestStore::at(data, &other).used(key), [3]);
    }
}

//! What a store says of a directory that it cannot use, and that it leaves it as it is.

use std::os::unix::fs::PermissionsExt;

use rusqlite::Connection;

use crate::error::Error;
use crate::sqlite::files::directory::DataDirectory;
use crate::sqlite::tests::make::{LOCKS, plan};
use crate::sqlite::tests::test_store::{TestStore, open};

fn fixture() -> TestStore {
    let fixture = TestStore::new(&[plan("small", &[("10 per day", &[])], LOCKS)]);
    fixture.issue("small");
    fixture
}

#[test]
fn a_directory_has_one_store_at_a_time() {
    let mut fixture = fixture();
    assert!(matches!(open(fixture.path()), Err(Error::InUse { .. })));
    fixture.stop();
    let held = DataDirectory::hold(fixture.path()).unwrap();
    assert!(matches!(open(fixture.path()), Err(Error::InUse { .. })));
    drop(held);
    fixture.start();
}

#[test]
fn nobody_else_can_read_the_directory() {
    let fixture = fixture();
    let mode = |path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(fixture.path().to_owned()), 0o700);
    assert_eq!(mode(fixture.path().join("pepper")), 0o600);
}

#[test]
fn of_many_who_write_one_file_each_writes_a_whole_one() {
    let fixture = fixture();
    let directory = fixture.store().directory();
    let link = |number| format!("https://console.example.org/{number}");
    std::thread::scope(|scope| {
        for number in 0..16 {
            scope.spawn(move || directory.write_owner_link(&link(number)).unwrap());
        }
    });
    let written = directory.owner_link().unwrap().unwrap();
    assert!((0..16).any(|number| link(number) == written), "{written}");
}

#[test]
fn what_a_writer_left_that_was_cut_off_is_gone_at_the_next_start() {
    let mut fixture = fixture();
    fixture.stop();
    let names = ["owner-link.0badcafe.partial", "owner-link.partial", "my-copy.partial"];
    for name in names {
        std::fs::write(fixture.path().join(name), "ksc_half").unwrap();
    }
    fixture.start();
    assert_eq!(names.map(|name| fixture.path().join(name).exists()), [false, false, true]);
}

#[test]
fn a_store_of_a_newer_version_is_left_alone() {
    let mut fixture = fixture();
    fixture.stop();
    let file = fixture.path().join("keystile.db");
    Connection::open(&file).unwrap().pragma_update(None, "user_version", 4_000).unwrap();
    let before = std::fs::read(&file).unwrap();
    assert!(matches!(open(fixture.path()), Err(Error::Newer { found: 4_000, .. })));
    assert_eq!(std::fs::read(&file).unwrap(), before);
}

#[test]
fn a_database_of_another_program_is_left_alone() {
    for application_id in [0, 77] {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("keystile.db");
        let other = Connection::open(&file).unwrap();
        other
            .execute_batch("CREATE TABLE recipe (name TEXT); INSERT INTO recipe VALUES ('soup')")
            .unwrap();
        other.pragma_update(None, "application_id", application_id).unwrap();
        drop(other);
        let before = std::fs::read(&file).unwrap();
        assert!(matches!(open(folder.path()), Err(Error::NotKeystile)));
        assert!(std::fs::read(&file).unwrap() == before, "the other program's file was changed");
    }
}

#[test]
fn a_file_of_garbage_is_corrupt() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("keystile.db"), [0x5A; 9_000]).unwrap();
    assert!(matches!(open(folder.path()), Err(Error::Corrupt(_) | Error::NotKeystile)));
}

#[test]
fn a_cut_off_file_is_corrupt() {
    let mut fixture = fixture();
    fixture.stop();
    let file = fixture.path().join("keystile.db");
    let bytes = std::fs::read(&file).unwrap();
    std::fs::write(&file, &bytes[..bytes.len() / 2]).unwrap();
    assert!(matches!(open(fixture.path()), Err(Error::Corrupt(_))));
}

#[test]
fn a_lock_that_cannot_be_read_is_corrupt_and_not_an_open_key() {
    let mut fixture = fixture();
    fixture.stop();
    let database = Connection::open(fixture.path().join("keystile.db")).unwrap();
    database.execute("UPDATE key SET lock = '{}'", []).unwrap();
    drop(database);
    assert!(matches!(open(fixture.path()), Err(Error::Corrupt(_))));
}

#[test]
fn without_its_pepper_a_store_with_keys_does_not_start() {
    let mut fixture = fixture();
    fixture.stop();
    let pepper = fixture.path().join("pepper");
    let kept = std::fs::read(&pepper).unwrap();
    std::fs::write(&pepper, &kept[..31]).unwrap();
    assert!(matches!(open(fixture.path()), Err(Error::Pepper { fault: "damaged", .. })));
    std::fs::remove_file(&pepper).unwrap();
    assert!(matches!(open(fixture.path()), Err(Error::Pepper { fault: "missing", .. })));
    assert!(!pepper.exists());
    std::fs::write(&pepper, kept).unwrap();
    fixture.start();
}

/// The first start makes the database and then the pepper.
#[test]
fn a_first_start_that_was_killed_half_way_can_be_repeated() {
    let mut fixture = TestStore::new(&[]);
    fixture.stop();
    std::fs::remove_file(fixture.path().join("pepper")).unwrap();
    fixture.start();
}

/// Every variant stands here: the match does not compile without.
fn any_of(fault: &Error) -> &'static str {
    match fault {
        Error::Directory { .. }
        | Error::BackupFile { .. }
        | Error::InUse { .. }
        | Error::NetworkFileSystem { .. }
        | Error::NotKeystile
        | Error::Newer { .. }
        | Error::Corrupt(_)
        | Error::Pepper { .. }
        | Error::NotABackup { .. }
        | Error::Lost { .. }
        | Error::Gone { .. }
        | Error::Foreign(_)
        | Error::NoAnswer { .. }
        | Error::Unanswered
        | Error::Stale(_)
        | Error::LockedApplication(_)
        | Error::Unavailable => "help",
        // Their message names all that is known; what to do follows from the command that met them.
        Error::Exists(_) | Error::Missing(_) | Error::Conflict(_) | Error::Sqlite(_) => "message",
    }
}

#[test]
fn every_error_says_something_of_use() {
    let path = std::path::PathBuf::from("/data");
    let faults = [
        Error::Directory { path: path.clone(), source: std::io::Error::other("no") },
        Error::InUse { path: path.clone() },
        Error::NetworkFileSystem { path: path.clone(), kind: "NFS" },
        Error::NotKeystile,
        Error::Newer { found: 9, known: 1 },
        Error::Corrupt("page 3".to_owned()),
        Error::Pepper { path: path.clone(), fault: "missing" },
        Error::NotABackup { path: path.clone(), why: "it is empty".to_owned() },
        Error::Lost { path: path.clone(), what: "record 7".to_owned() },
        Error::Gone { path: path.clone() },
        Error::Foreign("a trigger".to_owned()),
        Error::NoAnswer { path },
        Error::Unanswered,
        Error::Exists("application a".to_owned()),
        Error::Missing("key k".to_owned()),
        Error::Conflict("a revoked key needs no lock".to_owned()),
        Error::Stale("key".to_owned()),
        Error::LockedApplication("reader".to_owned()),
        Error::Unavailable,
        Error::Sqlite(rusqlite::Error::InvalidQuery),
    ];
    for fault in faults {
        assert!(fault.to_string().len() > 5, "{fault:?}");
        assert_eq!(fault.help().is_some(), any_of(&fault) == "help", "{fault:?}");
    }
}

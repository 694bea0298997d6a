//! What was acknowledged is missing: the store says so and stops. What was not, raises no alarm.

use std::fs;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use keystile_core::keys::hash::KeyHash;
use keystile_core::keys::lock::LockRule;
use tempfile::TempDir;

use crate::error::Error;
use crate::files::loss;
use crate::sqlite::files::directory::DataDirectory;
use crate::sqlite::tests::make::{LOCKS, owner, plan};
use crate::sqlite::tests::test_store::{TestStore, open};

const FRAME: usize = 24 + 4096;

fn fixture() -> (TestStore, KeyHash) {
    let plans = [
        plan("small", &[("3 per day", &[])], LOCKS),
        plan("never", &[("900 per day", &[])], LockRule::Never),
    ];
    let fixture = TestStore::new(&plans);
    let key = fixture.issue("small");
    fixture.reserve_many(key, 3);
    assert!(fixture.reserve(key).is_err());
    (fixture, key)
}

const FILES: [&str; 4] = ["keystile.db", "keystile.db-wal", "pepper", "keystile.mark"];

/// What a kill leaves of a store that runs.
fn killed(fixture: &TestStore) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for name in FILES {
        fs::copy(fixture.path().join(name), folder.path().join(name)).unwrap();
    }
    folder
}

fn log(folder: &Path) -> PathBuf {
    folder.join("keystile.db-wal")
}

fn is_lost(folder: &Path) -> bool {
    match open(folder) {
        Ok(_) => false,
        Err(Error::Lost { .. }) => true,
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn no_flipped_byte_in_the_log_of_a_killed_store_goes_unnoticed() {
    let (fixture, key) = fixture();
    let whole = killed(&fixture);
    let bytes = fs::read(log(whole.path())).unwrap();
    let is_locked = |folder: TempDir| TestStore::at(folder, &fixture).is_locked(key);
    assert!(is_locked(killed(&fixture)), "the copy is whole");
    // Every byte of the heads, and one of each page; also the very last.
    let frames = (bytes.len() - 32) / FRAME;
    let mut places: Vec<usize> = (0..32).collect();
    places.extend((0..frames).map(|frame| 32 + frame * FRAME + frame % 24));
    places.extend((0..frames).map(|frame| 32 + frame * FRAME + 24 + (frame * 977) % 4096));
    places.push(bytes.len() - 1);
    for place in places {
        let folder = killed(&fixture);
        fs::OpenOptions::new()
            .write(true)
            .open(log(folder.path()))
            .unwrap()
            .write_all_at(&[bytes[place] ^ 0x10], u64::try_from(place).unwrap())
            .unwrap();
        assert!(is_lost(folder.path()), "byte {place} of {}", bytes.len());
        assert_eq!(fs::read(log(folder.path())).unwrap().len(), bytes.len(), "it is left as it is");
    }
}

#[test]
fn without_its_mark_damage_before_the_last_commit_is_noticed_all_the_same() {
    let (fixture, _) = fixture();
    let folder = killed(&fixture);
    fs::remove_file(folder.path().join("keystile.mark")).unwrap();
    let mut bytes = fs::read(log(folder.path())).unwrap();
    bytes[32 + 3 * FRAME + 100] ^= 1;
    fs::write(log(folder.path()), bytes).unwrap();
    assert!(is_lost(folder.path()));
}

/// When the power fails in the middle of a commit, any of its pages may be on the disk, and others not.
#[test]
fn a_commit_that_the_power_cut_in_half_raises_no_alarm() {
    let (fixture, key) = fixture();
    let before = killed(&fixture);
    let (mark, kept) = (
        fs::read(before.path().join("keystile.mark")).unwrap(),
        fs::read(log(before.path())).unwrap().len(),
    );
    let other = fixture.issue("never");
    let bytes = fs::read(log(fixture.path())).unwrap();
    let frames = (bytes.len() - kept) / FRAME;
    assert!(frames >= 3, "a commit of several pages: {frames}");
    for missing in 0..frames {
        for also in [missing, (missing + 1) % frames] {
            let folder = killed(&fixture);
            let mut torn = bytes.clone();
            for frame in [missing, also] {
                torn[kept + frame * FRAME..][..FRAME].fill(0);
            }
            fs::write(log(folder.path()), torn).unwrap();
            fs::write(folder.path().join("keystile.mark"), &mark).unwrap();
            let mut copy = TestStore::at(folder, &fixture);
            assert!(copy.is_locked(key), "what was acknowledged before is there");
            assert!(copy.store().keys().find(&other).is_none());
            copy.issue("never");
            // What was left of the commit is not taken for something that is missing later.
            copy.reopen();
            assert!(is_fine(&killed(&copy)));
        }
    }
}

fn is_fine(folder: &TempDir) -> bool {
    !is_lost(folder.path())
}

#[test]
fn an_older_database_in_the_place_of_the_one_that_was_there_is_refused_until_the_loss_is_accepted()
{
    let (mut fixture, key) = fixture();
    fixture.unlock(key);
    fixture.stop();
    let older = fs::read(fixture.path().join("keystile.db")).unwrap();
    fixture.start();
    let entry = fixture.entry(key);
    fixture
        .change(move |work| {
            let lock = crate::sqlite::tests::change::lock(work);
            work.lock_key(&entry, lock).map(|_| ())
        })
        .unwrap();
    fixture.stop();
    fs::write(fixture.path().join("keystile.db"), older).unwrap();
    for _ in 0..2 {
        let Err(Error::Lost { what, .. }) = open(fixture.path()) else { panic!("it opens") };
        assert!(what.contains("audit"), "{what}");
    }
    let accepted = loss::accept(DataDirectory::hold(fixture.path()).unwrap(), &owner()).unwrap();
    assert!(accepted.is_some());
    fixture.start();
    let events = fixture.store().read(|read| {
        let query = crate::sqlite::audit::event::EventQuery { limit: 1, ..Default::default() };
        crate::sqlite::audit::event::list(read, &query)
    });
    assert_eq!(events.unwrap()[0].kind, "loss_accepted");
    fixture.stop();
    let again = loss::accept(DataDirectory::hold(fixture.path()).unwrap(), &owner()).unwrap();
    assert_eq!(again, None, "nothing is missing any more");
}

#[test]
fn a_damaged_log_is_kept_and_the_loss_is_on_record_once_it_is_accepted() {
    let (fixture, key) = fixture();
    let folder = killed(&fixture);
    let mut bytes = fs::read(log(folder.path())).unwrap();
    let place = bytes.len() - FRAME;
    bytes[place] ^= 1;
    fs::write(log(folder.path()), &bytes).unwrap();
    assert!(is_lost(folder.path()));
    let what = loss::accept(DataDirectory::hold(folder.path()).unwrap(), &owner()).unwrap();
    assert!(what.unwrap().contains("write-ahead log is damaged"));
    assert_eq!(fs::read(folder.path().join("before-loss-1/keystile.db-wal")).unwrap(), bytes);
    let copy = TestStore::at(folder, &fixture);
    assert!(copy.entry(key).application.name.contains("small"));
}

#[test]
fn a_missing_or_empty_database_beside_its_pepper_is_no_new_store() {
    for is_empty in [false, true] {
        let (mut fixture, _) = fixture();
        fixture.stop();
        let database = fixture.path().join("keystile.db");
        fs::remove_file(&database).unwrap();
        if is_empty {
            fs::write(&database, "").unwrap();
        }
        let Err(Error::Lost { what, .. }) = open(fixture.path()) else { panic!("it opens") };
        assert!(what.contains(if is_empty { "empty" } else { "missing" }), "{what}");
        assert_eq!(database.exists(), is_empty);
        loss::accept(DataDirectory::hold(fixture.path()).unwrap(), &owner()).unwrap().unwrap();
        assert!(fixture.path().join("before-loss-1/pepper").exists());
        fixture.start();
        assert!(fixture.store().keys().is_empty());
    }
}

#[test]
fn another_pepper_is_refused_and_noticed_while_the_store_runs() {
    let (mut fixture, key) = fixture();
    let pepper = fixture.path().join("pepper");
    let kept = fs::read(&pepper).unwrap();
    let directory = fixture.store().directory().clone();
    assert!(directory.has_pepper(fixture.store().pepper()));
    fs::write(&pepper, [7; 32]).unwrap();
    assert!(!directory.has_pepper(fixture.store().pepper()));
    drop(directory);
    fixture.stop();
    let Err(Error::Pepper { fault, .. }) = open(fixture.path()) else { panic!("it opens") };
    assert!(fault.contains("not the one"), "{fault}");
    fs::write(&pepper, kept).unwrap();
    fixture.start();
    assert!(fixture.is_locked(key));
}

#[test]
fn a_number_of_a_record_is_never_given_twice_although_all_records_are_old() {
    let (mut fixture, key) = fixture();
    let last = fixture.journal().last().unwrap().id;
    fixture.unlock(key);
    fixture.reset(key);
    // The index has to have come so far that the records may go.
    fixture.reopen();
    let end = keystile_core::time::Timestamp(i64::MAX);
    while fixture.change(move |work| work.delete_records_before(end, 100)).unwrap() > 0 {}
    fixture.reopen();
    assert!(fixture.reserve(key).unwrap().id > last);
    fixture.reserve_many(key, 2);
    assert!(fixture.reserve(key).is_err(), "what came after the reset counts");
}

#[test]
fn the_mark_counts_the_pages_of_the_log() {
    let (fixture, _) = fixture();
    let mark = fs::read_to_string(fixture.path().join("keystile.mark")).unwrap();
    let frames: usize = mark.split(' ').nth(3).unwrap().parse().unwrap();
    let pages = (fs::read(log(fixture.path())).unwrap().len() - 32) / FRAME;
    assert_eq!(frames, pages, "{mark}");
}

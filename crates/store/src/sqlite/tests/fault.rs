//! The store cannot commit: writes are refused, nothing is admitted twice, and it recovers by itself.
//!
//! A lock that another connection holds stands for a store that cannot begin, a bound on the file's
//! pages for a full disk; a real full disk is tried where the tests may mount one.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use keystile_core::journal::Outcome;
use keystile_core::keys::hash::KeyHash;
use keystile_core::keys::key::KeyState;
use keystile_core::keys::lock::LockRule;
use rusqlite::Connection;

use crate::error::Error;
use crate::journal::RecordQuery;
use crate::sqlite::tests::change::{in_one_group, lock};
use crate::sqlite::tests::make::{LOCKS, plan, refusals};
use crate::sqlite::tests::test_store::{TestStore, wait};

fn fixture() -> (TestStore, KeyHash) {
    let fixture = TestStore::new(&plans());
    let key = fixture.issue("never");
    (fixture, key)
}

fn plans() -> [keystile_core::policy::PlanSpec; 2] {
    [
        plan("never", &[("10 per day", &[])], LockRule::Never),
        plan("small", &[("3 per day", &[])], LOCKS),
    ]
}

/// Another program that has begun to write to the file.
fn block(fixture: &TestStore) -> Connection {
    fixture.change(|work| Ok(work.connection().busy_timeout(Duration::ZERO)?)).unwrap();
    let other = Connection::open(fixture.path().join("keystile.db")).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    other
}

/// The file cannot grow by more than some pages.
fn bound_pages(fixture: &TestStore, spare: i64) {
    fixture
        .change(move |work| {
            let pages: i64 =
                work.connection().pragma_query_value(None, "page_count", |row| row.get(0))?;
            let bound = pages + spare;
            Ok(work
                .connection()
                .pragma_update_and_check(None, "max_page_count", bound, |_| Ok(()))?)
        })
        .unwrap();
}

fn unbound_pages(fixture: &TestStore) {
    let unbound = fixture.change(|work| {
        Ok(work
            .connection()
            .pragma_update_and_check(None, "max_page_count", 1_000_000, |_| Ok(()))?)
    });
    unbound.unwrap();
}

fn wait_for_recovery(fixture: &TestStore) {
    let start = fixture.store().now().0;
    while fixture.store().fault().is_some() {
        assert!(fixture.store().now().0 < start + 5_000, "the store does not recover by itself");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn refused(fixture: &TestStore, key: KeyHash) -> bool {
    matches!(fixture.ask(key, ("notes", "POST", "/notes"), 1), Err(Error::Unavailable))
}

#[test]
fn while_another_program_holds_the_file_writes_are_refused_and_reads_go_on() {
    let (mut fixture, key) = fixture();
    let reserved = fixture.reserve_many(key, 4);
    let other = block(&fixture);
    assert!(refused(&fixture, key));
    assert!(fixture.store().fault().is_some());
    for (reserved, outcome) in reserved.into_iter().zip([Outcome::NotSent, Outcome::Applied]) {
        fixture.settle(reserved, outcome);
    }
    assert!(matches!(wait(fixture.store().flush()), Err(Error::Unavailable)));
    assert!(refused(&fixture, key));
    let query = RecordQuery { limit: 10, ..RecordQuery::default() };
    assert!(fixture.list(&query).iter().all(|record| record.outcome == Outcome::Pending));
    assert_eq!(fixture.list(&query).len(), 4);
    assert_eq!(fixture.state(key), KeyState::Active);
    drop(other);
    wait_for_recovery(&fixture);
    // What was settled in the meantime is written down, without anybody asking again.
    let outcomes = |fixture: &TestStore| {
        fixture.journal().iter().map(|record| record.outcome).collect::<Vec<_>>()
    };
    assert_eq!(outcomes(&fixture)[..2], [Outcome::NotSent, Outcome::Applied]);
    assert_eq!(fixture.used(key), [3]);
    fixture.reserve_many(key, 7);
    assert!(fixture.reserve(key).is_err());
    fixture.reopen();
    assert_eq!(fixture.used(key), [10]);
    let ids: Vec<_> = fixture.journal().iter().map(|record| record.id.0).collect();
    assert_eq!(ids, (1..=11).collect::<Vec<_>>());
}

#[test]
fn a_change_in_a_transaction_that_could_not_begin_is_not_made() {
    let (fixture, key) = fixture();
    let entry = fixture.entry(key);
    let other = block(&fixture);
    let locked = fixture.change(move |work| {
        // The other program ends between the two.
        drop(other);
        let lock = lock(work);
        work.lock_key(&entry, lock).map(|_| ())
    });
    assert!(matches!(locked, Err(Error::Unavailable)));
    wait_for_recovery(&fixture);
    assert_eq!((fixture.row(key).lock, fixture.state(key)), (None, KeyState::Active));
}

#[test]
fn a_change_after_a_write_that_filled_the_disk_is_not_made_by_half() {
    let (fixture, key) = fixture();
    let entry = fixture.entry(key);
    bound_pages(&fixture, 0);
    let filling = Box::new(|work: &mut crate::sqlite::writer::write_tx::WriteTx<'_>| {
        let sql = "INSERT INTO meta (name, value) VALUES ('filler', hex(zeroblob(20000)))";
        work.connection().execute(sql, [])?;
        Ok(())
    });
    let locking = Box::new(move |work: &mut crate::sqlite::writer::write_tx::WriteTx<'_>| {
        let lock = lock(work);
        work.lock_key(&entry, lock).map(|_| ())
    });
    let (changes, writes) = in_one_group(&fixture, key, vec![filling, locking], 3);
    let is_locked = changes[1].is_ok();
    unbound_pages(&fixture);
    wait_for_recovery(&fixture);
    assert_eq!(fixture.row(key).lock.is_some(), is_locked);
    assert_eq!(fixture.is_locked(key), is_locked);
    let admitted = writes.iter().filter(|write| matches!(write, Ok(Ok(_)))).count();
    assert_eq!(
        fixture.journal().len(),
        admitted,
        "a write that was refused is on record as under way"
    );
    if !is_locked {
        fixture.reserve_many(key, 10 - admitted);
    }
    assert!(fixture.reserve(key).is_err());
}

#[test]
fn a_full_file_refuses_writes_and_admits_the_rest_of_the_quota_after() {
    let (mut fixture, key) = fixture();
    bound_pages(&fixture, 1);
    let mut admitted = 0;
    for _ in 0..400 {
        fixture.store().record_refused(refusals(None, 20));
        match fixture.ask(key, ("notes", "POST", "/notes"), 1) {
            Ok(answer) => admitted += u64::from(answer.is_ok()),
            Err(Error::Unavailable) => break,
            Err(error) => panic!("{error}"),
        }
    }
    assert!(fixture.store().fault().is_some());
    unbound_pages(&fixture);
    wait_for_recovery(&fixture);
    assert_eq!(fixture.used(key), [admitted]);
    for _ in 0..20 {
        admitted += u64::from(fixture.reserve(key).is_ok());
    }
    assert_eq!(admitted, 10);
    fixture.reopen();
    assert_eq!(fixture.used(key), [10]);
}

/// A small disk of its own, if the tests may mount one.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn mount(at: &Path) -> Option<Self> {
        let mounted =
            Command::new("mount").args(["-t", "tmpfs", "-o", "size=2m", "tmpfs"]).arg(at).output();
        mounted.is_ok_and(|mounted| mounted.status.success()).then(|| Self(at.to_owned()))
    }

    fn fill(&self) {
        // Down to the last byte: the system says that there is no more room.
        assert!(std::fs::write(self.0.join("filler"), vec![0; 4 << 20]).is_err());
    }

    fn free(&self) {
        std::fs::remove_file(self.0.join("filler")).unwrap();
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        drop(Command::new("umount").arg("-l").arg(&self.0).output());
    }
}

#[test]
fn a_full_disk_refuses_writes_keeps_settlements_and_recovers_by_itself() {
    let folder = tempfile::tempdir().unwrap();
    let Some(disk) = SmallDisk::mount(folder.path()) else {
        println!("not tried: only root may mount a small disk");
        return;
    };
    let mut fixture = TestStore::on(&folder.path().join("data"), &plans());
    let (key, locking) = (fixture.issue("never"), fixture.issue("small"));
    let held = fixture.reserve_many(key, 2);
    fixture.reserve_many(locking, 3);
    disk.fill();
    for _ in 0..2_000 {
        fixture.store().record_refused(refusals(None, 50));
        if wait(fixture.store().flush()).is_err() {
            break;
        }
    }
    assert!(fixture.store().fault().is_some(), "the disk was never full");
    assert!(refused(&fixture, key));
    assert!(matches!(
        fixture.ask(locking, ("notes", "POST", "/notes"), 1),
        Err(Error::Unavailable)
    ));
    assert!(!fixture.is_locked(locking), "a lock that is not durable is seen");
    for (reserved, outcome) in held.into_iter().zip([Outcome::NotSent, Outcome::Applied]) {
        fixture.settle(reserved, outcome);
    }
    assert!(wait(fixture.store().flush()).is_err());
    let query = RecordQuery { limit: 1, ..RecordQuery::default() };
    assert_eq!(fixture.list(&query).len(), 1);
    disk.free();
    wait_for_recovery(&fixture);
    let journal = fixture.journal();
    assert_eq!((journal[0].outcome, journal[1].outcome), (Outcome::NotSent, Outcome::Applied));
    assert_eq!(fixture.used(key), [1]);
    fixture.reserve_many(key, 9);
    assert!(fixture.reserve(key).is_err());
    assert!(fixture.reserve(locking).is_err());
    fixture.reopen();
    assert!(fixture.is_locked(locking));
    assert_eq!(fixture.used(key), [10]);
    fixture.stop();
}

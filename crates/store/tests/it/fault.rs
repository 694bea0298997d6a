//! The store cannot commit: writes are refused, nothing is admitted twice, and it recovers by itself.
//!
//! A lock that another connection holds stands for a store that cannot begin, a bound on the file's
//! pages for a full disk; a real full disk is tried where the tests may mount one.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use keystile_core::decision::KeyState;
use keystile_core::journal::Outcome;
use keystile_core::key::KeyHash;
use keystile_core::lock::LockRule;
use keystile_store::error::Error;
use keystile_store::sqlite::journal::RecordQuery;
use rusqlite::Connection;

use crate::change::{in_one_group, lock};
use crate::make::{LOCKS, plan, refusals};
use crate::test_store::{TestStore, wait};

fn bench() -> (TestStore, KeyHash) {
    let bench = TestStore::new(&plans());
    let key = bench.issue("never");
    (bench, key)
}

fn plans() -> [keystile_core::policy::PlanSpec; 2] {
    [
        plan("never", &[("10 per day", &[])], LockRule::Never),
        plan("small", &[("3 per day", &[])], LOCKS),
    ]
}

/// Another program that has begun to write to the file.
fn block(bench: &TestStore) -> Connection {
    bench.change(|work| Ok(work.connection().busy_timeout(Duration::ZERO)?)).unwrap();
    let other = Connection::open(bench.path().join("keystile.db")).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    other
}

/// The file cannot grow by more than some pages.
fn bound_pages(bench: &TestStore, spare: i64) {
    bench
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

fn unbound_pages(bench: &TestStore) {
    let unbound = bench.change(|work| {
        Ok(work
            .connection()
            .pragma_update_and_check(None, "max_page_count", 1_000_000, |_| Ok(()))?)
    });
    unbound.unwrap();
}

fn wait_for_recovery(bench: &TestStore) {
    let start = bench.store().now().0;
    while bench.store().fault().is_some() {
        assert!(bench.store().now().0 < start + 5_000, "the store does not recover by itself");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn refused(bench: &TestStore, key: KeyHash) -> bool {
    matches!(bench.ask(key, ("notes", "POST", "/notes"), 1), Err(Error::Unavailable))
}

#[test]
fn while_another_program_holds_the_file_writes_are_refused_and_reads_go_on() {
    let (mut bench, key) = bench();
    let reserved = bench.reserve_many(key, 4);
    let other = block(&bench);
    assert!(refused(&bench, key));
    assert!(bench.store().fault().is_some());
    for (reserved, outcome) in reserved.into_iter().zip([Outcome::NotSent, Outcome::Applied]) {
        bench.settle(reserved, outcome);
    }
    assert!(matches!(wait(bench.store().flush()), Err(Error::Unavailable)));
    assert!(refused(&bench, key));
    let query = RecordQuery { limit: 10, ..RecordQuery::default() };
    assert!(bench.list(&query).iter().all(|record| record.outcome == Outcome::Pending));
    assert_eq!(bench.list(&query).len(), 4);
    assert_eq!(bench.state(key), KeyState::Active);
    drop(other);
    wait_for_recovery(&bench);
    // What was settled in the meantime is written down, without anybody asking again.
    let outcomes =
        |bench: &TestStore| bench.journal().iter().map(|record| record.outcome).collect::<Vec<_>>();
    assert_eq!(outcomes(&bench)[..2], [Outcome::NotSent, Outcome::Applied]);
    assert_eq!(bench.used(key), [3]);
    bench.reserve_many(key, 7);
    assert!(bench.reserve(key).is_err());
    bench.reopen();
    assert_eq!(bench.used(key), [10]);
    let ids: Vec<_> = bench.journal().iter().map(|record| record.id.0).collect();
    assert_eq!(ids, (1..=11).collect::<Vec<_>>());
}

#[test]
fn a_change_in_a_transaction_that_could_not_begin_is_not_made() {
    let (bench, key) = bench();
    let entry = bench.entry(key);
    let other = block(&bench);
    let locked = bench.change(move |work| {
        // The other program ends between the two.
        drop(other);
        let lock = lock(work);
        work.lock_key(&entry, lock).map(|_| ())
    });
    assert!(matches!(locked, Err(Error::Unavailable)));
    wait_for_recovery(&bench);
    assert_eq!((bench.row(key).lock, bench.state(key)), (None, KeyState::Active));
}

#[test]
fn a_change_after_a_write_that_filled_the_disk_is_not_made_by_half() {
    let (bench, key) = bench();
    let entry = bench.entry(key);
    bound_pages(&bench, 0);
    let filling = Box::new(|work: &mut keystile_store::WriteTx<'_>| {
        let sql = "INSERT INTO meta (name, value) VALUES ('filler', hex(zeroblob(20000)))";
        work.connection().execute(sql, [])?;
        Ok(())
    });
    let locking = Box::new(move |work: &mut keystile_store::WriteTx<'_>| {
        let lock = lock(work);
        work.lock_key(&entry, lock).map(|_| ())
    });
    let (changes, writes) = in_one_group(&bench, key, vec![filling, locking], 3);
    let is_locked = changes[1].is_ok();
    unbound_pages(&bench);
    wait_for_recovery(&bench);
    assert_eq!(bench.row(key).lock.is_some(), is_locked);
    assert_eq!(bench.is_locked(key), is_locked);
    let admitted = writes.iter().filter(|write| matches!(write, Ok(Ok(_)))).count();
    assert_eq!(
        bench.journal().len(),
        admitted,
        "a write that was refused is on record as under way"
    );
    if !is_locked {
        bench.reserve_many(key, 10 - admitted);
    }
    assert!(bench.reserve(key).is_err());
}

#[test]
fn a_full_file_refuses_writes_and_admits_the_rest_of_the_quota_after() {
    let (mut bench, key) = bench();
    bound_pages(&bench, 1);
    let mut admitted = 0;
    for _ in 0..400 {
        bench.store().record_refused(refusals(None, 20));
        match bench.ask(key, ("notes", "POST", "/notes"), 1) {
            Ok(answer) => admitted += u64::from(answer.is_ok()),
            Err(Error::Unavailable) => break,
            Err(error) => panic!("{error}"),
        }
    }
    assert!(bench.store().fault().is_some());
    unbound_pages(&bench);
    wait_for_recovery(&bench);
    assert_eq!(bench.used(key), [admitted]);
    for _ in 0..20 {
        admitted += u64::from(bench.reserve(key).is_ok());
    }
    assert_eq!(admitted, 10);
    bench.reopen();
    assert_eq!(bench.used(key), [10]);
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
    let mut bench = TestStore::on(&folder.path().join("data"), &plans());
    let (key, locking) = (bench.issue("never"), bench.issue("small"));
    let held = bench.reserve_many(key, 2);
    bench.reserve_many(locking, 3);
    disk.fill();
    for _ in 0..2_000 {
        bench.store().record_refused(refusals(None, 50));
        if wait(bench.store().flush()).is_err() {
            break;
        }
    }
    assert!(bench.store().fault().is_some(), "the disk was never full");
    assert!(refused(&bench, key));
    assert!(matches!(bench.ask(locking, ("notes", "POST", "/notes"), 1), Err(Error::Unavailable)));
    assert!(!bench.is_locked(locking), "a lock that is not durable is seen");
    for (reserved, outcome) in held.into_iter().zip([Outcome::NotSent, Outcome::Applied]) {
        bench.settle(reserved, outcome);
    }
    assert!(wait(bench.store().flush()).is_err());
    let query = RecordQuery { limit: 1, ..RecordQuery::default() };
    assert_eq!(bench.list(&query).len(), 1);
    disk.free();
    wait_for_recovery(&bench);
    let journal = bench.journal();
    assert_eq!((journal[0].outcome, journal[1].outcome), (Outcome::NotSent, Outcome::Applied));
    assert_eq!(bench.used(key), [1]);
    bench.reserve_many(key, 9);
    assert!(bench.reserve(key).is_err());
    assert!(bench.reserve(locking).is_err());
    bench.reopen();
    assert!(bench.is_locked(locking));
    assert_eq!(bench.used(key), [10]);
    bench.stop();
}

//! Meters: what was acknowledged is kept through a crash, and values do not go back.

use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use keystile_core::time::{Span, Timestamp};
use rusqlite::Connection;
use tokio::task::JoinSet;

use crate::Store;
use crate::doors::meters::{METERS_AT_ONCE_MAX, MeterValue};
use crate::error::Error;
use crate::sqlite::tests::test_store::{Dice, TestStore, open, wait};
use crate::sqlite::writer::write_tx::WriteTx;

const DIRECTORY: &str = "KEYSTILE_TEST_METERS_DIRECTORY";
const FOREVER: Timestamp = Timestamp(i64::MAX - 1);

fn fixture() -> TestStore {
    TestStore::new(&[])
}

/// A meter of the window from one time to another.
fn meter(owner: &str, name: &str, window: (i64, i64), value: u64) -> MeterValue {
    let ends = Some(Timestamp(window.1));
    MeterValue { owner: owner.into(), name: name.into(), starts: Timestamp(window.0), ends, value }
}

fn endless(owner: &str, value: u64) -> MeterValue {
    let (starts, name) = (Timestamp(0), "calls".into());
    MeterValue { owner: owner.into(), name, starts, ends: None, value }
}

fn all(fixture: &TestStore) -> Vec<(String, String, i64, u64)> {
    let found = wait(fixture.store().meters_at(Timestamp(0))).unwrap();
    let plain = |meter: MeterValue| {
        (meter.owner.to_string(), meter.name.to_string(), meter.starts.0, meter.value)
    };
    found.into_iter().map(plain).collect()
}

fn value_of(fixture: &TestStore, owner: &str) -> Option<u64> {
    all(fixture).into_iter().find(|(found, ..)| found == owner).map(|(.., value)| value)
}

/// What a crash leaves: the files as they are.
fn crashed(fixture: &TestStore) -> TestStore {
    let folder = tempfile::tempdir().unwrap();
    for file in ["keystile.db", "keystile.db-wal", "pepper"] {
        std::fs::copy(fixture.path().join(file), folder.path().join(file)).unwrap();
    }
    TestStore::at(folder, fixture)
}

#[test]
fn a_meter_is_one_owner_name_and_window_and_is_there_after_a_crash_and_a_stop() {
    let mut fixture = fixture();
    let day = (0, 86_400_000);
    let next = (86_400_000, 2 * 86_400_000);
    let put = vec![
        meter("b", "writes", day, 3),
        meter("a", "writes", day, 1),
        meter("a", "writes", next, 2),
        meter("a", "reads", day, u64::MAX),
        endless("a", 7),
    ];
    wait(fixture.store().put_meters(put)).unwrap();
    let expected = [
        ("a", "calls", 0, 7),
        ("a", "reads", 0, i64::MAX.unsigned_abs()),
        ("a", "writes", 0, 1),
        ("a", "writes", 86_400_000, 2),
        ("b", "writes", 0, 3),
    ];
    let expected =
        expected.map(|(owner, name, at, value)| (owner.to_owned(), name.to_owned(), at, value));
    assert_eq!(all(&crashed(&fixture)), expected);
    fixture.reopen();
    assert_eq!(all(&fixture), expected);
    let later = wait(fixture.store().meters_at(Timestamp(86_400_000))).unwrap();
    assert_eq!(later.iter().map(|meter| meter.value).collect::<Vec<_>>(), [7, 2]);
    assert_eq!(later[1].ends, Some(Timestamp(next.1)));
}

#[test]
fn a_late_smaller_value_changes_nothing_unless_the_counter_is_put_right() {
    let fixture = fixture();
    let window = (0, i64::MAX);
    let put =
        |value| wait(fixture.store().put_meters(vec![meter("a", "n", window, value)])).unwrap();
    let kept = || value_of(&fixture, "a").unwrap();
    put(5);
    put(3);
    assert_eq!(kept(), 5);
    wait(fixture.store().set_meters(vec![meter("a", "n", window, 2)])).unwrap();
    assert_eq!(kept(), 2);
    put(4);
    assert_eq!(kept(), 4);
    // In one call the order is that of the values.
    let many = [9, 8, 1].map(|value| meter("a", "n", window, value)).to_vec();
    wait(fixture.store().put_meters(many.clone())).unwrap();
    assert_eq!(kept(), 9);
    wait(fixture.store().set_meters(many)).unwrap();
    assert_eq!(kept(), 1);
}

/// Counts the rows that statements changed since the connection was opened.
fn changed(work: &mut WriteTx<'_>) -> crate::error::Result<i64> {
    Ok(work.connection().query_row("SELECT total_changes()", [], |row| row.get(0))?)
}

#[test]
fn puts_of_one_meter_in_one_commit_are_one_statement() {
    let fixture = fixture();
    let before = fixture.change(changed).unwrap();
    let ((reached, begun), (release, held)) =
        (std::sync::mpsc::channel::<()>(), std::sync::mpsc::channel::<()>());
    let store = fixture.store().clone();
    wait(async {
        let busy = tokio::spawn({
            let store = store.clone();
            let wait_for_all = move |_: &mut WriteTx<'_>| {
                drop(reached);
                Ok(held.recv().is_ok())
            };
            async move { store.write(wait_for_all).await }
        });
        tokio::task::yield_now().await;
        assert!(begun.recv().is_err());
        // The writer is held up, so all of these are in its next group.
        let value = |value| vec![meter("a", "n", (0, 1), value)];
        let first = store.begin_put_meters(value(9)).unwrap();
        let second = store.begin_set_meters(value(7)).unwrap();
        store.put_meters_later(value(6)).unwrap();
        let third = store.begin_put_meters(value(5)).unwrap();
        drop(release);
        let (first, second, third) = tokio::join!(first, second, third);
        first.and(second).and(third).unwrap();
        busy.await.unwrap().unwrap();
    });
    drop(store);
    assert_eq!(fixture.change(changed).unwrap() - before, 1);
    assert_eq!(value_of(&fixture, "a"), Some(7));
}

/// Begins what the writer does some seconds later, and goes on with by itself: bringing meters from the log
/// into the table.
fn begin_to_follow(fixture: &TestStore) {
    let begin = |work: &mut WriteTx<'_>| {
        work.memory.meters.step(work.connection)?;
        work.memory.meters.step_committed();
        Ok(())
    };
    fixture.change(begin).unwrap();
}

fn is_following(fixture: &TestStore) -> bool {
    fixture.change(|work| Ok(work.memory.meters.is_moving())).unwrap()
}

fn follow(fixture: &TestStore) {
    begin_to_follow(fixture);
    while is_following(fixture) {
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn rows(fixture: &TestStore, table: &'static str) -> i64 {
    let count = format!("SELECT count(*) FROM {table}");
    fixture.store().read(|read| Ok(read.query_row(&count, [], |row| row.get(0))?)).unwrap()
}

#[test]
fn the_table_follows_the_log_and_both_say_the_same_at_every_step_and_after_a_crash_in_it() {
    let fixture = fixture();
    let store = fixture.store();
    let many = |value| (0..4_500).map(|owner| endless(&format!("{owner:04}"), value)).collect();
    wait(store.put_meters(many(7))).unwrap();
    wait(store.set_meters(vec![endless("0001", 3), endless("4400", 3)])).unwrap();
    wait(store.put_meters(vec![endless("0001", 4), endless("0002", 9)])).unwrap();
    let expected = all(&fixture);
    assert_eq!((rows(&fixture, "meter"), rows(&fixture, "meter_log")), (0, 4_504));
    begin_to_follow(&fixture);
    let mut meanwhile = 0;
    while is_following(&fixture) {
        // What comes meanwhile stays in the log.
        wait(store.put_meters(vec![endless("0003", 7)])).unwrap();
        assert_eq!(all(&fixture), expected);
        assert_eq!(all(&crashed(&fixture)), expected);
        meanwhile += 1;
    }
    assert!(meanwhile > 0, "it is done in several steps");
    assert_eq!((rows(&fixture, "meter"), rows(&fixture, "meter_log")), (4_500, meanwhile));
    assert_eq!(all(&fixture), expected);
    let mut copy = crashed(&fixture);
    wait(copy.store().set_meters(vec![endless("0000", 1)])).unwrap();
    copy.reopen();
    follow(&copy);
    assert_eq!(rows(&copy, "meter_log"), 0);
    assert_eq!(value_of(&copy, "0000"), Some(1));
    assert_eq!(all(&copy)[1..], expected[1..]);
    // With an empty log it begins anew.
    copy.reopen();
    wait(copy.store().put_meters(vec![endless("0000", 2)])).unwrap();
    assert_eq!((value_of(&copy, "0000"), rows(&copy, "meter_log")), (Some(2), 1));
}

#[test]
fn values_that_nobody_waits_for_are_durable_with_the_next_flush_and_with_a_stop() {
    let mut fixture = fixture();
    fixture.store().put_meters_later(vec![endless("a", 1), endless("b", 2)]).unwrap();
    wait(fixture.store().flush()).unwrap();
    assert_eq!(value_of(&crashed(&fixture), "b"), Some(2));
    fixture.store().put_meters_later(vec![endless("c", 3)]).unwrap();
    fixture.reopen();
    assert_eq!(value_of(&fixture, "c"), Some(3));
}

#[test]
fn what_is_out_of_bounds_is_refused() {
    let fixture = fixture();
    let refused = |values: Vec<MeterValue>| {
        let later = fixture.store().put_meters_later(values.clone());
        assert!(matches!(later, Err(Error::Conflict(_))));
        matches!(wait(fixture.store().put_meters(values)), Err(Error::Conflict(_)))
    };
    assert!(refused(vec![endless("", 1)]));
    assert!(refused(vec![endless(&"a".repeat(256), 1)]));
    assert!(refused(vec![meter("a", "", (0, 1), 1)]));
    assert!(refused(vec![endless("a", 1); METERS_AT_ONCE_MAX + 1]));
    assert!(all(&fixture).is_empty());
    wait(fixture.store().put_meters(vec![endless(&"a".repeat(255), 1); METERS_AT_ONCE_MAX]))
        .unwrap();
    assert_eq!(all(&fixture).len(), 1);
}

#[test]
fn while_the_store_cannot_commit_waiters_hear_it_and_what_nobody_waits_for_is_tried_again() {
    let fixture = fixture();
    fixture.change(|work| Ok(work.connection().busy_timeout(Duration::ZERO)?)).unwrap();
    let other = Connection::open(fixture.path().join("keystile.db")).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let store = fixture.store().clone();
    store.put_meters_later(vec![endless("a", 1), endless("b", 8)]).unwrap();
    assert!(matches!(wait(store.put_meters(vec![endless("a", 2)])), Err(Error::Unavailable)));
    // From here on whoever counts keeps them.
    assert!(matches!(store.put_meters_later(vec![endless("a", 3)]), Err(Error::Unavailable)));
    drop(other);
    for _ in 0..500 {
        if store.fault().is_none() {
            break;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    assert_eq!((value_of(&fixture, "a"), value_of(&fixture, "b")), (Some(1), Some(8)));
}

#[test]
fn values_come_in_the_order_in_which_they_were_begun_whoever_waits_for_them() {
    let fixture = fixture();
    let (release, held) = std::sync::mpsc::channel::<()>();
    let store = fixture.store().clone();
    wait(async {
        let busy = store.begin_put_meters(vec![endless("b", 1)]).unwrap();
        let held = tokio::spawn({
            let store = store.clone();
            async move { store.write(move |_| Ok(held.recv().is_ok())).await }
        });
        tokio::task::yield_now().await;
        let larger = store.begin_put_meters(vec![endless("a", 9)]).unwrap();
        let smaller = store.begin_set_meters(vec![endless("a", 2)]).unwrap();
        // The last is waited for first, and of the first nobody is left to wait.
        drop((busy, larger, release));
        smaller.await.unwrap();
        held.await.unwrap().unwrap();
    });
    drop(store);
    assert_eq!((value_of(&fixture, "a"), value_of(&fixture, "b")), (Some(2), Some(1)));
}

#[test]
fn meters_that_ended_long_enough_ago_are_deleted_and_no_others() {
    let fixture = fixture();
    let (store, now) = (fixture.store(), fixture.store().now().0);
    let put = vec![
        meter("old", "n", (0, now - 60_000), 1),
        meter("recent", "n", (0, now - 10_000), 2),
        meter("open", "n", (0, now + 60_000), 3),
        endless("endless", 4),
    ];
    wait(store.put_meters(put)).unwrap();
    follow(&fixture);
    assert_eq!(wait(store.delete_ended_meters()).unwrap(), 0, "they are kept for two days");
    store.set_meter_retention(Span::from_secs(30));
    assert_eq!(wait(store.delete_ended_meters()).unwrap(), 1);
    assert_eq!(wait(store.delete_ended_meters()).unwrap(), 0);
    let left: Vec<_> = all(&fixture).into_iter().map(|(owner, ..)| owner).collect();
    assert_eq!(left, ["endless", "open", "recent"]);
}

#[test]
fn a_meter_without_an_end_is_gone_once_it_is_set_to_nothing() {
    let mut fixture = fixture();
    wait(fixture.store().put_meters(vec![endless("gone", 4), endless("kept", 5)])).unwrap();
    follow(&fixture);
    wait(fixture.store().set_meters(vec![endless("gone", 0)])).unwrap();
    follow(&fixture);
    assert_eq!(rows(&fixture, "meter"), 1);
    fixture.reopen();
    assert_eq!((value_of(&fixture, "gone"), value_of(&fixture, "kept")), (None, Some(5)));
    wait(fixture.store().put_meters(vec![endless("gone", 1)])).unwrap();
    follow(&fixture);
    assert_eq!(value_of(&fixture, "gone"), Some(1));
}

#[test]
fn no_acknowledged_value_is_lost_when_the_process_is_killed() {
    let mut fixture = fixture();
    let mut dice = Dice(0x2545_F491_4F6C_DD1D);
    let mut before = [0; OWNERS];
    for _ in 0..8 {
        fixture.stop();
        let pause = Duration::from_micros(u64::try_from(dice.roll(4_000)).unwrap());
        let said = run_and_kill(&fixture, 1 + dice.roll(120), pause);
        fixture.start();
        for (owner, said) in said.into_iter().enumerate() {
            let kept = value_of(&fixture, &owner.to_string()).unwrap_or(0);
            assert!(kept >= said.max(before[owner]), "{owner}: {said} was said, {kept} is kept");
            before[owner] = kept;
        }
    }
    assert!(before.iter().all(|kept| *kept > 0));
}

/// How many meters a child counts at once.
const OWNERS: usize = 8;

/// Counts until it is killed. A line goes out only after its value is durable.
#[test]
fn child_that_counts() {
    let Ok(directory) = std::env::var(DIRECTORY) else {
        return;
    };
    let (store, _) = open(directory.as_ref()).unwrap();
    wait(async {
        let mut counters = JoinSet::new();
        for owner in 0..OWNERS {
            counters.spawn(count(store.clone(), owner));
        }
        counters.join_next().await;
    });
}

async fn count(store: Arc<Store>, owner: usize) {
    let name = owner.to_string();
    let known = store.meters_at(FOREVER).await.unwrap();
    let known = known.iter().find(|meter| *meter.owner == *name).map_or(0, |meter| meter.value);
    for value in known + 1.. {
        store.put_meters(vec![endless(&name, value)]).await.unwrap();
        let mut out = std::io::stdout().lock();
        out.write_all(format!("\ncounted {owner} {value}\n").as_bytes()).unwrap();
        out.flush().unwrap();
    }
}

fn run_and_kill(fixture: &TestStore, lines_max: usize, pause: Duration) -> [u64; OWNERS] {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "sqlite::tests::meters::child_that_counts", "--nocapture"])
        .env(DIRECTORY, fixture.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let (mut said, mut heard) = ([0; OWNERS], 0);
    for line in BufReader::new(child.stdout.take().unwrap()).lines() {
        let line = line.unwrap();
        if let ["counted", owner, value] = line.split(' ').collect::<Vec<_>>().as_slice() {
            said[owner.parse::<usize>().unwrap()] = value.parse().unwrap();
            heard += 1;
            if heard == lines_max {
                std::thread::sleep(pause);
                child.kill().unwrap();
            }
        }
    }
    assert!(!child.wait().unwrap().success());
    assert!(heard >= lines_max, "the child ended by itself");
    said
}

//! Each write on a watched operation is told, or counted in a digest, exactly once.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use keystile_core::journal::Outcome;
use keystile_core::notifications::watch::{Trigger, TriggerKind, WatchRule};
use keystile_core::time::Span;
use keystile_store::sqlite::notifications::follow;
use rusqlite::Connection;

use crate::make::{LOCKS, plan, refusals};
use crate::outbox::{deliveries, on, watch};
use crate::test_store::{Dice, TestStore, wait};

const DIRECTORY: &str = "KEYSTILE_TEST_FOLLOW_DIRECTORY";

fn deletes() -> WatchRule {
    let rule = WatchRule::new("deletes", Trigger::Write, on("one"));
    WatchRule { on: vec!["notes: DELETE *".parse().unwrap()], ..rule }
}

fn look(bench: &TestStore, limit: u32) -> follow::TailBatch {
    let (store, watching) = (bench.store(), bench.store().watching());
    store
        .read(|read| {
            let from = follow::watched_to(read)?.unwrap_or_else(|| store.watch_from());
            follow::look(read, &watching, from, store.now(), limit)
        })
        .unwrap()
}

/// Follows until nothing is left.
fn follow_all(bench: &TestStore) {
    wait(bench.store().flush()).unwrap();
    loop {
        let found = look(bench, 5_000);
        let is_full = found.is_full;
        if !found.is_empty() {
            bench.change(move |work| work.tell_watched(&found)).unwrap();
        }
        if !is_full {
            break;
        }
    }
}

fn write(bench: &TestStore, key: keystile_core::key::KeyHash, method: &str, outcome: Outcome) {
    let reserved = bench.ask(key, ("notes", method, "/notes/7"), 1).unwrap().unwrap();
    bench.settle(reserved, outcome);
}

fn database(path: &Path) -> Connection {
    Connection::open(path.join("keystile.db")).unwrap()
}

/// What the open window of a rule has counted.
fn counted(path: &Path, rule: &str) -> u64 {
    let found: Result<i64, _> = database(path).query_row(
        "SELECT sum(tally ->> '$.count') FROM digest WHERE rule = ?1",
        [rule],
        |row| row.get(0),
    );
    found.map_or(0, i64::unsigned_abs)
}

fn told(bench: &TestStore, rule: &str) -> u64 {
    deliveries(bench)
        .iter()
        .filter(|delivery| delivery.rule == rule)
        .map(|delivery| delivery.notice.count)
        .sum()
}

#[test]
fn a_watched_write_is_told_at_once_and_those_that_follow_as_one() {
    let mut bench = TestStore::new(&[plan("open", &[], LOCKS)]);
    watch(&bench, vec![deletes()]);
    let key = bench.issue("open");
    write(&bench, key, "POST", Outcome::Applied);
    for _ in 0..7 {
        write(&bench, key, "DELETE", Outcome::Applied);
    }
    follow_all(&bench);
    follow_all(&bench);
    let first = deliveries(&bench).remove(0);
    assert_eq!((first.kind, first.notice.count), (TriggerKind::Write, 1));
    assert_eq!(first.notice.writes[0].path, "/notes/7");
    assert_eq!(deliveries(&bench).len(), 1);
    bench.reopen_later(300_000);
    watch(&bench, vec![deletes()]);
    bench.change(|work| work.close_digests().map(drop)).unwrap();
    let digest = deliveries(&bench).remove(1);
    assert_eq!((digest.notice.count, digest.notice.writes.len()), (6, 5));
    assert_eq!(digest.notice.offenders[0].count, 6);
    assert_eq!(digest.notice.key.unwrap().application, "open");
    assert_eq!(digest.thread, first.thread, "one storm, one thread");
}

#[test]
fn a_hundred_thousand_writes_of_fifty_keys_are_few_rows_with_exact_totals() {
    const WRITES: i64 = 100_000;
    let mut bench = TestStore::new(&[plan("open", &[], LOCKS)]);
    let every = WatchRule::new("every", Trigger::Write, vec!["one".to_owned(), "two".to_owned()]);
    let keys: Vec<i64> =
        (0..50).map(|_| bench.issue("open")).map(|key| bench.row(key).row).collect();
    bench.change(|work| work.begin_watching(0)).unwrap();
    let now = bench.store().now().0;
    let path = bench.path().to_owned();
    bench.stop();
    let mut written = BTreeMap::new();
    let mut dice = Dice(0x9E37_79B9_7F4A_7C15);
    let journal = database(&path);
    journal.execute_batch("BEGIN").unwrap();
    for id in 1..=WRITES {
        let key = keys[dice.roll(10) * dice.roll(6) % 50];
        *written.entry(key).or_insert(0_u64) += 1;
        journal
            .prepare_cached(
                "INSERT INTO journal (id, time, subject, plan, api, operation, method, path, address,
                    status, duration_ms, outcome, cost, count)
                 VALUES (?1, ?2, ?3, 'open', 'notes', 'POST *', 'POST', '/notes', '192.0.2.7', 200, 1, 1, 1, 1)",
            )
            .unwrap()
            .execute([id, now, key])
            .unwrap();
    }
    journal.execute_batch("COMMIT").unwrap();
    drop(journal);
    bench.start();
    watch(&bench, vec![every.clone()]);
    follow_all(&bench);
    assert_eq!(deliveries(&bench).len(), 2, "the first on each channel");
    let rows: i64 =
        database(&path).query_row("SELECT count(*) FROM digest", [], |row| row.get(0)).unwrap();
    assert_eq!(rows, 2);
    bench.reopen_later(300_000);
    watch(&bench, vec![every]);
    bench.change(|work| work.close_digests().map(drop)).unwrap();
    let told = deliveries(&bench);
    assert_eq!(told.len(), 4);
    for digest in &told[2..] {
        assert_eq!(digest.notice.count, WRITES.unsigned_abs() - 1);
        let worst = &digest.notice.offenders[0];
        assert_eq!(worst.inherited, 0);
        let most = *written.values().max().unwrap();
        assert!((most - 1..=most).contains(&worst.count), "{} of {most}", worst.count);
    }
}

#[test]
fn an_outcome_that_a_rule_waits_for_is_told_when_it_is_known() {
    let mut bench = TestStore::new(&[plan("open", &[], LOCKS)]);
    let unknown = WatchRule::new("unknown", Trigger::WriteUnknown, on("one"));
    let applied = WatchRule { outcomes: vec![Outcome::Applied], ..deletes() };
    let any = WatchRule { name: "any".to_owned(), tell: on("two"), ..deletes() };
    let rules = || vec![unknown.clone(), applied.clone(), any.clone()];
    watch(&bench, rules());
    let key = bench.issue("open");
    let [first, second] =
        [(), ()].map(|()| bench.ask(key, ("notes", "DELETE", "/notes/1"), 1).unwrap().unwrap());
    follow_all(&bench);
    assert!(deliveries(&bench).is_empty(), "they may be settled in a moment");
    std::thread::sleep(Duration::from_millis(1_100));
    follow_all(&bench);
    let rule_of = |bench: &TestStore| {
        deliveries(bench).into_iter().map(|delivery| delivery.rule).collect::<Vec<_>>()
    };
    assert_eq!(rule_of(&bench), ["any"], "under way, and told where that matters not");
    bench.settle(first, Outcome::Applied);
    follow_all(&bench);
    assert_eq!(rule_of(&bench), ["any", "deletes"]);
    drop(second);
    // The second one was under way at a crash: nobody knows.
    bench.reopen();
    watch(&bench, rules());
    follow_all(&bench);
    follow_all(&bench);
    assert_eq!(rule_of(&bench), ["any", "deletes", "unknown"]);
    assert_eq!(told(&bench, "any") + counted(bench.path(), "any"), 2);
}

#[test]
fn what_was_not_sent_what_was_refused_and_reads_are_no_writes() {
    let bench = TestStore::new(&[plan("open", &[], LOCKS)]);
    watch(&bench, vec![WatchRule::new("all", Trigger::Write, on("one"))]);
    let key = bench.issue("open");
    write(&bench, key, "DELETE", Outcome::NotSent);
    let mut refused = refusals(Some(&bench.entry(key)), 3);
    refused[1].outcome = Outcome::Applied;
    bench.store().record_refused(refused);
    follow_all(&bench);
    assert!(deliveries(&bench).is_empty());
}

#[test]
fn the_first_write_of_a_key_is_told_once_and_not_for_keys_that_wrote_before() {
    let mut bench = TestStore::new(&[plan("open", &[], LOCKS)]);
    let old = bench.issue("open");
    write(&bench, old, "POST", Outcome::Applied);
    wait(bench.store().flush()).unwrap();
    let of_key = WatchRule::new("key", Trigger::FirstWriteOfKey, on("one"));
    let of_operation = WatchRule::new("operation", Trigger::FirstWriteOfOperation, on("two"));
    let rules = || vec![of_key.clone(), of_operation.clone()];
    watch(&bench, rules());
    write(&bench, old, "POST", Outcome::Applied);
    follow_all(&bench);
    assert!(deliveries(&bench).is_empty());
    let new = bench.issue("open");
    for _ in 0..3 {
        write(&bench, new, "POST", Outcome::Applied);
    }
    follow_all(&bench);
    write(&bench, new, "POST", Outcome::Applied);
    write(&bench, old, "DELETE", Outcome::Applied);
    follow_all(&bench);
    bench.reopen();
    watch(&bench, rules());
    write(&bench, new, "DELETE", Outcome::Applied);
    follow_all(&bench);
    let told: Vec<_> = deliveries(&bench).into_iter().map(|delivery| delivery.kind).collect();
    assert_eq!(told, [TriggerKind::FirstWriteOfKey, TriggerKind::FirstWriteOfOperation]);
    assert_eq!(counted(bench.path(), "key") + counted(bench.path(), "operation"), 0);
}

#[test]
fn rules_begin_with_what_is_new_and_go_on_where_they_stopped() {
    let mut bench = TestStore::new(&[plan("open", &[], LOCKS)]);
    let key = bench.issue("open");
    write(&bench, key, "DELETE", Outcome::Applied);
    wait(bench.store().flush()).unwrap();
    watch(&bench, vec![deletes()]);
    write(&bench, key, "DELETE", Outcome::Applied);
    wait(bench.store().flush()).unwrap();
    // Nobody looked before the end.
    bench.reopen();
    watch(&bench, vec![deletes()]);
    follow_all(&bench);
    assert_eq!(deliveries(&bench).len(), 1);
    assert_eq!(counted(bench.path(), "deletes"), 0, "the first one is older than the rule");
}

#[test]
fn a_full_channel_waits_and_a_lock_does_not() {
    let mut bench = TestStore::new(&[plan("open", &[("1000 per day", &[])], LOCKS)]);
    let rules = || {
        (0..9)
            .map(|number| WatchRule {
                name: format!("rule-{number}"),
                on: vec![format!("notes: PUT /{number}").parse().unwrap()],
                window: Span::from_secs(1),
                ..deletes()
            })
            .collect::<Vec<_>>()
    };
    let channels = || {
        let mut channel = crate::outbox::hook("one");
        channel.per_hour_max = 4;
        vec![channel]
    };
    crate::outbox::watch_on(&bench, rules(), channels());
    let key = bench.issue("open");
    for number in 0..9 {
        let path = format!("/{number}");
        let reserved = bench.ask(key, ("notes", "PUT", &path), 1).unwrap().unwrap();
        bench.settle(reserved, Outcome::Applied);
    }
    follow_all(&bench);
    assert_eq!(deliveries(&bench).len(), 4);
    bench.ask(key, ("notes", "PUT", "/x"), 1_000).unwrap().unwrap_err();
    assert_eq!(deliveries(&bench).pop().unwrap().kind, TriggerKind::KeyLocked);
    bench.reopen_later(1_800_000);
    crate::outbox::watch_on(&bench, rules(), channels());
    bench.change(|work| work.close_digests().map(drop)).unwrap();
    assert_eq!(deliveries(&bench).len(), 5, "the hour is not over");
    bench.reopen_later(1_900_000);
    crate::outbox::watch_on(&bench, rules(), channels());
    bench.change(|work| work.close_digests().map(drop)).unwrap();
    assert_eq!(deliveries(&bench).len(), 9);
    let told: u64 = (0..9).map(|number| told(&bench, &format!("rule-{number}"))).sum();
    let counted: u64 = (0..9).map(|number| counted(bench.path(), &format!("rule-{number}"))).sum();
    assert_eq!(told + counted, 9, "what is beyond the cap waits, and nothing is lost");
}

/// Writes and follows as fast as it can until it is killed.
#[test]
fn child_that_is_killed() {
    let Ok(directory) = std::env::var(DIRECTORY) else {
        return;
    };
    let bench = TestStore::on(directory.as_ref(), &[plan("open", &[], LOCKS)]);
    watch(&bench, vec![WatchRule { window: Span::from_secs(1), ..deletes() }]);
    let key = bench.store().pepper().hash(b"follower");
    loop {
        for _ in 0..3 {
            write(&bench, key, "DELETE", Outcome::Applied);
        }
        let found = look(&bench, 4);
        if !found.is_empty() {
            bench.change(move |work| work.tell_watched(&found)).unwrap();
        }
        bench.change(|work| work.close_digests().map(drop)).unwrap();
    }
}

#[test]
fn no_write_is_told_twice_or_forgotten_when_the_process_is_killed() {
    let mut bench = TestStore::new(&[plan("open", &[], LOCKS)]);
    bench.issue_text("open", b"follower");
    let mut dice = Dice(0x2545_F491_4F6C_DD1D);
    let rules = || vec![WatchRule { window: Span::from_secs(1), ..deletes() }];
    watch(&bench, rules());
    for _ in 0..12 {
        bench.stop();
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "follow::child_that_is_killed", "--nocapture", "--test-threads=1"])
            .env(DIRECTORY, bench.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(Duration::from_millis(150 + u64::try_from(dice.roll(250)).unwrap()));
        child.kill().unwrap();
        assert!(!child.wait().unwrap().success());
        bench.start();
        watch(&bench, rules());
    }
    follow_all(&bench);
    let written = bench.journal().len() as u64;
    assert!(written > 100, "{written} writes are not enough to say anything");
    assert_eq!(told(&bench, "deletes") + counted(bench.path(), "deletes"), written);
}

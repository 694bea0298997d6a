//! Each write on a watched operation is told, or counted in a digest, exactly once.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use keystile_core::journal::Outcome;
use keystile_core::notifications::trigger::Trigger;
use keystile_core::notifications::watch::WatchRule;
use keystile_core::time::Span;
use rusqlite::Connection;

use crate::sqlite::notifications::follow;
use crate::sqlite::tests::make::{LOCKS, plan, refusals};
use crate::sqlite::tests::outbox::{deliveries, on, watch};
use crate::sqlite::tests::test_store::{Dice, TestStore, wait};

const DIRECTORY: &str = "KEYSTILE_TEST_FOLLOW_DIRECTORY";

fn deletes() -> WatchRule {
    let rule = WatchRule::new("deletes", Trigger::Write, on("one"));
    WatchRule { on: vec!["notes: DELETE *".parse().unwrap()], ..rule }
}

fn look(fixture: &TestStore, limit: u32) -> follow::TailBatch {
    let (store, watching) = (fixture.store(), fixture.store().watching());
    store
        .read(|read| {
            let from = follow::watched_to(read)?.unwrap_or_else(|| store.watch_from());
            follow::look(read, &watching, from, store.now(), limit)
        })
        .unwrap()
}

/// Follows until nothing is left.
fn follow_all(fixture: &TestStore) {
    wait(fixture.store().flush()).unwrap();
    loop {
        let found = look(fixture, 5_000);
        let is_full = found.is_full;
        if !found.is_empty() {
            fixture.change(move |work| work.record_watched(&found)).unwrap();
        }
        if !is_full {
            break;
        }
    }
}

fn write(
    fixture: &TestStore,
    key: keystile_core::keys::hash::KeyHash,
    method: &str,
    outcome: Outcome,
) {
    let reserved = fixture.ask(key, ("notes", method, "/notes/7"), 1).unwrap().unwrap();
    fixture.settle(reserved, outcome);
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

fn notified(fixture: &TestStore, rule: &str) -> u64 {
    deliveries(fixture)
        .iter()
        .filter(|delivery| delivery.rule == rule)
        .map(|delivery| delivery.notice.count)
        .sum()
}

#[test]
fn a_watched_write_is_told_at_once_and_those_that_follow_as_one() {
    let mut fixture = TestStore::new(&[plan("open", &[], LOCKS)]);
    watch(&fixture, vec![deletes()]);
    let key = fixture.issue("open");
    write(&fixture, key, "POST", Outcome::Applied);
    for _ in 0..7 {
        write(&fixture, key, "DELETE", Outcome::Applied);
    }
    follow_all(&fixture);
    follow_all(&fixture);
    let first = deliveries(&fixture).remove(0);
    assert_eq!((first.kind, first.notice.count), (Trigger::Write, 1));
    assert_eq!(first.notice.writes[0].path, "/notes/7");
    assert_eq!(deliveries(&fixture).len(), 1);
    fixture.reopen_later(300_000);
    watch(&fixture, vec![deletes()]);
    fixture.change(|work| work.close_digests().map(drop)).unwrap();
    let digest = deliveries(&fixture).remove(1);
    assert_eq!((digest.notice.count, digest.notice.writes.len()), (6, 5));
    assert_eq!(digest.notice.offenders[0].count, 6);
    assert_eq!(digest.notice.key.unwrap().application, "open");
    assert_eq!(digest.thread, first.thread, "one storm, one thread");
}

#[test]
fn a_hundred_thousand_writes_of_fifty_keys_are_few_rows_with_exact_totals() {
    const WRITES: i64 = 100_000;
    let mut fixture = TestStore::new(&[plan("open", &[], LOCKS)]);
    let every = WatchRule::new("every", Trigger::Write, vec!["one".to_owned(), "two".to_owned()]);
    let keys: Vec<i64> =
        (0..50).map(|_| fixture.issue("open")).map(|key| fixture.row(key).row).collect();
    fixture.change(|work| work.begin_watching(0)).unwrap();
    let now = fixture.store().now().0;
    let path = fixture.path().to_owned();
    fixture.stop();
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
    fixture.start();
    watch(&fixture, vec![every.clone()]);
    follow_all(&fixture);
    assert_eq!(deliveries(&fixture).len(), 2, "the first on each channel");
    let rows: i64 =
        database(&path).query_row("SELECT count(*) FROM digest", [], |row| row.get(0)).unwrap();
    assert_eq!(rows, 2);
    fixture.reopen_later(300_000);
    watch(&fixture, vec![every]);
    fixture.change(|work| work.close_digests().map(drop)).unwrap();
    let told = deliveries(&fixture);
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
    let mut fixture = TestStore::new(&[plan("open", &[], LOCKS)]);
    let unknown = WatchRule::new("unknown", Trigger::WriteUnknown, on("one"));
    let applied = WatchRule { outcomes: vec![Outcome::Applied], ..deletes() };
    let any = WatchRule { name: "any".to_owned(), tell: on("two"), ..deletes() };
    let rules = || vec![unknown.clone(), applied.clone(), any.clone()];
    watch(&fixture, rules());
    let key = fixture.issue("open");
    let [first, second] =
        [(), ()].map(|()| fixture.ask(key, ("notes", "DELETE", "/notes/1"), 1).unwrap().unwrap());
    follow_all(&fixture);
    assert!(deliveries(&fixture).is_empty(), "they may be settled in a moment");
    std::thread::sleep(Duration::from_millis(1_100));
    follow_all(&fixture);
    let rule_of = |fixture: &TestStore| {
        deliveries(fixture).into_iter().map(|delivery| delivery.rule).collect::<Vec<_>>()
    };
    assert_eq!(rule_of(&fixture), ["any"], "under way, and told where that matters not");
    fixture.settle(first, Outcome::Applied);
    follow_all(&fixture);
    assert_eq!(rule_of(&fixture), ["any", "deletes"]);
    drop(second);
    // The second one was under way at a crash: nobody knows.
    fixture.reopen();
    watch(&fixture, rules());
    follow_all(&fixture);
    follow_all(&fixture);
    assert_eq!(rule_of(&fixture), ["any", "deletes", "unknown"]);
    assert_eq!(notified(&fixture, "any") + counted(fixture.path(), "any"), 2);
}

#[test]
fn what_was_not_sent_what_was_refused_and_reads_are_no_writes() {
    let fixture = TestStore::new(&[plan("open", &[], LOCKS)]);
    watch(&fixture, vec![WatchRule::new("all", Trigger::Write, on("one"))]);
    let key = fixture.issue("open");
    write(&fixture, key, "DELETE", Outcome::NotSent);
    let mut refused = refusals(Some(&fixture.entry(key)), 3);
    refused[1].outcome = Outcome::Applied;
    fixture.store().record_refused(refused);
    follow_all(&fixture);
    assert!(deliveries(&fixture).is_empty());
}

#[test]
fn the_first_write_of_a_key_is_told_once_and_not_for_keys_that_wrote_before() {
    let mut fixture = TestStore::new(&[plan("open", &[], LOCKS)]);
    let old = fixture.issue("open");
    write(&fixture, old, "POST", Outcome::Applied);
    wait(fixture.store().flush()).unwrap();
    let of_key = WatchRule::new("key", Trigger::FirstWriteOfKey, on("one"));
    let of_operation = WatchRule::new("operation", Trigger::FirstWriteOfOperation, on("two"));
    let rules = || vec![of_key.clone(), of_operation.clone()];
    watch(&fixture, rules());
    write(&fixture, old, "POST", Outcome::Applied);
    follow_all(&fixture);
    assert!(deliveries(&fixture).is_empty());
    let new = fixture.issue("open");
    for _ in 0..3 {
        write(&fixture, new, "POST", Outcome::Applied);
    }
    follow_all(&fixture);
    write(&fixture, new, "POST", Outcome::Applied);
    write(&fixture, old, "DELETE", Outcome::Applied);
    follow_all(&fixture);
    fixture.reopen();
    watch(&fixture, rules());
    write(&fixture, new, "DELETE", Outcome::Applied);
    follow_all(&fixture);
    let told: Vec<_> = deliveries(&fixture).into_iter().map(|delivery| delivery.kind).collect();
    assert_eq!(told, [Trigger::FirstWriteOfKey, Trigger::FirstWriteOfOperation]);
    assert_eq!(counted(fixture.path(), "key") + counted(fixture.path(), "operation"), 0);
}

#[test]
fn rules_begin_with_what_is_new_and_go_on_where_they_stopped() {
    let mut fixture = TestStore::new(&[plan("open", &[], LOCKS)]);
    let key = fixture.issue("open");
    write(&fixture, key, "DELETE", Outcome::Applied);
    wait(fixture.store().flush()).unwrap();
    watch(&fixture, vec![deletes()]);
    write(&fixture, key, "DELETE", Outcome::Applied);
    wait(fixture.store().flush()).unwrap();
    // Nobody looked before the end.
    fixture.reopen();
    watch(&fixture, vec![deletes()]);
    follow_all(&fixture);
    assert_eq!(deliveries(&fixture).len(), 1);
    assert_eq!(counted(fixture.path(), "deletes"), 0, "the first one is older than the rule");
}

#[test]
fn a_full_channel_waits_and_a_lock_does_not() {
    let mut fixture = TestStore::new(&[plan("open", &[("1000 per day", &[])], LOCKS)]);
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
        let mut channel = crate::sqlite::tests::outbox::hook("one");
        channel.per_hour_max = 4;
        vec![channel]
    };
    crate::sqlite::tests::outbox::watch_on(&fixture, rules(), channels());
    let key = fixture.issue("open");
    for number in 0..9 {
        let path = format!("/{number}");
        let reserved = fixture.ask(key, ("notes", "PUT", &path), 1).unwrap().unwrap();
        fixture.settle(reserved, Outcome::Applied);
    }
    follow_all(&fixture);
    assert_eq!(deliveries(&fixture).len(), 4);
    fixture.ask(key, ("notes", "PUT", "/x"), 1_000).unwrap().unwrap_err();
    assert_eq!(deliveries(&fixture).pop().unwrap().kind, Trigger::KeyLocked);
    fixture.reopen_later(1_800_000);
    crate::sqlite::tests::outbox::watch_on(&fixture, rules(), channels());
    fixture.change(|work| work.close_digests().map(drop)).unwrap();
    assert_eq!(deliveries(&fixture).len(), 5, "the hour is not over");
    fixture.reopen_later(1_900_000);
    crate::sqlite::tests::outbox::watch_on(&fixture, rules(), channels());
    fixture.change(|work| work.close_digests().map(drop)).unwrap();
    assert_eq!(deliveries(&fixture).len(), 9);
    let sent: u64 = (0..9).map(|number| notified(&fixture, &format!("rule-{number}"))).sum();
    let counted: u64 =
        (0..9).map(|number| counted(fixture.path(), &format!("rule-{number}"))).sum();
    assert_eq!(sent + counted, 9, "what is beyond the cap waits, and nothing is lost");
}

/// Writes and follows as fast as it can until it is killed.
#[test]
fn child_that_is_killed() {
    let Ok(directory) = std::env::var(DIRECTORY) else {
        return;
    };
    let fixture = TestStore::on(directory.as_ref(), &[plan("open", &[], LOCKS)]);
    watch(&fixture, vec![WatchRule { window: Span::from_secs(1), ..deletes() }]);
    let key = fixture.store().pepper().hash(b"follower");
    loop {
        for _ in 0..3 {
            write(&fixture, key, "DELETE", Outcome::Applied);
        }
        let found = look(&fixture, 4);
        if !found.is_empty() {
            fixture.change(move |work| work.record_watched(&found)).unwrap();
        }
        fixture.change(|work| work.close_digests().map(drop)).unwrap();
    }
}

#[test]
fn no_write_is_told_twice_or_forgotten_when_the_process_is_killed() {
    let mut fixture = TestStore::new(&[plan("open", &[], LOCKS)]);
    fixture.issue_text("open", b"follower");
    let mut dice = Dice(0x2545_F491_4F6C_DD1D);
    let rules = || vec![WatchRule { window: Span::from_secs(1), ..deletes() }];
    watch(&fixture, rules());
    for _ in 0..12 {
        fixture.stop();
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args([
                "--exact",
                "sqlite::tests::follow::child_that_is_killed",
                "--nocapture",
                "--test-threads=1",
            ])
            .env(DIRECTORY, fixture.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(Duration::from_millis(150 + u64::try_from(dice.roll(250)).unwrap()));
        child.kill().unwrap();
        assert!(!child.wait().unwrap().success());
        fixture.start();
        watch(&fixture, rules());
    }
    follow_all(&fixture);
    let written = fixture.journal().len() as u64;
    assert!(written > 100, "{written} writes are not enough to say anything");
    assert_eq!(notified(&fixture, "deletes") + counted(fixture.path(), "deletes"), written);
}

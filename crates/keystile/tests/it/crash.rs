//! The program is killed at any moment, and its promises hold.
//!
//! Callers write as fast as they are answered, with several keys, while the server is killed and started
//! again on the same data. Every write carries a path of its own, so that what the callers were told, what
//! the upstream received and what is on record can be held against each other afterwards.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::Value;

use crate::harness::{Caller, Dice, Key, TestServer, pause, wait_until};

const ROUNDS: u64 = 9;
const CALLERS: u64 = 8;
/// Two keys on each; the last is never used up.
const BUDGETS: [usize; 5] = [20, 70, 150, 300, 1_000_000];

/// A write, as its caller knows it.
#[derive(Debug)]
struct Sent {
    path: String,
    key: usize,
    /// Whether somebody had been told before that the key is locked.
    is_after_lock: bool,
    /// `None` where the connection broke off.
    answered: Option<(u16, String)>,
}

#[derive(Debug, Default)]
struct Log {
    sent: Mutex<Vec<Sent>>,
    locked: Mutex<BTreeSet<usize>>,
    is_over: AtomicBool,
}

impl Log {
    fn write_until_over(&self, number: u64, callers: &[Caller], mut dice: Dice) {
        for turn in 0_u64.. {
            if self.is_over.load(Ordering::Relaxed) {
                break;
            }
            let key = usize::try_from(dice.roll(callers.len() as u64)).unwrap();
            let method = ["DELETE", "POST"][usize::try_from(dice.roll(2)).unwrap()];
            let path = format!("/jitter/{number}-{turn}");
            let is_after_lock = self.locked.lock().unwrap().contains(&key);
            let answer = callers[key].call(method, &path);
            let answered = answer.ok().map(|answer| answer.status_and_reason());
            let (is_refused, is_down) = match &answered {
                Some((403, reason)) => {
                    assert_eq!(reason, "key_locked");
                    self.locked.lock().unwrap().insert(key);
                    (true, false)
                }
                Some(_) => (false, false),
                None => (false, true),
            };
            let sent = Sent { path, key, is_after_lock, answered };
            self.sent.lock().unwrap().push(sent);
            if is_refused || is_down {
                pause(2);
            }
        }
    }
}

/// Kills the server again and again, also while it starts.
fn torment(server: &mut TestServer, mut dice: Dice) {
    for round in 0..ROUNDS {
        server.start();
        pause(20 + dice.roll(280));
        server.kill();
        if round % 3 == 2 {
            server.start_with(&["run"]);
            pause(dice.roll(60));
            server.kill();
        }
    }
    server.start();
}

fn plans() -> String {
    let plan = |budget: &usize| {
        format!(
            "[plan.p{budget}]\nallow = \"bookmarks: *\"\nwrite_budget = [\"{budget} per day\", \"2000000 per month\"]\n"
        )
    };
    BUDGETS.iter().map(plan).collect()
}

/// The writes on record, by path. Each path is one write; refusals share rows and are left out.
fn by_path(journal: &[Value]) -> BTreeMap<&str, &Value> {
    let mut rows = BTreeMap::new();
    for row in journal.iter().filter(|row| row["outcome"] != "refused") {
        let path = row["path"].as_str().unwrap();
        assert!(rows.insert(path, row).is_none(), "{path} is on record twice");
    }
    rows
}

#[test]
fn no_kill_breaks_a_promise() {
    let mut server = TestServer::new(&plans());
    let keys: Vec<Key> = (0..2 * BUDGETS.len())
        .map(|place| server.issue(&format!("app {place}"), &format!("p{}", BUDGETS[place / 2])))
        .collect();
    let callers: Vec<Caller> = keys.iter().map(|key| server.caller(key)).collect();
    let seed = u64::from(std::process::id());
    println!("seed {seed}");
    let log = Log::default();
    std::thread::scope(|scope| {
        for number in 0..CALLERS {
            let (log, callers) = (&log, &callers);
            scope.spawn(move || log.write_until_over(number, callers, Dice(seed ^ (number << 32))));
        }
        torment(&mut server, Dice(seed));
        let lockable = keys.len() - 2;
        wait_until("all budgets are used up", || log.locked.lock().unwrap().len() == lockable);
        log.is_over.store(true, Ordering::Relaxed);
    });
    let mut sent = log.sent.into_inner().unwrap();
    let received = server.upstream.received();
    // What was refused is on record within a second, or when the server stops.
    server.stop();
    let journal = server.journal();
    let rows = by_path(&journal);
    println!("{} sent, {} received, {} on record", sent.len(), received.len(), rows.len());
    assert!(received.len() > 500, "there was too little traffic");

    let arrived: BTreeSet<&str> = received.iter().map(|write| write.path.as_str()).collect();
    assert_eq!(arrived.len(), received.len(), "P4: a write was sent twice");
    hold_the_journal_against(&rows, &arrived);
    for write in &received {
        let row = rows
            .get(write.path.as_str())
            .unwrap_or_else(|| panic!("P2: {} is not on record", write.path));
        assert_eq!(row["key"].as_str(), write.field("x-keystile-key"));
    }
    for (place, key) in keys.iter().enumerate() {
        let of_key = |row: &&&Value| row["key"] == key.id.as_str();
        let counted: u64 =
            rows.values().filter(of_key).map(|row| row["cost"].as_u64().unwrap()).sum();
        let budget = BUDGETS[place / 2];
        let came =
            received.iter().filter(|write| write.field("x-keystile-key") == Some(&key.id)).count();
        println!("key {place}: {came} received, {counted} counted, budget {budget}");
        assert!(came <= budget, "P1: {came} of {budget} were forwarded");
        if place < keys.len() - 2 {
            assert_eq!(counted, budget as u64, "P5: what counts is on record");
            assert_eq!(server.key(key)["state"], "locked");
            assert_eq!(server.events(key, "key_locked"), 1, "a lock is one event");
        }
    }
    sent.retain(|write| write.answered.is_some() || write.is_after_lock);
    hold_callers_against(&sent, &rows, &arrived);
}

/// Every row has an outcome, and the outcome is true.
fn hold_the_journal_against(rows: &BTreeMap<&str, &Value>, arrived: &BTreeSet<&str>) {
    let mut unknown = 0;
    for (path, row) in rows {
        match row["outcome"].as_str().unwrap() {
            "applied" => assert!(arrived.contains(path), "{path} was never sent"),
            "not_sent" => {
                assert!(!arrived.contains(path), "{path} was given back and sent");
                assert_eq!(row["cost"], 0);
            }
            "unknown" => {
                assert_eq!(row["cost"], 1, "P5: what is unknown counts");
                unknown += 1;
            }
            other => panic!("{path} ended as {other}"),
        }
    }
    assert!(unknown > 0, "no kill met a write that was under way");
}

/// What callers were told is true.
fn hold_callers_against(sent: &[Sent], rows: &BTreeMap<&str, &Value>, arrived: &BTreeSet<&str>) {
    for Sent { path, key, is_after_lock, answered } in sent {
        let path = path.as_str();
        if *is_after_lock {
            assert!(!arrived.contains(path), "P3: {path} of key {key} was forwarded past its lock");
        }
        match answered {
            Some((200, _)) => {
                assert!(arrived.contains(path));
                let outcome = &rows[path]["outcome"];
                assert!(outcome == "applied" || outcome == "unknown", "{outcome}");
                assert!(!is_after_lock);
            }
            Some((403, _)) => assert!(!rows.contains_key(path) && !arrived.contains(path)),
            Some(other) => panic!("{path} was answered with {other:?}"),
            None => {}
        }
    }
}

//! What a write's outcome is, what it costs, and that it is sent once.

use serde_json::Value;

use crate::harness::{Key, TestServer, Upstream, wait_until};

const FIVE_A_DAY: &str =
    "[plan.open]\nallow = \"bookmarks: *\"\nwrite_budget = \"5 per day\"\nnever_lock = true\n";

fn row(server: &TestServer, path: &str) -> Value {
    let mut rows = server.journal();
    rows.retain(|row| row["path"] == path);
    assert_eq!(rows.len(), 1, "{path}");
    rows.remove(0)
}

fn used(server: &TestServer, key: &Key) -> Value {
    server.key(key)["budgets"][0]["used"].clone()
}

#[test]
fn a_write_that_the_upstream_applies_or_refuses_counts() {
    let server = TestServer::new(FIVE_A_DAY).started();
    let key = server.issue("app", "open");
    let caller = server.caller(&key);
    for (path, outcome) in [
        ("/status/204/a", "applied"),
        ("/status/302/b", "applied"),
        ("/status/409/c", "refused_by_upstream"),
        ("/status/500/d", "unknown"),
    ] {
        let answer = caller.post(path);
        assert!(path.contains(&answer.status.to_string()));
        let row = row(&server, path);
        assert_eq!((&row["outcome"], &row["status"]), (&outcome.into(), &answer.status.into()));
        assert_eq!(
            answer.field("keystile-write"),
            row["id"].as_str(),
            "the answer names its record"
        );
    }
    assert_eq!(used(&server, &key), 4);
}

#[test]
fn a_write_whose_upstream_dies_is_unknown_counted_and_sent_once() {
    let server = TestServer::new(FIVE_A_DAY).started();
    let key = server.issue("app", "open");
    let caller = server.caller(&key);
    let answer = caller.call("PUT", "/die/1").unwrap();
    assert_eq!(answer.status_and_reason(), (502, "upstream_failed".to_owned()));
    assert_eq!(answer.field("keystile-outcome"), Some("unknown"));
    let row = row(&server, "/die/1");
    assert_eq!(row["outcome"], "unknown");
    assert_eq!(answer.field("keystile-write"), row["id"].as_str());
    assert_eq!((server.upstream.times("/die/1"), used(&server, &key)), (1, 1.into()));
}

#[test]
fn a_write_that_could_not_be_sent_is_given_back() {
    let mut server = TestServer::new(FIVE_A_DAY);
    let nobody = Upstream::start().address.ip().to_string() + ":1";
    let there = server.upstream.address.to_string();
    server.configure(&server.configuration().replace(&there, &nobody));
    server.start();
    let key = server.issue("app", "open");
    let caller = server.caller(&key);
    for number in 0..8 {
        let answer = caller.delete(&format!("/{number}"));
        assert_eq!(answer.status_and_reason(), (502, "upstream_unreachable".to_owned()));
    }
    assert_eq!(used(&server, &key), 0);
    assert!(server.journal().iter().all(|row| row["outcome"] == "not_sent" && row["cost"] == 0));
}

#[test]
fn the_outcome_is_learned_when_the_caller_hangs_up() {
    let server = TestServer::new(FIVE_A_DAY).started();
    let key = server.issue("app", "open");
    let caller = server.caller(&key);
    let call = caller.connect().unwrap().send(&caller, "DELETE", "/held/1").unwrap();
    wait_until("the write is under way", || server.upstream.writes() == 1);
    drop(call);
    assert_eq!(row(&server, "/held/1")["outcome"], "pending");
    server.upstream.release();
    wait_until("its outcome is on record", || row(&server, "/held/1")["outcome"] == "applied");
    assert_eq!(used(&server, &key), 1);
}

#[test]
fn a_budget_that_never_locks_says_when_to_come_back() {
    let server = TestServer::new(FIVE_A_DAY).started();
    let key = server.issue("app", "open");
    let caller = server.caller(&key);
    for _ in 0..5 {
        assert_eq!(caller.post("/a").status, 200);
    }
    let answer = caller.post("/a");
    assert_eq!(answer.status_and_reason(), (429, "budget_exhausted".to_owned()));
    let wait: u32 = answer.field("retry-after").unwrap().parse().unwrap();
    assert!((80_000..=90_000).contains(&wait), "{wait}");
    assert_eq!(server.key(&key)["state"], "active");
}

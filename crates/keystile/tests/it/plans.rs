//! The configuration that the design promises to accept, as it stands there, and what its plans do.

use crate::harness::{TestServer, wait_until};

/// Issue 2, word for word.
const ISSUE: &str = r#"data = "keystile-data"

[gate]
listen = ["127.0.0.1:7070"]
# tls = { certificate = "cert.pem", key = "key.pem" }

[console]
listen = "127.0.0.1:7080"          # health and metrics now, the owner's console later

[api.bookmarks]
upstream = ["http://127.0.0.1:7071"]
# hosts = ["api.example.org"]      # default: any host
# path = "/"                       # prefix that belongs to this API
# mode = "observe"                 # default: "enforce"

[plan.open]
allow = ["bookmarks: *"]                          # or "bookmarks: GET,POST /bookmarks/{id}"
write_budget = [                                  # past any of them, the key locks
  "100 per day",
  "20 per minute",
  { quota = "10 per day", on = "bookmarks: DELETE *" },
]
rate_limit = ["50 per second"]                    # past it, 429 for a moment
lock = { level = "writes", until = "unlocked" }   # or level = "all", until = "1 hour"

[plan.trusted]
allow = ["bookmarks: *"]
write_budget = ["5000 per day"]

[plan.visitor]
keyless = true                                    # callers without a key, counted by address
allow = ["bookmarks: GET *"]
rate_limit = ["5 per second"]
"#;

fn locked() -> (u16, String) {
    (403, "key_locked".to_owned())
}

#[test]
fn the_configuration_of_the_issue_is_accepted_as_it_stands() {
    let server = TestServer::of_text(ISSUE);
    for arguments in
        [["check"].as_slice(), &["check", "keystile.toml"], &["check", "--config", "keystile.toml"]]
    {
        let checked = server.run(arguments).good();
        assert_eq!(checked.stderr, "keystile.toml is good.\n");
    }
    assert_eq!(server.json(&["check"]), serde_json::json!([]));
    assert!(!server.path("keystile-data").exists(), "a check leaves nothing behind");
}

#[test]
fn the_eleventh_delete_of_a_day_locks_the_key_for_writes_and_reads_go_on() {
    let server = TestServer::of_text(ISSUE).started();
    let (key, other) = (server.issue("app", "open"), server.issue("other", "open"));
    let caller = server.caller(&key);
    for number in 0..10 {
        let answer = caller.delete(&format!("/bookmarks/{number}"));
        assert_eq!(answer.status, 200);
        let limits = answer.field("ratelimit").unwrap();
        assert!(limits.contains(&format!(";r={};", 9 - number)), "{limits}");
        assert!(answer.field("ratelimit-policy").unwrap().contains("q=10;w=86400"));
    }
    let refused = caller.delete("/bookmarks/10");
    assert_eq!(refused.status_and_reason(), locked());
    assert_eq!(refused.field("content-type"), Some("application/problem+json"));
    let problem: serde_json::Value = serde_json::from_str(&refused.body).unwrap();
    assert_eq!((&problem["level"], &problem["status"]), (&"writes".into(), &403.into()));
    assert!(problem["unlock"].as_str().unwrap().contains("owner"));
    assert_eq!(caller.post("/bookmarks").status_and_reason(), locked());
    assert_eq!(caller.get("/bookmarks").status, 200);
    assert_eq!(server.caller(&other).delete("/bookmarks/1").status, 200);
    assert_eq!(server.upstream.writes(), 11);
    assert_eq!(server.upstream.times("/bookmarks/10"), 0);

    let shown = server.key(&key);
    assert_eq!(shown["state"], "locked");
    assert_eq!(shown["lock"]["level"], "writes");
    assert_eq!(shown["lock"]["until"], serde_json::Value::Null);
    assert_eq!(shown["lock"]["evidence"], "DELETE /bookmarks/10 from 127.0.0.1");
    assert!(shown["lock"]["reason"].as_str().unwrap().contains("10 per day"));
    assert_eq!(server.events(&key, "key_locked"), 1);
    let budgets = shown["budgets"].as_array().unwrap();
    let used: Vec<_> = budgets.iter().map(|budget| budget["used"].as_u64().unwrap()).collect();
    assert_eq!(used, [10, 10, 10]);
}

#[test]
fn the_page_that_a_refusal_names_explains_it() {
    let server = TestServer::of_text(ISSUE).started();
    let problem: serde_json::Value =
        serde_json::from_str(&server.stranger().post("/bookmarks").body).unwrap();
    let url = problem["type"].as_str().unwrap();
    let path = url.strip_prefix("http://api.test").unwrap();
    let page = server.stranger().get(path);
    assert_eq!(page.status, 200);
    assert!(page.body.contains("Key missing"));
}

#[test]
fn the_twenty_first_write_of_a_minute_locks_the_key() {
    let server = TestServer::of_text(ISSUE).started();
    let key = server.issue("app", "open");
    let caller = server.caller(&key);
    for number in 0..20 {
        assert_eq!(caller.post("/bookmarks").status, 200, "write {number}");
    }
    assert_eq!(caller.post("/bookmarks").status_and_reason(), locked());
    assert_eq!(server.upstream.writes(), 20);
    let trusted = server.issue("trusted app", "trusted");
    for _ in 0..40 {
        assert_eq!(server.caller(&trusted).post("/bookmarks").status, 200);
    }
}

#[test]
fn visitors_read_without_a_key_within_their_rate_and_write_nothing() {
    let server = TestServer::of_text(ISSUE).started();
    let visitor = server.stranger();
    assert_eq!(visitor.get("/bookmarks").status, 200);
    let refused = visitor.post("/bookmarks");
    assert_eq!(refused.status_and_reason(), (401, "key_missing".to_owned()));
    assert!(refused.field("www-authenticate").unwrap().starts_with("bearer"));
    assert_eq!(visitor.delete("/bookmarks/1").status, 401);
    wait_until("visitors are slowed down", || {
        let answer = visitor.get("/bookmarks");
        let is_limited = answer.status == 429;
        if is_limited {
            assert_eq!(
                (answer.reason().as_deref(), answer.field("retry-after").is_some()),
                (Some("rate_limited"), true)
            );
        }
        is_limited
    });
    wait_until("they are served again", || visitor.get("/bookmarks").status == 200);
    assert_eq!(server.upstream.writes(), 0);
}

#[test]
fn an_unknown_key_is_refused_like_a_mistyped_one() {
    let server = TestServer::of_text(ISSUE).started();
    let mut key = server.issue("app", "open");
    let last = key.text.pop().unwrap();
    key.text.push(if last == 'a' { 'b' } else { 'a' });
    let mistyped = server.caller(&key).get("/bookmarks");
    // Where a keyless plan includes the call, what does not look like a key of ours is the API's own.
    let elsewhere = TestServer::of_text(ISSUE).started().issue("app", "open");
    let unknown = server.caller(&elsewhere).get("/bookmarks");
    assert_eq!(unknown.status_and_reason(), (401, "key_unknown".to_owned()));
    assert_eq!(mistyped.body, unknown.body);
    assert_eq!(server.upstream.received().len(), 0);
}

#[test]
fn the_upstream_is_told_who_calls_and_never_sees_the_key() {
    let server = TestServer::of_text(ISSUE).started();
    let key = server.issue("Zoë's app", "open");
    assert_eq!(server.caller(&key).post("/bookmarks").status, 200);
    let received = server.upstream.received().pop().unwrap();
    assert_eq!(received.field("x-keystile-application"), Some("Zo%C3%AB's app"));
    assert_eq!(received.field("x-keystile-key"), Some(key.id.as_str()));
    assert_eq!(received.field("x-keystile-plan"), Some("open"));
    assert!(!received.head.contains(&key.text));
}

//! The policy is swapped as a whole while callers call, and a bad file changes nothing.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use crate::harness::{TestServer, wait_until};

/// Two policies that differ in more than one place.
const PLANS: [&str; 2] = [
    "[plan.open]\nallow = \"bookmarks: *\"\nwrite_budget = \"100000 per day\"\n",
    "[plan.open]\nallow = [\"bookmarks: GET,POST *\"]\nwrite_budget = \"200000 per week\"\n[plan.more]\nallow = \"bookmarks: *\"\n",
];
const POLICIES: [&str; 2] = ["q=100000;w=86400", "q=200000;w=604800"];

fn with_plans(server: &TestServer, place: usize) {
    let text = server.configuration();
    let head = text.split("[plan.").next().unwrap();
    server.configure(&format!("{head}{}", PLANS[place]));
}

#[test]
fn the_policy_is_swapped_under_traffic_and_no_request_fails() {
    let mut server = TestServer::new(PLANS[0]).started();
    let key = server.issue("app", "open");
    let caller = server.caller(&key);
    let (is_over, calls) = (AtomicBool::new(false), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for number in 0..4 {
            let (caller, is_over, calls) = (caller.clone(), &is_over, &calls);
            scope.spawn(move || {
                while !is_over.load(Ordering::Relaxed) {
                    assert_eq!(caller.get("/jitter/a").status, 200);
                    let answer = caller.post(&format!("/jitter/{number}"));
                    assert_eq!(answer.status, 200, "{answer:?}");
                    let policy = answer.field("ratelimit-policy").unwrap();
                    assert!(POLICIES.iter().any(|whole| policy.ends_with(whole)), "{policy}");
                    calls.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        for round in 1..=16 {
            with_plans(&server, round % 2);
            if round % 4 < 2 {
                server.run(&["reload"]).good();
            } else {
                server.program().signal("HUP");
            }
            let (plans, deletes) = [(1, 200), (2, 403)][round % 2];
            wait_until("the policy is in force", || {
                server.json(&["status"])["plans"].as_array().unwrap().len() == plans
            });
            let answer = caller.delete("/a");
            assert_eq!(answer.status, deletes, "{answer:?}");
        }
        is_over.store(true, Ordering::Relaxed);
    });
    println!("{} writes meanwhile", calls.load(Ordering::Relaxed));
    assert!(calls.load(Ordering::Relaxed) > 10, "there was too little traffic");
    let used = server.key(&key)["budgets"][0]["used"].as_u64().unwrap();
    assert_eq!(used, server.upstream.writes() as u64, "what was written stays counted");
}

#[test]
fn a_request_that_is_under_way_finishes_under_the_policy_that_let_it_pass() {
    let mut server = TestServer::new(PLANS[0]).started();
    let key = server.issue("app", "open");
    let caller = server.caller(&key);
    let call = caller.connect().unwrap().send(&caller, "DELETE", "/slow/400").unwrap();
    wait_until("the write is under way", || server.upstream.writes() == 1);
    with_plans(&server, 1);
    server.program().signal("HUP");
    wait_until("the policy is in force", || caller.delete("/a").status == 403);
    assert_eq!(call.answer().unwrap().status, 200);
}

#[test]
fn a_budget_that_shrinks_below_what_was_written_refuses_the_next_write() {
    let server = TestServer::new(PLANS[0]).started();
    let key = server.issue("app", "open");
    let caller = server.caller(&key);
    for _ in 0..5 {
        assert_eq!(caller.post("/a").status, 200);
    }
    server.configure(&server.configuration().replace("100000", "5"));
    server.run(&["reload"]).good();
    assert_eq!(caller.post("/a").status, 403);
    assert_eq!(server.upstream.writes(), 5);
}

/// Writes a mistake into the configuration and says where it is.
fn spoil(server: &TestServer) -> String {
    let text = server.configuration().replace("per day", "per dya");
    std::fs::write(server.path("keystile.toml"), &text).unwrap();
    let line = text.lines().position(|line| line.contains("dya")).unwrap();
    let column = text.lines().nth(line).unwrap().find("dya").unwrap();
    format!("keystile.toml:{}:{}", line + 1, column + 1)
}

#[test]
fn a_bad_file_changes_nothing_and_says_where_and_why() {
    let server = TestServer::new(PLANS[0]).started();
    let key = server.issue("app", "open");
    let caller = server.caller(&key);
    let place = spoil(&server);
    let said = server.run(&["reload"]).bad();
    for text in [
        &place,
        "\"dya\" is not a unit of time",
        "did you mean `day`?",
        "───",
        "the policy in force stays",
    ] {
        assert!(said.contains(text), "{text} is not in {said}");
    }
    let answer = caller.delete("/a");
    assert_eq!(answer.status, 200);
    assert!(answer.field("ratelimit-policy").unwrap().ends_with(POLICIES[0]));
    let policy = server.json(&["status"])["policy"].as_str().unwrap().to_owned();
    assert!(
        policy.contains("a reload at") && policy.contains("failed: \"dya\" is not a unit"),
        "{policy}"
    );
    let text = server.run(&["status"]).good().stdout;
    assert!(text.contains("failed: \"dya\""), "{text}");
    with_plans(&server, 0);
    server.run(&["reload"]).good();
    assert!(!server.run(&["status"]).good().stdout.contains("failed"));
}

#[test]
fn a_bad_file_at_sighup_is_logged_and_shown() {
    let mut server = TestServer::new(PLANS[0]).started();
    let key = server.issue("app", "open");
    spoil(&server);
    server.program().signal("HUP");
    wait_until("the failure is shown", || server.run(&["status"]).good().stdout.contains("failed"));
    assert!(server.program().stderr().contains("the policy in force stays"));
    assert_eq!(server.caller(&key).post("/a").status, 200);
    std::fs::remove_file(server.path("keystile.toml")).unwrap();
    server.program().signal("HUP");
    wait_until("the missing file is shown", || {
        let status = server.run(&["status", "--data", "keystile-data"]);
        status.good().stdout.contains("there is no such file")
    });
    assert_eq!(server.caller(&key).post("/a").status, 200);
}

#[test]
fn a_bad_file_does_not_keep_an_owner_from_locking_a_key() {
    let server = TestServer::new(PLANS[0]).started();
    let key = server.issue("app", "open");
    spoil(&server);
    server.run(&["key", "lock", &key.id, "--reason", "look"]).good();
    assert_eq!(server.caller(&key).post("/a").status, 403);
    std::fs::write(server.path("keystile.toml"), "[gate\nlisten").unwrap();
    let said = server.run(&["key", "list"]).bad();
    assert!(said.contains("keystile.toml:1") && said.contains("--data DIR"), "{said}");
    server.run(&["key", "list", "--data", "keystile-data"]).good();
}

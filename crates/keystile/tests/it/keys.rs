//! What an owner does to a key or application takes effect on the next request, and holds.

use std::time::Instant;

use crate::harness::{Key, TestServer, pause, wait_until};

const OPEN: &str = "[plan.open]\nallow = \"bookmarks: *\"\nwrite_budget = \"1000 per day\"\n";

fn verdict(status: u16, reason: &str) -> (u16, String) {
    (status, reason.to_owned())
}

#[test]
fn a_lock_stops_the_next_write_and_an_unlock_lets_it_go_on() {
    let site = TestServer::new(OPEN).started();
    let key = site.issue("app", "open");
    let caller = site.caller(&key);
    let locked = verdict(403, "key_locked");
    for _ in 0..3 {
        assert_eq!(caller.post("/a").status, 200);
        site.run(&["key", "lock", &key.id, "--reason", "look"]).good();
        assert_eq!(caller.post("/a").verdict(), locked);
        assert_eq!(caller.get("/a").status, 200);
        site.run(&["key", "lock", &key.id, "--reason", "look", "--level", "all"]).good();
        assert_eq!(caller.get("/a").verdict(), locked);
        site.run(&["key", "unlock", &key.id]).good();
        assert_eq!(caller.get("/a").status, 200);
    }
    assert_eq!(site.upstream.writes(), 3);
}

#[test]
fn a_key_shows_when_it_last_called_also_for_reads_and_refusals() {
    let site = TestServer::new(OPEN).started();
    let (reader, locked, silent) =
        (site.issue("a", "open"), site.issue("b", "open"), site.issue("c", "open"));
    site.run(&["key", "lock", &locked.id, "--reason", "look"]).good();
    assert_eq!(site.caller(&reader).get("/a").status, 200);
    assert_eq!(site.caller(&locked).post("/a").status, 403);
    assert!(
        site.key(&reader)["last_call"].is_string() && site.key(&locked)["last_call"].is_string()
    );
    assert!(site.key(&silent)["last_call"].is_null() && site.key(&reader)["last_write"].is_null());
}

#[test]
fn a_lock_for_a_time_opens_by_itself() {
    let site = TestServer::new(OPEN).started();
    let key = site.issue("app", "open");
    let caller = site.caller(&key);
    let line = ["key", "lock", &key.id, "--reason", "calm down", "--for", "2 s"];
    let start = Instant::now();
    site.run(&line).good();
    let answer = caller.post("/a");
    assert_eq!(answer.verdict(), verdict(403, "key_locked"));
    assert!(answer.body.contains("opens by itself at"), "{}", answer.body);
    wait_until("the lock opens", || caller.post("/a").status == 200);
    assert!(start.elapsed().as_millis() >= 1_900, "it opened early");
    wait_until("the opening is on record", || site.events(&key, "key_unlocked") == 1);
    assert_eq!(site.key(&key)["state"], "active");
}

#[test]
fn a_lock_for_a_time_that_ran_out_while_the_server_was_down_is_open() {
    let mut site = TestServer::new(OPEN).started();
    let key = site.issue("app", "open");
    let line = ["key", "lock", &key.id, "--reason", "calm down", "--for", "1 s"];
    site.run(&line).good();
    site.kill();
    pause(1_000);
    site.start();
    assert_eq!(site.caller(&key).post("/a").status, 200);
}

#[test]
fn an_acknowledged_lock_is_there_after_kill_9() {
    let mut site = TestServer::new(OPEN).started();
    for _ in 0..3 {
        let (key, rolled, revoked) =
            (site.issue("app", "open"), site.issue("app", "open"), site.issue("app", "open"));
        site.issue("other", "open");
        site.run(&["key", "roll", &rolled.id, "--grace", "0"]).good();
        site.run(&["key", "revoke", &revoked.id, "--yes"]).good();
        site.run(&["application", "suspend", "other"]).good();
        site.run(&["key", "lock", &key.id, "--reason", "look"]).good();
        site.kill();
        site.start();
        assert_eq!(site.caller(&key).post("/a").verdict(), verdict(403, "key_locked"));
        for key in [&rolled, &revoked] {
            assert_eq!(site.caller(key).get("/a").verdict(), verdict(403, "key_revoked"));
        }
        let shown = site.json(&["application", "show", "other"]);
        assert_eq!(shown["state"], "suspended");
        site.run(&["application", "resume", "other"]).good();
    }
    assert_eq!(site.upstream.writes(), 0);
}

#[test]
fn a_rolled_key_works_for_its_grace_and_then_never_again() {
    let site = TestServer::new(OPEN).started();
    let old = site.issue("app", "open");
    let next = site.json(&["key", "roll", &old.id, "--grace", "2 s"]);
    let next = Key {
        id: next["id"].as_str().unwrap().to_owned(),
        text: next["key"].as_str().unwrap().to_owned(),
    };
    assert_eq!(site.caller(&old).post("/a").status, 200);
    assert_eq!(site.caller(&next).post("/a").status, 200);
    wait_until("the grace is over", || {
        site.caller(&old).get("/a").verdict() == verdict(403, "key_revoked")
    });
    assert_eq!(site.key(&old)["state"], "revoked");
    // Rolling it again must not bring it back.
    let said = site.run(&["key", "roll", &old.id]).bad();
    assert!(said.contains("revoked"), "{said}");
    assert_eq!(site.caller(&old).get("/a").verdict(), verdict(403, "key_revoked"));
    assert_eq!(site.caller(&next).post("/a").status, 200);
}

#[test]
fn the_successor_of_a_locked_key_is_locked() {
    let site = TestServer::new(OPEN).started();
    let old = site.issue("app", "open");
    site.run(&["key", "lock", &old.id, "--reason", "look"]).good();
    let next = site.json(&["key", "roll", &old.id]);
    let id = next["id"].as_str().unwrap();
    assert_eq!(site.json(&["key", "show", id])["state"], "locked");
}

#[test]
fn revoking_and_suspending_stop_the_next_call() {
    let site = TestServer::new(OPEN).started();
    let (key, other) = (site.issue("app", "open"), site.issue("app", "open"));
    let (caller, sibling) = (site.caller(&key), site.caller(&other));
    assert_eq!(caller.get("/a").status, 200);
    site.run(&["application", "suspend", "app"]).good();
    let suspended = verdict(403, "application_suspended");
    assert_eq!(caller.get("/a").verdict(), suspended);
    assert_eq!(sibling.post("/a").verdict(), suspended);
    site.run(&["application", "resume", "app"]).good();
    assert_eq!(sibling.post("/a").status, 200);
    site.run(&["key", "revoke", &key.id, "--yes"]).good();
    assert_eq!(caller.get("/a").verdict(), verdict(403, "key_revoked"));
    assert_eq!(sibling.get("/a").status, 200);
    assert_eq!(site.upstream.writes(), 1);
}

#[test]
fn a_key_created_without_a_server_works_once_one_runs() {
    let mut site = TestServer::new(OPEN);
    let line = ["key", "create", "--application", "app", "--plan", "open"];
    for line in [&line[..], &["owner", "link"], &["token", "create", "t"]] {
        let said = site.run(line).bad();
        assert!(said.contains("keystile-data") && said.contains("--create"), "{line:?}: {said}");
        assert!(!site.path("keystile-data").exists(), "{line:?}");
    }
    let made = site.json(&[&line[..], &["--create"]].concat());
    let text = |name: &str| made[name].as_str().unwrap().to_owned();
    let key = Key { id: text("id"), text: text("key") };
    site.start();
    assert_eq!(site.caller(&key).post("/a").status, 200);
    let second = site.issue("app", "open");
    assert_eq!(site.caller(&second).post("/a").status, 200);
}

#[test]
fn an_unlock_keeps_what_was_counted_and_a_reset_forgets_it() {
    let site =
        TestServer::new("[plan.open]\nallow = \"bookmarks: *\"\nwrite_budget = \"3 per day\"\n")
            .started();
    let key = site.issue("app", "open");
    let caller = site.caller(&key);
    let write = || caller.post("/a").status;
    assert_eq!([write(), write(), write(), write()], [200, 200, 200, 403]);
    let unlocked = site.run(&["key", "unlock", &key.id]).good();
    assert!(unlocked.stderr.contains("still used up"), "{}", unlocked.stderr);
    assert_eq!(write(), 403);
    site.run(&["key", "unlock", &key.id, "--reset-budget"]).good();
    assert_eq!([write(), write(), write(), write()], [200, 200, 200, 403]);
    assert_eq!(site.upstream.writes(), 6);
}

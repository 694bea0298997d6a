//! What an owner does to a key or application takes effect on the next request, and holds.

use std::time::Instant;

use crate::harness::{Key, TestServer, pause, wait_until};

const OPEN: &str = "[plan.open]\nallow = \"bookmarks: *\"\nwrite_budget = \"1000 per day\"\n";

fn refusal(status: u16, reason: &str) -> (u16, String) {
    (status, reason.to_owned())
}

#[test]
fn a_lock_stops_the_next_write_and_an_unlock_lets_it_go_on() {
    let server = TestServer::new(OPEN).started();
    let key = server.issue("app", "open");
    let caller = server.caller(&key);
    let locked = refusal(403, "key_locked");
    for _ in 0..3 {
        assert_eq!(caller.post("/a").status, 200);
        server.run(&["key", "lock", &key.id, "--reason", "look"]).good();
        assert_eq!(caller.post("/a").status_and_reason(), locked);
        assert_eq!(caller.get("/a").status, 200);
        server.run(&["key", "lock", &key.id, "--reason", "look", "--level", "all"]).good();
        assert_eq!(caller.get("/a").status_and_reason(), locked);
        server.run(&["key", "unlock", &key.id]).good();
        assert_eq!(caller.get("/a").status, 200);
    }
    assert_eq!(server.upstream.writes(), 3);
}

#[test]
fn a_key_shows_when_it_last_called_also_for_reads_and_refusals() {
    let server = TestServer::new(OPEN).started();
    let (reader, locked, silent) =
        (server.issue("a", "open"), server.issue("b", "open"), server.issue("c", "open"));
    server.run(&["key", "lock", &locked.id, "--reason", "look"]).good();
    assert_eq!(server.caller(&reader).get("/a").status, 200);
    assert_eq!(server.caller(&locked).post("/a").status, 403);
    assert!(
        server.key(&reader)["last_call"].is_string()
            && server.key(&locked)["last_call"].is_string()
    );
    assert!(
        server.key(&silent)["last_call"].is_null() && server.key(&reader)["last_write"].is_null()
    );
}

#[test]
fn a_key_has_called_no_earlier_than_it_wrote_also_after_kill_9() {
    let mut server = TestServer::new(OPEN).started();
    let key = server.issue("a", "open");
    assert_eq!(server.caller(&key).post("/a").status, 200);
    let wrote = server.key(&key)["last_write"].clone();
    assert!(wrote.is_string() && server.key(&key)["last_call"].as_str() >= wrote.as_str());
    server.kill();
    server.start();
    assert_eq!(server.key(&key)["last_call"], wrote);
    assert_eq!(server.json(&["key", "list"])[0]["last_call"], wrote);
}

#[test]
fn a_lock_for_a_time_opens_by_itself() {
    let server = TestServer::new(OPEN).started();
    let key = server.issue("app", "open");
    let caller = server.caller(&key);
    let line = ["key", "lock", &key.id, "--reason", "calm down", "--for", "2 s"];
    let start = Instant::now();
    server.run(&line).good();
    let answer = caller.post("/a");
    assert_eq!(answer.status_and_reason(), refusal(403, "key_locked"));
    assert!(answer.body.contains("opens by itself at"), "{}", answer.body);
    wait_until("the lock opens", || caller.post("/a").status == 200);
    assert!(start.elapsed().as_millis() >= 1_900, "it opened early");
    wait_until("the opening is on record", || server.events(&key, "key_unlocked") == 1);
    assert_eq!(server.key(&key)["state"], "active");
}

#[test]
fn a_lock_for_a_time_that_ran_out_while_the_server_was_down_is_open() {
    let mut server = TestServer::new(OPEN).started();
    let key = server.issue("app", "open");
    let line = ["key", "lock", &key.id, "--reason", "calm down", "--for", "1 s"];
    server.run(&line).good();
    server.kill();
    pause(1_000);
    server.start();
    assert_eq!(server.caller(&key).post("/a").status, 200);
}

#[test]
fn an_acknowledged_lock_is_there_after_kill_9() {
    let mut server = TestServer::new(OPEN).started();
    for _ in 0..3 {
        let (key, rolled, revoked) =
            (server.issue("app", "open"), server.issue("app", "open"), server.issue("app", "open"));
        server.issue("other", "open");
        server.run(&["key", "roll", &rolled.id, "--grace", "0"]).good();
        server.run(&["key", "revoke", &revoked.id, "--yes"]).good();
        server.run(&["application", "suspend", "other"]).good();
        server.run(&["key", "lock", &key.id, "--reason", "look"]).good();
        server.kill();
        server.start();
        assert_eq!(server.caller(&key).post("/a").status_and_reason(), refusal(403, "key_locked"));
        for key in [&rolled, &revoked] {
            assert_eq!(
                server.caller(key).get("/a").status_and_reason(),
                refusal(403, "key_revoked")
            );
        }
        let shown = server.json(&["application", "show", "other"]);
        assert_eq!(shown["state"], "suspended");
        server.run(&["application", "resume", "other"]).good();
    }
    assert_eq!(server.upstream.writes(), 0);
}

#[test]
fn a_rolled_key_works_for_its_grace_and_then_never_again() {
    let server = TestServer::new(OPEN).started();
    let old = server.issue("app", "open");
    let next = server.json(&["key", "roll", &old.id, "--grace", "2 s"]);
    let next = Key {
        id: next["id"].as_str().unwrap().to_owned(),
        text: next["key"].as_str().unwrap().to_owned(),
    };
    assert_eq!(server.caller(&old).post("/a").status, 200);
    assert_eq!(server.caller(&next).post("/a").status, 200);
    wait_until("the grace is over", || {
        server.caller(&old).get("/a").status_and_reason() == refusal(403, "key_revoked")
    });
    assert_eq!(server.key(&old)["state"], "revoked");
    // Rolling it again must not bring it back.
    let said = server.run(&["key", "roll", &old.id]).bad();
    assert!(said.contains("revoked"), "{said}");
    assert_eq!(server.caller(&old).get("/a").status_and_reason(), refusal(403, "key_revoked"));
    assert_eq!(server.caller(&next).post("/a").status, 200);
}

#[test]
fn the_successor_of_a_locked_key_is_locked() {
    let server = TestServer::new(OPEN).started();
    let old = server.issue("app", "open");
    server.run(&["key", "lock", &old.id, "--reason", "look"]).good();
    let next = server.json(&["key", "roll", &old.id]);
    let id = next["id"].as_str().unwrap();
    assert_eq!(server.json(&["key", "show", id])["state"], "locked");
}

#[test]
fn revoking_and_suspending_stop_the_next_call() {
    let server = TestServer::new(OPEN).started();
    let (key, other) = (server.issue("app", "open"), server.issue("app", "open"));
    let (caller, sibling) = (server.caller(&key), server.caller(&other));
    assert_eq!(caller.get("/a").status, 200);
    server.run(&["application", "suspend", "app"]).good();
    let suspended = refusal(403, "application_suspended");
    assert_eq!(caller.get("/a").status_and_reason(), suspended);
    assert_eq!(sibling.post("/a").status_and_reason(), suspended);
    server.run(&["application", "resume", "app"]).good();
    assert_eq!(sibling.post("/a").status, 200);
    server.run(&["key", "revoke", &key.id, "--yes"]).good();
    assert_eq!(caller.get("/a").status_and_reason(), refusal(403, "key_revoked"));
    assert_eq!(sibling.get("/a").status, 200);
    assert_eq!(server.upstream.writes(), 1);
}

#[test]
fn a_key_created_without_a_server_works_once_one_runs() {
    let mut server = TestServer::new(OPEN);
    let line = ["key", "create", "--application", "app", "--plan", "open"];
    for line in [&line[..], &["owner", "link"], &["token", "create", "t"]] {
        let said = server.run(line).bad();
        assert!(said.contains("keystile-data") && said.contains("--create"), "{line:?}: {said}");
        assert!(!server.path("keystile-data").exists(), "{line:?}");
    }
    let made = server.json(&[&line[..], &["--create"]].concat());
    let text = |name: &str| made[name].as_str().unwrap().to_owned();
    let key = Key { id: text("id"), text: text("key") };
    server.start();
    assert_eq!(server.caller(&key).post("/a").status, 200);
    let second = server.issue("app", "open");
    assert_eq!(server.caller(&second).post("/a").status, 200);
}

#[test]
fn an_unlock_keeps_what_was_counted_and_a_reset_forgets_it() {
    let server =
        TestServer::new("[plan.open]\nallow = \"bookmarks: *\"\nwrite_budget = \"3 per day\"\n")
            .started();
    let key = server.issue("app", "open");
    let caller = server.caller(&key);
    let write = || caller.post("/a").status;
    assert_eq!([write(), write(), write(), write()], [200, 200, 200, 403]);
    let unlocked = server.run(&["key", "unlock", &key.id]).good();
    assert!(unlocked.stderr.contains("still used up"), "{}", unlocked.stderr);
    assert_eq!(write(), 403);
    server.run(&["key", "unlock", &key.id, "--reset-budget"]).good();
    assert_eq!([write(), write(), write(), write()], [200, 200, 200, 403]);
    assert_eq!(server.upstream.writes(), 6);
}

#[test]
fn a_key_of_another_system_goes_on_and_its_text_never_stands_on_a_command_line() {
    let mut server = TestServer::new(OPEN).started();
    let text = "8c2f01de77b0a4419ee1";
    std::fs::write(server.path("key.txt"), format!("{text}\n")).unwrap();
    let file = server.path("key.txt");
    let import =
        ["key", "import", "--application", "reader", "--plan", "open", "--origin", "3scale"];
    let from_file = [&import[..], &["--file", file.to_str().unwrap()]].concat();
    let key = server.json(&from_file);
    assert_eq!((key["prefix"].as_str(), key["origin"].as_str()), (Some("8c2f0"), Some("3scale")));
    let key = Key { id: key["id"].as_str().unwrap().to_owned(), text: text.to_owned() };
    assert_eq!(server.caller(&key).post("/a").status, 200);
    assert_eq!(server.upstream.received()[0].field("x-api-key"), None);
    let said = server.run(&from_file).bad();
    assert!(said.contains("already a key with this text") && !said.contains(text), "{said}");
    let listed = server.run(&["key", "list"]).good().stdout;
    assert!(listed.contains("8c2f0 (imported)"), "{listed}");
    server.kill();
    server.start();
    assert_eq!(server.caller(&key).post("/a").status, 200);
    server.run(&["key", "revoke", text, "--yes"]).good();
    assert_eq!(server.caller(&key).post("/a").status_and_reason(), refusal(403, "key_revoked"));
    assert!(!server.log().contains(text));
}

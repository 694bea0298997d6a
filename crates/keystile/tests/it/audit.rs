//! The record of what happened: who did it, and that nobody changed it since.

use rusqlite::Connection;
use serde_json::{Value, json};

use std::fs::{Permissions, set_permissions};
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::Path;

use crate::harness::{Finished, Program, TestServer, keystile, wait_until};

const OPEN: &str = "[plan.open]\nallow = \"bookmarks: *\"\nwrite_budget = \"3 per day\"\n\
                    [plan.large]\nallow = \"bookmarks: *\"\nwrite_budget = \"5 per day\"\n";

fn kinds(server: &TestServer, filter: &[&str]) -> Vec<String> {
    let events = server.json(&[&["audit", "list"], filter].concat());
    let kind = |event: &Value| event["kind"].as_str().unwrap().to_owned();
    events.as_array().unwrap().iter().map(kind).collect()
}

#[test]
fn what_owners_budgets_and_the_system_did_is_on_record_with_who_did_it() {
    let mut server = TestServer::new(OPEN).started();
    let key = server.issue("app", "open");
    let caller = server.caller(&key);
    for _ in 0..4 {
        caller.post("/a");
    }
    server.run(&["backup", "copy.db"]).good();
    server.run(&["reload"]).good();
    server.program().signal("HUP");
    wait_until("SIGHUP is on record", || {
        kinds(&server, &["--actor", "system"]) == ["policy_reloaded"]
    });
    let good = server.configuration();
    server.configure(&good.replace("allow", "alow"));
    server.run(&["reload"]).bad();
    server.configure(&good);
    let events = kinds(&server, &[]);
    assert_eq!(
        events,
        [
            "policy_reload_failed",
            "policy_reloaded",
            "policy_reloaded",
            "backup_made",
            "key_locked",
            "key_created",
            "application_created",
            "claim_link_made"
        ]
    );
    assert_eq!(kinds(&server, &["--actor", "budget"]), ["key_locked"]);
    assert_eq!(kinds(&server, &["--key", &key.id]), ["key_locked", "key_created"]);
    assert_eq!(kinds(&server, &["--application", "app"]).len(), 3);
    assert_eq!(kinds(&server, &["--kind", "backup_made"]).len(), 1);
    let first = server.json(&["audit", "list", "--limit", "1"]);
    let id = first[0]["id"].to_string();
    assert_eq!(kinds(&server, &["--before", &id]).len(), 7);
    assert!(kinds(&server, &["--after", &id]).is_empty());
    let locked = server.json(&["audit", "list", "--kind", "key_locked"]);
    assert_eq!(
        (&locked[0]["key"], &locked[0]["application"], &locked[0]["subject"]),
        (&json!(key.id), &json!("app"), &Value::Null)
    );
    assert!(server.run(&["audit", "list", "--kind", "nothing"]).bad().contains("key_locked"));
    server.stop();
    assert_eq!(kinds(&server, &[]), events, "the store says the same without a server");
}

#[test]
fn a_record_that_was_changed_fails_the_verification_and_says_where() {
    let mut server = TestServer::new(OPEN).started();
    server.issue("app", "open");
    server.issue("app", "open");
    let report = server.json(&["audit", "verify"]);
    assert_eq!(
        (&report["count"], &report["older"], &report["fault"]),
        (&json!(4), &json!(0), &Value::Null)
    );
    assert_eq!(report["head"].as_str().unwrap().len(), 64);
    let good = server.run(&["audit", "verify"]).good();
    assert!(good.stdout.contains(report["head"].as_str().unwrap()), "{}", good.stdout);
    server.kill();
    assert_eq!(server.json(&["audit", "verify"]), report, "also after a crash");
    let database = Connection::open(server.path("keystile-data/keystile.db")).unwrap();
    let change = "UPDATE event SET detail = 'nothing' WHERE id = 2";
    assert!(database.execute_batch(change).is_err(), "events are append-only");
    database.execute_batch(&format!("DROP TRIGGER event_stays; {change}")).unwrap();
    drop(database);
    for by_server in [false, true] {
        if by_server {
            server.start();
        }
        let broken = server.run(&["audit", "verify", "--json"]);
        assert_eq!(broken.code, Some(1));
        let report: Value = serde_json::from_str(&broken.stdout).unwrap();
        assert_eq!(report["fault"]["event"], 2);
        let said = server.run(&["audit", "verify"]);
        assert!(said.code == Some(1) && said.stderr.contains("event 2"), "{said:?}");
    }
}

#[test]
fn a_key_on_another_plan_is_counted_by_it_from_the_next_write_on() {
    let server = TestServer::new(OPEN).started();
    let (key, other) = (server.issue("app", "open"), server.issue("app", "open"));
    let caller = server.caller(&key);
    let write = || caller.post("/a").status;
    assert_eq!([write(), write(), write()], [200; 3]);
    server.run(&["key", "change", &key.id, "--plan", "large"]).good();
    let told = server.upstream.received();
    assert_eq!(told.last().unwrap().field("x-keystile-plan"), Some("open"));
    assert_eq!([write(), write(), write()], [200, 200, 403]);
    let told = server.upstream.received();
    assert_eq!(told.last().unwrap().field("x-keystile-plan"), Some("large"));
    assert_eq!(server.key(&other)["plan"], "open");
    let said = server.run(&["key", "change", &key.id, "--plan", "none"]).bad();
    assert!(said.contains("there is no plan none"), "{said}");
    let done = server.json(&["application", "change", "app", "--plan", "large"]);
    assert!(done["done"].as_str().unwrap().contains("1 key of it follows"), "{done}");
    assert_eq!(server.key(&other)["plan"], "large");
    assert_eq!(server.json(&["application", "show", "app"])["plan"], "large");
}

#[test]
fn notes_are_shown_and_stay_out_of_the_audit() {
    let server = TestServer::new(OPEN).started();
    let key = server.issue("app", "open");
    server.run(&["key", "note", &key.id, "belongs to Ada"]).good();
    server.run(&["application", "note", "app", "call Bob first"]).good();
    assert_eq!(server.key(&key)["note"], "belongs to Ada");
    assert_eq!(server.json(&["application", "show", "app"])["note"], "call Bob first");
    assert!(server.run(&["key", "show", &key.id]).good().stdout.contains("belongs to Ada"));
    let audit = server.run(&["audit", "list"]).good().stdout;
    assert!(audit.contains("key note changed") && !audit.contains("Ada") && !audit.contains("Bob"));
    server.run(&["key", "note", &key.id, ""]).good();
    assert_eq!(server.key(&key)["note"], Value::Null);
    let refused = server.run(&["key", "note", &key.id, "a\u{1b}[2J"]).bad();
    assert!(refused.contains("U+001B (escape) as character 2"), "{refused}");
}

/// Runs a command whose environment lies about who runs it.
fn lying(server: &TestServer, arguments: &[&str]) -> Finished {
    let mut command = keystile(server.folder(), arguments);
    for name in ["USER", "LOGNAME", "SUDO_USER", "USERNAME"] {
        command.env(name, "mallory");
    }
    Finished::of(command.env("SUDO_UID", "4242"))
}

/// What the system says who runs this.
fn account() -> String {
    let said = |option: &str| {
        let said = Finished::of(std::process::Command::new("id").arg(option)).good();
        said.stdout.trim().to_owned()
    };
    let (name, uid) = (said("-un"), said("-u"));
    if name == uid { format!("uid {uid}") } else { format!("{name}, uid {uid}") }
}

#[test]
fn the_audit_names_the_account_that_the_kernel_names_whatever_the_environment_says() {
    let mut server = TestServer::new(OPEN).started();
    let key = server.issue("app", "open");
    let lock = ["key", "lock", &key.id, "--reason", "look"];
    lying(&server, &lock).good();
    server.stop();
    lying(&server, &["key", "unlock", &key.id]).good();
    // The server was started by somebody, too.
    let mut command = keystile(server.folder(), &["run"]);
    command.env("USER", "mallory").env("SUDO_USER", "mallory");
    let mut program = Program::start(command, server.folder(), "lying");
    wait_until("it made a link", || program.stdout().contains("No owner yet"));
    program.signal("TERM");
    assert_eq!(program.wait(), Some(0));

    let listed = server.json(&["audit", "list"]);
    let events = listed.as_array().unwrap();
    for kind in ["key_locked", "key_unlocked", "claim_link_made", "key_created"] {
        let event = events.iter().find(|event| event["kind"] == kind).unwrap();
        assert_eq!(event["actor"], json!({"by": "command_line", "name": account()}), "{kind}");
    }
    // The account is found by its name, by its number, and by both.
    let found = |actor: &str| kinds(&server, &["--actor", actor]).len();
    let account = account();
    for half in account.split(", ").chain([account.as_str()]) {
        assert_eq!(found(half), found("command_line"), "{half}");
    }
    assert_eq!((found("uid"), found("%"), found("oot"), found("0")), (0, 0, 0, 0));
    let text = server.run(&["audit", "list"]).good().stdout;
    assert!(text.contains(&format!("command line ({account})")), "{text}");
    let shown = server.run(&["key", "show", &key.id]).good().stdout;
    assert!(!listed.to_string().contains("mallory") && !text.contains("mallory"), "{text}");
    assert!(!shown.contains("mallory"), "{shown}");
}

const NOBODY: u32 = 65_534;
const NOT_TRIED: &str = "not tried: only root may be somebody else";

fn by_nobody(server: &TestServer, arguments: &[&str]) -> std::process::Command {
    let mut command = keystile(server.folder(), arguments);
    command.uid(NOBODY).gid(NOBODY).env("USER", "root");
    command
}

fn is_root(folder: &Path) -> bool {
    let mode = |mode| set_permissions(folder, Permissions::from_mode(mode));
    mode(0o755).is_ok() && chown(folder, Some(0), None).is_ok()
}

#[test]
fn another_account_gives_no_commands_even_where_the_socket_is_open_to_it() {
    let server = TestServer::new(OPEN).started();
    if !is_root(server.folder()) {
        return println!("{NOT_TRIED}");
    }
    let key = server.issue("app", "open");
    let open = |name: &str| {
        set_permissions(server.path(name), Permissions::from_mode(0o777)).unwrap();
    };
    open("keystile-data");
    open("keystile-data/control.sock");
    for line in [&["key", "revoke", &key.id, "--yes"][..], &["status"], &["reload"]] {
        let said = Finished::of(&mut by_nobody(&server, line)).bad();
        assert!(said.contains("uid 65534 may not give commands"), "{said}");
    }
    assert_eq!(server.key(&key)["state"], "active");
}

#[test]
fn an_account_that_is_not_root_is_named_by_the_server_and_by_the_store() {
    let mut server = TestServer::new(OPEN);
    if !is_root(server.folder()) {
        return println!("{NOT_TRIED}");
    }
    chown(server.folder(), Some(NOBODY), Some(NOBODY)).unwrap();
    let lines = ["key", "create", "--application", "one", "--plan", "open", "--create"];
    Finished::of(&mut by_nobody(&server, &lines)).good();
    let mut program = Program::start(by_nobody(&server, &["run"]), server.folder(), "nobody");
    wait_until("it serves", || program.stdout().contains("Gate"));
    let lines = ["key", "create", "--application", "two", "--plan", "open"];
    Finished::of(&mut by_nobody(&server, &lines)).good();
    // Root may act at another account's server, and is named as what it is.
    server.issue("three", "open");
    program.signal("TERM");
    assert_eq!(program.wait(), Some(0));
    server.start();
    let listed = server.json(&["audit", "list", "--kind", "key_created"]);
    let names: Vec<_> =
        listed.as_array().unwrap().iter().map(|event| &event["actor"]["name"]).collect();
    assert_eq!(names, ["root, uid 0", "nobody, uid 65534", "nobody, uid 65534"]);
}

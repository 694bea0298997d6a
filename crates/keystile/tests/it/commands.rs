//! Every command with `--json`, through the running server and on the store when none runs: the same data.

use serde_json::{Value, json};

use crate::harness::{TestServer, wait_until};

const OPEN: &str = "[plan.open]\nallow = \"bookmarks: *\"\nwrite_budget = \"100 per day\"\n\
                    [plan.trusted]\nallow = \"bookmarks: *\"\n";

/// Who carries a command out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum By {
    Server,
    Store,
}

/// A site with some writes on record, and its server running or stopped.
fn server(by: By) -> (TestServer, crate::harness::Key) {
    let mut server = TestServer::new(OPEN).started();
    let key = server.issue("reader app", "open");
    let caller = server.caller(&key);
    for path in ["/one", "/two", "/three"] {
        assert_eq!(caller.post(path).status, 200);
    }
    assert_eq!(server.stranger().delete("/one").status, 401);
    wait_until("refusals are on record", || server.journal().len() == 4);
    if by == By::Store {
        server.stop();
        assert!(!server.path("keystile-data/control.sock").exists());
    }
    (server, key)
}

fn fields(value: &Value) -> Vec<&str> {
    value.as_object().unwrap().keys().map(String::as_str).collect()
}

#[track_caller]
fn assert_has(value: &Value, names: &[&str]) {
    for name in names {
        assert!(value.get(name).is_some(), "{name} is missing in {value}");
    }
}

fn each_way(test: fn(By)) {
    for by in [By::Server, By::Store] {
        println!("by {by:?}");
        test(by);
    }
}

#[test]
fn keys_are_created_listed_and_shown() {
    each_way(|by| {
        let (server, first) = server(by);
        let made = server.json(&["key", "create", "--application", "new", "--plan", "trusted"]);
        let mut names = fields(&made);
        names.sort_unstable();
        assert_eq!(names, ["application", "example", "id", "key", "plan"]);
        assert_eq!((&made["application"], &made["plan"]), (&"new".into(), &"trusted".into()));
        let again = server.json(&["key", "create", "--application", "new"]);
        assert_eq!(again["plan"], "trusted", "the application's own plan");
        let several = server.json(&["key", "create", "--application", "new", "--count", "3"]);
        assert_eq!(several.as_array().unwrap().len(), 3);

        let listed = server.json(&["key", "list"]);
        let listed = listed.as_array().unwrap();
        assert_eq!(listed.len(), 6);
        for key in listed {
            assert_has(key, &["id", "prefix", "application", "plan", "state"]);
            assert_eq!(key.get("key"), None, "the key is shown when it is created only");
        }
        assert_eq!(listed[0]["id"], first.id.as_str());
        assert_eq!(listed[0]["application"], "reader app");
        assert!(first.text.starts_with(listed[0]["prefix"].as_str().unwrap()));
        let of_new = server.json(&["key", "list", "--application", "new", "--limit", "2"]);
        assert_eq!(of_new.as_array().unwrap().len(), 2);
        let after = server.json(&["key", "list", "--after", &first.id]);
        assert_eq!(after.as_array().unwrap()[..], listed[1..]);
        let none = server.json(&["key", "list", "--state", "revoked"]);
        assert_eq!(none, json!([]));

        let prefix = listed[0]["prefix"].as_str().unwrap();
        for name in [first.id.as_str(), prefix, &first.text] {
            let shown = server.json(&["key", "show", name]);
            assert_eq!(shown["id"], first.id.as_str());
            assert_has(&shown, &["prefix", "application", "plan", "state", "budgets", "events"]);
            assert_eq!(shown["budgets"][0]["used"], 3);
        }
    });
}

#[test]
fn keys_are_locked_unlocked_rolled_and_revoked() {
    each_way(|by| {
        let (server, key) = server(by);
        let state = |state: &str| {
            let shown = server.json(&["key", "show", &key.id]);
            assert_eq!(shown["state"], state);
            shown
        };
        let done = server.json(&["key", "lock", &key.id, "--level", "all", "--reason", "leaked"]);
        assert_eq!(fields(&done), ["done"]);
        let lock = state("locked")["lock"].clone();
        assert_eq!((&lock["level"], &lock["reason"]), (&"all".into(), &"leaked".into()));
        assert_eq!(lock["actor"]["by"], "command_line");
        assert_eq!(fields(&server.json(&["key", "unlock", &key.id])), ["done"]);
        state("active");
        let next = server.json(&["key", "roll", &key.id, "--grace", "2 hours"]);
        let mut names = fields(&next);
        names.sort_unstable();
        assert_eq!(names, ["application", "example", "id", "key", "plan"]);
        assert!(state("active")["expires"].is_string());
        assert_eq!(fields(&server.json(&["key", "revoke", &key.id, "--yes"])), ["done"]);
        let shown = state("revoked");
        let events = shown["events"].as_array().unwrap();
        let kinds: Vec<_> = events.iter().map(|event| event["kind"].as_str().unwrap()).collect();
        assert_eq!(
            kinds,
            ["key_revoked", "key_rolled", "key_unlocked", "key_locked", "key_created"]
        );
        for refused in [["key", "unlock"], ["key", "roll"]] {
            let said = server.run(&[&refused[..], &[&key.id]].concat()).bad();
            assert!(said.starts_with("error: a revoked key"), "{said}");
        }
    });
}

#[test]
fn what_cannot_be_undone_is_not_done_unasked() {
    each_way(|by| {
        let (server, key) = server(by);
        server.json(&["token", "create", "robot"]);
        for line in [
            &["key", "revoke", &key.id][..],
            &["key", "revoke", &key.id, "--json"],
            &["token", "revoke", "robot"],
            &["owner", "remove", "ada"],
        ] {
            let refused = server.run(line);
            assert_eq!((refused.code, refused.stdout.as_str()), (Some(2), ""), "{line:?}");
            assert!(refused.stderr.contains("help: add --yes"), "{}", refused.stderr);
        }
        assert_eq!(server.key(&key)["state"], "active");
        assert_eq!(server.json(&["token", "list"])[0]["state"], "active");
    });
}

#[test]
fn applications_are_created_listed_suspended_and_resumed() {
    each_way(|by| {
        let (server, key) = server(by);
        let made = server.json(&["application", "create", "second", "--plan", "open"]);
        assert_has(&made, &["id", "name", "plan", "state", "keys"]);
        let said = server.run(&["application", "create", "second", "--plan", "open"]).bad();
        assert!(said.contains("already") && said.contains("second"), "{said}");
        let listed = server.json(&["application", "list"]);
        let names: Vec<_> =
            listed.as_array().unwrap().iter().map(|one| one["name"].clone()).collect();
        assert_eq!(names, ["reader app", "second"]);
        let done = server.json(&["application", "suspend", "reader app"]);
        assert_eq!(fields(&done), ["done"]);
        let shown = server.json(&["application", "show", "reader app"]);
        assert_eq!(shown["state"], "suspended");
        assert_eq!(shown["keys_list"][0]["id"], key.id.as_str());
        let id = shown["id"].as_str().unwrap();
        server.json(&["application", "resume", id]);
        assert_eq!(server.json(&["application", "show", id])["state"], "active");
        for line in [["application", "show"], ["application", "suspend"]] {
            let said = server.run(&[&line[..], &["nobody"]].concat()).bad();
            assert!(said.contains("there is no") && said.contains("nobody"), "{said}");
        }
    });
}

#[test]
fn the_journal_is_listed_and_shown() {
    each_way(|by| {
        let (server, key) = server(by);
        let listed = server.json(&["journal", "list"]);
        let listed = listed.as_array().unwrap();
        assert_eq!(listed.len(), 4);
        let names =
            ["id", "time", "key", "application", "api", "method", "path", "status", "outcome"];
        for record in listed {
            assert_has(record, &names);
        }
        let write = &listed[1];
        assert_eq!(
            [&write["key"], &write["application"], &write["api"], &write["method"]],
            [key.id.as_str(), "reader app", "bookmarks", "POST"]
        );
        assert_eq!(
            (&write["path"], &write["status"], &write["outcome"]),
            (&"/three".into(), &200.into(), &"applied".into())
        );
        let refused = &listed[0];
        assert_eq!(
            (&refused["key"], &refused["outcome"], &refused["reason"]),
            (&Value::Null, &"refused".into(), &"key_missing".into())
        );
        let id = write["id"].as_str().unwrap();
        assert_eq!(&server.json(&["journal", "show", id]), write);
        let said = server.run(&["journal", "show", "write_99"]).bad();
        assert!(said.contains("write_99"), "{said}");
    });
}

#[test]
fn the_state_of_things_is_told() {
    each_way(|by| {
        let (server, _) = server(by);
        let status = server.json(&["status"]);
        let names = [
            "running", "version", "gate", "data", "apis", "plans", "policy", "keys", "records",
            "store",
        ];
        assert_has(&status, &names);
        assert_eq!(status["running"], by == By::Server);
        assert_eq!(status["keys"], json!({"active": 1, "locked": 0, "revoked": 0}));
        assert_eq!((&status["records"], &status["store"]), (&4.into(), &"ok".into()));
        assert_eq!(status["plans"], json!(["open", "trusted"]));
        if by == By::Server {
            assert_eq!(status["gate"], json!([server.gate.to_string()]));
        }
        let findings = server.json(&["doctor"]);
        assert!(
            findings.as_array().unwrap().iter().all(|finding| finding["level"] == "good"),
            "{findings}"
        );
        match by {
            By::Server => assert_eq!(fields(&server.json(&["reload"])), ["done"]),
            By::Store => assert!(server.run(&["reload", "--json"]).bad().contains("no server")),
        }
        let done = server.json(&["backup", "copy.db"]);
        assert_eq!(fields(&done), ["done"]);
        let done = server.json(&["restore", "copy.db", "--data", "elsewhere"]);
        assert_eq!(fields(&done), ["done"]);
    });
}

#[test]
fn a_command_makes_no_folder_where_there_is_no_store() {
    let server = TestServer::new(OPEN);
    std::fs::write(server.path("text.db"), "once upon a time").unwrap();
    for line in [
        "accept-loss",
        "accept-loss --create",
        "reload",
        "status",
        "doctor",
        "backup copy.db",
        "key list --create",
        "key revoke ks_1 --yes",
        "key create --application app --plan open",
        "application suspend app",
        "owner link",
        "owner remove ada --yes",
        "token create robot",
        "token revoke robot --yes",
        "journal list",
        "journal export",
        "journal follow",
        "audit verify",
        "notify channels",
        "restore text.db",
    ] {
        let words: Vec<_> = line.split(' ').chain(["--data", "nodir"]).collect();
        let said = server.run(&words).bad();
        let expected = match words[..] {
            ["journal", "follow", ..] => "no server is running on nodir",
            ["restore", ..] => "it is not a backup that Keystile wrote",
            _ => "there is no Keystile store in nodir",
        };
        assert!(said.contains(expected) && said.contains("help: "), "{line}: {said}");
        assert!(!server.path("nodir").exists() && !server.path("copy.db").exists(), "{line}");
    }
    // A folder in which there is something else is left as it is.
    std::fs::create_dir(server.path("other")).unwrap();
    std::fs::write(server.path("other/notes"), "").unwrap();
    let said = server.run(&["accept-loss", "--data", "other"]).bad();
    assert!(said.contains("there is no Keystile store in other"), "{said}");
    assert_eq!(std::fs::read_dir(server.path("other")).unwrap().count(), 1);
}

#[test]
fn of_an_empty_database_and_nothing_else_no_loss_can_be_accepted() {
    let mut server = TestServer::new(OPEN);
    std::fs::create_dir(server.path("keystile-data")).unwrap();
    let database = server.path("keystile-data/keystile.db");
    std::fs::write(&database, "").unwrap();
    let said = server.run(&["accept-loss"]).bad();
    assert!(said.contains("there is no Keystile store in keystile-data"), "{said}");
    assert!(said.contains("keystile.db is empty") && said.contains("keystile run"), "{said}");
    assert_eq!(database.metadata().unwrap().len(), 0);
    server.start();
    server.stop();
    let said = server.run(&["accept-loss"]).good().stderr;
    assert!(said.contains("Nothing is missing"), "{said}");
}

#[test]
fn every_command_of_the_issue_exists() {
    let server = TestServer::new(OPEN);
    let help = |line: &[&str]| server.run(&[line, &["--help"]].concat()).good().stdout;
    for line in [
        "run",
        "demo",
        "init",
        "check",
        "schema",
        "reload",
        "status",
        "key create",
        "key list",
        "key show",
        "key lock",
        "key unlock",
        "key roll",
        "key change",
        "key note",
        "key revoke",
        "application create",
        "application list",
        "application show",
        "application change",
        "application note",
        "application suspend",
        "application resume",
        "owner link",
        "owner list",
        "owner remove",
        "token create",
        "token list",
        "token revoke",
        "audit list",
        "audit verify",
        "journal list",
        "journal show",
        "journal follow",
        "journal export",
        "backup",
        "restore",
        "doctor",
        "completions",
        "man",
        "version",
    ] {
        let words: Vec<_> = line.split(' ').collect();
        assert!(help(&words).contains("Usage:"), "{line}");
        let needs_store =
            !matches!(words[0], "demo" | "init" | "schema" | "completions" | "man" | "version");
        if needs_store {
            assert!(help(&words).contains("--config"), "{line} takes --config");
        }
    }
    assert_eq!(server.json(&["version"]), json!({"version": env!("CARGO_PKG_VERSION")}));
    let schema = server.run(&["schema"]).json();
    assert_has(&schema, &["$schema", "properties"]);
    assert!(server.run(&["man"]).good().stdout.contains("keystile"));
    assert!(server.run(&["completions", "bash"]).good().stdout.contains("keystile"));
}

#[test]
fn the_file_that_init_writes_is_good_and_runs() {
    let mut server = TestServer::new(OPEN);
    std::fs::remove_file(server.path("keystile.toml")).unwrap();
    server.run(&["init"]).good();
    server.run(&["check"]).good();
    let said = server.run(&["init"]).bad();
    assert!(said.contains("keystile.toml") && said.contains("--force"), "{said}");
    server.run(&["init", "--force"]).good();
    let upstream = server.upstream.address.to_string();
    server.configure(&server.configuration().replace("127.0.0.1:3000", &upstream));
    server.start();
    let key = server.issue("app", "open");
    assert_eq!(server.caller(&key).post("/items").status, 200);
}

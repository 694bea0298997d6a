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
fn site(by: By) -> (TestServer, crate::harness::Key) {
    let mut site = TestServer::new(OPEN).started();
    let key = site.issue("reader app", "open");
    let caller = site.caller(&key);
    for path in ["/one", "/two", "/three"] {
        assert_eq!(caller.post(path).status, 200);
    }
    assert_eq!(site.stranger().delete("/one").status, 401);
    wait_until("refusals are on record", || site.journal().len() == 4);
    if by == By::Store {
        site.stop();
        assert!(!site.path("keystile-data/control.sock").exists());
    }
    (site, key)
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
        let (site, first) = site(by);
        let made = site.json(&["key", "create", "--application", "new", "--plan", "trusted"]);
        let mut names = fields(&made);
        names.sort_unstable();
        assert_eq!(names, ["application", "example", "id", "key", "plan"]);
        assert_eq!((&made["application"], &made["plan"]), (&"new".into(), &"trusted".into()));
        let again = site.json(&["key", "create", "--application", "new"]);
        assert_eq!(again["plan"], "trusted", "the application's own plan");
        let several = site.json(&["key", "create", "--application", "new", "--count", "3"]);
        assert_eq!(several.as_array().unwrap().len(), 3);

        let listed = site.json(&["key", "list"]);
        let listed = listed.as_array().unwrap();
        assert_eq!(listed.len(), 6);
        for key in listed {
            assert_has(key, &["id", "prefix", "application", "plan", "state"]);
            assert_eq!(key.get("key"), None, "the key is shown when it is created only");
        }
        assert_eq!(listed[0]["id"], first.id.as_str());
        assert_eq!(listed[0]["application"], "reader app");
        assert!(first.text.starts_with(listed[0]["prefix"].as_str().unwrap()));
        let of_new = site.json(&["key", "list", "--application", "new", "--limit", "2"]);
        assert_eq!(of_new.as_array().unwrap().len(), 2);
        let after = site.json(&["key", "list", "--after", &first.id]);
        assert_eq!(after.as_array().unwrap()[..], listed[1..]);
        let none = site.json(&["key", "list", "--state", "revoked"]);
        assert_eq!(none, json!([]));

        let prefix = listed[0]["prefix"].as_str().unwrap();
        for name in [first.id.as_str(), prefix, &first.text] {
            let shown = site.json(&["key", "show", name]);
            assert_eq!(shown["id"], first.id.as_str());
            assert_has(&shown, &["prefix", "application", "plan", "state", "budgets", "events"]);
            assert_eq!(shown["budgets"][0]["used"], 3);
        }
    });
}

#[test]
fn keys_are_locked_unlocked_rolled_and_revoked() {
    each_way(|by| {
        let (site, key) = site(by);
        let state = |state: &str| {
            let shown = site.json(&["key", "show", &key.id]);
            assert_eq!(shown["state"], state);
            shown
        };
        let done = site.json(&["key", "lock", &key.id, "--level", "all", "--reason", "leaked"]);
        assert_eq!(fields(&done), ["done"]);
        let lock = state("locked")["lock"].clone();
        assert_eq!((&lock["level"], &lock["reason"]), (&"all".into(), &"leaked".into()));
        assert_eq!(lock["actor"]["by"], "command_line");
        assert_eq!(fields(&site.json(&["key", "unlock", &key.id])), ["done"]);
        state("active");
        let next = site.json(&["key", "roll", &key.id, "--grace", "2 hours"]);
        let mut names = fields(&next);
        names.sort_unstable();
        assert_eq!(names, ["application", "example", "id", "key", "plan"]);
        assert!(state("active")["expires"].is_string());
        assert_eq!(fields(&site.json(&["key", "revoke", &key.id, "--yes"])), ["done"]);
        let shown = state("revoked");
        let events = shown["events"].as_array().unwrap();
        let kinds: Vec<_> = events.iter().map(|event| event["kind"].as_str().unwrap()).collect();
        assert_eq!(
            kinds,
            ["key_revoked", "key_rolled", "key_unlocked", "key_locked", "key_created"]
        );
        for refused in [["key", "unlock"], ["key", "roll"]] {
            let said = site.run(&[&refused[..], &[&key.id]].concat()).bad();
            assert!(said.starts_with("error: a revoked key"), "{said}");
        }
    });
}

#[test]
fn applications_are_created_listed_suspended_and_resumed() {
    each_way(|by| {
        let (site, key) = site(by);
        let made = site.json(&["application", "create", "second", "--plan", "open"]);
        assert_has(&made, &["id", "name", "plan", "state", "keys"]);
        let said = site.run(&["application", "create", "second", "--plan", "open"]).bad();
        assert!(said.contains("already") && said.contains("second"), "{said}");
        let listed = site.json(&["application", "list"]);
        let names: Vec<_> =
            listed.as_array().unwrap().iter().map(|one| one["name"].clone()).collect();
        assert_eq!(names, ["reader app", "second"]);
        let done = site.json(&["application", "suspend", "reader app"]);
        assert_eq!(fields(&done), ["done"]);
        let shown = site.json(&["application", "show", "reader app"]);
        assert_eq!(shown["state"], "suspended");
        assert_eq!(shown["keys_list"][0]["id"], key.id.as_str());
        let id = shown["id"].as_str().unwrap();
        site.json(&["application", "resume", id]);
        assert_eq!(site.json(&["application", "show", id])["state"], "active");
        for line in [["application", "show"], ["application", "suspend"]] {
            let said = site.run(&[&line[..], &["nobody"]].concat()).bad();
            assert!(said.contains("there is no") && said.contains("nobody"), "{said}");
        }
    });
}

#[test]
fn the_journal_is_listed_and_shown() {
    each_way(|by| {
        let (site, key) = site(by);
        let listed = site.json(&["journal", "list"]);
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
        assert_eq!(&site.json(&["journal", "show", id]), write);
        let said = site.run(&["journal", "show", "write_99"]).bad();
        assert!(said.contains("write_99"), "{said}");
    });
}

#[test]
fn the_state_of_things_is_told() {
    each_way(|by| {
        let (site, _) = site(by);
        let status = site.json(&["status"]);
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
            assert_eq!(status["gate"], json!([site.gate.to_string()]));
        }
        let findings = site.json(&["doctor"]);
        assert!(
            findings.as_array().unwrap().iter().all(|finding| finding["level"] == "good"),
            "{findings}"
        );
        match by {
            By::Server => assert_eq!(fields(&site.json(&["reload"])), ["done"]),
            By::Store => assert!(site.run(&["reload", "--json"]).bad().contains("no server")),
        }
        let done = site.json(&["backup", "copy.db"]);
        assert_eq!(fields(&done), ["done"]);
        let done = site.json(&["restore", "copy.db", "--data", "elsewhere"]);
        assert_eq!(fields(&done), ["done"]);
    });
}

#[test]
fn every_command_of_the_issue_exists() {
    let site = TestServer::new(OPEN);
    let help = |line: &[&str]| site.run(&[line, &["--help"]].concat()).good().stdout;
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
    assert_eq!(site.json(&["version"]), json!({"version": env!("CARGO_PKG_VERSION")}));
    let schema = site.run(&["schema"]).json();
    assert_has(&schema, &["$schema", "properties"]);
    assert!(site.run(&["man"]).good().stdout.contains("keystile"));
    assert!(site.run(&["completions", "bash"]).good().stdout.contains("keystile"));
}

#[test]
fn the_file_that_init_writes_is_good_and_runs() {
    let mut site = TestServer::new(OPEN);
    std::fs::remove_file(site.path("keystile.toml")).unwrap();
    site.run(&["init"]).good();
    site.run(&["check"]).good();
    let said = site.run(&["init"]).bad();
    assert!(said.contains("keystile.toml") && said.contains("--force"), "{said}");
    site.run(&["init", "--force"]).good();
    let upstream = site.upstream.address.to_string();
    site.configure(&site.configuration().replace("127.0.0.1:3000", &upstream));
    site.start();
    let key = site.issue("app", "open");
    assert_eq!(site.caller(&key).post("/items").status, 200);
}

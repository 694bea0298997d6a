//! The record of what happened: who did it, and that nobody changed it since.

use rusqlite::Connection;
use serde_json::{Value, json};

use crate::harness::{Site, wait_until};

const OPEN: &str = "[plan.open]\nallow = \"bookmarks: *\"\nwrite_budget = \"3 per day\"\n\
                    [plan.large]\nallow = \"bookmarks: *\"\nwrite_budget = \"5 per day\"\n";

fn kinds(site: &Site, filter: &[&str]) -> Vec<String> {
    let events = site.json(&[&["audit", "list"], filter].concat());
    let kind = |event: &Value| event["kind"].as_str().unwrap().to_owned();
    events.as_array().unwrap().iter().map(kind).collect()
}

#[test]
fn what_owners_budgets_and_the_system_did_is_on_record_with_who_did_it() {
    let mut site = Site::new(OPEN).started();
    let key = site.issue("app", "open");
    let caller = site.caller(&key);
    for _ in 0..4 {
        caller.post("/a");
    }
    site.run(&["backup", "copy.db"]).good();
    site.run(&["reload"]).good();
    site.server().signal("HUP");
    wait_until("SIGHUP is on record", || {
        kinds(&site, &["--actor", "system"]) == ["policy_reloaded"]
    });
    let good = site.configuration();
    site.configure(&good.replace("allow", "alow"));
    site.run(&["reload"]).bad();
    site.configure(&good);
    let events = kinds(&site, &[]);
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
    assert_eq!(kinds(&site, &["--actor", "budget"]), ["key_locked"]);
    assert_eq!(kinds(&site, &["--key", &key.id]), ["key_locked", "key_created"]);
    assert_eq!(kinds(&site, &["--application", "app"]).len(), 3);
    assert_eq!(kinds(&site, &["--kind", "backup_made"]).len(), 1);
    let first = site.json(&["audit", "list", "--limit", "1"]);
    let id = first[0]["id"].to_string();
    assert_eq!(kinds(&site, &["--before", &id]).len(), 7);
    assert!(kinds(&site, &["--after", &id]).is_empty());
    let locked = site.json(&["audit", "list", "--kind", "key_locked"]);
    assert_eq!(
        (&locked[0]["key"], &locked[0]["application"], &locked[0]["subject"]),
        (&json!(key.id), &json!("app"), &Value::Null)
    );
    assert!(site.run(&["audit", "list", "--kind", "nothing"]).bad().contains("key_locked"));
    site.stop();
    assert_eq!(kinds(&site, &[]), events, "the store says the same without a server");
}

#[test]
fn a_record_that_was_changed_fails_the_verification_and_says_where() {
    let mut site = Site::new(OPEN).started();
    site.issue("app", "open");
    site.issue("app", "open");
    let report = site.json(&["audit", "verify"]);
    assert_eq!(
        (&report["count"], &report["older"], &report["fault"]),
        (&json!(4), &json!(0), &Value::Null)
    );
    assert_eq!(report["head"].as_str().unwrap().len(), 64);
    let good = site.run(&["audit", "verify"]).good();
    assert!(good.stdout.contains(report["head"].as_str().unwrap()), "{}", good.stdout);
    site.kill();
    assert_eq!(site.json(&["audit", "verify"]), report, "also after a crash");
    let database = Connection::open(site.path("keystile-data/keystile.db")).unwrap();
    let change = "UPDATE event SET detail = 'nothing' WHERE id = 2";
    assert!(database.execute_batch(change).is_err(), "events are append-only");
    database.execute_batch(&format!("DROP TRIGGER event_stays; {change}")).unwrap();
    drop(database);
    for by_server in [false, true] {
        if by_server {
            site.start();
        }
        let broken = site.run(&["audit", "verify", "--json"]);
        assert_eq!(broken.code, Some(1));
        let report: Value = serde_json::from_str(&broken.stdout).unwrap();
        assert_eq!(report["fault"]["event"], 2);
        let said = site.run(&["audit", "verify"]);
        assert!(said.code == Some(1) && said.stderr.contains("event 2"), "{said:?}");
    }
}

#[test]
fn a_key_on_another_plan_is_counted_by_it_from_the_next_write_on() {
    let site = Site::new(OPEN).started();
    let (key, other) = (site.issue("app", "open"), site.issue("app", "open"));
    let caller = site.caller(&key);
    let write = || caller.post("/a").status;
    assert_eq!([write(), write(), write()], [200; 3]);
    site.run(&["key", "change", &key.id, "--plan", "large"]).good();
    let told = site.upstream.received();
    assert_eq!(told.last().unwrap().field("x-keystile-plan"), Some("open"));
    assert_eq!([write(), write(), write()], [200, 200, 403]);
    let told = site.upstream.received();
    assert_eq!(told.last().unwrap().field("x-keystile-plan"), Some("large"));
    assert_eq!(site.key(&other)["plan"], "open");
    let said = site.run(&["key", "change", &key.id, "--plan", "none"]).bad();
    assert!(said.contains("there is no plan none"), "{said}");
    let done = site.json(&["application", "change", "app", "--plan", "large"]);
    assert!(done["done"].as_str().unwrap().contains("1 key of it follows"), "{done}");
    assert_eq!(site.key(&other)["plan"], "large");
    assert_eq!(site.json(&["application", "show", "app"])["plan"], "large");
}

#[test]
fn notes_are_shown_and_stay_out_of_the_audit() {
    let site = Site::new(OPEN).started();
    let key = site.issue("app", "open");
    site.run(&["key", "note", &key.id, "belongs to Ada"]).good();
    site.run(&["application", "note", "app", "call Bob first"]).good();
    assert_eq!(site.key(&key)["note"], "belongs to Ada");
    assert_eq!(site.json(&["application", "show", "app"])["note"], "call Bob first");
    assert!(site.run(&["key", "show", &key.id]).good().stdout.contains("belongs to Ada"));
    let audit = site.run(&["audit", "list"]).good().stdout;
    assert!(audit.contains("key note changed") && !audit.contains("Ada") && !audit.contains("Bob"));
    site.run(&["key", "note", &key.id, ""]).good();
    assert_eq!(site.key(&key)["note"], Value::Null);
    assert!(site.run(&["key", "note", &key.id, "a\u{1b}[2J"]).bad().contains("a note has"));
}

//! What owners and programs do through the admin API.

use std::sync::Arc;

use keystile_core::notifications::channel::{Audience, ChannelRule, ChannelSettings, ChannelSpec};
use keystile_core::notifications::delivery::AttemptOutcome;
use keystile_core::notifications::watch::WatchRules;
use keystile_core::owners::scope::Scope;

use keystile_engine::journal::ListRecords;
use keystile_engine::keys::key::ShowKey;

use serde_json::{Value, json};

use crate::test_console::{TestConsole, shell};

#[tokio::test]
async fn a_key_is_created_shown_once_locked_unlocked_rolled_and_revoked() {
    let console = TestConsole::new();
    let token = console.token(Scope::Write).await;
    let act = |path: &str, body: Value| console.post(path).token(&token).json(body).send();
    let made = act("/api/v1/keys", json!({ "application": "reader", "plan": "open" })).await;
    assert_eq!(made.status, 201);
    let path = made.header("location").to_owned();
    let text = made.good()["key"].as_str().unwrap().to_owned();
    let shown = console.get(&path).token(&token).send().await;
    assert!(!shown.text.contains(&text), "its text is told once");
    assert_eq!(shown.good()["state"], "active");
    let lock = json!({ "level": "writes", "reason": "looks odd", "for": "2 hours" });
    let locked = act(&format!("{path}/lock"), lock).await.good();
    assert_eq!(
        (&locked["state"], &locked["lock"]["reason"]),
        (&json!("locked"), &json!("looks odd"))
    );
    assert!(locked["lock"]["until"].is_string());
    let unlocked = act(&format!("{path}/unlock"), json!({ "budgets": "reset" })).await.good();
    assert_eq!(unlocked["state"], "active");
    let rolled = act(&format!("{path}/roll"), json!({ "grace": "1 day" })).await;
    assert_eq!(rolled.status, 201);
    assert_ne!(rolled.good()["key"], json!(text));
    assert_ne!(rolled.header("location"), path);
    let revoked = act(&format!("{path}/revoke"), json!({})).await.good();
    assert_eq!(revoked["state"], "revoked");
    let again = act(&format!("{path}/unlock"), json!({ "budgets": "keep" })).await;
    assert_eq!(again.problem(409)["type"], "urn:keystile:problem:conflict");
}

#[tokio::test]
async fn keys_and_applications_change_their_plan_and_carry_a_note() {
    let console = TestConsole::new();
    let (token, key) = (console.token(Scope::Write).await, console.key("reader").await);
    for path in [format!("/api/v1/keys/{key}"), "/api/v1/applications/reader".to_owned()] {
        let change = |body| console.ask(http::Method::PATCH, &path).token(&token).json(body).send();
        assert_eq!(change(json!({ "plan": "trusted" })).await.good()["plan"], "trusted");
        assert_eq!(
            change(json!({ "note": " asked by mail " })).await.good()["note"],
            "asked by mail"
        );
        assert_eq!(change(json!({ "note": "" })).await.good()["note"], Value::Null);
        change(json!({ "plan": "nowhere" })).await.problem(422);
        change(json!({ "note": "x".repeat(501) })).await.problem(422);
        // One thing at a time: two could be half done.
        change(json!({ "plan": "open", "note": "both" })).await.problem(400);
        change(json!({ "colour": "blue" })).await.problem(400);
        assert_eq!(console.get(&path).token(&token).send().await.good()["plan"], "trusted");
    }
}

#[tokio::test]
async fn an_application_is_created_suspended_and_resumed() {
    let console = TestConsole::new();
    let token = console.token(Scope::Write).await;
    let new = json!({ "name": "räder & co/1", "plan": "open" });
    let made = console.post("/api/v1/applications").token(&token).json(new.clone()).send().await;
    assert_eq!((made.status.as_u16(), &made.good()["name"]), (201, &new["name"]));
    let path = made.header("location").to_owned();
    let twice = console.post("/api/v1/applications").token(&token).json(new).send().await;
    assert_eq!(twice.problem(409)["type"], "urn:keystile:problem:conflict");
    for (act, state) in [("suspend", "suspended"), ("resume", "active")] {
        let told = console.post(&format!("{path}/{act}")).token(&token).send().await;
        assert_eq!(told.good()["state"], state);
    }
    let by_name = "/api/v1/applications/r%C3%A4der%20&%20co%2F1";
    assert_eq!(console.get(by_name).token(&token).send().await.good()["state"], "active");
    let list = console.get("/api/v1/applications").token(&token).send().await.good();
    assert_eq!((list["items"].as_array().unwrap().len(), &list["next"]), (1, &Value::Null));
}

#[tokio::test]
async fn owners_and_tokens_come_and_go() {
    let console = TestConsole::new();
    console.cookie("Ada").await;
    let token = console.token(Scope::Admin).await;
    let link = console.post("/api/v1/owners/links").token(&token).send().await;
    assert_eq!(link.status, 201);
    assert!(link.good()["url"].as_str().unwrap().starts_with("http://localhost:7080/claim/ksc_"));
    let ada = console.ask(http::Method::DELETE, "/api/v1/owners/Ada").token(&token);
    assert_eq!(
        ada.send().await.problem(409)["type"],
        "urn:keystile:problem:conflict",
        "the last one"
    );
    console.cookie("Bob").await;
    let bob = || console.ask(http::Method::DELETE, "/api/v1/owners/Bob").token(&token).send();
    assert_eq!(bob().await.status, 204);
    bob().await.problem(404);
    let new = json!({ "name": "robot", "scope": "read", "for": "30 days" });
    let made = console.post("/api/v1/tokens").token(&token).json(new).send().await;
    assert_eq!(made.status, 201);
    let robot = made.good()["token"].as_str().unwrap().to_owned();
    console.get("/api/v1/keys").token(&robot).send().await.good();
    let revoked = console.post("/api/v1/tokens/robot/revoke").token(&token).send().await.good();
    assert_eq!(revoked["state"], "revoked");
    console.get("/api/v1/keys").token(&robot).send().await.problem(401);
    let listed = console.get("/api/v1/tokens").token(&token).send().await;
    assert!(!listed.text.contains(&robot));
    assert_eq!(listed.good()["items"][1]["name"], "robot");
}

#[tokio::test]
async fn the_policy_is_told_in_words_and_read_again() {
    let console = TestConsole::new();
    let token = console.token(Scope::Admin).await;
    let policy = console.get("/api/v1/policy").token(&token).send().await.good();
    assert_eq!(policy["plans"][0]["name"], "open");
    assert_eq!(policy["plans"][0]["rules"][0], "20 writes in any day");
    let delete = &policy["operations"][0];
    assert_eq!((&delete["operation"], &delete["cost"]), (&json!("DELETE /notes/{id}"), &json!(1)));
    assert_eq!(
        delete["plans"],
        json!([
            { "plan": "open", "is_allowed": true, "budgets": 1 },
            { "plan": "trusted", "is_allowed": true, "budgets": 1 },
        ])
    );
    let read_again = console.post("/api/v1/policy/reload").token(&token).send().await.good();
    assert_eq!(read_again["message"], "Read the configuration again.");
}

#[tokio::test]
async fn a_backup_is_made_where_nobody_chooses() {
    let console = TestConsole::new();
    let token = console.token(Scope::Admin).await;
    let last = || console.get("/api/v1/backups/last").token(&token).send();
    assert_eq!(last().await.good()["time"], Value::Null);
    let made = console.post("/api/v1/backups").token(&token).send().await;
    assert_eq!(made.status, 201, "{made:?}");
    let file = made.good()["file"].as_str().unwrap().to_owned();
    assert!(std::path::Path::new(&file).starts_with(console.path().join("backups")));
    assert!(std::path::Path::new(&file).exists());
    assert!(last().await.good()["time"].is_string());
}

#[tokio::test]
async fn the_server_tells_how_it_is() {
    let console = TestConsole::new();
    let token = console.token(Scope::Read).await;
    console.refusals(3, "/notes/1").await;
    let get = |path: &str| console.get(path).token(&token).send();
    let status = get("/api/v1/status").await.good();
    assert_eq!((&status["store"], &status["records"]), (&json!("ok"), &json!(3)));
    let hours = get("/api/v1/hours?since=2%20hours").await.good();
    let refused = hours["items"].as_array().unwrap().iter().map(|hour| hour["refused"].as_u64());
    assert_eq!(refused.sum::<Option<u64>>(), Some(3));
    get("/api/v1/hours?since=1970-01-01T00:00:00Z").await.problem(400);
    let diagnosis = get("/api/v1/diagnosis").await.good();
    assert!(
        diagnosis["items"].as_array().unwrap().iter().all(|found| found["level"] == "good"),
        "{diagnosis}"
    );
    assert_eq!(get("/api/v1/near-budgets").await.good()["items"], json!([]));
    let report = get("/api/v1/audit/verification").await.good();
    assert_eq!(report["fault"], Value::Null);
}

#[tokio::test]
async fn a_thousand_records_are_paged_through_each_once() {
    let console = TestConsole::new();
    let token = console.token(Scope::Read).await;
    console.refusals(1_000, "/notes/1").await;
    console.refusals(5, "/other").await;
    let (mut seen, mut cursor, mut pages) = (Vec::new(), String::new(), 0);
    loop {
        let path = format!("/api/v1/records?method=delete&outcome=refused&limit=90{cursor}");
        let page = console.get(&path).token(&token).send().await.good();
        let items = page["items"].as_array().unwrap().clone();
        assert!(items.len() <= 90 && page["searched_all"].is_boolean());
        seen.extend(
            items.iter().map(|item| item["id"].as_str().unwrap()[6..].parse::<i64>().unwrap()),
        );
        pages += 1;
        match page["next"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    let expected: Vec<i64> = (1..=1_005).rev().collect();
    assert_eq!(seen, expected);
    assert!(pages >= 12);
    let get = |path: &str| console.get(path).token(&token).send();
    assert_eq!(get("/api/v1/records/write_7").await.good()["path"], "/notes/1");
    get("/api/v1/records/write_9999").await.problem(404);
    get("/api/v1/records/nonsense").await.problem(404);
    assert_eq!(
        get("/api/v1/records?address=2001:DB8:0::1&limit=1").await.good()["items"][0]["id"],
        "write_1005"
    );
    assert_eq!(get("/api/v1/records?outcome=applied").await.good()["items"], json!([]));
}

#[tokio::test]
async fn an_export_has_every_record_that_fits() {
    let console = TestConsole::new();
    let token = console.token(Scope::Read).await;
    console.refusals(2_500, "=cmd").await;
    let get = |path: &str| console.get(path).token(&token).send();
    let csv = get("/api/v1/records/export").await;
    assert_eq!(csv.header("content-type"), "text/csv; charset=utf-8");
    assert_eq!(csv.text.lines().count(), 2_501);
    assert!(csv.text.contains(",'=cmd,"), "a spreadsheet finds no formula");
    let jsonl = get("/api/v1/records/export?format=jsonl&method=DELETE").await;
    let ids: Vec<_> = jsonl
        .text
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["id"].clone())
        .collect();
    assert_eq!((ids.len(), &ids[0], &ids[2_499]), (2_500, &json!("write_1"), &json!("write_2500")));
    get("/api/v1/records/export?application=nobody").await.problem(404);
}

#[tokio::test]
async fn keys_and_the_audit_are_paged_too() {
    let console = TestConsole::new();
    let token = console.token(Scope::Read).await;
    for number in 0..7 {
        console.key(&format!("app {}", number % 2)).await;
    }
    for (path, count) in [
        ("/api/v1/keys?limit=3", 7),
        ("/api/v1/keys?limit=7", 7),
        ("/api/v1/keys?limit=2&application=app%200&state=active&plan=open", 4),
        ("/api/v1/audit?limit=2&kind=key_created", 7),
        ("/api/v1/audit?limit=2&kind=key_created&application=app%201", 3),
        ("/api/v1/audit?limit=2&actor=ada&kind=key_created", 7),
    ] {
        let (mut seen, mut cursor) = (std::collections::BTreeSet::new(), String::new());
        loop {
            let page = console.get(&format!("{path}{cursor}")).token(&token).send().await.good();
            for item in page["items"].as_array().unwrap() {
                assert!(seen.insert(item["id"].to_string()), "{path}: each once");
            }
            match page["next"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => break,
            }
        }
        assert_eq!(seen.len(), count, "{path}");
    }
}

#[tokio::test]
async fn what_is_shown_is_what_the_command_line_prints() {
    let console = TestConsole::new();
    let (token, key) = (console.token(Scope::Read).await, console.key("reader").await);
    console.refusals(1, "/notes/1").await;
    let show = ShowKey { key: key.clone() };
    let details = console.engine().execute(&shell(), show).await.unwrap();
    let shown = console.get(&format!("/api/v1/keys/{key}")).token(&token).send().await.good();
    assert_eq!(shown, serde_json::to_value(&details).unwrap());
    let keys = console.get("/api/v1/keys").token(&token).send().await.good();
    assert_eq!(keys["items"][0], serde_json::to_value(&details.key).unwrap());
    let listed = console.engine().execute(&shell(), ListRecords::default()).await;
    let records = listed.unwrap();
    let listed = console.get("/api/v1/records").token(&token).send().await.good();
    assert_eq!(listed["items"], serde_json::to_value(&records).unwrap());
    let activity = console.get(&format!("/api/v1/keys/{key}/activity")).token(&token).send().await;
    assert_eq!(activity.good()["slots"].as_array().unwrap().len(), 42);
}

#[tokio::test]
async fn hostile_texts_go_in_and_out_as_they_are() {
    let console = TestConsole::new();
    let token = console.token(Scope::Write).await;
    for name in ["<svg onload=alert(1)>", "'; DROP TABLE key; --", "שלום", "{{7*7}}", "%2e%2e"]
    {
        let new = json!({ "name": name, "plan": "open" });
        let made = console.post("/api/v1/applications").token(&token).json(new).send().await;
        assert_eq!(made.good()["name"], name);
        assert_eq!(made.header("x-content-type-options"), "nosniff");
    }
    for name in ["", " a", "a\nb", "a\0", "a\u{202e}b", "app_1", &"x".repeat(101)] {
        let new = json!({ "name": name, "plan": "open" });
        console.post("/api/v1/applications").token(&token).json(new).send().await.problem(422);
    }
    let key = console.key("reader").await;
    let lock = console.post(&format!("/api/v1/keys/{key}/lock")).token(&token);
    lock.json(json!({ "level": "all", "reason": "a\r\nb" })).send().await.problem(422);
    for path in ["..%2f..%2fetc", "%00", "key_x'--", "%F0%9F%94%91"] {
        console.get(&format!("/api/v1/keys/{path}")).token(&token).send().await.problem(404);
    }
    console.get("/api/v1/keys/%FF").token(&token).send().await.problem(400);
    console.refusals(1, "/<script>\r\nSet-Cookie: a=b").await;
    let listed = console.get("/api/v1/records").token(&token).send().await;
    assert!(listed.headers.get("set-cookie").is_none());
    assert_eq!(listed.good()["items"][0]["path"], "/<script>\r\nSet-Cookie: a=b");
}

fn hook(console: &TestConsole) {
    let channel = ChannelRule {
        name: "ops".to_owned(),
        spec: ChannelSpec::new(
            "webhook",
            "https://hooks.example.org".to_owned(),
            Audience::One,
            ChannelSettings::default(),
        ),
        per_hour_max: 60,
        allowed_networks: Vec::new(),
    };
    let watching = WatchRules::new(Vec::new(), vec![channel], jiff::tz::TimeZone::UTC);
    console.engine().store().set_watching(Arc::new(watching));
}

#[tokio::test]
async fn what_was_told_is_listed_page_by_page_and_what_failed_is_sent_again() {
    let console = TestConsole::new();
    hook(&console);
    let (token, reads) = (console.token(Scope::Write).await, console.token(Scope::Read).await);
    for name in ["one", "two", "three"] {
        let key = console.key(name).await;
        let lock = json!({ "level": "writes", "reason": "odd" });
        let path = format!("/api/v1/keys/{key}/lock");
        console.post(&path).token(&token).json(lock).send().await.good();
    }
    let get = |path: &str| console.get(path).token(&reads).send();
    let channels = get("/api/v1/channels").await.good();
    assert_eq!(
        (&channels["items"][0]["name"], &channels["items"][0]["open"]),
        (&json!("ops"), &json!(3))
    );
    let first = get("/api/v1/deliveries?limit=2&event=key_locked&channel=ops").await.good();
    let abouts = |page: &Value| {
        let items = page["items"].as_array().unwrap().iter();
        items.map(|one| one["about"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(abouts(&first), ["three", "two"]);
    let next = format!("/api/v1/deliveries?limit=2&cursor={}", first["next"].as_str().unwrap());
    let second = get(&next).await.good();
    assert_eq!((abouts(&second), &second["next"]), (vec!["one".to_owned()], &Value::Null));
    get("/api/v1/deliveries?cursor=x").await.problem(400);
    get("/api/v1/deliveries?state=lost").await.problem(400);

    let claimed = console.engine().claim_deliveries("ops", 1).await.remove(0);
    let path = format!("/api/v1/deliveries/{}", claimed.id);
    let resend = || console.post(&format!("{path}/resend")).token(&token).send();
    resend().await.problem(409);
    let outcome = AttemptOutcome::Never { said: "no such room".to_owned() };
    console.engine().record_attempt(claimed.id, claimed.claim, outcome, 7).await;
    let shown = get(&path).await.good();
    assert_eq!(
        (&shown["state"], &shown["tried"][0]["said"]),
        (&json!("failed"), &json!("no such room"))
    );
    assert_eq!(shown["notice"]["key"]["application"], "one");
    assert_eq!(resend().await.status, 204);
    assert_eq!(get(&path).await.good()["state"], "waiting");
    get("/api/v1/deliveries/delivery_0").await.problem(404);
    assert_eq!(get("/api/v1/devices").await.good()["items"], json!([]));
    console.ask(http::Method::DELETE, "/api/v1/devices/x").token(&token).send().await.problem(404);
    let resume = |name: &str| console.post(&format!("/api/v1/channels/{name}/digests/resume"));
    assert_eq!(resume("ops").token(&token).send().await.status, 204);
    resume("oops").token(&token).send().await.problem(404);
}

#[tokio::test]
async fn a_stop_link_that_is_invalid_or_incomplete_ends_nothing() {
    let console = TestConsole::new();
    for token in ["x".to_owned(), "A".repeat(64), "A".repeat(10_000)] {
        let path = format!("/stop/{token}");
        let told = console.get(&path).send().await;
        assert_eq!(told.status, 410);
        assert!(told.text.contains("This link is invalid or incomplete"), "{}", told.text);
        assert_eq!(console.post(&path).text("List-Unsubscribe=One-Click").send().await.status, 410);
    }
    assert_eq!(console.events().await, 0);
}

#[tokio::test]
async fn a_lock_over_the_api_never_weakens_the_one_before() {
    let console = TestConsole::new();
    let (token, key) = (console.token(Scope::Write).await, console.key("reader").await);
    let path = format!("/api/v1/keys/{key}/lock");
    for (level, end) in [("all", None), ("writes", Some("1 minute"))] {
        let lock = json!({ "level": level, "reason": "odd", "for": end });
        let shown = console.post(&path).token(&token).json(lock).send().await.good();
        assert_eq!(
            (&shown["lock"]["level"], &shown["lock"]["until"]),
            (&json!("all"), &json!(null))
        );
    }
    let shown = console.get(&format!("/api/v1/keys/{key}")).token(&token).send().await.good();
    let detail = shown["events"][0]["detail"].as_str().unwrap();
    assert!(detail.contains("it was locked for as much already"), "{detail}");
}

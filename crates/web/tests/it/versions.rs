//! Two who edit the same thing: the second is told.

use http::Method;
use keystile_core::owners::scope::Scope;
use serde_json::json;

use crate::test_console::TestConsole;

#[tokio::test]
async fn of_two_editors_who_saw_the_same_key_one_is_told() {
    let console = TestConsole::new();
    let (token, key) = (console.token(Scope::Write).await, console.key("reader").await);
    let path = format!("/api/v1/keys/{key}");
    let seen = console.get(&path).token(&token).send().await.header("etag").to_owned();
    assert!(seen.starts_with('"') && seen.ends_with('"') && seen.len() > 20, "{seen}");
    let edit = |etag: &str, note: &str| {
        let ask = console.ask(Method::PATCH, &path).token(&token).header("if-match", etag);
        ask.json(json!({ "note": note })).send()
    };
    let (first, second) = tokio::join!(edit(&seen, "mine"), edit(&seen, "yours"));
    let (done, told) = if first.status == 200 { (first, second) } else { (second, first) };
    assert_ne!(done.header("etag"), seen);
    assert_eq!(told.problem(412)["type"], "urn:keystile:problem:stale");
    let now = console.get(&path).token(&token).send().await;
    assert_eq!(
        (now.header("etag"), &now.good()["note"]),
        (done.header("etag"), &done.good()["note"])
    );
    let note = now.good()["note"].as_str().unwrap().to_owned();
    for stale in [&seen, "\"\"", "\"x\", \"y\"", &format!("W/{}", now.header("etag")), "x"] {
        edit(stale, &note).await.problem(412);
    }
    let both = format!("{seen}, {}", now.header("etag"));
    assert_eq!(edit(&both, "ours").await.status, 200);
    assert_eq!(edit("*", "anybody's").await.status, 200);
}

#[tokio::test]
async fn every_act_on_a_key_heeds_what_was_seen() {
    let console = TestConsole::new();
    let (token, key) = (console.token(Scope::Write).await, console.key("reader").await);
    let path = format!("/api/v1/keys/{key}");
    let before = console.events().await;
    for (act, body) in [
        ("/lock", json!({ "level": "all", "reason": "odd" })),
        ("/unlock", json!({ "budgets": "reset" })),
        ("/roll", json!({ "grace": "1 day" })),
        ("/revoke", json!({})),
    ] {
        let ask = console.post(&format!("{path}{act}")).token(&token).header("if-match", "\"old\"");
        ask.json(body).send().await.problem(412);
    }
    for body in [json!({ "plan": "trusted" }), json!({ "note": "x" }), json!({ "note": "" })] {
        let ask = console.ask(Method::PATCH, &path).token(&token).header("if-match", "\"old\"");
        ask.json(body).send().await.problem(412);
    }
    assert_eq!(console.events().await, before);
}

#[tokio::test]
async fn every_act_on_an_application_heeds_what_was_seen() {
    let console = TestConsole::new();
    let token = console.token(Scope::Write).await;
    console.key("reader").await;
    let path = "/api/v1/applications/reader";
    let before = console.events().await;
    for act in ["/suspend", "/resume"] {
        let ask = console.post(&format!("{path}{act}")).token(&token).header("if-match", "\"old\"");
        ask.send().await.problem(412);
    }
    for body in [json!({ "plan": "trusted" }), json!({ "plan": "open" }), json!({ "note": "" })] {
        let ask = console.ask(Method::PATCH, path).token(&token).header("if-match", "\"old\"");
        ask.json(body).send().await.problem(412);
    }
    assert_eq!(console.events().await, before);
    let seen = console.get(path).token(&token).send().await.header("etag").to_owned();
    let suspend = console.post(&format!("{path}/suspend")).token(&token).header("if-match", &seen);
    let suspended = suspend.send().await;
    assert_eq!(suspended.good()["state"], "suspended");
    assert_ne!(suspended.header("etag"), seen);
}

#[tokio::test]
async fn what_a_key_does_leaves_its_version_as_it_is() {
    let console = TestConsole::new();
    let (token, key) = (console.token(Scope::Read).await, console.key("reader").await);
    let version = || async {
        let shown = console.get(&format!("/api/v1/keys/{key}")).token(&token).send().await;
        shown.header("etag").to_owned()
    };
    let before = version().await;
    console.refusals(1, "/notes/1").await;
    console.key("reader").await;
    assert_eq!(version().await, before);
}

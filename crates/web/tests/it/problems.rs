//! What is answered when something cannot be done: always a problem, never a page.

use http::Method;
use keystile_core::owners::scope::Scope;
use serde_json::json;

use crate::test_console::TestConsole;

#[tokio::test]
async fn an_address_that_is_none_is_a_problem() {
    let console = TestConsole::new();
    let token = console.token(Scope::Admin).await;
    for path in
        ["/api/", "/api", "/api/v1", "/api/v2/keys", "/api/v1/nowhere", "/api/v1/keys/x/y/z"]
    {
        console.get(path).token(&token).send().await.problem(404);
        console.post(path).token(&token).send().await.problem(404);
    }
    let told = console.get("/api/v1/nowhere").send().await;
    insta::assert_snapshot!(told.text, @r#"{"type":"urn:keystile:problem:missing","title":"Not found","status":404,"detail":"There is nothing at this address","help":"see /api/docs for what there is"}"#);
}

#[tokio::test]
async fn a_method_that_an_address_does_not_take_is_a_problem() {
    let console = TestConsole::new();
    let token = console.token(Scope::Admin).await;
    for (method, path) in [
        (Method::DELETE, "/api/v1/keys"),
        (Method::PUT, "/api/v1/keys/x"),
        (Method::GET, "/api/v1/keys/x/lock"),
        (Method::OPTIONS, "/api/v1/keys"),
        (Method::POST, "/api/openapi.json"),
    ] {
        let told = console.ask(method, path).token(&token).send().await;
        told.problem(405);
        assert!(!told.header("allow").is_empty());
    }
}

#[tokio::test]
async fn a_body_that_cannot_be_read_is_a_problem() {
    let console = TestConsole::new();
    let token = console.token(Scope::Admin).await;
    let before = console.events().await;
    for body in ["", "{", "[]", "null", r#"{"name":"a"}"#, r#"{"name":"a","plan":1}"#] {
        let told = console.post("/api/v1/applications").token(&token).text(body).send().await;
        told.problem(400);
    }
    // What is misspelt must not be passed over, nor what is said twice.
    for body in
        [r#"{"name":"a","plan":"open","pln":1}"#, r#"{"name":"a","name":"b","plan":"open"}"#]
    {
        let told = console.post("/api/v1/applications").token(&token).text(body).send().await;
        told.problem(400);
    }
    let long = json!({ "name": "x".repeat(70_000), "plan": "open" });
    console.post("/api/v1/applications").token(&token).json(long).send().await.problem(413);
    let form = console.post("/api/v1/applications").token(&token);
    form.header("content-type", "application/x-www-form-urlencoded").send().await.problem(415);
    assert_eq!(console.events().await, before);
}

#[tokio::test]
async fn a_query_that_cannot_be_read_is_a_problem() {
    let console = TestConsole::new();
    let token = console.token(Scope::Read).await;
    for path in [
        "/api/v1/keys?limit=many",
        "/api/v1/keys?limit=0",
        "/api/v1/keys?limit=1001",
        "/api/v1/keys?state=broken",
        "/api/v1/keys?aplication=reader",
        "/api/v1/records?outcome=lost",
        "/api/v1/records?since=yesterday",
        "/api/v1/records?cursor=x",
        "/api/v1/records/export?format=xls",
        "/api/v1/audit?cursor=x",
        "/api/v1/hours?since=x",
    ] {
        console.get(path).token(&token).send().await.problem(400);
    }
    for path in ["/api/v1/keys?application=nobody", "/api/v1/keys?cursor=key_0", "/api/v1/keys/x"] {
        console.get(path).token(&token).send().await.problem(404);
    }
    console.get("/api/v1/audit?kind=nothing").token(&token).send().await.problem(422);
}

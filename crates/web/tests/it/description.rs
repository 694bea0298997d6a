//! The description of the API: it stays as it is, names every route, and is true about scopes.

use std::collections::{BTreeMap, BTreeSet};

use http::Method;
use keystile_core::owners::scope::Scope;
use serde_json::{Value, json};

use crate::pages::{self, Route};
use crate::test_console::TestConsole;

/// An operation of the description.
#[derive(Debug)]
struct Operation {
    method: Method,
    path: String,
    scope: Scope,
}

async fn described(console: &TestConsole) -> Value {
    let token = console.token(Scope::Read).await;
    console.get("/api/openapi.json").token(&token).send().await.good()
}

/// Every operation, with a name in the place of each parameter.
fn operations(description: &Value) -> Vec<Operation> {
    let mut found = Vec::new();
    for (path, methods) in description["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            let security = operation["security"].as_array().unwrap();
            let scopes: BTreeMap<_, _> =
                security.iter().flat_map(|way| way.as_object().unwrap()).collect();
            let (token, session) =
                (scopes.get(&"token".to_owned()), scopes.get(&"session".to_owned()));
            assert_eq!(token, session, "{method} {path}");
            let scope = token.unwrap()[0].as_str().unwrap();
            found.push(Operation {
                method: method.to_uppercase().parse().unwrap(),
                path: path.clone(),
                scope: scope.parse().unwrap(),
            });
        }
    }
    assert!(found.len() > 25, "the description names the operations");
    found
}

#[tokio::test]
async fn the_description_stays_as_it_is() {
    let console = TestConsole::new();
    let token = console.token(Scope::Read).await;
    let told = console.get("/api/openapi.json").token(&token).send().await;
    assert_eq!(told.good()["openapi"], "3.1.0");
    insta::assert_snapshot!(told.text);
}

#[tokio::test]
async fn every_operation_answers_404_to_a_name_that_nobody_has() {
    let console = TestConsole::new();
    let token = console.token(Scope::Admin).await;
    let mut tried = 0;
    for Operation { method, path, .. } in operations(&described(&console).await) {
        let Some((before, after)) = path.split_once('{') else { continue };
        let end = after.split_once('}').unwrap().1;
        let ask = console.ask(method.clone(), &format!("{before}nobody{end}")).token(&token);
        let ask = match (method, end) {
            (Method::PATCH, _) => ask.json(json!({ "note": "x" })),
            (_, "/lock") => ask.json(json!({ "level": "all", "reason": "x" })),
            (_, "/unlock") => ask.json(json!({ "budgets": "keep" })),
            (_, "/roll") => ask.json(json!({ "grace": "1 day" })),
            (_, "/take") => ask.json(json!({ "difference": "plan-1-a", "side": "here" })),
            (_, "/synchronize") => ask.json(json!({})),
            (_, _) => ask,
        };
        let told = ask.send().await;
        assert_eq!(told.status, 404, "{path}: {told:?}");
        told.problem(404);
        tried += 1;
    }
    assert!(tried > 15, "{tried}");
}

#[tokio::test]
async fn every_operation_has_an_id_and_a_sentence_of_its_own() {
    let description = described(&TestConsole::new()).await;
    let mut ids = BTreeSet::new();
    for methods in description["paths"].as_object().unwrap().values() {
        for operation in methods.as_object().unwrap().values() {
            assert!(!operation["summary"].as_str().unwrap().is_empty());
            let answers = operation["responses"].as_object().unwrap();
            assert!(answers.contains_key("default"));
            assert!(answers.values().all(|answer| answer["description"].is_string()));
            assert!(ids.insert(operation["operationId"].as_str().unwrap().to_owned()));
        }
    }
}

#[tokio::test]
async fn nothing_of_the_api_is_done_for_nobody() {
    let console = TestConsole::new();
    let before = console.events().await;
    for Operation { method, path, .. } in operations(&described(&console).await) {
        let told = console.ask(method.clone(), &pages::filled(&path)).text("{}").send().await;
        assert_eq!(told.status, 401, "{method} {path}: {told:?}");
        told.problem(401);
        assert!(told.header("www-authenticate").starts_with("Bearer realm="), "{method} {path}");
    }
    // A token was made to read the description.
    assert_eq!(console.events().await, before + 1);
}

#[tokio::test]
async fn a_token_of_too_small_a_scope_does_nothing() {
    let console = TestConsole::new();
    let operations = operations(&described(&console).await);
    let (read, write) = (console.token(Scope::Read).await, console.token(Scope::Write).await);
    let before = console.events().await;
    let mut tried = 0;
    for Operation { method, path, scope } in &operations {
        let smaller = match scope {
            Scope::Read => continue,
            Scope::Write => &read,
            Scope::Admin => &write,
        };
        let ask = console.ask(method.clone(), &pages::filled(path)).token(smaller);
        let told = ask.text("this body is never read").send().await;
        assert_eq!(told.problem(403)["type"], "urn:keystile:problem:scope_too_small", "{path}");
        assert_eq!(
            told.header("www-authenticate"),
            format!("Bearer error=\"insufficient_scope\", scope=\"{scope}\"")
        );
        tried += 1;
    }
    assert!(tried > 12, "some operations need more than read");
    assert_eq!(console.events().await, before);
}

#[tokio::test]
async fn a_token_of_the_scope_that_is_said_is_enough() {
    let console = TestConsole::new();
    for Operation { method, path, scope } in operations(&described(&console).await) {
        if path == "/api/v1/events" {
            continue;
        }
        let token = console.token(scope).await;
        let told =
            console.ask(method.clone(), &pages::filled(&path)).token(&token).text("{}").send();
        let told = told.await;
        assert!(![401, 403, 405, 500].contains(&told.status.as_u16()), "{method} {path}: {told:?}");
    }
}

#[tokio::test]
async fn only_what_is_described_is_served_under_v1() {
    let described: BTreeSet<Route> = operations(&described(&TestConsole::new()).await)
        .into_iter()
        .map(|operation| Route { method: operation.method.to_string(), path: operation.path })
        .collect();
    // All of them are added by `routes!`, which also describes them; `.route(` would not.
    let text = include_str!("../../src/api/mod.rs");
    let added = pages::routes(text, "/api");
    assert!(added.iter().all(|route| !route.path.starts_with("/api/v1")), "{added:?}");
    assert_eq!(text.matches(".nest(").count(), 2, "one in the router, one in the description");
    let calls: usize = text
        .split("routes!(")
        .skip(1)
        .map(|rest| rest.split(')').next().unwrap().split(',').count())
        .sum();
    assert_eq!(calls, described.len());
}

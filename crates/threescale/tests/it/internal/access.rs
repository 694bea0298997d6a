//! Who may use the internal API, and what it takes.

use serde_json::json;

use super::{basic, empty, send};
use crate::fixture::{Backend, PASSWORD, exchange};

fn ask_as(backend: &Backend, authorization: Option<String>) -> (u16, Option<String>) {
    let field = authorization.map_or(String::new(), |value| format!("authorization: {value}\r\n"));
    let head =
        format!("GET /internal/status HTTP/1.1\r\nhost: b\r\nconnection: close\r\n{field}\r\n");
    let reply = exchange(backend.address(), &head);
    (reply.status, reply.field("www-authenticate").map(str::to_owned))
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_answered_without_name_and_password() {
    let backend = empty().await;
    let challenge = Some(r#"Basic realm="internal", charset="UTF-8""#.to_owned());
    for authorization in [
        None,
        Some(basic("internal", "wrong")),
        Some(basic("other", PASSWORD)),
        Some(basic("internal:the", PASSWORD)),
        Some(basic("", "")),
        Some("Basic !".to_owned()),
        Some(format!("Bearer {PASSWORD}")),
    ] {
        assert_eq!(
            ask_as(&backend, authorization.clone()),
            (401, challenge.clone()),
            "{authorization:?}"
        );
    }
    assert_eq!(ask_as(&backend, Some(basic("internal", PASSWORD))), (200, None));
    let lower = basic("internal", PASSWORD).replacen("Basic", "basic", 1);
    assert_eq!(ask_as(&backend, Some(lower)).0, 200);
    let preflight = "OPTIONS /internal/status HTTP/1.1\r\nhost: b\r\nconnection: close\r\n\r\n";
    let reply = exchange(backend.address(), preflight);
    assert_eq!(reply.status, 401);
    assert_eq!(reply.field("access-control-allow-origin"), None, "no browser may ask");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_internal_api_is_closed_where_nobody_may_use_it() {
    let backend = Backend::open_for(tempfile::tempdir().unwrap(), None, None).await;
    let reply = send(&backend, "GET", "/status", ("application/json", ""));
    assert_eq!(reply.status, 403);
    assert_eq!(
        reply.body,
        r#"{"status":"error","error":"the internal API is not open: `threescale_backend` has no `internal`"}"#
    );
    assert_eq!(backend.get("/status").status, 200, "that of gateways is");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_asked_for_is_there_or_not_found() {
    let backend = empty().await;
    let status = json!({"status": "ok", "version": {"backend": "3.4.3"}});
    assert_eq!(backend.ask("GET", "/status"), (200, status));
    assert_eq!(backend.ask("GET", "/check.json"), (200, json!({"status": "ok"})));
    assert_eq!(send(&backend, "HEAD", "/check.json", ("", "")).body, "");
    let not_found = (404, json!({"status": "not_found", "error": "Not found"}));
    for (method, path) in [
        ("GET", ""),
        ("GET", "/"),
        ("GET", "/unknown"),
        ("GET", "/services"),
        ("PATCH", "/services/7"),
        ("GET", "/services/7/unknown"),
        ("GET", "/services//metrics/1"),
        ("GET", "/services/%zz"),
        ("GET", "/services/%ff"),
        ("PUT", "/services/7/applications/a/keys/k"),
        // 3scale has these for its developers only.
        ("POST", "/events"),
        ("POST", "/services/7/errors"),
    ] {
        assert_eq!(backend.ask(method, path), not_found, "{method} {path}");
    }
    assert_eq!(backend.get("/internalized").status, 404, "not the internal API");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_makes_no_sense_is_named() {
    let backend = empty().await;
    let error = |(status, body): (u16, serde_json::Value)| {
        (status, body["error"].as_str().unwrap().to_owned())
    };
    for (body, expected) in [
        (json!([]), "the body is no JSON object"),
        (json!({}), "missing parameter 'service'"),
        (json!({"service": null}), "missing parameter 'service'"),
        (json!({"service": "7"}), "service is no object"),
        (json!({"service": {}}), "service.id is missing"),
        (json!({"service": {"id": []}}), "service.id is neither a text nor a number"),
        (json!({"service": {"id": "7"}}), "service.provider_key is missing"),
        (
            json!({"service": {"id": "a/b", "provider_key": "k"}}),
            "an id has 1 to 100 bytes and no slash",
        ),
        (
            json!({"service": {"id": "7", "default_service": "maybe"}}),
            "service.default_service is neither true nor false",
        ),
    ] {
        let answer = error(backend.put("POST", "/services/", body.clone()));
        assert_eq!(answer, (400, expected.to_owned()), "{body}");
    }
    let reply = send(&backend, "POST", "/services/", ("application/json", "{\"service\":"));
    assert_eq!(reply.status, 400);
    assert!(reply.body.contains("the body is no JSON: EOF while parsing"), "{}", reply.body);
    let large = format!("{{\"a\":\"{}\"}}", "x".repeat(1024 * 1024));
    assert_eq!(send(&backend, "POST", "/services/", ("application/json", &large)).status, 413);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_and_a_form_say_the_same_as_json() {
    let backend = empty().await;
    let form_type = "application/x-www-form-urlencoded";
    let made =
        send(&backend, "POST", "/services/?service[id]=1&service[provider_key]=pk", ("", ""));
    assert_eq!(made.status, 201);
    let form = (form_type, "service[id]=2&service[provider_key]=pk&service[state]=suspended");
    assert_eq!(send(&backend, "POST", "/services/", form).status, 201);
    let json = r#"{"service":{"id":3,"provider_key":"pk"}}"#;
    assert_eq!(send(&backend, "POST", "/services/", (form_type, json)).status, 201);
    assert_eq!(backend.ask("GET", "/services/2").1["service"]["state"], "suspended");
    assert_eq!(backend.ask("GET", "/services/3").1["service"]["id"], "3");
}

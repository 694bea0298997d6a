//! Tokens of services.

use serde_json::{Value, json};

use super::send;
use crate::fixture::Backend;

const PATH: &str = "/service_tokens/";

fn opens(backend: &Backend, token: &str) -> bool {
    let path =
        format!("/transactions/authorize.xml?service_token={token}&service_id=7&user_key=ukey");
    backend.get(&path).status == 200
}

fn head(backend: &Backend, token: &str) -> u16 {
    send(backend, "HEAD", &format!("{PATH}{token}/7/"), ("", "")).status
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_open_a_service_until_they_are_deleted() {
    let backend = Backend::start(&[]).await;
    assert!(!opens(&backend, "new"));
    assert_eq!(head(&backend, "new"), 404);
    let tokens =
        json!({"service_tokens": {"new": {"service_id": 7}, "second": {"service_id": "7"}}});
    for _ in 0..2 {
        assert_eq!(backend.put("POST", PATH, tokens.clone()), (201, json!({"status": "created"})));
    }
    assert!(opens(&backend, "new") && opens(&backend, "second") && opens(&backend, "token"));
    assert_eq!(head(&backend, "new"), 200);
    let found = json!({"status": "found", "provider_key": null});
    assert_eq!(backend.ask("GET", "/service_tokens/new/7/provider_key"), (200, found));
    let pair = |token: &str, service: &str| json!({"service_token": token, "service_id": service});
    let pairs =
        [pair("new", "7"), pair("second", "7"), pair("third", "7"), pair("new", "8"), json!({})];
    let deleted = backend.put("DELETE", PATH, json!({"service_tokens": pairs}));
    assert_eq!(deleted, (200, json!({"status": "deleted", "count": 2})));
    assert!(!opens(&backend, "new") && !opens(&backend, "second") && opens(&backend, "token"));
    let not_found = json!({"status": "not_found", "error": "token/service combination not found"});
    assert_eq!(backend.ask("GET", "/service_tokens/new/7/provider_key"), (404, not_found));
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_are_kept_all_or_none() {
    let backend = Backend::start(&[]).await;
    let error = |status: u16, error: &str| (status, json!({"status": "error", "error": error}));
    let missing = (400, json!({"error": "missing parameter 'service_tokens'"}));
    let no_token = error(422, "Service token cannot be blank");
    let no_id = error(422, "Service ID cannot be blank");
    for (tokens, expected) in [
        (Value::Null, missing.clone()),
        (json!({"good": {"service_id": "7"}, "": {"service_id": "7"}}), no_token),
        (json!({"good": {"service_id": "7"}, "bad": {"service_id": ""}}), no_id.clone()),
        (json!({"good": {"service_id": "7"}, "bad": {"service_id": null}}), no_id),
        (
            json!({"good": {"service_id": "7"}, "bad": "7"}),
            error(400, "service_tokens[…] is no object"),
        ),
        (json!(["good"]), error(400, "service_tokens is no object")),
        (
            json!({"good": {"service_id": "7"}, "bad": {"service_id": "8"}}),
            (404, json!({"status": "not_found", "error": "service not found"})),
        ),
    ] {
        let body = json!({"service_tokens": tokens});
        assert_eq!(backend.put("POST", PATH, body.clone()), expected, "{body}");
        assert!(!opens(&backend, "good"));
    }
    assert_eq!(backend.put("DELETE", PATH, json!({})), missing);
    let body = json!({"service_tokens": [{"service_token": []}]});
    let invalid = error(400, "service_tokens[0].service_token is neither a text nor a number");
    assert_eq!(backend.put("DELETE", PATH, body), invalid);
}

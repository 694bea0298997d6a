//! Many applications in one request.

use serde_json::{Value, json};

use crate::fixture::{Backend, PROVIDER};

const PATH: &str = "/services/7/applications/batch";

fn authorize(backend: &Backend, key: &str) -> u16 {
    backend.get(&format!("/transactions/authorize.xml?{PROVIDER}&user_key={key}")).status
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_keeps_many_applications_at_once() {
    let backend = Backend::start(&[]).await;
    let full = json!({
        "id": "app_1", "state": "active", "plan_id": "123", "plan_name": "Gold",
        "redirect_url": "http://example.com", "user_key": "user_key_1",
        "application_keys": ["key1", "key2"], "referrer_filters": ["example.com", "*.example.org"],
    });
    let known = json!({"id": "a", "state": "suspended", "plan_id": 200});
    let (status, body) = backend.put("PUT", PATH, json!({"applications": [full, known, full]}));
    let kept = |id: &str| {
        json!({
            "service_id": "7", "id": id, "state": "active", "plan_id": "123", "plan_name": "Gold",
            "redirect_url": "http://example.com", "user_key": "user_key_1",
            "application_keys": ["key1", "key2"],
            "referrer_filters": ["example.com", "*.example.org"],
        })
    };
    let known = json!({
        "service_id": "7", "id": "a", "state": "suspended", "plan_id": "200",
        "plan_name": "Basic & <more>", "redirect_url": null, "user_key": null,
        "application_keys": [], "referrer_filters": [],
    });
    let applications = json!([
        {"status": "created", "application": kept("app_1")},
        {"status": "modified", "application": known},
        {"status": "modified", "application": kept("app_1")},
    ]);
    let expected = json!({
        "status": "completed", "total": 3, "successful": 3, "failed": 0,
        "applications": applications,
    });
    assert_eq!((status, body), (200, expected));
    assert_eq!([authorize(&backend, "user_key_1"), authorize(&backend, "ukey")], [200, 409]);
    let backend = Backend::open(backend.killed()).await;
    assert_eq!([authorize(&backend, "user_key_1"), authorize(&backend, "ukey")], [200, 409]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_batch_cannot_keep_is_told_and_changes_nothing() {
    let backend = Backend::start(&[]).await;
    let entries = json!([
        {"id": "good", "state": "active", "user_key": "k"},
        {"id": "stateless", "plan_id": "124"},
        {"id": "blank", "state": "active", "referrer_filters": [""]},
        {"state": "active"},
        {"id": "empty", "state": "active", "user_key": ""},
        {"id": "taken", "state": "active", "user_key": "ukey"},
        {"id": "second", "state": "active", "user_key": "k"},
        {"id": "wrong", "state": "active", "application_keys": ["a", 1, null]},
        "text",
    ]);
    let (status, body) = backend.put("PUT", PATH, json!({"applications": entries}));
    assert_eq!((status, &body["status"]), (200, &json!("completed")));
    assert_eq!([&body["total"], &body["successful"], &body["failed"]], [9, 1, 8]);
    let failures = json!([
        {"id": "stateless", "error": "Application with id=\"stateless\" has no state"},
        {"id": "blank", "error": "referrer filter can't be blank"},
        {"id": null, "error": "Application has no id"},
        {"id": "empty", "error": "Application id=\"empty\" with user_key=\"\" has inconsistent data and could not be saved"},
        {"id": "taken", "error": "another application has this user key"},
        {"id": "second", "error": "another application has this user key"},
        {"id": "wrong", "error": "applications[7].application_keys[2] is neither a text nor a number"},
        {"id": null, "error": "applications[8] is no object"},
    ]);
    assert_eq!(body["failures"], failures);
    assert_eq!(body["applications"][1]["status"], "error");
    assert_eq!(body["applications"][1]["id"], "stateless");
    for failure in failures.as_array().unwrap() {
        if let Some(id) = failure["id"].as_str() {
            assert_eq!(
                backend.ask("GET", &format!("/services/7/applications/{id}")).0,
                404,
                "{id}"
            );
        }
    }
    assert_eq!([authorize(&backend, "k"), authorize(&backend, "ukey")], [200, 200]);
}

#[tokio::test(flavor = "multi_thread")]
async fn user_keys_move_within_a_batch() {
    let backend = Backend::start(&[]).await;
    let entries = json!([
        {"id": "a", "state": "active", "user_key": "new"},
        {"id": "b", "state": "active", "user_key": "ukey"},
    ]);
    let (_, body) = backend.put("PUT", PATH, json!({"applications": entries}));
    assert_eq!(body["successful"], 2, "{body}");
    let holder = |key: &str| {
        let (_, body) = backend.ask("GET", &format!("/services/7/applications/key/{key}"));
        body["application"]["id"].clone()
    };
    assert_eq!([holder("new"), holder("ukey")], [json!("a"), json!("b")]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_has_bounds() {
    let backend = Backend::start(&[]).await;
    let put = |body: Value| backend.put("PUT", PATH, body);
    let missing = json!({"status": "error", "error": "missing parameter 'applications'"});
    assert_eq!(put(json!({})), (400, missing));
    let no_list = json!({"status": "error", "error": "applications is no list"});
    assert_eq!(put(json!({"applications": {"id": "a"}})), (400, no_list));
    let nothing = json!({
        "status": "completed", "total": 0, "successful": 0, "failed": 0, "applications": [],
    });
    assert_eq!(put(json!({"applications": []})), (200, nothing));
    let entry = |number: usize| json!({"id": format!("app_{number}"), "state": "active"});
    let entries = |count: usize| (0..count).map(entry).collect::<Vec<_>>();
    assert_eq!(put(json!({"applications": entries(1_001)})).0, 400);
    let (status, body) = put(json!({"applications": entries(1_000)}));
    assert_eq!((status, &body["successful"]), (200, &json!(1_000)));
    let path = PATH.replace("/7/", "/8/");
    let missing = json!({"status": "not_found", "error": "service not found"});
    assert_eq!(backend.put("PUT", &path, json!({"applications": entries(1)})), (404, missing));
}

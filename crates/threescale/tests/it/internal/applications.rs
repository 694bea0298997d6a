//! Applications with their keys and filters.

use serde_json::{Value, json};

use super::send;
use crate::fixture::{Backend, PROVIDER};

const PATH: &str = "/services/7/applications";

fn not_found(what: &str) -> (u16, Value) {
    (404, json!({"status": "not_found", "error": format!("{what} not found")}))
}

fn application(id: &str) -> Value {
    json!({
        "service_id": "7", "id": id, "state": "active", "plan_id": "p", "plan_name": "Gold",
        "redirect_url": "https://example.com/",
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn an_application_is_made_changed_and_deleted() {
    let backend = Backend::start(&[]).await;
    let path = format!("{PATH}/new");
    assert_eq!(backend.ask("GET", &path), not_found("application"));
    let mut sent = application("ignored");
    sent["some_param"] = 1.into();
    let made = backend.put("POST", &path, json!({"application": sent}));
    assert_eq!(made, (201, json!({"status": "created", "application": application("new")})));
    let exists =
        json!({"status": "exists", "error": "application cannot be created, exists already"});
    assert_eq!(backend.put("POST", &path, json!({"application": sent})), (405, exists));
    let mut kept = application("new");
    kept["state"] = "pending".into();
    kept["plan_id"] = "9".into();
    let changed =
        backend.put("PUT", &path, json!({"application": {"state": "pending", "plan_id": 9}}));
    assert_eq!(changed, (200, json!({"status": "modified", "application": kept})));
    let found = (200, json!({"status": "found", "application": kept}));
    assert_eq!(backend.ask("GET", &path), found);
    let backend = Backend::open(backend.killed()).await;
    assert_eq!(backend.ask("GET", &path), found);
    assert_eq!(backend.ask("DELETE", &path), (200, json!({"status": "deleted"})));
    assert_eq!(backend.ask("DELETE", &path), not_found("application"));
    let made = backend.put("PUT", &path, json!({"application": {"state": "active"}}));
    assert_eq!((made.0, &made.1["status"]), (200, &json!("created")));
    assert_eq!(made.1["application"]["plan_id"], Value::Null);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_application_is_refused() {
    let backend = Backend::start(&[]).await;
    let path = format!("{PATH}/new");
    let no_state =
        json!({"status": "bad_request", "error": "Application with id=\"new\" has no state"});
    let missing = json!({"status": "error", "error": "missing parameter 'application'"});
    let no_text =
        json!({"status": "error", "error": "application.plan_id is neither a text nor a number"});
    for method in ["POST", "PUT"] {
        let put = |body: Value| backend.put(method, &path, body);
        assert_eq!(put(json!({"application": {"plan_id": "p"}})), (400, no_state.clone()));
        assert_eq!(put(json!({"application": {"state": null}})), (400, no_state.clone()));
        assert_eq!(put(json!({"application": null})), (400, missing.clone()));
        let wrong = json!({"application": {"state": "active", "plan_id": {}}});
        assert_eq!(put(wrong), (400, no_text.clone()));
        let active = json!({"application": {"state": "active"}});
        let (status, body) = backend.put(method, "/services/7/applications/a%2Fb", active.clone());
        assert_eq!(
            (status, &body["error"]),
            (400, &json!("an id has 1 to 100 bytes and no slash"))
        );
        assert_eq!(
            backend.put(method, "/services/8/applications/new", active),
            not_found("service")
        );
    }
    assert_eq!(backend.ask("GET", &path), not_found("application"));
    assert_eq!(backend.ask("DELETE", "/services/8/applications/new"), not_found("application"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_suspended_application_is_refused_from_the_next_call_on() {
    let backend = Backend::start(&[]).await;
    let path = format!("{PATH}/a");
    assert_eq!(backend.authrep("usage[hits]=1").status, 200);
    backend.put("PUT", &path, json!({"application": {"state": "suspended"}}));
    let reply = backend.authrep("usage[hits]=1");
    assert_eq!(reply.status, 409);
    assert!(reply.body.contains("application is not active"), "{}", reply.body);
    backend.put("PUT", &path, json!({"application": {"state": "active"}}));
    assert_eq!(backend.authrep("usage[hits]=1").status, 200);
    backend.ask("DELETE", &path);
    assert_eq!(backend.authrep("usage[hits]=1").status, 403, "its key is gone too");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_key_takes_the_place_of_the_one_before() {
    let backend = Backend::start(&[]).await;
    let key = |key: &str| format!("{PATH}/key/{key}");
    let with_id = |status: &str| (200, json!({"status": status, "application": {"id": "a"}}));
    assert_eq!(backend.ask("GET", &key("ukey")), with_id("found"));
    assert_eq!(backend.ask("GET", &key("nobody")), not_found("application key"));
    assert_eq!(backend.ask("PUT", &format!("{PATH}/a/key/n%C3%A9w%2F")), with_id("modified"));
    assert_eq!(backend.ask("GET", &key("n%C3%A9w%2F")), with_id("found"));
    assert_eq!(backend.ask("GET", &key("ukey")), not_found("application key"));
    assert_eq!(backend.authrep("").status, 403);
    let path = format!("/transactions/authorize.xml?{PROVIDER}&user_key=n%C3%A9w%2F");
    assert_eq!(backend.get(&path).status, 200);
    assert_eq!(backend.ask("PUT", &format!("{PATH}/b/key/k")), not_found("application"));
    backend.put("PUT", &format!("{PATH}/b"), json!({"application": {"state": "active"}}));
    let taken = json!({"status": "error", "error": "another application has this user key"});
    assert_eq!(backend.ask("PUT", &format!("{PATH}/b/key/n%C3%A9w%2F")), (409, taken));
    for _ in 0..2 {
        let deleted = (200, json!({"status": "deleted"}));
        assert_eq!(backend.ask("DELETE", &key("n%C3%A9w%2F")), deleted);
    }
    assert_eq!(backend.get(&path).status, 403);
}

#[tokio::test(flavor = "multi_thread")]
async fn application_keys_are_shown_once() {
    let backend = Backend::start(&[]).await;
    let keys = format!("{PATH}/a/keys/");
    let listed = |count: usize| {
        let key = json!({"service_id": "7", "app_id": "a", "value": null});
        (200, json!({"status": "found", "application_keys": vec![key; count]}))
    };
    assert_eq!(backend.ask("GET", &keys), listed(0));
    let sent = json!({"application_key": {"value": "se cret"}});
    let made = json!({"status": "created", "application_key": {"app_id": "a", "value": "se cret"}});
    for _ in 0..2 {
        assert_eq!(backend.put("POST", &keys, sent.clone()), (201, made.clone()));
    }
    let (status, made) = backend.put("POST", &keys, json!({"application_key": {}}));
    let random = made["application_key"]["value"].as_str().unwrap();
    assert_eq!((status, random.len()), (201, 32));
    assert_eq!(backend.ask("GET", &keys), listed(2));
    backend.put("PUT", "/services/7", json!({"service": {"backend_version": "2"}}));
    let status = |key: &str| {
        backend
            .get(&format!("/transactions/authorize.xml?{PROVIDER}&app_id=a&app_key={key}"))
            .status
    };
    assert_eq!([status("se%20cret"), status(random), status("other")], [200, 200, 409]);
    let secret = format!("{keys}se%20cret");
    assert_eq!(backend.ask("DELETE", &secret), (200, json!({"status": "deleted"})));
    assert_eq!(backend.ask("DELETE", &secret), not_found("application key"));
    assert_eq!([status("se%20cret"), status(random)], [409, 200]);
    for service in ["7", "8"] {
        let keys = format!("/services/{service}/applications/none/keys/");
        assert_eq!(backend.ask("GET", &keys), not_found("application"));
        assert_eq!(backend.ask("POST", &keys), not_found("application"));
        assert_eq!(backend.ask("DELETE", &format!("{keys}k")), not_found("application"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn referrer_filters_are_kept_and_deleted_by_base64() {
    let backend = Backend::start(&[]).await;
    let path = format!("{PATH}/a/referrer_filters");
    let listed = |filters: &[&str]| (200, json!({"status": "found", "referrer_filters": filters}));
    assert_eq!(backend.ask("GET", &path), listed(&[]));
    for filter in ["doopah", "chrome-extension://fdmm?>", "*.example.org", "abcd"] {
        let made = json!({"status": "created", "referrer_filter": filter});
        assert_eq!(backend.put("POST", &path, json!({"referrer_filter": filter})), (201, made));
    }
    let blank = (400, json!({"error": "referrer filter can't be blank"}));
    assert_eq!(backend.put("POST", &path, json!({"referrer_filter": " "})), blank);
    assert_eq!(backend.ask("POST", &path), blank);
    let expected = listed(&["*.example.org", "abcd", "chrome-extension://fdmm?>", "doopah"]);
    assert_eq!(backend.ask("GET", &path), expected);
    // In base64 with padding, without, and as they are; one that is not there is in order.
    for value in
        ["Y2hyb21lLWV4dGVuc2lvbjovL2ZkbW0_Pg==", "Ki5leGFtcGxlLm9yZw", "doopah", "abcd", "x"]
    {
        let deleted = (200, json!({"status": "deleted"}));
        assert_eq!(backend.ask("DELETE", &format!("{path}/{value}")), deleted);
    }
    assert_eq!(backend.ask("GET", &path), listed(&[]));
    let none = format!("{PATH}/none/referrer_filters");
    assert_eq!(backend.ask("GET", &none), not_found("application"));
    assert_eq!(
        backend.put("POST", &none, json!({"referrer_filter": "x"})),
        not_found("application")
    );
    assert_eq!(backend.ask("DELETE", &format!("{none}/x")), not_found("application"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_application_has_so_many_keys_and_filters_and_no_more() {
    let backend = Backend::start(&[]).await;
    let path = format!("{PATH}/batch");
    let texts = |count: usize| (0..count).map(|number| format!("t{number}")).collect::<Vec<_>>();
    let entry = json!({"id": "a", "state": "active", "application_keys": texts(256),
        "referrer_filters": texts(256)});
    let (_, body) = backend.put("PUT", &path, json!({"applications": [entry]}));
    assert_eq!(body["successful"], 1, "{body}");
    let key = json!({"application_key": {"value": "one more"}});
    assert_eq!(backend.put("POST", &format!("{PATH}/a/keys"), key).0, 400);
    let filter = json!({"referrer_filter": "one more"});
    assert_eq!(backend.put("POST", &format!("{PATH}/a/referrer_filters"), filter).0, 400);
    let long = format!("application_key[value]={}", "x".repeat(1_025));
    let form = ("application/x-www-form-urlencoded", long.as_str());
    assert_eq!(send(&backend, "POST", &format!("{PATH}/a/keys"), form).status, 400);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_that_cannot_be_recorded_changes_nothing() {
    let backend = Backend::start(&[]).await;
    let path = format!("{PATH}/a");
    backend.store.close();
    let suspended = json!({"application": {"state": "suspended"}});
    let error = json!({"status": "error", "error": "nothing can be recorded at the moment"});
    assert_eq!(backend.put("PUT", &path, suspended.clone()), (503, error.clone()));
    let entry = json!({"id": "a", "state": "suspended"});
    let batch = json!({"applications": [entry]});
    assert_eq!(backend.put("PUT", &format!("{PATH}/batch"), batch), (503, error.clone()));
    assert_eq!(backend.ask("DELETE", &path), (503, error));
    assert_eq!(backend.ask("GET", &path).1["application"]["state"], "active");
}

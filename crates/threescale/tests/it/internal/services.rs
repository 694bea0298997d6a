//! Services with their metrics, limits and alert levels.

use serde_json::{Value, json};

use super::empty;
use crate::fixture::{Backend, PROVIDER};

fn make(backend: &Backend, id: &str, provider_key: &str) -> Value {
    let service = json!({"service": {"id": id, "provider_key": provider_key}});
    let (status, body) = backend.put("POST", "/services/", service);
    assert_eq!(status, 201, "{body}");
    body
}

fn is_default(backend: &Backend, id: &str) -> bool {
    backend.ask("GET", &format!("/services/{id}")).1["service"]["default_service"]
        .as_bool()
        .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_is_made_changed_and_deleted() {
    let backend = empty().await;
    assert_eq!(backend.ask("GET", "/services/7"), (404, json!({"error": "not_found"})));
    let sent = json!({
        "id": "7", "state": "active", "provider_key": "pk", "backend_version": "1",
        "referrer_filters_required": true, "default_service": true,
    });
    let mut with_more = sent.clone();
    with_more["some_param"] = "some_value".into();
    let made = backend.put("POST", "/services/", json!({"service": with_more}));
    assert_eq!(made, (201, json!({"status": "created", "service": sent})));
    let mut kept = sent;
    kept["provider_key"] = Value::Null;
    assert_eq!(
        backend.ask("GET", "/services/7"),
        (200, json!({"status": "found", "service": kept}))
    );

    kept["state"] = "suspended".into();
    let changed = backend.put("PUT", "/services/7", json!({"service": {"state": "invalid_state"}}));
    assert_eq!(changed, (200, json!({"status": "ok", "service": kept})));
    let reply = backend.get(&format!("/transactions/authorize.xml?{PROVIDER}&user_key=u"));
    assert!(reply.body.contains("user_key_invalid"), "the provider is known: {}", reply.body);
    let other = json!({"service": {"id": "8", "state": "active"}});
    let (status, body) = backend.put("PUT", "/services/7", other);
    assert_eq!((status, &body["error"]), (400, &json!("service.id is another than in the path")));

    assert_eq!(backend.ask("DELETE", "/services/7"), (200, json!({"status": "deleted"})));
    let gone = json!({"status": "not_found", "error": "service id \"7\" is invalid"});
    assert_eq!(backend.ask("DELETE", "/services/7"), (404, gone));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_makes_a_service_that_is_not_there_and_a_second_post_begins_anew() {
    let backend = empty().await;
    let service = json!({"service": {"provider_key": "pk", "referrer_filters_required": true}});
    let (status, body) = backend.put("PUT", "/services/7", service);
    assert_eq!((status, &body["service"]["state"]), (200, &json!("active")));
    assert_eq!(body["service"]["backend_version"], Value::Null);
    backend.put("PUT", "/services/7/metrics/1", json!({"metric": {"name": "hits"}}));
    let again = make(&backend, "7", "pk");
    assert_eq!(again["service"]["referrer_filters_required"], false);
    assert_eq!(backend.ask("GET", "/services/7/metrics/1").0, 200, "its metrics stay");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_default_service_is_replaced_and_never_missing() {
    let backend = empty().await;
    assert_eq!(make(&backend, "1", "pk")["service"]["default_service"], true);
    assert_eq!(make(&backend, "2", "pk")["service"]["default_service"], false);
    let refused = json!({"error": "Service id=\"1\" is the default service, cannot be removed"});
    assert_eq!(backend.ask("DELETE", "/services/1"), (400, refused));
    let not_default = json!({"service": {"default_service": false}});
    backend.put("PUT", "/services/1", not_default);
    assert!(is_default(&backend, "1"), "there is no other");
    backend.put("PUT", "/services/2", json!({"service": {"default_service": true}}));
    assert_eq!([is_default(&backend, "1"), is_default(&backend, "2")], [false, true]);
    let backend = Backend::open(backend.killed()).await;
    assert_eq!([is_default(&backend, "1"), is_default(&backend, "2")], [false, true]);
    assert_eq!(backend.ask("DELETE", "/services/1").0, 200);
    assert_eq!(backend.ask("DELETE", "/services/2").0, 200, "it is the only one");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_key_is_changed_for_all_of_its_services() {
    let backend = empty().await;
    make(&backend, "1", "old");
    make(&backend, "2", "old");
    make(&backend, "3", "taken");
    let change = |key: &str, body: Value| {
        let path = format!("/services/change_provider_key/{key}");
        let (status, body) = backend.put("PUT", &path, body);
        (status, body["error"].as_str().unwrap_or_default().to_owned())
    };
    let invalid = "Provider keys are not valid, must be not nil and different";
    for body in [json!({}), json!({"new_key": ""}), json!({"new_key": "old"})] {
        assert_eq!(change("old", body), (400, invalid.to_owned()));
    }
    let taken = "Provider key=\"taken\" already exists";
    assert_eq!(change("old", json!({"new_key": "taken"})), (400, taken.to_owned()));
    let unknown = "Provider key=\"nobody\" does not exist";
    assert_eq!(change("nobody", json!({"new_key": "n"})), (400, unknown.to_owned()));
    assert_eq!(change("old", json!({"new_key": "new"})), (200, String::new()));
    let code = |key: &str, service: &str| {
        let path =
            format!("/transactions/authorize.xml?provider_key={key}&service_id={service}&app_id=x");
        let body = backend.get(&path).body;
        body.split("code=\"").nth(1).unwrap().split('"').next().unwrap().to_owned()
    };
    assert_eq!(code("new", "1"), "application_not_found");
    assert_eq!(code("new", "2"), "application_not_found");
    assert_eq!(code("new", ""), "application_not_found", "the default service is still one");
    assert_eq!(code("old", "1"), "provider_key_invalid");
    assert_eq!(code("taken", "3"), "application_not_found");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_metric_is_made_changed_and_deleted() {
    let backend = Backend::start(&[]).await;
    let path = "/services/7/metrics/3";
    let not_found = (404, json!({"status": "not_found", "error": "metric not found"}));
    assert_eq!(backend.ask("GET", path), not_found);
    assert_eq!(backend.ask("DELETE", path), not_found);
    assert_eq!(backend.ask("GET", "/services/8/metrics/3"), not_found);
    assert_eq!(backend.ask("DELETE", "/services/8/metrics/3"), not_found);
    let metric = |name: &str, parent: Value| json!({"service_id": "7", "id": "3", "parent_id": parent, "name": name});
    let sent = json!({"metric": {"name": "ads", "parent_id": 2, "some_param": 1}});
    let made = (201, json!({"status": "created", "metric": metric("ads", json!("2"))}));
    assert_eq!(backend.put("POST", path, sent), made);
    assert_eq!(backend.authrep("usage[ads]=1").status, 200);
    let changed = (200, json!({"status": "modified", "metric": metric("clicks", json!("2"))}));
    assert_eq!(backend.put("PUT", path, json!({"metric": {"name": "clicks"}})), changed);
    assert_eq!(backend.authrep("usage[ads]=1").status, 404);
    let found = (200, json!({"status": "found", "metric": metric("clicks", json!("2"))}));
    assert_eq!(backend.ask("GET", path), found);
    let limit = json!({"usagelimit": {"day": 5}});
    backend.put("PUT", "/services/7/plans/p/usagelimits/3/day", limit);
    assert_eq!(backend.ask("DELETE", path), (200, json!({"status": "deleted"})));
    assert_eq!(backend.authrep("usage[clicks]=1").status, 404);
    assert_eq!(backend.ask("GET", "/services/7/plans/p/usagelimits/3/day").0, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_hierarchy_of_metrics_is_refused() {
    let backend = Backend::start(&[]).await;
    for (body, expected) in [
        (json!({}), "missing parameter 'metric'"),
        (json!({"metric": {"parent_id": 1}}), "metric.name is missing"),
        (json!({"metric": {"name": {}}}), "metric.name is neither a text nor a number"),
        (json!({"metric": {"name": "hits"}}), "two metrics have the name hits"),
        (
            json!({"metric": {"name": "own", "parent_id": 3}}),
            "the metric own is one of its own parents",
        ),
        (
            json!({"metric": {"name": "a", "children": [{"id": 4}]}}),
            "metric.children is not supported: send each metric by itself",
        ),
    ] {
        let (status, answer) = backend.put("PUT", "/services/7/metrics/3", body.clone());
        assert_eq!((status, answer["error"].as_str()), (400, Some(expected)), "{body}");
    }
    let missing = backend.put("PUT", "/services/8/metrics/3", json!({"metric": {"name": "a"}}));
    assert_eq!(missing, (404, json!({"status": "not_found", "error": "service not found"})));
    assert_eq!(backend.authrep("usage[hits]=1").status, 200, "nothing was changed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limit_holds_from_the_next_call_until_it_is_deleted() {
    let backend = Backend::start(&[]).await;
    let path = "/services/7/plans/p/usagelimits/1/month";
    let limit =
        |value: Value| json!({"service_id": "7", "plan_id": "p", "metric_id": "1", "month": value});
    let not_found = (404, json!({"status": "not_found", "error": "usagelimit not found"}));
    assert_eq!(backend.ask("GET", path), not_found);
    assert_eq!(backend.ask("GET", &path.replace("/7/", "/8/")), not_found);
    assert_eq!(backend.authrep("usage[hits]=2").status, 200);
    let put = backend.put("PUT", path, json!({"usagelimit": {"month": "2"}}));
    assert_eq!(put, (200, json!({"status": "modified", "usagelimit": limit(json!("2"))})));
    let found = (200, json!({"status": "found", "usagelimit": limit(json!(2))}));
    assert_eq!(backend.ask("GET", path), found);
    assert_eq!(backend.authrep("usage[hits]=1").status, 409, "what was used before counts");
    backend.put("PUT", path, json!({"usagelimit": {"month": 3}}));
    assert_eq!(backend.authrep("usage[hits]=1").status, 200);
    assert_eq!(backend.authrep("usage[hits]=1").status, 409);
    let deleted = (200, json!({"status": "deleted"}));
    assert_eq!(backend.ask("DELETE", path), deleted);
    assert_eq!(backend.ask("DELETE", path), deleted);
    assert_eq!(backend.ask("DELETE", &path.replace("/7/", "/8/")), deleted);
    assert_eq!(backend.authrep("usage[hits]=1").status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_limit_is_refused() {
    let backend = Backend::start(&[]).await;
    for (period, body, expected) in [
        ("day", json!({}), "missing parameter 'usagelimit'"),
        ("day", json!({"usagelimit": {"month": 1}}), "missing parameter 'day'"),
        ("day", json!({"usagelimit": {"day": "many"}}), "usagelimit.day is no whole number from 0"),
        ("day", json!({"usagelimit": {"day": -1}}), "usagelimit.day is no whole number from 0"),
        ("day", json!({"usagelimit": {"day": 1.5}}), "usagelimit.day is no whole number from 0"),
        (
            "day",
            json!({"usagelimit": {"day": [1]}}),
            "usagelimit.day is neither a text nor a number",
        ),
        ("second", json!({"usagelimit": {"second": 1}}), "second is no period of limits"),
    ] {
        let path = format!("/services/7/plans/p/usagelimits/1/{period}");
        let (status, answer) = backend.put("PUT", &path, body.clone());
        assert_eq!((status, answer["error"].as_str()), (400, Some(expected)), "{body}");
    }
    let path = "/services/8/plans/p/usagelimits/1/day";
    let missing = backend.put("PUT", path, json!({"usagelimit": {"day": 1}}));
    assert_eq!(missing, (404, json!({"status": "not_found", "error": "service not found"})));
}

#[tokio::test(flavor = "multi_thread")]
async fn alert_levels_are_those_of_a_service() {
    let backend = Backend::start(&[]).await;
    let path = "/services/7/alert_limits/";
    let levels = |values: &[u16]| {
        let level = |value: &u16| json!({"service_id": "7", "value": value});
        let levels: Vec<_> = values.iter().map(level).collect();
        (200, json!({"status": "found", "alert_limits": levels}))
    };
    assert_eq!(backend.ask("GET", path), levels(&[50, 100]));
    for value in [json!("80"), json!(80)] {
        let made = backend.put("POST", path, json!({"alert_limit": {"value": value}}));
        let level = json!({"service_id": "7", "value": 80});
        assert_eq!(made, (201, json!({"status": "created", "alert_limit": level})));
    }
    assert_eq!(backend.ask("GET", path), levels(&[50, 80, 100]));
    let invalid = (400, json!({"error": "alert limit is invalid"}));
    for body in
        [json!({}), json!({"alert_limit": {}}), json!({"alert_limit": {"value": "3941412410"}})]
    {
        assert_eq!(backend.put("POST", path, body), invalid);
    }
    assert_eq!(backend.put("POST", path, json!({"alert_limit": {"value": "080"}})), invalid);
    assert_eq!(backend.ask("DELETE", &format!("{path}80")), (200, json!({"status": "deleted"})));
    let not_found = (404, json!({"status": "not_found", "error": "alert limit not found"}));
    assert_eq!(backend.ask("DELETE", &format!("{path}80")), not_found);
    assert_eq!(backend.ask("DELETE", &format!("{path}invalid")), not_found);
    assert_eq!(backend.ask("DELETE", "/services/8/alert_limits/80"), not_found);
    let none = json!({"status": "found", "alert_limits": []});
    assert_eq!(backend.ask("GET", "/services/8/alert_limits"), (200, none));
    let missing =
        backend.put("POST", "/services/8/alert_limits/", json!({"alert_limit": {"value": 50}}));
    assert_eq!(missing.0, 404);
}

//! What the portal takes from the backend: errors, events, how limits stand.

use keystile_threescale::backend::period::Period;
use serde_json::{Value, json};

use crate::fixture::{Backend, PROVIDER};

/// Reports that do not count, each for another key.
fn fail_reports(backend: &Backend, count: usize) {
    for number in 0..count {
        let transaction =
            format!("transactions[0][user_key]=u{number}&transactions[0][usage][hits]=1");
        assert_eq!(backend.report(&format!("{PROVIDER}&{transaction}")).status, 202);
    }
}

fn messages(body: &Value) -> Vec<&str> {
    body["errors"]
        .as_array()
        .unwrap()
        .iter()
        .map(|error| error["message"].as_str().unwrap())
        .collect()
}

fn is_time(text: &Value) -> bool {
    let shape = text.as_str().unwrap().replace(|c: char| c.is_ascii_digit(), "0");
    shape == "0000-00-00 00:00:00 UTC"
}

#[tokio::test(flavor = "multi_thread")]
async fn errors_come_in_pages_newest_first_until_they_are_deleted() {
    let backend = Backend::start(&[]).await;
    let path = "/services/7/errors/";
    let none = json!({"status": "found", "errors": [], "count": 0});
    assert_eq!(backend.ask("GET", path), (200, none.clone()));
    fail_reports(&backend, 102);
    let (status, body) = backend.ask("GET", path);
    assert_eq!((status, &body["count"], messages(&body).len()), (200, &json!(102), 100));
    let newest = &body["errors"][0];
    assert_eq!(newest["code"], "user_key_invalid");
    assert_eq!(newest["message"], "user key \"u101\" is invalid");
    assert_eq!(newest["context_info"], json!({}));
    assert!(is_time(&newest["timestamp"]));
    let (_, body) = backend.ask("GET", "/services/7/errors/?page=2&per_page=2");
    assert_eq!(messages(&body), ["user key \"u99\" is invalid", "user key \"u98\" is invalid"]);
    let (_, body) = backend.put("GET", path, json!({"page": 2, "per_page": 101}));
    assert_eq!(messages(&body), ["user key \"u0\" is invalid"], "as pisoni sends it");
    let (_, body) = backend.ask("GET", "/services/7/errors?page=3&per_page=101");
    assert_eq!((messages(&body).len(), &body["count"]), (0, &json!(102)));
    for query in ["per_page=0", "per_page=-1", "per_page=few"] {
        let answer = backend.ask("GET", &format!("{path}?{query}"));
        assert_eq!(answer, (400, json!({"error": "per_page needs to be > 0"})));
    }
    let answer = backend.ask("GET", &format!("{path}?page=0"));
    assert_eq!(answer, (400, json!({"error": "page needs to be > 0"})));
    assert_eq!(backend.ask("DELETE", path), (200, json!({"status": "deleted"})));
    assert_eq!(backend.ask("GET", path), (200, none));
    let not_found = (404, json!({"status": "not_found", "error": "service not found"}));
    assert_eq!(backend.ask("GET", "/services/8/errors/"), not_found);
    assert_eq!(backend.ask("DELETE", "/services/8/errors/"), not_found);
}

#[tokio::test(flavor = "multi_thread")]
async fn events_stay_until_they_are_deleted() {
    let backend = Backend::start(&[(Period::Day, 10)]).await;
    assert_eq!(backend.ask("GET", "/events/"), (200, json!({"status": "found", "events": []})));
    backend.authrep("usage[hits]=5");
    backend.authrep("usage[hits]=5");
    let (_, body) = backend.ask("GET", "/events/");
    let events = body["events"].as_array().unwrap();
    let types: Vec<_> = events.iter().map(|event| event["type"].as_str().unwrap()).collect();
    assert_eq!(types, ["first_traffic", "first_daily_traffic", "alert", "alert"]);
    let ids: Vec<_> = events.iter().map(|event| event["id"].as_u64().unwrap()).collect();
    assert_eq!(ids, [1, 2, 3, 4]);
    let object = &events[0]["object"];
    assert_eq!((&object["service_id"], &object["application_id"]), (&json!("7"), &json!("a")));
    assert!(is_time(&events[0]["timestamp"]) && is_time(&object["timestamp"]));
    let alert = &events[2]["object"];
    assert_eq!((&alert["utilization"], &alert["max_utilization"]), (&json!(50), &json!(0.5)));
    assert_eq!((&alert["id"], &alert["limit"]), (&json!(3), &json!("hits per day: 5/10")));

    let not_found = (404, json!({"status": "not_found", "error": "event not found"}));
    for id in ["0", "9", "-1", "two"] {
        assert_eq!(backend.ask("DELETE", &format!("/events/{id}")), not_found, "{id}");
    }
    assert_eq!(backend.ask("DELETE", "/events/2"), (200, json!({"status": "deleted"})));
    let deleted = |count: usize| (200, json!({"status": "deleted", "num_events": count}));
    assert_eq!(backend.ask("DELETE", "/events/"), deleted(0));
    assert_eq!(backend.put("DELETE", "/events/", json!({"upto_id": 0})), deleted(0));
    assert_eq!(backend.put("DELETE", "/events/", json!({"upto_id": 3})), deleted(2));
    let wrong = json!({"status": "error", "error": "upto_id is no whole number from 0"});
    assert_eq!(backend.put("DELETE", "/events/", json!({"upto_id": "all"})), (400, wrong));
    assert_eq!(backend.ask("DELETE", "/events?upto_id=100"), deleted(1));
    assert_eq!(backend.ask("GET", "/events/").1["events"], json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn utilization_tells_how_the_limits_stand() {
    let backend = Backend::start(&[(Period::Day, 100), (Period::Month, 1_000)]).await;
    let limit = json!({"usagelimit": {"day": 0}});
    backend.put("PUT", "/services/7/plans/p/usagelimits/2/day", limit);
    backend.authrep("usage[hits]=80");
    let path = "/services/7/applications/a/utilization/";
    let report = |period: &str, metric: &str, max: u64, current: u64| json!({"period": period, "metric_name": metric, "max_value": max, "current_value": current});
    let utilization = [
        report("month", "hits", 1_000, 80),
        report("day", "hits", 100, 80),
        report("day", "post", 0, 0),
    ];
    let found = json!({"status": "found", "utilization": utilization});
    assert_eq!(backend.ask("GET", path), (200, found));
    backend.put(
        "PUT",
        "/services/7/applications/a",
        json!({"application": {"state": "active", "plan_id": "free"}}),
    );
    assert_eq!(backend.ask("GET", path), (200, json!({"status": "found", "utilization": []})));
    for (path, what) in [
        ("/services/7/applications/none/utilization/", "application"),
        ("/services/8/applications/a/utilization/", "service"),
    ] {
        let error = format!("{what} not found");
        assert_eq!(backend.ask("GET", path), (404, json!({"status": "not_found", "error": error})));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_counted_is_not_deleted_while_limits_rest_on_it() {
    let backend = Backend::start(&[(Period::Eternity, 1)]).await;
    assert_eq!(backend.authrep("usage[hits]=1").status, 200);
    let (status, body) = backend.ask("DELETE", "/services/7/stats");
    assert_eq!(status, 400);
    assert!(body["error"].as_str().unwrap().starts_with("not supported: "), "{body}");
    assert_eq!(backend.authrep("usage[hits]=1").status, 409);
    let not_found = json!({"status": "not_found", "error": "service not found"});
    assert_eq!(backend.ask("DELETE", "/services/8/stats"), (404, not_found));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_told_or_deleted_stays_so_after_a_kill() {
    let backend = Backend::start(&[(Period::Day, 2)]).await;
    backend.authrep("usage[hits]=2");
    fail_reports(&backend, 3);
    // Nobody asked before the kill, and nothing was saved by the clock.
    let backend = Backend::open(backend.killed()).await;
    assert_eq!(backend.authrep("usage[hits]=1").status, 409);
    let events = backend.ask("GET", "/events/").1;
    let last = &events["events"].as_array().unwrap()[2];
    assert_eq!((&last["id"], &last["object"]["utilization"]), (&json!(3), &json!(100)));
    assert_eq!(backend.ask("GET", "/services/7/errors/").1["count"], 3);

    assert_eq!(backend.ask("DELETE", "/events/3").0, 200);
    assert_eq!(backend.ask("DELETE", "/services/7/errors/").0, 200);
    let backend = Backend::open(backend.killed()).await;
    let events = backend.ask("GET", "/events/").1;
    let ids: Vec<_> = events["events"].as_array().unwrap().iter().map(|one| &one["id"]).collect();
    assert_eq!(ids, [&json!(1), &json!(2)]);
    assert_eq!(backend.ask("GET", "/services/7/errors/").1["count"], 0);
    backend.make_application("b", "other").await;
    backend.get(&format!("/transactions/authrep.xml?{PROVIDER}&user_key=other&usage[hits]=1"));
    assert_eq!(backend.ask("GET", "/events/").1["events"][2]["id"], 4, "not that of another");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_has_a_number_that_no_other_had_before() {
    let backend = Backend::start(&[]).await;
    backend.authrep("usage[hits]=1");
    backend.account.save().await.unwrap();
    assert_eq!(backend.ask("DELETE", "/events?upto_id=2").1["num_events"], 2);
    backend.account.save().await.unwrap();
    let backend = Backend::open(backend.killed()).await;
    backend.make_application("b", "other").await;
    backend.get(&format!("/transactions/authrep.xml?{PROVIDER}&user_key=other&usage[hits]=1"));
    let (_, body) = backend.ask("GET", "/events");
    assert_eq!(body["events"][0]["id"], 3, "{body}");
}

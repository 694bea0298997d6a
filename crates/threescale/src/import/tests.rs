use serde_json::{Value, json};

use super::*;
use crate::import::snapshot::FORMAT;

fn service(id: u64, version: &str) -> Value {
    json!({
        "service": {"id": id, "name": "Notes", "system_name": "notes", "backend_version": version},
        "metrics": [
            {"id": 11, "system_name": "hits"},
            {"id": 12, "system_name": "read", "parent_id": 11},
            {"id": 13, "system_name": "hits"},
        ],
        "plans": [{
            "application_plan": {"id": 21, "name": "Basic"},
            "limits": [
                {"id": 31, "plan_id": 21, "metric_id": 11, "period": "day", "value": 100},
                {"id": 32, "plan_id": 21, "metric_id": 99, "period": "day", "value": 1},
                {"id": 33, "plan_id": 21, "metric_id": 11, "period": "second", "value": 1},
            ],
            "pricing_rules": 2,
        }],
        "features": 3,
    })
}

fn application(id: u64, service: u64, more: Value) -> Value {
    let mut application = json!({
        "id": id, "state": "live", "enabled": true, "service_id": service, "plan_id": 21,
        "plan_name": "Basic", "account_id": 41, "org_name": "Acme", "name": format!("App {id}"),
    });
    let Value::Object(more) = more else { panic!("an object") };
    application.as_object_mut().unwrap().extend(more);
    json!({ "application": application, "keys": ["k1", "k2"] })
}

fn import(services: &[Value], applications: &[Value]) -> Import {
    let file = json!({"format": FORMAT, "services": services, "applications": applications});
    Import::of(&Snapshot::parse(file.to_string().as_bytes()).unwrap())
}

#[test]
fn what_comes_over_is_what_can_be_kept_and_the_rest_is_named() {
    let import = import(
        &[service(7, "1"), service(7, "2")],
        &[
            application(51, 7, json!({"user_key": "u1"})),
            application(52, 7, json!({"user_key": "u1"})),
            application(53, 7, json!({"user_key": "u3", "state": "suspended", "enabled": false})),
            application(54, 7, json!({})),
            application(55, 8, json!({"user_key": "u5"})),
        ],
    );
    let Part::Service(part) = &import.parts[0] else { panic!("{import:?}") };
    let names: Vec<&str> = part.metrics.iter().map(|metric| metric.name.as_str()).collect();
    assert_eq!(names, ["hits", "read"]);
    assert_eq!(part.metrics[1].parent_id.as_deref(), Some("11"));
    assert_eq!((part.limits.len(), part.limits[0].max), (1, 100));
    let Part::Applications { service, applications } = &import.parts[1] else {
        panic!("{import:?}")
    };
    let kept: Vec<_> = applications.iter().map(|one| (one.id.as_str(), one.is_active)).collect();
    assert_eq!((service.as_str(), kept), ("7", vec![("51", true), ("53", false)]));
    assert_eq!(applications[0].name, "Acme – App 51");
    assert!(applications[0].keys.is_empty(), "a service by user keys has no others");
    assert_eq!((import.services, import.applications, import.parts.len()), (1, 2, 3));
    assert_eq!(
        import.problems,
        [
            "The metric 13 of Notes stays there: its name \"hits\" is another's, or empty.",
            "The limit 32 of the plan Basic of Notes stays there: its metric 99 is none of the service.",
            "The limit 33 of the plan Basic of Notes stays there: its period is \"second\".",
            "The service 7 is there twice; the first counts.",
            "Acme – App 52 stays there: Acme – App 51 has the same user key.",
            "Acme – App 54 stays there: it has no user key there.",
        ]
    );
    let shown = format!("{import:?}");
    assert!(!shown.contains("\"u1\"") && !shown.contains("\"k1\""), "{shown}");
}

#[test]
fn applications_by_id_come_with_their_keys_and_in_parts() {
    let many = (0..450)
        .map(|number| application(number, 7, json!({"application_id": format!("app-{number}")})));
    let import = import(&[service(7, "2")], &many.collect::<Vec<_>>());
    let sizes: Vec<usize> = import
        .parts
        .iter()
        .filter_map(|part| match part {
            Part::Applications { applications, .. } => Some(applications.len()),
            _ => None,
        })
        .collect();
    assert_eq!(sizes, [200, 200, 50]);
    let Part::Applications { applications, .. } = &import.parts[1] else { panic!("{import:?}") };
    assert_eq!((applications[0].id.as_str(), applications[0].keys.len()), ("app-0", 2));
    for (id, fault) in [("a/b", "holds a slash"), (&"x".repeat(101), "longer than 100 bytes")] {
        let one = [application(1, 7, json!({"application_id": id}))];
        let import = tests::import(&[service(7, "2")], &one);
        assert!(import.problems.last().unwrap().contains(fault), "{:?}", import.problems);
        assert_eq!(import.applications, 0);
    }
}

#[test]
fn what_has_no_counterpart_is_said() {
    let import = import(
        &[service(7, "oidc")],
        &[application(
            1,
            7,
            json!({"application_id": "client", "state": "pending", "enabled": false}),
        )],
    );
    let said = import.lost.join("\n");
    for part in [
        "3 features of services and plans",
        "2 pricing rules",
        "1 applications wait to be accepted",
        "Tokens of identity providers, for Notes",
        "Hosts and rules of Notes",
        "The provider key",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
}

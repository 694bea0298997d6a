//! What the audit says of the portal's changes.

use keystile_core::actor::Actor;
use keystile_store::audit::{EventOwner, EventQuery};
use serde_json::json;

use super::mirror::APPS;
use crate::fixture::Backend;

#[tokio::test(flavor = "multi_thread")]
async fn the_audit_says_what_the_portal_changed_and_shows_no_secret() {
    let backend = Backend::open_mirrored(tempfile::tempdir().unwrap()).await;
    let service = json!({"id": "7", "provider_key": "PROVIDERSECRET", "backend_version": "1"});
    assert_eq!(backend.put("POST", "/services/", json!({"service": service})).0, 201);
    assert_eq!(
        backend.put("PUT", "/services/7/metrics/1", json!({"metric": {"name": "hits"}})).0,
        200
    );
    let limit = json!({"usagelimit": {"day": 50}});
    assert_eq!(backend.put("PUT", "/services/7/plans/3/usagelimits/1/day", limit).0, 200);
    assert_eq!(
        backend.ask("PUT", "/services/7/plans/3/usagelimits/1/hour?usagelimit[hour]=5").0,
        200
    );
    assert_eq!(backend.ask("DELETE", "/services/7/plans/3/usagelimits/1/hour").0, 200);
    let tokens = json!({"service_tokens": {"TOKENSECRET": {"service_id": "7"}}});
    assert_eq!(backend.put("POST", "/service_tokens/", tokens).0, 201);
    let changed = json!({"new_key": "OTHERSECRET"});
    assert_eq!(backend.put("PUT", "/services/change_provider_key/PROVIDERSECRET", changed).0, 200);
    assert_eq!(backend.keep("a", "active", "Basic"), 200);
    assert_eq!(backend.ask("PUT", &format!("{APPS}/a/key/USERKEYSECRET")).0, 200);
    assert_eq!(backend.keep("a", "suspended", "Gold"), 200);
    assert_eq!(backend.ask("DELETE", &format!("{APPS}/a")).0, 200);
    assert_eq!(backend.ask("DELETE", "/services/7").0, 200);
    let events = backend.events().await;
    let portal = Actor::KeySource("3scale backend, internal".to_owned());
    assert!(events.iter().all(|event| event.actor == portal));
    assert!(!format!("{events:?}").contains("SECRET"));
    let of_source = events.iter().rev().filter(|event| event.kind.starts_with("source_"));
    let lines: Vec<_> = of_source
        .map(|event| {
            let subject = event.subject.as_deref().unwrap();
            let kind =
                event.kind.strip_prefix("source_").unwrap().strip_suffix("_changed").unwrap();
            format!("{kind} {subject}: {}", event.detail)
        })
        .collect();
    assert_eq!(
        lines,
        [
            "terms 7: made, \"active\"",
            "terms 7: now the metric \"hits\"",
            "terms 7: now 50 \"hits\" per day on the plan \"3\"",
            "terms 7: now 5 \"hits\" per hour on the plan \"3\"",
            "terms 7: no longer 5 \"hits\" per hour on the plan \"3\"",
            "access 7: a service token was added",
            "access 7: it has another provider key",
            "application 7/a: made on the plan \"Basic\", \"active\"",
            "application 7/a: it has a user key",
            "application 7/a: \"suspended\" instead of \"active\"; on the plan \"Gold\"",
            "application 7/a: deleted",
            "terms 7: deleted, with 0 applications",
        ]
    );
    let of_application = EventOwner { key: None, application: Some("a".to_owned()) };
    let query = EventQuery { limit: 100, ..EventQuery::default() };
    let told = backend.store.list_events(of_application, query).await.unwrap();
    assert!(told.iter().any(|event| event.kind == "source_application_changed"));
    assert_eq!(backend.store.verify_audit().await.unwrap().fault, None);
}

//! What `APIcast` relies on when it boots.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use keystile_threescale::account::gateway::{GatewayContent, GatewayRecord};
use keystile_threescale::account::{ChangeError, own_principal};
use keystile_threescale::portal::records::Environment;
use serde_json::{Value, json};

use crate::fixture::{Backend, GATEWAY_SERVICE_TOKEN, GATEWAY_TOKEN, Reply, exchange};

/// What the portal tells gateways of the service 7.
fn portal() -> Value {
    json!({
        "id": 7, "name": "Notes", "system_name": "notes", "backend_version": "2",
        "backend_authentication_type": "service_token",
        "backend_authentication_value": "the token of 3scale",
        "proxy": {
            "hosts": ["notes.example", "Notes.example.org"],
            "api_backend": "https://upstream.example:443",
            "authentication_method": "1", "credentials_location": "headers",
            "auth_user_key": "x-key", "auth_app_id": "app_id", "auth_app_key": "app_key",
            "backend": {"endpoint": "https://su1.3scale.net", "host": "su1.3scale.net"},
            "policy_chain": [{"name": "apicast", "version": "builtin", "configuration": {}}],
            "proxy_rules": [{
                "http_method": "GET", "pattern": "/notes/{id}", "metric_system_name": "hits",
                "delta": 1, "last": false, "parameters": ["id"], "querystring_parameters": {},
            }],
        },
    })
}

fn record(environment: Environment, version: u64) -> GatewayRecord {
    GatewayRecord {
        service_id: "7".to_owned(),
        environment,
        id: Some(40 + version),
        version,
        content: GatewayContent::of(&portal()).unwrap(),
    }
}

async fn backend() -> Backend {
    let backend = Backend::start(&[]).await;
    backend
        .account
        .keep_gateway(&own_principal(), record(Environment::Production, 3))
        .await
        .unwrap();
    backend
}

/// Asks as a gateway does whose portal is `http://TOKEN@HOST`.
fn ask_as(backend: &Backend, user: &str, path: &str) -> Reply {
    let basic = BASE64_STANDARD.encode(format!("{user}:"));
    exchange(
        backend.address(),
        &format!(
            "GET {path} HTTP/1.1\r\nhost: backend.test:7090\r\nconnection: close\r\n\
             authorization: Basic {basic}\r\n\r\n"
        ),
    )
}

fn ask(backend: &Backend, path: &str) -> (u16, Value) {
    let reply = ask_as(backend, GATEWAY_TOKEN, path);
    assert_eq!(reply.field("content-type"), Some("application/json; charset=utf-8"), "{path}");
    (reply.status, serde_json::from_str(&reply.body).unwrap())
}

const ALL: &str = "/admin/api/account/proxy_configs/production.json";

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_boots_with_this_backend_and_a_token_that_opens_it() {
    let backend = backend().await;
    let (status, all) = ask(&backend, &format!("{ALL}?version=latest&page=1&per_page=500"));
    assert_eq!(status, 200);
    let mut content = portal();
    content["backend_version"] = "1".into();
    content["backend_authentication_value"] = GATEWAY_SERVICE_TOKEN.into();
    content["proxy"]["backend"] =
        json!({"endpoint": "http://backend.test:7090", "host": "backend.test"});
    let config = json!({"proxy_config": {
        "id": 43, "version": 3, "environment": "production", "content": content,
    }});
    assert_eq!(all, json!({ "proxy_configs": [config.clone()] }));
    for path in [
        "/admin/api/services/7/proxy/configs/production/latest.json",
        "/admin/api/services/7/proxy/configs/production/3.json",
    ] {
        assert_eq!(ask(&backend, path), (200, config.clone()), "{path}");
    }
    for path in [
        "/master/api/proxy/configs/production.json?host=notes.example",
        "/admin/api/services/proxy/configs/production.json?host=notes.example",
        "/admin/api/services/7/proxy/configs/production.json",
    ] {
        assert_eq!(ask(&backend, path), (200, all.clone()), "{path}");
    }
    let spec = ask(&backend, "/admin/api/nginx/spec.json");
    assert_eq!(spec, (200, json!({ "services": [content] })));
    let shown = content["backend_authentication_value"].as_str().unwrap();
    let asked = format!(
        "/transactions/authrep.xml?service_token={shown}&service_id=7&user_key=ukey&usage[hits]=1"
    );
    assert_eq!(backend.get(&asked).status, 200);
    assert_eq!(backend.get(&asked.replace(shown, "another")).status, 403);
}

#[tokio::test(flavor = "multi_thread")]
async fn services_are_listed_also_where_gateways_are_told_nothing_of_them() {
    let backend = backend().await;
    backend.make_service_named("8", "oauth").await;
    let (status, listed) = ask(&backend, "/admin/api/services.json?page=1&per_page=500");
    let service = |id: u64, names: [&str; 2], version: &str| {
        json!({"service": {
            "id": id, "name": names[0], "system_name": names[1], "state": "active",
            "backend_version": version, "deployment_option": "self_managed",
        }})
    };
    let expected = [service(7, ["Notes", "notes"], "1"), service(8, ["8", "8"], "oauth")];
    assert_eq!((status, &listed), (200, &json!({ "services": expected })));
    let (status, first) = ask(&backend, "/admin/api/services.json?page=2&per_page=1");
    let metadata = json!({"per_page": 1, "total_entries": 2, "total_pages": 2, "current_page": 2});
    assert_eq!(status, 200);
    assert_eq!(first, json!({ "services": [expected[1]], "metadata": metadata }));
    assert_eq!(backend.account.services_without_gateways(), ["8"]);
    assert_eq!(ask(&backend, ALL).1["proxy_configs"].as_array().unwrap().len(), 1);
    let (status, none) =
        ask(&backend, "/admin/api/services/8/proxy/configs/production/latest.json");
    assert_eq!(status, 404);
    assert_eq!(
        none["error"],
        "the service 8 has no configuration for production: `keystile threescale import` brings it over"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn configurations_are_found_by_host_version_and_environment() {
    let backend = backend().await;
    let count = |path: &str| {
        let (status, found) = ask(&backend, path);
        (status, found["proxy_configs"].as_array().map(Vec::len))
    };
    for (query, expected) in [
        ("host=notes.example", 1),
        ("host=NOTES.example.org&version=latest", 1),
        ("host=example.org", 0),
        ("host=notes", 0),
        ("host=", 0),
        ("version=3", 1),
        ("version=2", 0),
        ("version=x", 0),
        ("page=2&per_page=500", 0),
        ("page=0&per_page=501", 1),
    ] {
        assert_eq!(count(&format!("{ALL}?{query}")), (200, Some(expected)), "{query}");
    }
    for environment in ["sandbox", "staging"] {
        let path = ALL.replace("production", environment);
        assert_eq!(count(&path), (200, Some(0)), "{environment}");
    }
    backend.account.keep_gateway(&own_principal(), record(Environment::Sandbox, 9)).await.unwrap();
    assert_eq!(count(&ALL.replace("production", "staging")), (200, Some(1)));
    let invalid = json!({ "error": "invalid environment" });
    for (path, status) in [
        ("/admin/api/account/proxy_configs/testing.json", 422),
        ("/admin/api/account/proxy_configs/production", 422),
        ("/admin/api/services/7/proxy/configs/testing/latest.json", 400),
        ("/master/api/proxy/configs/testing.json", 400),
    ] {
        assert_eq!(ask(&backend, path), (status, invalid.clone()), "{path}");
    }
    let not_found = (404, json!({ "status": "Not found" }));
    for path in [
        "/admin/api/services/7/proxy/configs/production/2.json",
        "/admin/api/services/7/proxy/configs/production/latest",
        "/admin/api/services/9/proxy/configs/production/latest.json",
        "/admin/api/services/9/proxy/configs/production.json",
        "/admin/api/applications.json",
    ] {
        assert_eq!(ask(&backend, path), not_found, "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_configuration_is_shown_to_nobody_without_the_token() {
    let backend = backend().await;
    let denied = r#"{"error":"Access denied"}"#;
    for user in ["", "wrong", GATEWAY_SERVICE_TOKEN] {
        let reply = ask_as(&backend, user, ALL);
        assert_eq!((reply.status, reply.body.as_str()), (403, denied), "{user}");
        let reply = ask_as(&backend, user, "/master/api/proxy/configs/production.json");
        assert_eq!((reply.status, reply.body.as_str()), (401, "unauthorized"), "{user}");
    }
    assert_eq!(backend.get(ALL).status, 403);
    let by_parameter = |token: &str| backend.get(&format!("{ALL}?access_token={token}")).status;
    assert_eq!(
        (by_parameter(GATEWAY_TOKEN), by_parameter("wrong"), by_parameter("%ff")),
        (200, 403, 400)
    );
    assert_eq!(ask_as(&backend, GATEWAY_TOKEN, &format!("{ALL}?access_token=wrong")).status, 403);
    let closed = Backend::open_for(tempfile::tempdir().unwrap(), None, None).await;
    let reply = ask_as(&closed, GATEWAY_TOKEN, ALL);
    assert_eq!(reply.status, 403);
    assert!(reply.body.contains("`threescale_backend` has no `gateways`"), "{}", reply.body);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_gateways_are_told_outlives_a_crash_and_goes_with_its_service() {
    let backend = backend().await;
    let before = ask(&backend, ALL);
    let backend = Backend::open(backend.killed()).await;
    assert_eq!(ask(&backend, ALL), before);
    assert!(backend.account.delete_service(&own_principal(), "7").await.unwrap());
    let nothing = (200, json!({ "proxy_configs": [] }));
    assert_eq!(ask(&backend, ALL), nothing);
    let lost =
        backend.account.keep_gateway(&own_principal(), record(Environment::Production, 4)).await;
    assert!(matches!(lost, Err(ChangeError::NoService)), "{lost:?}");
    let backend = Backend::open(backend.killed()).await;
    backend.make_service("1", &[]).await;
    assert_eq!(ask(&backend, ALL), nothing);
}

#[tokio::test(flavor = "multi_thread")]
async fn configurations_have_a_bound_together() {
    let backend = Backend::start(&[]).await;
    let mut large = portal();
    large["proxy"]["error_no_match"] = "x".repeat(1_000_000).into();
    let content = GatewayContent::of(&large).unwrap();
    for number in 0..40 {
        let service = format!("{}", 100 + number);
        backend.make_service_named(&service, "1").await;
        let record = GatewayRecord {
            service_id: service,
            content: content.clone(),
            ..record(Environment::Production, 1)
        };
        match backend.account.keep_gateway(&own_principal(), record).await {
            Ok(()) => assert!(number < 34, "{number}"),
            Err(error) => {
                assert!(matches!(error, ChangeError::GatewaysTooLarge), "{error}");
                assert!(number >= 32, "{number}");
            }
        }
    }
    assert_eq!(backend.authrep("usage[hits]=1").status, 200);
}

//! The configuration that an import writes, as the real reader of configurations takes it.

use keystile_threescale_standin::Portal;
use keystile_threescale_standin::tenant::{BackendVersion, Tenant};
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use crate::harness::{TestServer, free_port};

const TOKEN: &str = "b0bafe77c0ffee01b0bafe77c0ffee01b0bafe77c0ffee01b0bafe77c0ffee01";

/// What an import of an account writes. The reader of configurations has accepted it.
fn written(tenant: Tenant) -> String {
    let runtime = Runtime::new().unwrap();
    let portal = runtime.block_on(Portal::start_plain(tenant));
    let server = TestServer::new(&format!(
        "[plan.open]\nallow = \"bookmarks: *\"\n[threescale_backend]\nlisten = \"127.0.0.1:{}\"\n",
        free_port()
    ))
    .started();
    std::fs::write(server.path("token"), TOKEN).unwrap();
    let account = format!(
        "{}\n[threescale.main]\nportal = {:?}\naccess_token_file = \"token\"\nservice = 1\ndefault_plan = \"open\"\n",
        server.configuration(),
        portal.address()
    );
    std::fs::write(server.path("with-account.toml"), account).unwrap();
    let config = server.path("with-account.toml").display().to_string();
    let policy = server.path("apis.toml").display().to_string();
    let arguments = ["threescale", "import", "--config", &config, "--from", "portal"];
    server.json(&[&arguments[..], &["--policy", &policy]].concat());
    let text = std::fs::read_to_string(&policy).unwrap();
    let checked = server.run(&["check", &policy]);
    assert_eq!(checked.code, Some(0), "{checked:?}\n{text}");
    text
}

/// Adds a service with one rule, a plan, and what gateways are told.
fn add_service(tenant: &mut Tenant, name: &str, version: BackendVersion, proxy: &Value) -> u64 {
    let service = tenant.add_service(name, version);
    tenant.add_plan(service, name);
    let mut all = json!({
        "hosts": [format!("{name}.example")], "api_backend": "http://127.0.0.1:9",
        "proxy_rules": [
            {"http_method": "GET", "pattern": "/", "metric_system_name": "hits", "delta": 1},
        ],
    });
    let more = proxy.as_object().unwrap().clone();
    all.as_object_mut().unwrap().extend(more);
    let content = json!({"id": service, "name": name, "system_name": name, "proxy": all});
    tenant.add_config(service, "production", content);
    service
}

#[test]
fn keys_are_read_where_callers_show_them() {
    use BackendVersion::{AppId, UserKey};
    for (version, location, names, expected) in [
        (UserKey, "query", json!({}), "key_query_parameter = \"user_key\"\n"),
        (UserKey, "headers", json!({"auth_user_key": "X-Notes"}), "key_header = \"X-Notes\"\n"),
        (UserKey, "headers", json!({"auth_user_key": "cookie"}), "\"cookie\" has another purpose"),
        (UserKey, "authorization", json!({}), "key_header = \"Authorization\"\n"),
        (AppId, "query", json!({}), "key_pair = { id = \"app_id\", secret = \"app_key\" }\n"),
        (
            AppId,
            "query",
            json!({"auth_app_id": "who", "auth_app_key": "secret"}),
            "key_pair = { id = \"who\", secret = \"secret\" }\n",
        ),
        (
            AppId,
            "headers",
            json!({}),
            "key_pair = { id = \"app-id\", secret = \"app-key\", in = \"header\" }\n",
        ),
        (
            AppId,
            "headers",
            json!({"auth_app_id": "X-Id", "auth_app_key": "X-API-Key"}),
            "key_pair = { id = \"X-Id\", secret = \"X-API-Key\", in = \"header\" }\n",
        ),
        (
            AppId,
            "authorization",
            json!({}),
            "key_header = \"Authorization\"\nkey_pair = { id = \"app_id\", secret = \"app_key\" }\n",
        ),
        (
            AppId,
            "query",
            json!({"auth_app_id": "who", "auth_app_key": "who"}),
            "# callers show an id and a secret under one name",
        ),
    ] {
        let mut proxy = names;
        proxy["credentials_location"] = location.into();
        let mut tenant = Tenant::with_token(TOKEN);
        add_service(&mut tenant, "notes", version, &proxy);
        let text = written(tenant);
        assert!(text.contains(expected), "{expected}\nis not in\n{text}");
    }
}

#[test]
fn a_plan_is_no_wider_than_there_and_what_is_not_taken_over_is_said() {
    let rule = |method: &str, pattern: &str, metric: &str, delta: u64| json!({"http_method": method, "pattern": pattern, "metric_system_name": metric, "delta": delta});
    let proxy = json!({
        "hosts": ["notes.example:8080", "*.notes.example", "a b"],
        "api_backend": "http://127.0.0.1:9/v1?x=TOPSECRET",
        "proxy_rules": [
            rule("GET", "/notes", "hits", 1),
            rule("POST", "/notes?tag={t}", "hits", 1_000_000_000_000),
            rule("ANY", "/notes/{id}$", "hits", 3),
            rule("DELETE", "/notes/{id}$", "remove", 1),
        ],
    });
    let mut tenant = Tenant::with_token(TOKEN);
    let service = add_service(&mut tenant, "notes", BackendVersion::UserKey, &proxy);
    let hits = tenant.hits(service);
    let remove = tenant.add_method(service, hits, "remove");
    let plan = tenant.add_plan(service, "Basic");
    tenant.add_limit(plan, remove, "eternity", 0);
    let none = tenant.add_plan(service, "None");
    tenant.add_limit(none, hits, "eternity", 0);
    let text = written(tenant);
    for part in [
        "# NOT taken over: there, \"/v1\" stands before each path",
        "# NOT taken over: there, the address of the API has a query",
        "# the port of \"notes.example:8080\" is not taken over",
        "# not taken over, because no host is written so: \"a b\"",
        "hosts = [\"*.notes.example\", \"notes.example\"]\n",
        "# not taken over: the condition on the query",
        "cost = 4294967295   # the highest that there is; there it counts 1000000000000\n",
        "# not taken over: there it counts 3; write an operation with this cost",
        "# notes: disabled there: DELETE /notes/{id} (remove)",
    ] {
        let part = part.replace("{id} (", "{id}$ (");
        assert!(text.contains(&part), "{part}\nis not in\n{text}");
    }
    let (_, basic) = text.split_once("[plan.\"basic\"]\n").unwrap();
    let (basic, none) = basic.split_once("\n\n").unwrap();
    assert_eq!(
        basic,
        "allow = [\n    \"notes: GET,POST /notes\",\n    \"notes: GET,POST /notes/*\",\n    \
         \"notes: GET,HEAD,OPTIONS,PATCH,POST,PUT /notes/{id}\",\n]"
    );
    assert!(none.contains("# left out: ") && !none.contains("[plan.\"none\"]"), "{none}");
    assert!(!text.contains("TOPSECRET"), "{text}");
}

//! Files that work, and what they come to.

use std::path::{Path, PathBuf};

use keystile_core::budget::Window;
use keystile_core::keys::lock::{LockLevel, LockRule, LockUntil};
use keystile_core::policy::api::Mode;
use keystile_core::policy::operation::{BodyKind, CountRule, Treatment};
use serde_json::Value;

use super::{SMALL, good};
use crate::config::explain::toml_value;
use crate::config::path::Step;
use crate::config::{
    Addresses, Colors, Configuration, INITIAL_FILE, for_upstream, reference, schema,
};

/// The example of the README, as it stands there.
const EXAMPLE: &str = r#"
data = "keystile-data"

[gate]
listen = ["127.0.0.1:7070"]
# tls = { certificate = "cert.pem", key = "key.pem" }

[console]
listen = "127.0.0.1:7080"          # health and metrics now, the owner's console later

[api.bookmarks]
upstream = ["http://127.0.0.1:7071"]
# hosts = ["api.example.org"]      # default: any host
# path = "/"                       # prefix that belongs to this API
# mode = "observe"                 # default: "enforce"

[plan.open]
allow = ["bookmarks: *"]                          # or "bookmarks: GET,POST /bookmarks/{id}"
write_budget = [                                  # past any of them, the key locks
  "100 per day",
  "20 per minute",
  { quota = "10 per day", on = "bookmarks: DELETE *" },
]
rate_limit = ["50 per second"]                    # past it, 429 for a moment
lock = { level = "writes", until = "unlocked" }   # or level = "all", until = "1 hour"

[plan.trusted]
allow = ["bookmarks: *"]
write_budget = ["5000 per day"]

[plan.visitor]
keyless = true                                    # callers without a key, counted by address
allow = ["bookmarks: GET *"]
rate_limit = ["5 per second"]
"#;

const LOCKED: LockRule = LockRule::Lock { level: LockLevel::Writes, until: LockUntil::Unlocked };

#[test]
fn the_example_of_the_documentation_works() {
    let configuration = good(EXAMPLE);
    assert_eq!(configuration.warnings.len(), 0);
    assert_eq!(configuration.data, Path::new("/srv/keystile-data"));
    assert_eq!(configuration.gate.listen, ["127.0.0.1:7070".parse().unwrap()]);
    assert_eq!(configuration.console.listen, "127.0.0.1:7080".parse().unwrap());
    let api = configuration.policy.api_named("bookmarks").unwrap().api.spec();
    assert_eq!(api.upstream.origins, ["http://127.0.0.1:7071"]);
    assert_eq!((api.mode, api.path.as_str(), api.hosts.len()), (Mode::Enforce, "", 0));
    let open = configuration.policy.plan("open").unwrap();
    let budgets: Vec<_> = open
        .budgets()
        .iter()
        .map(|budget| (budget.name.as_str(), budget.quota.to_string()))
        .collect();
    assert_eq!(
        budgets,
        [
            ("writes-day", "100 per day".to_owned()),
            ("writes-minute", "20 per minute".to_owned()),
            ("bookmarks-delete-day", "10 per day".to_owned()),
        ]
    );
    assert_eq!(open.spec().lock, LOCKED);
    assert_eq!(configuration.policy.plan("trusted").unwrap().spec().lock, LOCKED);
    let visitor = configuration.policy.keyless_plan().unwrap();
    assert_eq!((visitor.name(), visitor.spec().lock), ("visitor", LockRule::Never));
}

#[test]
fn operations_become_rules() {
    let configuration = good(&format!(
        "{SMALL}
        [[api.bookmarks.operation]]
        match = 'POST /import'
        cost = 'items'
        items_at = 'bookmarks'
        cost_max = 100
        [[api.bookmarks.operation]]
        match = 'POST /search'
        treat_as = 'read'
        [[api.bookmarks.operation]]
        match = 'POST /rpc'
        type = 'json_rpc'
        count = 'applied'"
    ));
    let spec = configuration.policy.api_named("bookmarks").unwrap().api.spec();
    let [import, search, rpc] = spec.operations.as_slice() else { panic!("{spec:?}") };
    let body = import.body.as_ref().unwrap();
    assert_eq!(
        (&body.kind, body.cost_max),
        (&BodyKind::Items { at: Some("bookmarks".to_owned()) }, Some(100))
    );
    assert_eq!(search.treat_as, Some(Treatment::Read));
    assert_eq!(
        (rpc.body.as_ref().unwrap().kind.clone(), rpc.count),
        (BodyKind::JsonRpc, Some(CountRule::Applied))
    );
}

#[test]
fn what_is_folded_is_folded_and_the_closest_host_is_asked_first() {
    let configuration = good(
        "[api.a]\nupstream='http://h'\nhosts=['*.Example.org', '[0:0::1]']\npath='/v2/'
        [api.b]\nupstream='http://h'\nhosts='api.example.org.'\npath='/v2'
        [plan.open]\nallow='*: *'",
    );
    let named = |host| {
        configuration
            .policy
            .api(host, "/v2/x", "/v2/x")
            .ok()
            .map(|found| found.api.name().to_owned())
    };
    assert_eq!(named("api.example.org").as_deref(), Some("b"));
    assert_eq!(named("www.example.org").as_deref(), Some("a"));
    assert_eq!(named("[::1]").as_deref(), Some("a"));
    assert_eq!(named("example.org"), None);
}

#[test]
fn a_plan_may_never_lock() {
    for line in ["never_lock = true", "lock = 'never'", "never_lock = true\nlock = 'never'"] {
        let configuration = good(&format!("{SMALL}{line}"));
        assert_eq!(
            configuration.policy.plan("open").unwrap().spec().lock,
            LockRule::Never,
            "{line}"
        );
    }
}

/// The default that the reference states is the one that holds: both are written down once, in two
/// places.
#[test]
fn the_stated_defaults_are_those_that_hold() {
    let schema = schema();
    let defaults = |keys: &[&str]| {
        let table = keys.iter().fold(&schema, |node, key| &node[*key]);
        let stated = table["properties"].as_object().unwrap().iter();
        let lines = stated.filter_map(|(key, schema)| Some((key, schema.get("default")?)));
        // A table's default is that it is empty.
        let lines = lines.filter(|(_, default)| {
            !default.is_object() && **default != Value::from(Vec::<Value>::new())
        });
        let lines = lines.map(|(key, default)| format!("{key} = {}", toml_value(default)));
        lines.collect::<Vec<_>>().join("\n")
    };
    let below = |name| defaults(&["properties", name, "additionalProperties"]);
    let stated = format!(
        "{}\n[gate]\n{}\n[console]\n{}\n[keys]\n{}\n[api.bookmarks]\nupstream = 'http://h'\n{}\n[plan.open]\nallow = '*: *'\n{}",
        defaults(&[]),
        defaults(&["properties", "gate"]),
        defaults(&["properties", "console"]),
        defaults(&["properties", "keys"]),
        below("api"),
        below("plan"),
    );
    assert_eq!(stated.matches(" = ").count(), 30, "{stated}");
    let unstated = "[api.bookmarks]\nupstream = 'http://h'\n[plan.open]\nallow = '*: *'";
    let all = |configuration: &Configuration| {
        let Configuration {
            data,
            store_timeout,
            gate,
            console,
            threescale_backend,
            policy,
            observes_all,
            watching,
            keys,
            journal,
            threescale,
            warnings,
        } = configuration;
        assert!(threescale.is_empty());
        let plans: Vec<_> = policy.plans().collect();
        format!(
            "{data:?} {store_timeout} {gate:?} {console:?} {threescale_backend:?} {:?} {plans:?} {observes_all} {watching:?} {keys} {journal:?} {warnings:?}",
            policy.apis()
        )
    };
    assert_eq!(all(&good(&stated)), all(&good(unstated)));
}

#[test]
fn the_initial_file_works_and_shows_every_key() {
    let configuration = good(INITIAL_FILE);
    assert!(configuration.warnings.is_empty(), "{:?}", configuration.warnings);
    let reference = reference();
    let mut missing = Vec::new();
    for table in schema::tables() {
        for key in schema::keys(&table.path) {
            let path: Vec<_> =
                table.path.iter().cloned().chain([Step::Key(key.to_owned())]).collect();
            let is_table = schema::tables().iter().any(|other| other.path.starts_with(&path));
            let is_shown = INITIAL_FILE.contains(&format!("{key} = "))
                || (is_table && INITIAL_FILE.contains(&format!("{key}.")));
            let is_header = INITIAL_FILE.contains(&format!("[{key}]"));
            if !(is_shown || is_header || INITIAL_FILE.contains(&format!(".{key}]]"))) {
                missing.push(format!("{} {key}", table.title));
            }
            assert!(is_table || reference.contains(&format!("### `{key}`")), "{key}");
        }
    }
    assert_eq!(missing, Vec::<String>::new());
}

/// What is commented out works too, once the comment signs are gone.
#[test]
fn the_options_in_the_initial_file_work() {
    let lines = INITIAL_FILE.lines().filter_map(|line| {
        let line = line.strip_prefix("# ").unwrap_or(line);
        let is_toml = line.contains(" = ") && !line.contains("`behind_proxy")
            || line.starts_with(['[', ' ', ']']);
        let needs_file = ["tls", "internal", "gateways", "trusted_certificates", "ca_file"]
            .iter()
            .any(|key| line.starts_with(key));
        let is_alternative = line.starts_with("never_lock") || line.contains("growth");
        let is_shown = is_toml && !needs_file && !is_alternative;
        is_shown.then(|| line.to_owned() + "\n")
    });
    let text: String = lines.collect();
    assert!(text.contains("websocket = true") && text.contains("retention"), "{text}");
    good(&text);
}

#[test]
fn one_address_is_a_whole_configuration() {
    let configuration = for_upstream(
        "http://127.0.0.1:3000",
        &Addresses::default(),
        Mode::Observe,
        PathBuf::from("d"),
    )
    .unwrap();
    assert_eq!(configuration.data, Path::new("d"));
    assert_eq!(configuration.policy.api_named("api").unwrap().api.spec().mode, Mode::Observe);
    let plan = configuration.policy.plan("open").unwrap();
    assert_eq!((plan.spec().allow[0].to_string().as_str(), plan.spec().lock), ("api: *", LOCKED));
    assert!(plan.budgets().iter().all(|budget| matches!(budget.quota.window, Window::Rolling(_))));
    let report =
        for_upstream("localhost:3000", &Addresses::default(), Mode::Enforce, PathBuf::new())
            .unwrap_err();
    insta::assert_snapshot!(report.render(100, Colors::Off), @r#"
      × "localhost:3000" is not an origin: write http:// or https://, a host, and a port where needed
       ╭─[--upstream:1:1]
     1 │ localhost:3000
       · ──────────────
       ╰────
      help: did you mean "http://localhost:3000"?

    --upstream: 1 mistake
    "#);
}

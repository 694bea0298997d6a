//! An account that is brought over from a portal, on real sockets.

use keystile_core::owners::principal::Principal;
use keystile_engine::AccountKeeper as _;
use keystile_engine::keys::account::{AccountPart, PartReport};
use keystile_engine::keys::source::SyncMode;
use keystile_threescale::account::record::{MetricRecord, ServiceRecord};
use keystile_threescale::backend::period::Period;
use keystile_threescale::import::convert::Import;
use keystile_threescale::import::policy::policy;
use keystile_threescale::import::read::read;
use keystile_threescale::import::snapshot::Snapshot;
use keystile_threescale::portal::PortalClient;
use keystile_threescale_standin::fault::Fault;
use keystile_threescale_standin::tenant::{BackendVersion, State, Tenant};
use serde_json::json;

use crate::fixture::{Backend, GATEWAY_SERVICE_TOKEN, GATEWAY_TOKEN};
use crate::setup::{Ids, TOKEN, TestPortal};

const SERVICE_TOKEN: &str = "5e41ce70c3115e41ce70c3115e41ce70c311";

/// A tenant with a service by user keys and one by ids, the numbers of both, and of an application of each.
fn tenant() -> (Tenant, [u64; 2], [u64; 2]) {
    let mut tenant = Tenant::with_token(TOKEN);
    let notes = tenant.add_service("Notes", BackendVersion::UserKey);
    let maps = tenant.add_service("Maps", BackendVersion::AppId);
    let (hits, backend) = (tenant.hits(notes), tenant.add_backend(notes));
    let read = tenant.add_method(notes, hits, "read");
    tenant.add_rule(notes, hits, "GET", "/", 1);
    tenant.add_rule(notes, read, "POST", "/notes/{id}", 3);
    tenant.add_feature(notes, "Support");
    let (basic, free) = (tenant.add_plan(notes, "Basic"), tenant.add_plan(maps, "Free"));
    tenant.add_limit(basic, hits, "eternity", 3);
    tenant.add_limit(basic, backend + 1, "day", 1_000);
    tenant.add_pricing(basic);
    let acme = tenant.add_account("Acme Ltd");
    let reader = tenant.add_application(acme, basic, "Reader");
    let walker = tenant.add_application(acme, free, "Walker");
    tenant.application_mut(walker).keys =
        vec!["walker-key-1".to_owned(), "walker-key-2".to_owned()];
    let content = json!({
        "id": notes, "name": "Notes", "system_name": "notes", "backend_version": "1",
        "backend_authentication_type": "service_token",
        "backend_authentication_value": SERVICE_TOKEN,
        "proxy": {
            "hosts": ["notes.example"], "api_backend": "https://up.example:443/v1",
            "credentials_location": "headers", "auth_user_key": "user_key",
            "policy_chain": [{"name": "cors"}, {"name": "apicast"}],
            "proxy_rules": [
                {"http_method": "GET", "pattern": "/", "metric_system_name": "hits", "delta": 1},
                {"http_method": "POST", "pattern": "/notes/{id}", "metric_system_name": "read", "delta": 3},
                {"http_method": "POST", "pattern": "/a//b", "metric_system_name": "read", "delta": 1},
            ],
        },
    });
    tenant.add_config(notes, "production", content);
    (tenant, [notes, maps], [reader, walker])
}

async fn snapshot(client: &PortalClient) -> Snapshot {
    read(client, ("https://portal.test", &[]), |_| {}).await.unwrap()
}

/// Takes all parts over, and adds up what came of them.
async fn take(backend: &Backend, import: Import, mode: SyncMode) -> PartReport {
    let by = Principal::CommandLine { account: "ada".to_owned() };
    let mut sum = PartReport::default();
    for part in import.parts {
        let part = AccountPart(serde_json::to_value(part).unwrap());
        let taken = backend.account.take_over(&by, part, mode).await.unwrap();
        sum.added += taken.added;
        sum.changed += taken.changed;
        sum.unchanged += taken.unchanged;
        sum.changes.extend(taken.changes);
        sum.problems.extend(taken.problems);
    }
    sum
}

async fn portal_of(tenant: Tenant) -> TestPortal {
    let ids =
        Ids { service: 0, hits: 0, writes: 0, plan: 0, other_plan: 0, account: 0, application: 0 };
    TestPortal::with(tenant, ids).await
}

async fn empty() -> Backend {
    Backend::open(tempfile::tempdir().unwrap()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_comes_over_with_its_keys_limits_tokens_and_configurations() {
    let (tenant, [notes, maps], [reader, walker]) = tenant();
    let portal = portal_of(tenant).await;
    let import = Import::of(&snapshot(&portal.client).await);
    assert_eq!((import.services, import.applications), (2, 2));
    assert_eq!(import.problems, Vec::<String>::new());
    let backend = empty().await;
    let dry = take(&backend, import.clone(), SyncMode::DryRun).await;
    assert_eq!((dry.added, dry.changed), (2, 3), "{dry:?}");
    assert_eq!(backend.account.catalog().services().count(), 0, "a dry run changes nothing");
    let taken = take(&backend, import, SyncMode::Apply).await;
    assert_eq!((taken.added, taken.changed, taken.unchanged), (2, 3, 0), "{taken:?}");
    let authrep = |service: u64, token: &str, who: &str| {
        let query = format!("service_token={token}&service_id={service}&{who}&usage[hits]=1");
        backend.get(&format!("/transactions/authrep.xml?{query}"))
    };
    let reader = format!("user_key=key-{reader}");
    for _ in 0..3 {
        assert_eq!(authrep(notes, SERVICE_TOKEN, &reader).status, 200);
    }
    let beyond = authrep(notes, SERVICE_TOKEN, &reader);
    assert!(beyond.body.contains("usage limits are exceeded"), "{}", beyond.body);
    assert_eq!(authrep(notes, "another", &reader).status, 403);
    let provider = format!("/transactions/authrep.xml?provider_key=&service_id={notes}&{reader}");
    assert_eq!(backend.get(&provider).status, 403, "an empty provider key is nobody's");
    let walker = format!("app_id=app-{walker}&app_key=walker-key");
    for (key, status) in [("-2", 200), ("-1", 200), ("-3", 409)] {
        let reply = authrep(maps, GATEWAY_SERVICE_TOKEN, &format!("{walker}{key}"));
        assert_eq!(reply.status, status, "{key}: {}", reply.body);
    }
    let basic =
        base64::Engine::encode(&base64::prelude::BASE64_STANDARD, format!("{GATEWAY_TOKEN}:"));
    let asked = format!(
        "GET /admin/api/account/proxy_configs/production.json?host=notes.example HTTP/1.1\r\nhost: b\r\n\
         connection: close\r\nauthorization: Basic {basic}\r\n\r\n"
    );
    let told = crate::fixture::exchange(backend.address(), &asked);
    assert!(
        told.body.contains("/notes/{id}") && !told.body.contains(SERVICE_TOKEN),
        "{}",
        told.body
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_import_that_is_done_again_changes_only_what_changed_there() {
    let (tenant, [notes, _], [reader, walker]) = tenant();
    let portal = portal_of(tenant).await;
    let client = &portal.client;
    let backend = empty().await;
    take(&backend, Import::of(&snapshot(client).await), SyncMode::Apply).await;
    let again = take(&backend, Import::of(&snapshot(client).await), SyncMode::Apply).await;
    assert_eq!((again.added, again.changed, again.unchanged), (0, 0, 5), "{again:?}");
    let plan = portal.portal.tenant().application(reader).plan;
    {
        let mut tenant = portal.portal.tenant();
        "another-user-key".clone_into(&mut tenant.application_mut(reader).user_key);
        tenant.application_mut(walker).state = State::Suspended;
        let hits = tenant.hits(notes);
        tenant.add_limit(plan, hits, "day", 7);
    }
    let after = take(&backend, Import::of(&snapshot(client).await), SyncMode::Apply).await;
    assert_eq!((after.added, after.changed, after.unchanged), (0, 3, 2), "{after:?}");
    assert_eq!(
        after.changes,
        [
            format!(
                "The service Notes ({notes}) changed: the limit of 7 hits per day of the plan Basic ({plan}) is new."
            ),
            "Acme Ltd – Reader changed: its user key.".to_owned(),
            "Acme Ltd – Walker changed: it is suspended.".to_owned(),
        ]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_says_the_same_as_the_portal() {
    let (tenant, _, [reader, _]) = tenant();
    let portal = portal_of(tenant).await;
    let read = snapshot(&portal.client).await;
    let file = serde_json::to_vec(&read).unwrap();
    let parsed = Snapshot::parse(&file).unwrap();
    assert_eq!(parsed, read);
    let shown = format!("{read:?} {:?}", Import::of(&read));
    for secret in [TOKEN, SERVICE_TOKEN, "walker-key-1", &format!("key-{reader}")] {
        assert!(!shown.contains(secret), "{secret}: {shown}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_portal_that_fails_in_the_middle_is_an_error_and_no_half_account() {
    let (tenant, ..) = tenant();
    let portal = portal_of(tenant).await;
    let client = &portal.client;
    for path in ["/metrics.json", "/limits.json", "/keys.json", "/applications.json"] {
        portal.portal.fail_on(path, Fault::json(500, "{}"));
        let read = read(client, ("portal", &[]), |_| {}).await;
        let error = read.unwrap_err().to_string();
        assert!(error.contains("500") && error.contains(path), "{path}: {error}");
    }
    assert!(read(client, ("portal", &[]), |_| {}).await.is_ok(), "each fault was for one call");
}

#[tokio::test(flavor = "multi_thread")]
async fn mapping_rules_become_operations_and_what_cannot_is_said() {
    let (tenant, ..) = tenant();
    let portal = portal_of(tenant).await;
    let text = policy(&snapshot(&portal.client).await);
    for part in [
        "[api.\"notes\"]\nupstream = \"https://up.example\"\n# NOT taken over: there, \"/v1\" stands before each path. Let the API take paths\n\
         # without it, or put a proxy that adds it between\n\
         hosts = [\"notes.example\"]\n\
         # callers must write \"user-key\" for \"user_key\": fields with `_` never pass\nkey_header = \"user-key\"\n",
        "[[api.\"notes\".operation]]\nmatch = \"POST /notes/{id}/*\"\ncost = 3\n",
        "not taken over, because no operation is written so: POST /a//b (read)",
        "[plan.\"basic\"]\nallow = [\n    \"notes: GET *\",\n    \"notes: POST /notes/{id}\",\n",
        "#   notes: 3 hits per eternity\n",
        "# plans = { \"Basic\" = \"basic\", \"Free\" = \"free\" }",
    ] {
        assert!(text.contains(part), "{part}\nis not in\n{text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_import_that_broke_off_is_done_again_and_whole() {
    let (mut tenant, [notes, _], [reader, _]) = tenant();
    let (plan, account) = (tenant.application(reader).plan, tenant.application(reader).account);
    for number in 0..650 {
        tenant.add_application(account, plan, &format!("App {number}"));
    }
    let portal = portal_of(tenant).await;
    let import = Import::of(&snapshot(&portal.client).await);
    let mut begun = import.clone();
    begun.parts.truncate(4);
    let backend = empty().await;
    let taken = take(&backend, begun, SyncMode::Apply).await;
    assert_eq!(taken.added, 200, "{taken:?}");
    let backend = Backend::open(backend.killed()).await;
    let rest = take(&backend, import, SyncMode::Apply).await;
    assert_eq!((rest.added, rest.unchanged), (452, 203), "{rest:?}");
    let count =
        backend.account.catalog().service(&notes.to_string()).unwrap().applications().count();
    assert_eq!(count, 651);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_part_or_belongs_to_nothing_changes_nothing() {
    let backend = empty().await;
    let by = Principal::CommandLine { account: "ada".to_owned() };
    let application = json!({
        "id": "a", "name": "A", "is_active": true, "plan_id": "1", "plan_name": "B",
        "user_key": "TOPSECRET", "keys": [], "referrer_filters": [], "redirect_url": null,
    });
    for (part, said) in [
        (json!({"service": "TOPSECRET"}), "this is no part of an account that this version knows"),
        (json!({"unknown": {}}), "this is no part of an account that this version knows"),
        (
            json!({"applications": {"service": "7", "applications": [application]}}),
            "there is no such service",
        ),
    ] {
        let part = AccountPart(part);
        assert!(!format!("{part:?}").contains("TOPSECRET"));
        let failure = backend.account.take_over(&by, part, SyncMode::Apply).await.unwrap_err();
        assert!(failure.message.contains(said), "{failure:?}");
        assert!(!failure.message.contains("TOPSECRET"), "{failure:?}");
    }
    assert_eq!(backend.account.catalog().services().count(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limit_that_was_made_here_outlives_an_import_and_one_that_was_brought_goes_with_the_portals()
 {
    let (tenant, [notes, _], [reader, _]) = tenant();
    let plan = tenant.application(reader).plan;
    let portal = portal_of(tenant).await;
    let whole = snapshot(&portal.client).await;
    let backend = empty().await;
    take(&backend, Import::of(&whole), SyncMode::Apply).await;
    let (id, by) = (notes.to_string(), Principal::CommandLine { account: "ada".to_owned() });
    let mut by_hand = None;
    let change = |record: Option<ServiceRecord>| {
        let mut record = record?;
        record.metrics.push(MetricRecord {
            id: "9001".to_owned(),
            name: "own".to_owned(),
            parent_id: None,
        });
        let mut limit = record.limits[0].clone();
        (limit.period, limit.max) = (Period::Minute, 2);
        record.limits.push(limit.clone());
        by_hand = Some(limit);
        Some(record)
    };
    backend.account.change_service(&by, &id, change).await.unwrap();
    let by_hand = by_hand.unwrap();
    let mut less = whole.clone();
    for plan in less.services.iter_mut().flat_map(|one| one.plans.iter_mut()) {
        plan.limits.clear();
    }
    let dry = take(&backend, Import::of(&less), SyncMode::DryRun).await;
    let real = take(&backend, Import::of(&less), SyncMode::Apply).await;
    assert_eq!((&dry.changes, &dry.problems), (&real.changes, &real.problems));
    let goes = format!("the limit of 3 hits per eternity of the plan Basic ({plan}) goes");
    assert!(real.changes[0].contains(&goes), "{real:?}");
    let path = format!("DELETE /internal/services/{id}/metrics/9001.");
    assert!(real.problems[0].ends_with(&path), "{real:?}");
    assert!(
        real.problems[1].contains("The limit of 2 ") && real.problems[1].contains("stays here")
    );
    let kept = backend.account.catalog().service(&id).unwrap().record.limits.clone();
    assert_eq!(kept, [by_hand]);
    let again = take(&backend, Import::of(&less), SyncMode::Apply).await;
    assert_eq!((again.changed, again.unchanged), (0, 5), "{again:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_gone_there_and_can_still_call_here_is_named() {
    let (tenant, [notes, maps], [reader, walker]) = tenant();
    let portal = portal_of(tenant).await;
    let whole = snapshot(&portal.client).await;
    let backend = empty().await;
    let first = take(&backend, Import::of(&whole), SyncMode::Apply).await;
    assert_eq!(first.problems, Vec::<String>::new());
    let mut less = whole.clone();
    less.services.retain(|one| one.service.id.to_string() == notes.to_string());
    less.applications.clear();
    for mode in [SyncMode::DryRun, SyncMode::Apply] {
        let said = take(&backend, Import::of(&less), mode).await.problems;
        assert_eq!(said.len(), 2, "{said:?}");
        assert!(said[0].contains(&format!("Acme Ltd – Reader ({reader})")), "{said:?}");
        assert!(said[0].contains("is gone in 3scale, and can still call here"), "{said:?}");
        assert!(said[1].contains(&format!("The service {maps} is gone in 3scale")), "{said:?}");
    }
    let wanted = whole.services[0].service.id;
    let part = whole.clone().only(&[wanted]).unwrap();
    assert_eq!((part.services.len(), part.applications.len()), (1, 1));
    let said = take(&backend, Import::of(&part), SyncMode::DryRun).await.problems;
    assert_eq!(said, Vec::<String>::new(), "what was not asked for is not gone: app-{walker}");
    let missing = keystile_threescale::portal::records::ServiceId::new(1);
    assert!(whole.only(&[missing]).unwrap_err().to_string().contains("holds no service 1"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_import_waits_where_the_portal_takes_no_more_calls_and_goes_on() {
    let (tenant, ..) = tenant();
    let portal = portal_of(tenant).await;
    let pauses = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let noted = pauses.clone();
    let client = PortalClient::new(portal.settings()).unwrap();
    let client = client.waiting(move |pause| noted.lock().unwrap().push(pause.as_secs()));
    portal.portal.fail_on("/limits.json", Fault::rate_limited(Some("1")));
    assert_eq!(snapshot(&client).await.services.len(), 2);
    assert_eq!(*pauses.lock().unwrap(), [1]);
    portal.portal.fail_on("/limits.json", Fault::rate_limited(Some("3600")));
    let error = read(&client, ("portal", &[]), |_| {}).await.unwrap_err().to_string();
    assert!(error.contains("429"), "an hour is too long to wait: {error}");
}

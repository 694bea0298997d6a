//! A file that sets everything to something else than its default.

use std::path::Path;
use std::time::Duration;

use http::{HeaderName, Uri};
use keystile_core::budget::Per;
use keystile_core::keys::lock::{LockLevel, LockRule, LockUntil};
use keystile_core::notifications::channel::SecretSource;
use keystile_core::policy::PlanSpec;
use keystile_core::policy::api::{ApiSpec, Mode, UpstreamRule};
use keystile_core::policy::operation::{CountRule, ScopedPattern, Treatment};
use keystile_core::request::call_method::CallMethod;
use keystile_core::request::credential::PairRule;
use keystile_core::time::Span;
use keystile_threescale::drive::settings::{DriveSettings, OnLock};
use keystile_web::Access;

use crate::config::{Colors, Configuration, load};

#[test]
fn every_setting_arrives_where_it_belongs() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("a.pem"), "-----BEGIN CERTIFICATE-----\n").unwrap();
    let path = folder.path().join("keystile.toml");
    std::fs::write(&path, include_str!("full.toml")).unwrap();
    let configuration =
        load(&path).unwrap_or_else(|report| panic!("{}", report.render(100, Colors::Off)));
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
    assert!(warnings.is_empty() && !observes_all, "{warnings:?}");
    assert_eq!(data, Path::new("/var/lib/keystile"));
    assert_eq!(store_timeout, Span::from_secs(2));
    insta::assert_snapshot!(
        format!("{gate:#?}").replace(&folder.path().display().to_string(), "FOLDER")
    );
    assert_eq!((console.listen.to_string().as_str(), console.behind_proxy), ("10.0.0.1:80", true));
    assert_eq!(console.url(console.listen), "https://console.example.org");
    assert_eq!((console.health, console.metrics), (Access::Token, Access::Off));
    let backend = threescale_backend.unwrap();
    assert_eq!((backend.listen.to_string().as_str(), backend.threads), ("10.0.0.1:7090", 2));
    assert_eq!(backend.writes.unwrap().metrics, ["post", "put"]);
    let gateways = backend.gateways.unwrap();
    assert_eq!(gateways.backend.as_deref(), Some("https://backend.example.org"));
    assert_eq!(gateways.token, gateways.service_token);
    assert!(backend.tls.unwrap().certificate.ends_with("a.pem"));
    let mirror = backend.mirror.unwrap();
    assert_eq!(mirror.plans["Basic"], "open");
    assert_eq!(mirror.default_plan.as_deref(), Some("open"));
    let internal = backend.internal.unwrap();
    assert_eq!((internal.user.as_str(), internal.remote), ("portal", true));
    assert_eq!(internal.password, "-----BEGIN CERTIFICATE-----");
    assert_eq!((keys.as_str(), journal.retention), ("acme", Some(Span::from_secs(90 * 86_400))));
    assert_eq!(policy.time_zone().iana_name(), Some("Europe/Berlin"));
    check_api(policy.api_named("notes").unwrap().api.spec(), folder.path());
    check_threescale(&threescale, folder.path());
    check_plan(policy.plan("open").unwrap().spec());
    let mut told = format!("{:#?}\n{:#?}", watching.channels(), &watching.rules()[..2]);
    told = told.replace(&folder.path().display().to_string(), "FOLDER");
    insta::assert_snapshot!("every_watch_rule_and_channel", told);
}

fn check_threescale(accounts: &[DriveSettings], folder: &Path) {
    let [account] = accounts else { panic!("{accounts:?}") };
    assert_eq!((account.name.as_str(), account.service.get()), ("main", 2_555_417));
    let portal = &account.portal;
    assert_eq!(portal.address.to_string(), "https://acme-admin.3scale.net");
    assert_eq!(portal.token, SecretSource::File(folder.join("3scale")));
    assert_eq!(portal.ca_file, Some(folder.join("a.pem")));
    assert_eq!(account.plans["Basic plan"], "open");
    assert_eq!(account.default_plan.as_deref(), Some("open"));
    assert_eq!(account.on_lock, OnLock::ChangePlan("Read only".to_owned()));
    assert_eq!(account.refresh, Duration::from_mins(1));
    assert_eq!(account.keep_known, Span::from_secs(7 * 86_400));
    let look_ups = account.look_ups;
    assert_eq!((look_ups.per_second, look_ups.unknown_for), (20, Span::from_secs(300)));
    let usage = account.usage.as_ref().unwrap();
    assert_eq!(usage.backend.to_string(), "https://su1.3scale.net");
    assert_eq!(usage.service_token, SecretSource::File(folder.join("3scale-service")));
    assert_eq!((usage.map.reads.as_deref(), usage.map.writes.as_deref()), (Some("hits"), None));
    assert_eq!(usage.map.methods[&CallMethod::Delete], "deletions");
    assert_eq!(account.webhook_secret, Some(SecretSource::File(folder.join("hook"))));
}

fn check_api(spec: &ApiSpec, folder: &Path) {
    assert_eq!(spec.hosts, ["notes.example.org", "*.notes.example.org"]);
    assert_eq!(
        (spec.path.as_str(), spec.mode, spec.matrix_parameters),
        ("/v2", Mode::Observe, true)
    );
    assert_eq!(spec.credential.header, "x-token");
    assert_eq!(spec.credential.query_parameter.as_deref(), Some("token"));
    let [id, secret] = ["app-id", "app-key"].map(HeaderName::from_static);
    assert_eq!(spec.credential.pair, Some(PairRule::Headers { id, secret }));
    assert_eq!((spec.body_bytes_max, spec.count_bytes_max), (Some(1000), 65_536));
    let upstream = UpstreamRule {
        origins: ["https://a.example.org", "https://b.example.org:8443"]
            .map(Uri::from_static)
            .into(),
        http2_prior_knowledge: false,
        trusted_certificates: Some(folder.join("a.pem")),
        connect_timeout: Span::from_secs(1),
        first_byte_timeout: Span::from_secs(2),
        total_timeout: Some(Span::from_secs(3)),
        keep_host: false,
        forward_credential: true,
    };
    assert_eq!(spec.upstream, upstream);
    let [list, import] = spec.operations.as_slice() else { panic!("{spec:?}") };
    assert_eq!(
        (list.pattern.to_string().as_str(), list.treat_as),
        ("PROPFIND /v2/{id}", Some(Treatment::Read))
    );
    assert_eq!(
        (import.cost, import.websocket, import.count),
        (Some(5), true, Some(CountRule::Applied))
    );
}

fn check_plan(spec: &PlanSpec) {
    let texts =
        |patterns: &[ScopedPattern]| patterns.iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(texts(&spec.allow), ["notes: *", "*: GET *"]);
    let [heavy, all, shared] = spec.write_budgets.as_slice() else { panic!("{spec:?}") };
    assert_eq!(heavy.name.as_deref(), Some("heavy"));
    assert_eq!(heavy.quota.to_string(), "10 per month calendar");
    assert_eq!(texts(&heavy.on), ["notes: DELETE *", "notes: PUT *"]);
    assert_eq!((all.quota.to_string().as_str(), all.on.len()), ("1000 per 2 hours", 0));
    assert_eq!([heavy.per, all.per, shared.per], [Per::Key, Per::Key, Per::Application]);
    let limits: Vec<_> = spec.rate_limits.iter().map(ToString::to_string).collect();
    assert_eq!(limits, ["5 per second", "100 per hour"]);
    let hour = Span::from_secs(3600);
    let until = LockUntil::For { span: hour, growth: 2, span_max: Span::from_secs(30 * 86_400) };
    assert_eq!(spec.lock, LockRule::Lock { level: LockLevel::All, until });
}

//! APIs, plans and settings as the tests need them.

use keystile_core::budget::Per;
use keystile_core::keys::lock::{LockLevel, LockRule, LockUntil};
use keystile_core::policy::api::{ApiSpec, Mode, UpstreamRule};
use keystile_core::policy::operation::OperationRule;
use keystile_core::policy::{BudgetSpec, PlanSpec};
use keystile_core::request::credential::CredentialRule;
use keystile_core::time::Span;
use keystile_proxy::settings::GateSettings;

/// The API `notes` on every host, in front of some origins.
pub(crate) fn api(origins: &[String]) -> ApiSpec {
    ApiSpec {
        name: "notes".to_owned(),
        hosts: Vec::new(),
        path: String::new(),
        mode: Mode::Enforce,
        matrix_parameters: false,
        credential: CredentialRule::default(),
        body_bytes_max: None,
        count_bytes_max: 64 * 1024,
        upstream: UpstreamRule {
            origins: origins.iter().map(|origin| origin.parse().unwrap()).collect(),
            http2_prior_knowledge: false,
            trusted_certificates: None,
            connect_timeout: Span::from_secs(2),
            first_byte_timeout: Span::from_secs(10),
            total_timeout: None,
            keep_host: true,
            forward_credential: false,
        },
        operations: Vec::new(),
    }
}

/// A plan that allows everything; the key locks for writes until it is unlocked.
pub(crate) fn plan(name: &str, budgets: &[&str]) -> PlanSpec {
    let budget = |quota: &&str| BudgetSpec {
        name: None,
        quota: quota.parse().unwrap(),
        on: Vec::new(),
        per: Per::Key,
    };
    PlanSpec {
        name: name.to_owned(),
        is_keyless: false,
        allow: vec!["*: *".parse().unwrap()],
        write_budgets: budgets.iter().map(budget).collect(),
        rate_limits: Vec::new(),
        lock: LockRule::Lock { level: LockLevel::Writes, until: LockUntil::Unlocked },
    }
}

/// A plan for callers without a key.
pub(crate) fn keyless(allow: &str) -> PlanSpec {
    PlanSpec { is_keyless: true, allow: vec![allow.parse().unwrap()], ..plan("visitor", &[]) }
}

/// What is said of some operations.
pub(crate) fn rule(pattern: &str, change: impl FnOnce(&mut OperationRule)) -> OperationRule {
    let mut rule = OperationRule::new(pattern.parse().unwrap());
    change(&mut rule);
    rule
}

/// One core, patient deadlines, and caps that no test meets by accident.
pub(crate) fn settings() -> GateSettings {
    GateSettings {
        listen: vec!["127.0.0.1:0".parse().unwrap()],
        tls: None,
        workers: std::num::NonZeroUsize::new(1),
        methods: Vec::new(),
        trusted_proxies: Vec::new(),
        head_timeout: Span::from_secs(10),
        idle_timeout: Span::from_secs(10),
        body_rate_min: 500,
        drain_timeout: Span::from_secs(2),
        connections_max: 10_000,
        connections_per_address: 10_000,
        buffers_max: 36 << 20,
        key_failures: "100 per minute".parse().unwrap(),
    }
}

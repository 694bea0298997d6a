//! A policy with an API that applications of the backend write to.

use std::sync::Arc;

use jiff::tz::TimeZone;
use keystile_core::budget::Per;
use keystile_core::keys::lock::{LockLevel, LockRule, LockUntil};
use keystile_core::policy::api::{ApiSpec, Mode, UpstreamRule};
use keystile_core::policy::{BudgetSpec, PlanSpec, Policy};
use keystile_core::request::credential::CredentialRule;
use keystile_core::time::Span;
use keystile_engine::EngineSettings;

/// Ten writes a day, of each key on the plan `open` and of all keys of an application on `team`; the eleventh
/// locks.
pub(crate) fn policy() -> Policy {
    let api = ApiSpec {
        name: "notes".to_owned(),
        hosts: Vec::new(),
        path: String::new(),
        mode: Mode::Enforce,
        matrix_parameters: false,
        credential: CredentialRule::default(),
        body_bytes_max: None,
        count_bytes_max: 1 << 20,
        upstream: UpstreamRule {
            origins: vec!["http://127.0.0.1:1".parse().unwrap()],
            http2_prior_knowledge: false,
            trusted_certificates: None,
            connect_timeout: Span::from_secs(1),
            first_byte_timeout: Span::from_secs(1),
            total_timeout: None,
            keep_host: false,
            forward_credential: false,
        },
        operations: Vec::new(),
    };
    let budget = BudgetSpec {
        name: None,
        quota: "10 per day".parse().unwrap(),
        on: Vec::new(),
        per: Per::Key,
    };
    let plan = |name: &str, per| PlanSpec {
        name: name.to_owned(),
        is_keyless: false,
        allow: vec!["notes: *".parse().unwrap()],
        write_budgets: vec![BudgetSpec { per, ..budget.clone() }],
        rate_limits: Vec::new(),
        lock: LockRule::Lock { level: LockLevel::Writes, until: LockUntil::Unlocked },
    };
    let plans =
        vec![plan("open", Per::Key), plan("strict", Per::Key), plan("team", Per::Application)];
    Policy::new(vec![api], plans, TimeZone::UTC)
}

pub(crate) fn settings() -> EngineSettings {
    EngineSettings {
        key_prefix: keystile_core::keys::text::KeyPrefix::default(),
        retention: None,
        key_failures: "300 per minute".parse().unwrap(),
        console_url: "https://console.example.org".to_owned(),
        gate: Vec::new(),
        watching: Arc::default(),
    }
}

//! Policies, requests and settlements as the tests need them.

use std::sync::Arc;

use keystile_core::actor::Actor;
use keystile_core::budget::Per;
use keystile_core::decision::{Call, CallerState, Permit, decide};
use keystile_core::journal::{Outcome, RequestFacts};
use keystile_core::keys::application::ApplicationState;
use keystile_core::keys::key::KeyState;
use keystile_core::keys::lock::{LockLevel, LockRule, LockUntil};
use keystile_core::policy::api::{ApiSpec, Charge, Mode, UpstreamRule};
use keystile_core::policy::operation::{CountRule, OperationRule};
use keystile_core::policy::{BudgetSpec, PlanSpec, Policy};
use keystile_core::rate::RateState;
use keystile_core::refusal::Reason;
use keystile_core::request::credential::CredentialRule;
use keystile_core::time::{Span, Timestamp};

use crate::key_cache::KeyEntry;
use crate::reservation::{RefusedRecord, Requester, ReserveRequest, Sender, Settlement};

pub(crate) const LOCKS: LockRule =
    LockRule::Lock { level: LockLevel::Writes, until: LockUntil::Unlocked };

/// A lock for some milliseconds.
pub(crate) fn locks_for(millis: i64) -> LockRule {
    let span = Span::from_millis(millis).unwrap();
    LockRule::Lock {
        level: LockLevel::Writes,
        until: LockUntil::For { span, growth: 1, span_max: span },
    }
}

/// A plan that allows everything; each budget is a quota and the operations that it counts.
pub(crate) fn plan(name: &str, budgets: &[(&str, &[&str])], lock: LockRule) -> PlanSpec {
    let own: Vec<_> = budgets.iter().map(|(quota, on)| (*quota, *on, Per::Key)).collect();
    sharing(name, &own, lock)
}

/// The same, with whose writes each budget counts together.
pub(crate) fn sharing(name: &str, budgets: &[(&str, &[&str], Per)], lock: LockRule) -> PlanSpec {
    let budget = |(quota, on, per): &(&str, &[&str], Per)| BudgetSpec {
        name: None,
        quota: quota.parse().unwrap(),
        on: on.iter().map(|pattern| pattern.parse().unwrap()).collect(),
        per: *per,
    };
    PlanSpec {
        name: name.to_owned(),
        is_keyless: name == "keyless",
        allow: vec!["*: *".parse().unwrap()],
        write_budgets: budgets.iter().map(budget).collect(),
        rate_limits: Vec::new(),
        lock,
    }
}

fn api(name: &str, count: CountRule) -> ApiSpec {
    let rule = OperationRule { count: Some(count), ..OperationRule::new("*".parse().unwrap()) };
    ApiSpec {
        name: name.to_owned(),
        hosts: Vec::new(),
        path: String::new(),
        mode: Mode::Enforce,
        matrix_parameters: false,
        credential: CredentialRule::default(),
        body_bytes_max: None,
        count_bytes_max: 1024,
        upstream: UpstreamRule {
            origins: vec![http::Uri::from_static("http://127.0.0.1:1")],
            http2_prior_knowledge: false,
            trusted_certificates: None,
            connect_timeout: Span::from_secs(1),
            first_byte_timeout: Span::from_secs(1),
            total_timeout: None,
            keep_host: true,
            forward_credential: false,
        },
        operations: vec![rule],
    }
}

/// The API `notes` keeps what the upstream refuses counted, `drafts` gives it back.
pub(crate) fn policy(plans: &[PlanSpec]) -> Arc<Policy> {
    let apis = vec![api("notes", CountRule::Sent), api("drafts", CountRule::Applied)];
    Arc::new(Policy::new(apis, plans.to_vec(), jiff::tz::TimeZone::UTC))
}

pub(crate) fn owner() -> Actor {
    Actor::CommandLine("owner".to_owned())
}

pub(crate) fn facts(api: &str, method: &str, path: &str) -> RequestFacts {
    RequestFacts {
        api: api.to_owned(),
        operation: format!("{method} *"),
        method: method.to_owned(),
        path: path.to_owned(),
        address: "192.0.2.7".parse().unwrap(),
        user_agent: Some("curl/8".to_owned()),
        request_bytes: Some(12),
    }
}

/// Refusals that fill the journal cheaply.
pub(crate) fn refusals(key: Option<&Arc<KeyEntry>>, many: usize) -> Vec<RefusedRecord> {
    let facts = facts("notes", "PUT", "/notes/9");
    vec![
        RefusedRecord {
            key: key.cloned(),
            facts,
            reason: Reason::OperationNotInPlan,
            outcome: Outcome::Refused,
            count: 1
        };
        many
    ]
}

pub(crate) fn settlement(outcome: Outcome) -> Settlement {
    let status = (outcome != Outcome::NotSent).then_some(200);
    Settlement { outcome, status, duration_ms: 3, request_bytes: None, response_bytes: Some(5) }
}

pub(crate) fn requester(key: &Arc<KeyEntry>) -> Requester {
    Requester::Key(key.clone())
}

/// A permitted write. The decision sees an active key, so that what refuses it is the store.
pub(crate) fn write(
    policy: &Arc<Policy>,
    requester: Requester,
    operation: (&str, &str, &str),
    cost: u32,
) -> ReserveRequest {
    let (api_name, method, path) = operation;
    let api = policy.api_named(api_name).unwrap();
    let mut found = api.api.operation(&method.parse().unwrap(), path, path);
    found.charge = Charge::Writes(cost);
    let keyless = RateState::default();
    let (lacks, why) = (Reason::KeyMissing.into(), Reason::KeyUnknown.into());
    let plan;
    let caller = match &requester {
        Requester::Key(key) => {
            plan = key.plan();
            CallerState::Key {
                id: key.id,
                state: KeyState::Active,
                application: ApplicationState::Active,
                plan: &plan,
                rate: &key.rate,
            }
        }
        Requester::Address(_) => CallerState::Keyless { rate: &keyless, lacks: &lacks },
        Requester::Nobody => CallerState::Unknown { why: &why },
    };
    let permit = decide(
        policy,
        &Call { api, operation: &found, caller, objection: None, now: Timestamp(0) },
    )
    .unwrap();
    let Permit::Write(permit) = permit else { panic!("it writes") };
    let facts = Arc::new(facts(api_name, method, path));
    ReserveRequest { requester, permit, policy: policy.clone(), facts, sender: Sender::OurDoor }
}

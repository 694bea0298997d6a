//! A store with a thousand keys on one plan, in a directory of its own.

use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::sync::Arc;

use http::Method;
use jiff::tz::TimeZone;
use keystile_core::actor::Actor;
use keystile_core::budget::Per;
use keystile_core::decision::{Call, CallerState, Permit, decide};
use keystile_core::journal::RequestFacts;
use keystile_core::keys::key::KeyId;
use keystile_core::keys::lock::{LockLevel, LockRule, LockUntil};
use keystile_core::keys::text::{KeyPrefix, KeyText};
use keystile_core::policy::api::{ApiSpec, Mode, UpstreamRule};
use keystile_core::policy::{BudgetSpec, PlanSpec, Policy};
use keystile_core::request::credential::CredentialRule;
use keystile_core::time::Span;
use keystile_store::Store;
use keystile_store::files::DataDirectory;
use keystile_store::key_cache::KeyEntry;
use keystile_store::keys::{NewKeyRow, NewKeys};
use keystile_store::reservation::{Requester, ReserveRequest, Sender};

use crate::Outcome;

/// How many keys take part.
pub const KEYS: usize = 1_000;
/// How many applications they belong to; the last has only the last key.
pub const APPLICATIONS: usize = 101;

/// An API and a plan like those of the README, with budgets that nothing here exhausts.
pub fn policy() -> Outcome<Policy> {
    let api = ApiSpec {
        name: "bookmarks".to_owned(),
        hosts: Vec::new(),
        path: String::new(),
        mode: Mode::Enforce,
        matrix_parameters: false,
        credential: CredentialRule::default(),
        body_bytes_max: None,
        count_bytes_max: 1 << 20,
        upstream: UpstreamRule {
            origins: vec!["http://127.0.0.1:1".parse()?],
            http2_prior_knowledge: false,
            trusted_certificates: None,
            connect_timeout: Span::from_secs(5),
            first_byte_timeout: Span::from_secs(60),
            total_timeout: None,
            keep_host: true,
            forward_credential: false,
        },
        operations: Vec::new(),
    };
    let budget = |quota: &str, on: &[&str]| -> Outcome<BudgetSpec> {
        let on = on.iter().map(|text| text.parse()).collect::<Result<_, _>>()?;
        Ok(BudgetSpec { name: None, quota: quota.parse()?, on, per: Per::Key })
    };
    let plan = PlanSpec {
        name: "open".to_owned(),
        is_keyless: false,
        allow: vec!["bookmarks: *".parse()?, "bookmarks: GET,POST /bookmarks/{id}".parse()?],
        write_budgets: vec![
            budget("1_000_000_000 per day", &[])?,
            budget("1_000_000_000 per minute", &[])?,
            budget("1_000_000_000 per day", &["bookmarks: DELETE *"])?,
        ],
        rate_limits: vec!["1_000_000_000 per second".parse()?],
        lock: LockRule::Lock { level: LockLevel::Writes, until: LockUntil::Unlocked },
    };
    Ok(Policy::new(vec![api], vec![plan], TimeZone::UTC))
}

/// A store in a directory.
pub fn open(directory: &Path) -> Outcome<Arc<Store>> {
    Ok(Store::open(DataDirectory::hold(directory)?)?.0)
}

/// Issues the keys.
pub async fn issue(store: &Arc<Store>) -> Outcome<()> {
    let key = |number: usize| {
        let mut random = [7; 32];
        random[..8].copy_from_slice(&number.to_be_bytes());
        let text = KeyText::from_random(&KeyPrefix::default(), random);
        NewKeyRow {
            id: KeyId::new(uuid::Uuid::from_u128(number as u128)),
            hash: store.pepper().hash(text.expose().as_bytes()),
            prefix: text.display_prefix().to_owned(),
            plan: "open".to_owned(),
            origin: None,
        }
    };
    let place = |number| if number + 1 == KEYS { APPLICATIONS - 1 } else { number / 10 };
    for application in 0..APPLICATIONS {
        let numbers = (0..KEYS).filter(|number| place(*number) == application);
        let new = NewKeys {
            application: format!("bench-{application}"),
            plan: "open".to_owned(),
            keys: numbers.map(key).collect(),
        };
        store.create_keys(new, Actor::CommandLine("bench".to_owned())).await?;
    }
    Ok(())
}

/// The keys, as requests see them.
pub fn keys(store: &Store) -> Vec<Arc<KeyEntry>> {
    (0..KEYS)
        .filter_map(|number| {
            let mut random = [7; 32];
            random[..8].copy_from_slice(&number.to_be_bytes());
            let text = KeyText::from_random(&KeyPrefix::default(), random);
            store.keys().find(&store.pepper().hash(text.expose().as_bytes()))
        })
        .collect()
}

/// Decides on a write of a key and makes the request for room.
pub fn request(
    store: &Store,
    policy: &Arc<Policy>,
    key: &Arc<KeyEntry>,
) -> Outcome<ReserveRequest> {
    let api = policy
        .api("localhost", "/bookmarks", "/bookmarks")
        .map_err(|_| "the policy has one API")?;
    let operation = api.api.operation(&Method::POST, "/bookmarks", "/bookmarks");
    let now = store.now();
    let caller = CallerState::Key {
        id: key.id,
        state: key.state(now),
        application: key.application.state(),
        plan: &key.plan(),
        rate: &key.rate,
    };
    let call = Call { api, operation: &operation, caller, objection: None, now };
    let permit = decide(policy, &call).map_err(|refusal| refusal.reason.name())?;
    let Permit::Write(permit) = permit else { return Err("the operation writes".into()) };
    Ok(ReserveRequest {
        requester: Requester::Key(key.clone()),
        permit,
        policy: policy.clone(),
        facts: Arc::new(RequestFacts {
            api: "bookmarks".to_owned(),
            operation: "POST *".to_owned(),
            method: "POST".to_owned(),
            path: "/bookmarks".to_owned(),
            address: IpAddr::V4(Ipv4Addr::LOCALHOST),
            user_agent: Some("bench".to_owned()),
            request_bytes: Some(1024),
        }),
        sender: Sender::OurDoor,
    })
}

/// The middle value.
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

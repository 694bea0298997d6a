//! Taking a part over into the account that is kept here.
//!
//! What the portal says of a service or an application holds from then on. What the account has beside it stays:
//! tokens, the provider key, alert levels, whether a service takes calls, metrics and limits that no import brought
//! ([`keep`]), and applications that the portal does not name, which are told of ([`gone`]).

use std::collections::HashSet;
use std::future::ready;

use keystile_core::owners::principal::Principal;
use keystile_engine::command::{Failure, FailureKind};
use keystile_engine::keys::account::{AccountPart, PartReport};
use keystile_engine::keys::source::SyncMode;
use keystile_engine::{AccountKeeper, FromSource};

use super::keep::PlanNames;
use super::parts::{ApplicationPart, Part, ServicePart};
use super::{gone, keep};
use crate::account::catalog::{Catalog, ServiceEntry};
use crate::account::gateway::GatewayRecord;
use crate::account::record::{ApplicationRecord, Brought, ServiceRecord};
use crate::account::{Account, ChangeError};
use crate::backend::catalog::State;

impl AccountKeeper for Account {
    fn take_over<'a>(
        &'a self,
        by: &'a Principal,
        part: AccountPart,
        mode: SyncMode,
    ) -> FromSource<'a, PartReport> {
        match serde_json::from_value::<Part>(part.0) {
            Ok(part) => Box::pin(async move { take(self, by, part, mode).await }),
            // What serde says may quote a key.
            Err(_) => Box::pin(ready(Err(Failure {
                kind: FailureKind::Invalid,
                message: "this is no part of an account that this version knows".to_owned(),
                help: Some("give the command with the program that the server runs".to_owned()),
            }))),
        }
    }
}

async fn take(
    account: &Account,
    by: &Principal,
    part: Part,
    mode: SyncMode,
) -> Result<PartReport, Failure> {
    let taken = match part {
        Part::Service(part) => take_service(account, by, part, mode).await,
        Part::Gateway(record) => take_gateway(account, by, record, mode).await,
        Part::Applications { service, applications } => {
            take_applications(account, by, (&service, applications), mode).await
        }
        Part::Services(there) => Ok(gone::services(account, &there)),
        Part::ApplicationIds { service, range } => {
            Ok(gone::applications(account, &service, &range))
        }
    };
    taken.map_err(failure)
}

fn failure(error: ChangeError) -> Failure {
    match error {
        ChangeError::Failed(failure) => failure,
        other => Failure { kind: FailureKind::Conflict, message: other.to_string(), help: None },
    }
}

async fn take_service(
    account: &Account,
    by: &Principal,
    part: ServicePart,
    mode: SyncMode,
) -> Result<PartReport, ChangeError> {
    let mut report = PartReport::default();
    let (id, name) = (part.id.clone(), part.name.clone());
    let change = |catalog: &Catalog| {
        let entry = catalog.service(&id);
        let before = entry.map(|entry| &entry.record);
        let mut record = service_of(account, part, before);
        let plans = entry.map(plan_names).unwrap_or_default();
        report.problems = keep::keep(before, &mut record, &plans);
        // A dry run names what the change itself would refuse.
        ServiceEntry::new(record.clone())?;
        match before {
            Some(before) if *before == record => {
                report.unchanged = 1;
                return Ok(Vec::new());
            }
            Some(before) => {
                let differences = service_differences(before, &record, &plans);
                if differences.is_empty() {
                    report.unchanged = 1;
                    return Ok(if mode == SyncMode::Apply { vec![record] } else { Vec::new() });
                }
                let said = differences.join(", ");
                report.changes.push(format!("The service {name} ({id}) changed: {said}."));
            }
            None => report.changes.push(format!(
                "The service {name} ({id}) is new, with {} and {}.",
                counted(record.metrics.len(), "metric"),
                counted(record.limits.len(), "limit")
            )),
        }
        report.changed = 1;
        Ok::<_, ChangeError>(if mode == SyncMode::Apply { vec![record] } else { Vec::new() })
    };
    account.change_services(by, change).await?;
    Ok(report)
}

fn service_of(
    account: &Account,
    part: ServicePart,
    before: Option<&ServiceRecord>,
) -> ServiceRecord {
    let ServicePart { id, backend_version, metrics, limits, .. } = part;
    let mut tokens = before.map(|before| before.tokens.clone()).unwrap_or_default();
    for token in part.tokens {
        let token = account.provider_secret(token.reveal());
        if !tokens.contains(&token) {
            tokens.push(token);
        }
    }
    ServiceRecord {
        id,
        // Nobody can show an empty key, so this is the key of nobody.
        provider: before.map_or_else(|| account.provider_secret(""), |before| before.provider),
        is_default: before.is_some_and(|before| before.is_default),
        backend_version,
        state: before.map_or(State::Active.name(), |before| &before.state).to_owned(),
        referrer_filters_required: part.referrer_filters_required,
        metrics,
        limits,
        tokens,
        alert_limits: before.map(|before| before.alert_limits.clone()).unwrap_or_default(),
        brought: Brought::default(),
    }
}

/// The plans that applications here are on.
fn plan_names(entry: &ServiceEntry) -> PlanNames {
    let records = entry.applications().map(|entry| &entry.record);
    records.map(|record| (record.plan_id.clone(), record.plan_name.clone())).collect()
}

fn counted(count: usize, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}

fn service_differences(
    before: &ServiceRecord,
    now: &ServiceRecord,
    plans: &PlanNames,
) -> Vec<String> {
    let said = [
        (before.backend_version != now.backend_version, "how its applications authenticate"),
        (
            before.referrer_filters_required != now.referrer_filters_required,
            "whether it looks at referrers",
        ),
        (before.tokens != now.tokens, "its tokens"),
    ]
    .into_iter()
    .filter(|(is_other, _)| *is_other)
    .map(|(_, what)| what.to_owned());
    said.chain(keep::differences(before, now, plans)).collect()
}

async fn take_gateway(
    account: &Account,
    by: &Principal,
    record: GatewayRecord,
    mode: SyncMode,
) -> Result<PartReport, ChangeError> {
    let mut report = PartReport::default();
    let (service, environment) = (record.service_id.clone(), record.environment);
    if account.gateway(&service, environment).is_some_and(|before| *before == record) {
        report.unchanged = 1;
        return Ok(report);
    }
    report.changed = 1;
    report.changes.push(format!(
        "What gateways ({}) of the service {service} are told is version {}.",
        environment.name(),
        record.version
    ));
    if mode == SyncMode::Apply {
        account.keep_gateway(by, record).await?;
    }
    Ok(report)
}

async fn take_applications(
    account: &Account,
    by: &Principal,
    (service, parts): (&str, Vec<ApplicationPart>),
    mode: SyncMode,
) -> Result<PartReport, ChangeError> {
    let mut report = PartReport::default();
    if mode == SyncMode::DryRun && account.catalog().service(service).is_none() {
        // It would be new too.
        report.added = u64::try_from(parts.len()).unwrap_or(u64::MAX);
        return Ok(report);
    }
    let ids: HashSet<String> = parts.iter().map(|part| part.id.clone()).collect();
    let change = |entry: &ServiceEntry| {
        let mut records = Vec::new();
        for part in parts {
            let name = part.name.clone();
            let record = application_of(account, service, part);
            if let Some(holder) = holder(entry, &record, &ids) {
                report.problems.push(format!(
                    "{name} stays there: its user key is the application {holder:?}'s here."
                ));
                continue;
            }
            let before = entry.application(&record.id).map(|entry| &entry.record);
            match before {
                Some(before) if *before == record => {
                    report.unchanged = report.unchanged.saturating_add(1);
                    continue;
                }
                Some(before) => {
                    report.changed = report.changed.saturating_add(1);
                    let other = application_differences(before, &record).join(", ");
                    report.changes.push(format!("{name} changed: {other}."));
                }
                None => report.added = report.added.saturating_add(1),
            }
            records.push(record);
        }
        Ok::<_, ChangeError>(if mode == SyncMode::Apply { records } else { Vec::new() })
    };
    account.change_applications(by, service, change).await?;
    Ok(report)
}

/// Who has the user key of an application here, where it is none of those that come over with it.
fn holder(
    entry: &ServiceEntry,
    record: &ApplicationRecord,
    coming: &HashSet<String>,
) -> Option<String> {
    let holder = entry.application_with_user_key(&record.user_key?.0)?;
    let holder = &holder.record.id;
    (*holder != record.id && !coming.contains(holder)).then(|| holder.clone())
}

fn application_of(account: &Account, service: &str, part: ApplicationPart) -> ApplicationRecord {
    let state = if part.is_active { State::Active } else { State::Suspended };
    let keys = part.keys.iter().map(|key| account.app_key(&part.id, key.reveal()));
    ApplicationRecord {
        service_id: service.to_owned(),
        keys: keys.collect(),
        id: part.id,
        name: Some(part.name),
        state: state.name().to_owned(),
        plan_id: part.plan_id,
        plan_name: part.plan_name,
        user_key: part.user_key.map(|key| account.key(key.reveal())),
        referrer_filters: part.referrer_filters,
        redirect_url: part.redirect_url,
    }
}

fn application_differences(before: &ApplicationRecord, now: &ApplicationRecord) -> Vec<String> {
    let plan = format!("its plan is {:?}", now.plan_name);
    let state = format!("it is {}", now.state);
    [
        (before.name != now.name, "its name"),
        (before.state != now.state, state.as_str()),
        ((&before.plan_id, &before.plan_name) != (&now.plan_id, &now.plan_name), plan.as_str()),
        (before.user_key != now.user_key, "its user key"),
        (before.keys != now.keys, "its keys"),
        (before.referrer_filters != now.referrer_filters, "its referrer filters"),
        (before.redirect_url != now.redirect_url, "its redirect URL"),
    ]
    .into_iter()
    .filter(|(is_other, _)| *is_other)
    .map(|(_, what)| what.to_owned())
    .collect()
}

//! Reading an account from its portal.

use std::collections::{BTreeMap, BTreeSet};

use super::snapshot::{ApplicationSnapshot, FORMAT, PlanSnapshot, ServiceSnapshot, Snapshot};
use crate::portal::PortalClient;
use crate::portal::error::PortalError;
use crate::portal::page::PageNumber;
use crate::portal::records::{
    Application, ApplicationPlan, Authentication, Environment, PlanId, Service, ServiceId,
};

/// The most applications that are read: more is a fault of the portal, or too much for one import.
pub const APPLICATIONS_MAX: usize = 100_000;

/// Why an account was not read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// A call has no result.
    #[error(transparent)]
    Portal(#[from] PortalError),
    /// The portal gives applications without end.
    #[error(
        "the portal lists more than {APPLICATIONS_MAX} applications; name the services to import"
    )]
    TooMany,
    /// A service that was asked for.
    #[error("the portal has no service {0}, or the token's user may not see it")]
    NoService(ServiceId),
}

/// How far reading is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// What was read whole.
    pub done: u64,
    /// How much is known to be there.
    pub known: u64,
}

/// Reads services, all of them where none is named, with their applications.
///
/// # Errors
/// When the portal does not answer all of it.
pub async fn read(
    client: &PortalClient,
    (portal, wanted): (&str, &[ServiceId]),
    mut progress: impl FnMut(Progress),
) -> Result<Snapshot, ReadError> {
    let mut services = client.services().await?;
    if let Some(missing) = wanted.iter().find(|id| !services.iter().any(|one| one.id == **id)) {
        return Err(ReadError::NoService(*missing));
    }
    services.retain(|service| wanted.is_empty() || wanted.contains(&service.id));
    let mut applications = Vec::new();
    for service in &services {
        read_list(client, service.id, &mut applications).await?;
        let known = u64::try_from(applications.len()).unwrap_or(u64::MAX);
        progress(Progress { done: 0, known });
    }
    let mut plans_used: BTreeMap<ServiceId, BTreeMap<PlanId, String>> = BTreeMap::new();
    for application in &applications {
        let name = application.plan_name.clone().unwrap_or_default();
        plans_used.entry(application.service).or_default().insert(application.plan, name);
    }
    let by_id: BTreeMap<ServiceId, Service> =
        services.iter().map(|service| (service.id, service.clone())).collect();
    let mut snapshots = Vec::new();
    for service in services {
        let used = plans_used.remove(&service.id).unwrap_or_default();
        snapshots.push(read_service(client, service, &used).await?);
    }
    let known = u64::try_from(applications.len()).unwrap_or(u64::MAX);
    let mut read = Vec::new();
    for application in applications {
        let service = by_id.get(&application.service);
        read.push(read_application(client, application, service).await?);
        progress(Progress { done: u64::try_from(read.len()).unwrap_or(u64::MAX), known });
    }
    Ok(Snapshot {
        format: FORMAT.to_owned(),
        portal: portal.to_owned(),
        whole: wanted.is_empty(),
        services: snapshots,
        applications: read,
    })
}

/// The applications of a service. One that comes twice, because others changed the list, is taken once.
async fn read_list(
    client: &PortalClient,
    service: ServiceId,
    all: &mut Vec<Application>,
) -> Result<(), ReadError> {
    let mut seen = BTreeSet::new();
    let mut next = Some(PageNumber::FIRST);
    while let Some(number) = next {
        let page = client.applications(Some(service), number).await?;
        let is_of = |one: &Application| one.service == service;
        all.extend(page.records.into_iter().filter(|one| is_of(one) && seen.insert(one.id)));
        if all.len() > APPLICATIONS_MAX {
            return Err(ReadError::TooMany);
        }
        next = page.next;
    }
    Ok(())
}

async fn read_service(
    client: &PortalClient,
    service: Service,
    used: &BTreeMap<PlanId, String>,
) -> Result<ServiceSnapshot, ReadError> {
    let id = service.id;
    let mut metrics = client.metrics(id).await?;
    for usage in known(client.backend_usages(id).await)?.unwrap_or_default() {
        for metric in client.backend_metrics(usage.backend).await? {
            if !metrics.iter().any(|known| known.id == metric.id) {
                metrics.push(metric);
            }
        }
    }
    let mut plans = client.application_plans(id).await?;
    for (plan, name) in used {
        // A plan that was made for one application is in no list.
        if !plans.iter().any(|known| known.id == *plan) {
            plans.push(custom(*plan, name));
        }
    }
    let mut read = Vec::new();
    for plan in plans {
        let limits = client.usage_limits(plan.id).await?;
        let pricing = known(client.pricing_rules(plan.id).await)?.unwrap_or_default();
        let pricing_rules = u64::try_from(pricing.len()).unwrap_or(u64::MAX);
        read.push(PlanSnapshot { application_plan: plan, limits, pricing_rules });
    }
    let mut proxy_configs = Vec::new();
    for environment in [Environment::Sandbox, Environment::Production] {
        proxy_configs.extend(known(client.proxy_config(id, environment).await)?);
    }
    let features = known(client.features(id).await)?.unwrap_or_default();
    Ok(ServiceSnapshot {
        mapping_rules: client.mapping_rules(id).await?,
        features: u64::try_from(features.len()).unwrap_or(u64::MAX),
        service,
        metrics,
        plans: read,
        proxy_configs,
    })
}

fn custom(id: PlanId, name: &str) -> ApplicationPlan {
    ApplicationPlan {
        id,
        name: name.to_owned(),
        system_name: None,
        state: None,
        custom: true,
        default: false,
        approval_required: false,
    }
}

/// What a portal may not have, because nothing was promoted, or its version is older.
fn known<T>(read: Result<T, PortalError>) -> Result<Option<T>, PortalError> {
    match read {
        Ok(read) => Ok(Some(read)),
        Err(PortalError::NotFound { .. } | PortalError::WebPage { status: 404, .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

async fn read_application(
    client: &PortalClient,
    application: Application,
    service: Option<&Service>,
) -> Result<ApplicationSnapshot, ReadError> {
    let (account, id) = (application.account, application.id);
    let has_keys = service.is_some_and(|service| service.authentication != Authentication::UserKey);
    let keys = if has_keys {
        known(client.application_keys(account, id).await)?.unwrap_or_default()
    } else {
        Vec::new()
    };
    let has_filters = service.is_some_and(|service| service.referrer_filters_required);
    let filters = if has_filters {
        known(client.referrer_filters(account, id).await)?.unwrap_or_default()
    } else {
        Vec::new()
    };
    Ok(ApplicationSnapshot {
        application,
        keys: keys.into_iter().map(|key| key.value).collect(),
        referrer_filters: filters.into_iter().map(|filter| filter.value).collect(),
    })
}

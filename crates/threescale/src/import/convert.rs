//! From what a portal says to what is kept here.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use keystile_core::text::printable;

use super::lost::Lost;
use super::parts::{
    APPLICATIONS_AT_ONCE, APPLICATIONS_BYTES_MAX, ApplicationPart, IdRange, Part, ServicePart,
};
use super::snapshot::{ApplicationSnapshot, ServiceSnapshot, Snapshot};
use crate::account::gateway::{GatewayContent, GatewayRecord};
use crate::account::record::{LimitRecord, MetricRecord};
use crate::backend::period::Period;
use crate::portal::records::{
    ApplicationState, Authentication, Credential, Environment, MetricId, ServiceId,
};

/// The longest id of an account.
const ID_BYTES_MAX: usize = 100;
/// As many keys and filters as an application has.
const ENTRIES_MAX: usize = 256;

/// An account, ready to be taken over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Import {
    /// Its parts, in the order in which they can be taken: a service before what belongs to it.
    pub parts: Vec<Part>,
    /// How many services, and how many applications come over.
    pub services: u64,
    /// The same of applications.
    pub applications: u64,
    /// What cannot come over and why, each in a sentence.
    pub problems: Vec<String>,
    /// What has no counterpart here, each in a sentence.
    pub lost: Vec<String>,
}

impl Import {
    /// What can come over of an account, and what cannot.
    pub fn of(snapshot: &Snapshot) -> Self {
        let mut import = Self {
            parts: Vec::new(),
            services: 0,
            applications: 0,
            problems: Vec::new(),
            lost: Lost::of(snapshot).sentences(),
        };
        let mut versions: BTreeMap<ServiceId, Authentication> = BTreeMap::new();
        for one in &snapshot.services {
            let (id, authentication) = (one.service.id, one.service.authentication.clone());
            if versions.contains_key(&id) {
                import.problems.push(format!("The service {id} is there twice; the first counts."));
                continue;
            }
            versions.insert(id, authentication);
            import.add_service(one);
        }
        for (id, authentication) in versions {
            let of = snapshot.applications.iter().filter(|one| one.application.service == id);
            import.add_applications(id, &authentication, of);
        }
        import.add_what_is_there(snapshot);
        import
    }

    /// Adds which services and applications there are, so that what is here beside them can be named.
    fn add_what_is_there(&mut self, snapshot: &Snapshot) {
        let taken: Vec<String> = self
            .parts
            .iter()
            .filter_map(|part| match part {
                Part::Service(service) => Some(service.id.clone()),
                _ => None,
            })
            .collect();
        for service in taken {
            let of = |one: &&ApplicationSnapshot| one.application.service.to_string() == service;
            let ids = snapshot.applications.iter().filter(of).flat_map(|one| {
                // A service may have gone by either before, and then it is not gone.
                [Some(one.application.id.to_string()), one.application.app_id.clone()]
            });
            for range in IdRange::all(ids.flatten().collect()) {
                self.parts.push(Part::ApplicationIds { service: service.clone(), range });
            }
        }
        if snapshot.whole {
            let ids = snapshot.services.iter().map(|one| one.service.id.to_string());
            self.parts.push(Part::Services(ids.collect()));
        }
    }

    fn add_service(&mut self, one: &ServiceSnapshot) {
        let service = &one.service;
        let name = printable(&service.name).into_owned();
        let id = service.id.to_string();
        let backend_version = match service.authentication {
            Authentication::UserKey => "1",
            Authentication::AppId => "2",
            Authentication::OpenIdConnect => "oauth",
            Authentication::Unknown => {
                let said = "the portal does not say how its applications authenticate";
                self.problems.push(format!("The service {name} ({id}) stays there: {said}."));
                return;
            }
        };
        let metrics = self.metrics(one, &name);
        let limits = self.limits(one, &metrics, &name);
        let mut gateways = Vec::new();
        let mut tokens: Vec<Credential> = Vec::new();
        for config in &one.proxy_configs {
            let Some(environment) = Environment::named(&config.environment) else { continue };
            match GatewayContent::of(&config.content) {
                Ok(content) => gateways.push(GatewayRecord {
                    service_id: id.clone(),
                    environment,
                    id: config.id,
                    version: config.version,
                    content,
                }),
                Err(fault) => self.problems.push(format!(
                    "What gateways ({}) of the service {name} are told stays there: {fault}.",
                    environment.name()
                )),
            }
            tokens.extend(service_token(&config.content).filter(|token| !tokens.contains(token)));
        }
        self.services = self.services.saturating_add(1);
        self.parts.push(Part::Service(ServicePart {
            id,
            name,
            backend_version: backend_version.to_owned(),
            referrer_filters_required: service.referrer_filters_required,
            metrics,
            limits,
            tokens,
        }));
        self.parts.extend(gateways.into_iter().map(Part::Gateway));
    }

    /// Its metrics, whose names are told apart and whose parents are there.
    fn metrics(&mut self, one: &ServiceSnapshot, service: &str) -> Vec<MetricRecord> {
        let ids: BTreeSet<MetricId> = one.metrics.iter().map(|metric| metric.id).collect();
        let (mut names, mut kept_ids) = (HashSet::new(), HashSet::new());
        let mut kept = Vec::new();
        for metric in &one.metrics {
            if !kept_ids.insert(metric.id) {
                continue;
            }
            if metric.system_name.is_empty() || !names.insert(&metric.system_name) {
                let name = printable(&metric.system_name);
                self.problems.push(format!(
                    "The metric {} of {service} stays there: its name {name:?} is another's, or empty.",
                    metric.id
                ));
                continue;
            }
            kept.push(MetricRecord {
                id: metric.id.to_string(),
                name: metric.system_name.clone(),
                parent_id: metric
                    .parent
                    .filter(|parent| ids.contains(parent) && *parent != metric.id)
                    .map(|parent| parent.to_string()),
            });
        }
        kept
    }

    fn limits(
        &mut self,
        one: &ServiceSnapshot,
        metrics: &[MetricRecord],
        service: &str,
    ) -> Vec<LimitRecord> {
        let mut limits: BTreeMap<(String, String, Period), LimitRecord> = BTreeMap::new();
        for plan in &one.plans {
            let plan_name = printable(&plan.application_plan.name);
            for limit in &plan.limits {
                let (plan_id, metric_id) =
                    (plan.application_plan.id.to_string(), limit.metric.to_string());
                let fault = match Period::named(&limit.period) {
                    None => Some(format!("its period is {:?}", printable(&limit.period))),
                    Some(_) if !metrics.iter().any(|metric| metric.id == metric_id) => {
                        Some(format!("its metric {metric_id} is none of the service"))
                    }
                    Some(period) => {
                        let key = (plan_id.clone(), metric_id.clone(), period);
                        let max = limit.value;
                        limits.insert(key, LimitRecord { plan_id, metric_id, period, max });
                        None
                    }
                };
                if let Some(fault) = fault {
                    self.problems.push(format!(
                        "The limit {} of the plan {plan_name} of {service} stays there: {fault}.",
                        limit.id
                    ));
                }
            }
        }
        limits.into_values().collect()
    }

    fn add_applications<'s>(
        &mut self,
        service: ServiceId,
        authentication: &Authentication,
        applications: impl Iterator<Item = &'s ApplicationSnapshot>,
    ) {
        if *authentication == Authentication::Unknown {
            return;
        }
        let mut seen = Seen::default();
        let (mut some, mut bytes) = (Vec::new(), 0_usize);
        for one in applications {
            let part = match part_of(one, authentication).and_then(|part| seen.first(part)) {
                Ok(part) => part,
                Err(fault) => {
                    let name = name(one);
                    self.problems.push(format!("{name} stays there: {fault}."));
                    continue;
                }
            };
            self.applications = self.applications.saturating_add(1);
            let length = serde_json::to_string(&part).map_or(0, |text| text.len());
            if some.len() >= APPLICATIONS_AT_ONCE
                || bytes.saturating_add(length) > APPLICATIONS_BYTES_MAX
            {
                self.push_applications(service, &mut some);
                bytes = 0;
            }
            bytes = bytes.saturating_add(length);
            some.push(part);
        }
        self.push_applications(service, &mut some);
    }

    fn push_applications(&mut self, service: ServiceId, some: &mut Vec<ApplicationPart>) {
        if !some.is_empty() {
            let (service, applications) = (service.to_string(), std::mem::take(some));
            self.parts.push(Part::Applications { service, applications });
        }
    }
}

/// The service token that a portal has gateways show.
fn service_token(content: &serde_json::Value) -> Option<Credential> {
    let kind = content.get("backend_authentication_type")?.as_str()?;
    let value = content.get("backend_authentication_value")?.as_str()?;
    (kind == "service_token" && !value.is_empty()).then(|| Credential::new(value.to_owned()))
}

/// What applications of a service cannot share.
#[derive(Default)]
struct Seen {
    ids: HashSet<String>,
    user_keys: HashMap<Credential, String>,
}

impl Seen {
    fn first(&mut self, part: ApplicationPart) -> Result<ApplicationPart, String> {
        if self.ids.contains(&part.id) {
            return Err(format!("another application of its service has the id {:?}", part.id));
        }
        if let Some(key) = &part.user_key {
            if let Some(holder) = self.user_keys.get(key) {
                return Err(format!("{holder} has the same user key"));
            }
            self.user_keys.insert(key.clone(), part.name.clone());
        }
        self.ids.insert(part.id.clone());
        Ok(part)
    }
}

/// Whose an application is, and what it is called.
fn name(one: &ApplicationSnapshot) -> String {
    let application = &one.application;
    let known = [&application.org_name, &application.name];
    let known: Vec<&str> = known.into_iter().flatten().map(|name| name.trim()).collect();
    let name = known.join(" – ");
    let name = if name.is_empty() { format!("3scale {}", application.id) } else { name };
    printable(&name).into_owned()
}

fn part_of(
    one: &ApplicationSnapshot,
    authentication: &Authentication,
) -> Result<ApplicationPart, String> {
    let application = &one.application;
    let by_user_key = *authentication == Authentication::UserKey;
    let id = if by_user_key {
        application.id.to_string()
    } else {
        application.app_id.clone().ok_or("the portal does not say its `app_id`")?
    };
    if id.len() > ID_BYTES_MAX || id.contains('/') {
        return Err(format!("its id is longer than {ID_BYTES_MAX} bytes, or holds a slash"));
    }
    if by_user_key && application.user_key.is_none() {
        return Err("it has no user key there".to_owned());
    }
    if one.keys.len() > ENTRIES_MAX || one.referrer_filters.len() > ENTRIES_MAX {
        return Err(format!("it has more than {ENTRIES_MAX} keys or referrer filters"));
    }
    let is_empty = |key: &Credential| key.reveal().is_empty();
    if application.user_key.as_ref().is_some_and(is_empty) || one.keys.iter().any(is_empty) {
        return Err("one of its keys is empty".to_owned());
    }
    Ok(ApplicationPart {
        id,
        name: name(one),
        is_active: application.enabled && application.state == ApplicationState::Live,
        plan_id: application.plan.to_string(),
        plan_name: application.plan_name.clone().unwrap_or_default(),
        user_key: application.user_key.clone().filter(|_| by_user_key),
        keys: if by_user_key { Vec::new() } else { one.keys.clone() },
        referrer_filters: one.referrer_filters.clone(),
        redirect_url: application.redirect_url.clone(),
    })
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;

//! The account in memory: what calls are held against.
//!
//! # What this protects
//!
//! Within one call everything is of one moment: a call holds the catalog against changes for as long as it is
//! decided, which takes microseconds.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use keystile_core::keys::application::ApplicationState;
use keystile_core::keys::hash::KeyHash;
use keystile_core::time::Timestamp;
use keystile_store::doors::meters::MeterValue;

use super::counters::Counters;
use super::record::{ApplicationRecord, SecretHash, ServiceRecord};
use crate::backend::alerts::{Threshold, Thresholds};
use crate::backend::catalog::{
    AppKey, Application, BackendVersion, Plan, ReferrerFilters, Service, State, UsageLimit,
};
use crate::backend::metrics::{Metric, Metrics, MetricsError};

/// All services of all providers.
#[derive(Debug, Default)]
pub struct Catalog {
    services: BTreeMap<Box<str>, ServiceEntry>,
}

/// A service with its applications.
#[derive(Debug)]
pub struct ServiceEntry {
    /// What is kept of it.
    pub record: ServiceRecord,
    service: Service,
    thresholds: Thresholds,
    applications: BTreeMap<Box<str>, ApplicationEntry>,
    user_keys: HashMap<KeyHash, Box<str>>,
}

/// An application with its counters.
#[derive(Debug)]
pub struct ApplicationEntry {
    /// What is kept of it.
    pub record: ApplicationRecord,
    /// Whose meters are its counters, as the store names it.
    pub owner: Arc<str>,
    /// What it has used.
    counters: Mutex<Counters>,
    application: Application,
    /// The same while its key is locked.
    stopped: Application,
    /// Under which hashes the gate would know its keys.
    gate_keys: Vec<KeyHash>,
    /// The application of Keystile's that it is as well.
    here: Option<Here>,
}

/// An application of Keystile's, as calls see it.
type Here = Arc<keystile_store::key_cache::ApplicationEntry>;

impl ServiceEntry {
    /// A service without applications.
    ///
    /// # Errors
    /// When its metrics are no hierarchy.
    pub fn new(record: ServiceRecord) -> Result<Self, MetricsError> {
        let metrics = record.metrics.iter().map(|metric| Metric {
            id: metric.id.as_str().into(),
            name: metric.name.as_str().into(),
            parent_id: metric.parent_id.as_deref().map(Into::into),
        });
        let filters = record.referrer_filters_required;
        let service = Service {
            id: record.id.as_str().into(),
            backend_version: BackendVersion::named(&record.backend_version),
            state: State::named(&record.state),
            referrer_filters: if filters {
                ReferrerFilters::Required
            } else {
                ReferrerFilters::Ignored
            },
            metrics: Metrics::new(metrics.collect())?,
        };
        let enabled = record.alert_limits.iter().filter_map(|percent| Threshold::at(*percent));
        let thresholds = enabled.fold(Thresholds::default(), Thresholds::with);
        Ok(Self {
            record,
            service,
            thresholds,
            applications: BTreeMap::new(),
            user_keys: HashMap::new(),
        })
    }

    /// The service as calls see it.
    pub const fn service(&self) -> &Service {
        &self.service
    }

    /// At which levels it alerts.
    pub const fn thresholds(&self) -> Thresholds {
        self.thresholds
    }

    /// Its applications, by id.
    pub fn applications(&self) -> impl Iterator<Item = &ApplicationEntry> {
        self.applications.values()
    }

    /// The application that has an id.
    pub fn application(&self, id: &str) -> Option<&ApplicationEntry> {
        self.applications.get(id)
    }

    /// The application that may be known by a key of the gate's. Keys of pairs are those of one id, so it is given.
    pub(super) fn application_with_gate_key(
        &self,
        id: &str,
        hash: &KeyHash,
    ) -> Option<&ApplicationEntry> {
        let holder = match self.service.backend_version {
            BackendVersion::One => self.application_with_user_key(hash),
            BackendVersion::Two | BackendVersion::Oauth => self.application(id),
        };
        holder.filter(|entry| entry.gate_keys.contains(hash))
    }

    /// The application that has a user key.
    pub fn application_with_user_key(&self, hash: &KeyHash) -> Option<&ApplicationEntry> {
        self.application(self.user_keys.get(hash)?)
    }

    fn plan(&self, record: &ApplicationRecord) -> Plan {
        let limits = self.record.limits.iter().filter(|limit| limit.plan_id == record.plan_id);
        // A limit of a metric that is gone counts nothing; the portal deletes metrics first.
        let limits = limits.filter_map(|limit| {
            let metric = self.service.metrics.by_id(&limit.metric_id)?;
            Some(UsageLimit { metric, period: limit.period, max: limit.max })
        });
        Plan::new(&record.plan_id, &record.plan_name, limits.collect())
    }

    fn remove_application(&mut self, id: &str) -> Option<ApplicationEntry> {
        let entry = self.applications.remove(id)?;
        // Within one change another application may have got the key before.
        if let Some(SecretHash(hash)) = entry.record.user_key
            && self.user_keys.get(&hash).is_some_and(|holder| **holder == *id)
        {
            self.user_keys.remove(&hash);
        }
        Some(entry)
    }

    /// Takes up an application whose id is free.
    fn keep_application(
        &mut self,
        record: ApplicationRecord,
        (counters, here): (Counters, Option<Here>),
    ) {
        let id: Box<str> = record.id.as_str().into();
        if let Some(SecretHash(hash)) = record.user_key {
            self.user_keys.insert(hash, id.clone());
        }
        let application = Application {
            id: id.clone(),
            state: State::named(&record.state),
            plan: Arc::new(self.plan(&record)),
            keys: vec![AppKey::default(); record.keys.len()],
            referrer_filters: record
                .referrer_filters
                .iter()
                .map(|text| text.as_str().into())
                .collect(),
            redirect_url: record.redirect_url.as_deref().map(Into::into),
        };
        note_state(here.as_ref(), &application);
        let entry = ApplicationEntry {
            owner: owner(&record.service_id, &record.id),
            counters: Mutex::new(counters),
            stopped: Application { state: State::Suspended, ..application.clone() },
            gate_keys: gate_keys(self.service.backend_version, &record),
            here,
            application,
            record,
        };
        self.applications.insert(id, entry);
    }
}

/// Has owners here know whether an application is suspended there.
fn note_state(here: Option<&Here>, application: &Application) {
    if let Some(here) = here {
        here.set_suspended_at_source(application.state == State::Suspended);
    }
}

/// What is gone suspends nothing.
fn let_go(entry: &ApplicationEntry) {
    if let Some(here) = &entry.here {
        here.set_suspended_at_source(false);
    }
}

/// Under which hashes the gate would know the keys of an application by which its service knows it. An owner may also
/// have taken an application key over without its `app_id`.
fn gate_keys(version: BackendVersion, record: &ApplicationRecord) -> Vec<KeyHash> {
    match version {
        BackendVersion::One => record.user_key.iter().map(|key| key.0).collect(),
        BackendVersion::Two | BackendVersion::Oauth => {
            let both =
                record.keys.iter().flat_map(|known| known.pair.into_iter().chain([known.key]));
            both.map(|key| key.0).collect()
        }
    }
}

/// What the owners of our meters begin with.
const OWNER_PREFIX: &str = "3scale/";

/// Whose meters the counters of an application are.
pub(super) fn owner(service: &str, application: &str) -> Arc<str> {
    format!("{OWNER_PREFIX}{service}/{application}").into()
}

impl Catalog {
    /// The service that has an id.
    pub fn service(&self, id: &str) -> Option<&ServiceEntry> {
        self.services.get(id)
    }

    /// All services, by id.
    pub fn services(&self) -> impl Iterator<Item = &ServiceEntry> {
        self.services.values()
    }

    /// The default service of a provider.
    pub fn default_service(&self, provider: &SecretHash) -> Option<&ServiceEntry> {
        let mut services = self.services.values();
        services.find(|entry| entry.record.is_default && entry.record.provider == *provider)
    }

    /// Puts a service in place of the one with its id. Its applications stay, with what they have used.
    ///
    /// # Errors
    /// When its metrics are no hierarchy; the one that was there stays.
    pub fn keep_service(&mut self, record: ServiceRecord) -> Result<(), MetricsError> {
        let mut entry = ServiceEntry::new(record)?;
        let before = self.services.remove(entry.service.id.as_ref());
        let applications = before.map(|before| before.applications).unwrap_or_default();
        for (_, application) in applications {
            let ApplicationEntry { record, counters, here, .. } = application;
            let counters = counters.into_inner().unwrap_or_else(PoisonError::into_inner);
            entry.keep_application(record, (counters, here));
        }
        self.services.insert(entry.service.id.clone(), entry);
        Ok(())
    }

    /// Forgets a service with its applications.
    pub fn remove_service(&mut self, id: &str) {
        if let Some(gone) = self.services.remove(id) {
            gone.applications().for_each(let_go);
        }
    }

    /// Puts an application in place of the one with its id, which keeps what it has used. `false` where its
    /// service is not there.
    pub fn keep_application(&mut self, record: ApplicationRecord) -> bool {
        let Some(service) = self.services.get_mut(record.service_id.as_str()) else {
            return false;
        };
        let before = service.remove_application(&record.id);
        let kept = before.map(|ApplicationEntry { counters, here, .. }| {
            (counters.into_inner().unwrap_or_else(PoisonError::into_inner), here)
        });
        service.keep_application(record, kept.unwrap_or_default());
        true
    }

    /// Says which application of Keystile's one is as well.
    pub(super) fn set_here(&mut self, service: &str, id: &str, here: Option<Here>) {
        let service = self.services.get_mut(service);
        if let Some(entry) = service.and_then(|service| service.applications.get_mut(id)) {
            note_state(here.as_ref(), &entry.application);
            entry.here = here;
        }
    }

    /// Forgets an application.
    pub fn remove_application(&mut self, service: &str, id: &str) {
        if let Some(service) = self.services.get_mut(service) {
            service.remove_application(id).iter().for_each(let_go);
        }
    }
}

impl Catalog {
    /// Takes up a counter that the store kept. `false` for one of an application or a metric that is gone.
    pub(super) fn restore(&mut self, meter: &MeterValue) -> bool {
        let Some(rest) = meter.owner.strip_prefix(OWNER_PREFIX) else { return true };
        let names = rest.split_once('/').zip(meter.name.rsplit_once('/'));
        let Some(((service, application), (metric, _))) = names else { return true };
        let Some(service) = self.services.get_mut(service) else { return false };
        let is_counted = service.record.metrics.iter().any(|known| known.id == metric);
        match service.applications.get_mut(application) {
            Some(entry) if is_counted => {
                entry.counters.get_mut().unwrap_or_else(PoisonError::into_inner).restore(meter);
                true
            }
            Some(_) | None => false,
        }
    }

    /// Takes all counters for unsaved, as after a failure of the store: saving one twice changes nothing.
    pub(super) fn mark_unsaved(&self) {
        for entry in self.services.values().flat_map(ServiceEntry::applications) {
            entry.counters().mark_unsaved();
        }
    }

    /// What was counted and is not on its way to the store.
    pub(super) fn take_unsaved(&self) -> Vec<MeterValue> {
        let entries = self.services.values().flat_map(ServiceEntry::applications);
        entries
            .flat_map(|entry| {
                let mut counters = entry.counters();
                if counters.is_unsaved { counters.take_unsaved(&entry.owner) } else { Vec::new() }
            })
            .collect()
    }
}

impl ApplicationEntry {
    /// Under which hashes the gate would know its keys.
    pub fn gate_keys(&self) -> impl Iterator<Item = &KeyHash> {
        self.gate_keys.iter()
    }

    /// As calls see it while none of its keys is locked.
    pub const fn application(&self) -> &Application {
        &self.application
    }

    /// Whether it is suspended or locked here as a whole, with or without a key.
    pub(super) fn is_stopped_here(&self, now: Timestamp) -> bool {
        self.here.as_ref().is_some_and(|here| {
            here.state() == ApplicationState::Suspended || here.lock(now).is_some()
        })
    }

    /// As calls see it while one of its keys is locked.
    pub(super) const fn stopped(&self) -> &Application {
        &self.stopped
    }

    /// What it has used, held against others.
    pub fn counters(&self) -> MutexGuard<'_, Counters> {
        self.counters.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

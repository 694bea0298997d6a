//! Reporting what the applications of an account use.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex as SyncMutex, PoisonError};

use keystile_engine::Engine;
use keystile_engine::command::Failure;
use keystile_engine::keys::source::UsageStanding;
use keystile_store::key_cache::ApplicationEntry;
use tokio::sync::Mutex;

use super::kept::Collections;
use super::mapping::UsageMap;
use super::store::UsageStore;
use crate::drive::settings::UsageSettings;
use crate::portal::records::{Application, ApplicationId, ServiceId};
use crate::portal::settings::{PortalSettings, SettingsError};
use crate::reports::{Reference, ReportClient};

/// The usage of one account's applications, counted and reported.
#[derive(Debug)]
pub(crate) struct UsageReports {
    pub(super) map: UsageMap,
    pub(super) client: ReportClient,
    pub(super) store: Mutex<UsageStore>,
    /// What applications are known by there; nothing before the portal was read. It is not kept, because it may be
    /// the key.
    references: SyncMutex<Option<Arc<BTreeMap<ApplicationId, Reference>>>>,
    pub(super) applications: Mutex<KnownApplications>,
    /// Held while a report is on its way.
    pub(super) sending: Mutex<()>,
}

/// The applications here and there.
#[derive(Debug, Default)]
pub(super) struct KnownApplications {
    /// How often links had changed when they were read.
    pub(super) seen: Option<u64>,
    /// By their ids here.
    pub(super) by_id: HashMap<String, ApplicationId>,
    pub(super) entries: Vec<(ApplicationId, Arc<ApplicationEntry>)>,
}

impl UsageReports {
    /// Reports of which nothing was read yet. Fails when the certificates to trust cannot be used.
    pub(crate) fn new(
        name: &str,
        usage: &UsageSettings,
        portal: &PortalSettings,
        service: ServiceId,
    ) -> Result<Self, SettingsError> {
        let backend = PortalSettings {
            address: usage.backend.clone(),
            token: usage.service_token.clone(),
            ..portal.clone()
        };
        Ok(Self {
            map: usage.map.clone(),
            client: ReportClient::new(&backend, service)?,
            store: Mutex::new(UsageStore::new(Collections::of(name))),
            references: SyncMutex::new(None),
            applications: Mutex::default(),
            sending: Mutex::default(),
        })
    }

    /// Takes note of what the applications there are known by.
    pub(crate) fn note_applications<'a>(
        &self,
        applications: impl Iterator<Item = &'a Application>,
    ) {
        let references = Arc::new(applications.filter_map(reference).collect());
        *self.references.lock().unwrap_or_else(PoisonError::into_inner) = Some(references);
    }

    /// The same for one that came over since the portal was last read.
    pub(crate) fn note_application(&self, application: &Application) {
        let mut references = self.references.lock().unwrap_or_else(PoisonError::into_inner);
        if let (Some(known), Some((id, reference))) = (&mut *references, reference(application)) {
            Arc::make_mut(known).insert(id, reference);
        }
    }

    pub(super) fn references(&self) -> Option<Arc<BTreeMap<ApplicationId, Reference>>> {
        self.references.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How reports stand. Fails when the store cannot be read.
    pub(crate) async fn standing(&self, engine: &Engine) -> Result<UsageStanding, Failure> {
        Ok(self.store.lock().await.kept(engine).await?.standing())
    }
}

fn reference(application: &Application) -> Option<(ApplicationId, Reference)> {
    let user_key = application.user_key.clone().map(Reference::UserKey);
    let reference = user_key.or(application.app_id.clone().map(Reference::AppId))?;
    Some((application.id, reference))
}

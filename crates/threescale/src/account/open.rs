//! Reading an account from the store, and writing every second what nobody waits for.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, OnceLock, RwLock};

use keystile_engine::Engine;
use keystile_store::Store;
use keystile_store::doors::documents::Document;
use keystile_store::doors::meters::{METERS_AT_ONCE_MAX, MeterValue};
use keystile_store::error::{Error, Result};
use serde::de::DeserializeOwned;

use super::catalog::{Catalog, ServiceEntry};
use super::change::{ChangeError, FOLLOWED_AT_ONCE};
use super::commit::{Draft, own_principal};
use super::gateway::{GATEWAYS, GatewayRecord, Gateways};
use super::log::Log;
use super::mirror::{Link, Links, MirrorRule};
use super::record::{APPLICATIONS, ApplicationRecord, LINKS, SERVICES, ServiceRecord};
use super::state::{Account, WriteRule};

const EVENTS: &str = "3scale-event";
const ERRORS: &str = "3scale-error";

/// So many events wait for a portal.
const EVENTS_MAX: usize = 10_000;
/// So many reports in error are listed; 3scale keeps a thousand for each service.
const ERRORS_MAX: usize = 10_000;
/// So many documents are read in one go.
const READ_AT_ONCE: u32 = 1_000;

impl Account {
    /// Reads what the store has of an account; `writes` says which of its metrics are writes, `mirror` which of its
    /// applications are here as well.
    ///
    /// # Errors
    /// When the store cannot be read, or what it has is not an account.
    pub async fn open(
        engine: Arc<Engine>,
        writes: Option<WriteRule>,
        mirror: Option<MirrorRule>,
    ) -> Result<Arc<Self>> {
        let store = engine.store().clone();
        let mut catalog = Catalog::default();
        for document in all(&store, SERVICES).await? {
            let record: ServiceRecord = parsed(&document)?;
            catalog
                .keep_service(record)
                .map_err(|error| Error::Corrupt(format!("the service {}: {error}", document.id)))?;
        }
        for document in all(&store, APPLICATIONS).await? {
            let record: ApplicationRecord = parsed(&document)?;
            // The application of a service that is gone goes with it.
            catalog.keep_application(record);
        }
        let mut orphans = Vec::new();
        for meter in store.meters_at(store.now()).await? {
            if !catalog.restore(&meter) {
                orphans.push(MeterValue { value: 0, ..meter });
            }
        }
        // Of what was deleted in the moment before a crash.
        for some in orphans.chunks(METERS_AT_ONCE_MAX) {
            store.set_meters(some.to_vec()).await?;
        }
        let mut links = Links::new();
        for document in all(&store, LINKS).await? {
            let link: Link = parsed(&document)?;
            links.insert(document.id, link);
        }
        let mut gateways = Gateways::new();
        for document in all(&store, GATEWAYS).await? {
            let record: GatewayRecord = parsed(&document)?;
            gateways.insert((record.service_id.clone(), record.environment), Arc::new(record));
        }
        let events = Log::restored(EVENTS, EVENTS_MAX, all(&store, EVENTS).await?);
        let errors = Log::restored(ERRORS, ERRORS_MAX, all(&store, ERRORS).await?);
        let provider_pepper = store.pepper().derived("3scale provider");
        let account = Arc::new(Self {
            engine,
            store,
            writes,
            provider_pepper,
            mirror,
            catalog: RwLock::new(catalog),
            gateways: RwLock::new(gateways),
            gateway_token: OnceLock::new(),
            links: Mutex::new(links),
            changing: tokio::sync::Mutex::default(),
            events,
            errors,
        });
        let ids: Vec<String> = account.links().keys().cloned().collect();
        account.note_here(ids.iter());
        Ok(account)
    }

    /// Has applications here follow those of the account that changed while nobody looked: all of them, where the
    /// configuration mirrors them for the first time. Call it before the account is served.
    ///
    /// # Errors
    /// When the store cannot commit.
    pub async fn follow_all(&self) -> std::result::Result<(), ChangeError> {
        let Some(mirror) = &self.mirror else {
            tracing::info!(
                "applications of the 3scale backend are not applications of Keystile's: [threescale_backend] has \
                 neither `plans` nor `default_plan`"
            );
            return Ok(());
        };
        let _changing = self.changing.lock().await;
        let by = own_principal();
        let (services, there, left) = {
            let catalog = self.catalog();
            let services: Vec<String> =
                catalog.services().map(|entry| entry.record.id.clone()).collect();
            let records = || catalog.services().flat_map(ServiceEntry::applications);
            let id = |record: &ApplicationRecord| {
                ApplicationRecord::document_id(&record.service_id, &record.id)
            };
            let there: HashSet<String> = records().map(|entry| id(&entry.record)).collect();
            let left = records().filter(|entry| mirror.plan_of(&entry.record).is_none()).count();
            (services, there, left)
        };
        let mut followed = 0_usize;
        for service in services {
            followed = followed.saturating_add(self.follow_service(&by, &service).await?);
        }
        let gone: Vec<String> =
            self.links().keys().filter(|id| !there.contains(*id)).cloned().collect();
        for some in gone.chunks(FOLLOWED_AT_ONCE) {
            let mut draft = Draft::default();
            for id in some {
                self.let_go(&mut draft, id.clone());
            }
            if draft.followed() > 0 {
                self.record(&by, draft).await?;
            }
        }
        tracing::info!(
            applications = there.len(),
            followed,
            without_plan = left,
            "applications of the 3scale backend are applications of Keystile's"
        );
        Ok(())
    }

    /// Writes what was counted and listed since the last time. Call it every second, and before the end.
    ///
    /// # Errors
    /// When the store cannot commit; what was not written is tried again with the next call.
    pub async fn save(&self) -> Result<()> {
        let unsaved = self.catalog().take_unsaved();
        for values in unsaved.chunks(METERS_AT_ONCE_MAX) {
            if let Err(error) = self.store.put_meters_later(values.to_vec()) {
                self.catalog().mark_unsaved();
                return Err(error);
            }
        }
        self.events.save(&self.store).await?;
        self.errors.save(&self.store).await
    }
}

async fn all(store: &Store, collection: &str) -> Result<Vec<Document>> {
    let mut all: Vec<Document> = Vec::new();
    loop {
        let after = all.last().map(|document| document.id.clone()).unwrap_or_default();
        let page = store.list_documents(collection.to_owned(), after, READ_AT_ONCE).await?;
        let is_last = page.len() < READ_AT_ONCE as usize;
        all.extend(page);
        if is_last {
            return Ok(all);
        }
    }
}

fn parsed<T: DeserializeOwned>(document: &Document) -> Result<T> {
    serde_json::from_str(&document.body)
        .map_err(|error| Error::Corrupt(format!("the document {}: {error}", document.id)))
}

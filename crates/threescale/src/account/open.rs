//! Reading an account from the store, and writing every second what nobody waits for.

use std::sync::{Arc, OnceLock, RwLock};

use keystile_engine::Engine;
use keystile_store::Store;
use keystile_store::doors::documents::Document;
use keystile_store::error::{Error, Result};
use serde::de::DeserializeOwned;

use super::catalog::Catalog;
use super::gateway::{GATEWAYS, GatewayRecord, Gateways};
use super::log::Log;
use super::record::{ApplicationRecord, ServiceRecord};
use super::state::{Account, WriteRule};

pub(super) const SERVICES: &str = "3scale-service";
pub(super) const APPLICATIONS: &str = "3scale-application";
const EVENTS: &str = "3scale-event";
const ERRORS: &str = "3scale-error";

/// So many events wait for a portal.
const EVENTS_MAX: usize = 10_000;
/// So many reports in error are listed; 3scale keeps a thousand for each service.
const ERRORS_MAX: usize = 10_000;
/// So many documents are read in one go.
const READ_AT_ONCE: u32 = 1_000;

impl Account {
    /// Reads what the store has of an account; `writes` says which of its metrics are writes.
    ///
    /// # Errors
    /// When the store cannot be read, or what it has is not an account.
    pub async fn open(engine: Arc<Engine>, writes: Option<WriteRule>) -> Result<Arc<Self>> {
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
        for meter in store.meters_at(store.now()).await? {
            catalog.restore(&meter);
        }
        let mut gateways = Gateways::new();
        for document in all(&store, GATEWAYS).await? {
            let record: GatewayRecord = parsed(&document)?;
            gateways.insert((record.service_id.clone(), record.environment), Arc::new(record));
        }
        let events = Log::restored(EVENTS, EVENTS_MAX, all(&store, EVENTS).await?);
        let errors = Log::restored(ERRORS, ERRORS_MAX, all(&store, ERRORS).await?);
        let provider_pepper = store.pepper().derived("3scale provider");
        Ok(Arc::new(Self {
            engine,
            store,
            writes,
            provider_pepper,
            catalog: RwLock::new(catalog),
            gateways: RwLock::new(gateways),
            gateway_token: OnceLock::new(),
            changing: tokio::sync::Mutex::default(),
            events,
            errors,
        }))
    }

    /// Writes what was counted and listed since the last time. Call it every second, and before the end.
    ///
    /// # Errors
    /// When the store cannot commit; what was not written is tried again with the next call.
    pub async fn save(&self) -> Result<()> {
        let unsaved = self.catalog().take_unsaved();
        for values in unsaved.chunks(keystile_store::doors::meters::METERS_AT_ONCE_MAX) {
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

//! What gateways are told: kept durably, then told to whoever asks next.

use std::sync::{Arc, PoisonError};

use keystile_core::owners::principal::Principal;
use keystile_store::audit::EventKind;

use super::change::ChangeError;
use super::commit::{Draft, put};
use super::gateway::{GATEWAYS, GatewayRecord, document_id};
use super::state::Account;
use crate::portal::records::Environment;

/// The most that all configurations take together: they are held in memory, and a list of them is one answer.
const GATEWAYS_BYTES_MAX: usize = 32 * 1024 * 1024;

impl Account {
    /// What gateways of an environment are told, by the ids of services.
    pub fn gateways(&self, environment: Environment) -> Vec<Arc<GatewayRecord>> {
        let gateways = self.gateways.read().unwrap_or_else(PoisonError::into_inner);
        let of = gateways.values().filter(|record| record.environment == environment);
        of.cloned().collect()
    }

    /// The services of which gateways are told nothing, by their ids.
    pub fn services_without_gateways(&self) -> Vec<String> {
        let of = |service: &str, environment| self.gateway(service, environment).is_some();
        let catalog = self.catalog();
        let ids = catalog.services().map(|entry| &entry.record.id);
        let without =
            ids.filter(|id| !of(id, Environment::Production) && !of(id, Environment::Sandbox));
        without.cloned().collect()
    }

    /// What gateways of an environment are told of a service.
    pub fn gateway(&self, service: &str, environment: Environment) -> Option<Arc<GatewayRecord>> {
        let gateways = self.gateways.read().unwrap_or_else(PoisonError::into_inner);
        gateways.get(&(service.to_owned(), environment)).cloned()
    }

    /// Puts a configuration in place of the one of its service and environment.
    ///
    /// # Errors
    /// When its service is not there, it is too large, or the store cannot commit.
    pub async fn keep_gateway(
        &self,
        by: &Principal,
        record: GatewayRecord,
    ) -> Result<(), ChangeError> {
        let _changing = self.changing.lock().await;
        if self.catalog().service(&record.service_id).is_none() {
            return Err(ChangeError::NoService);
        }
        let key = (record.service_id.clone(), record.environment);
        let all = {
            let gateways = self.gateways.read().unwrap_or_else(PoisonError::into_inner);
            let others = gateways.iter().filter(|(other, _)| **other != key);
            let others = others.map(|(_, other)| other.content.bytes());
            others.fold(record.content.bytes(), usize::saturating_add)
        };
        if all > GATEWAYS_BYTES_MAX {
            return Err(ChangeError::GatewaysTooLarge);
        }
        let id = document_id(&record.service_id, record.environment);
        let (name, version) = (record.environment.name(), record.version);
        let detail = format!("gateways ({name}) are told version {version}");
        let mut draft = Draft::default();
        draft.documents.push(put(GATEWAYS, id, &record));
        draft.note(EventKind::SourceTermsChanged, record.service_id.clone(), detail);
        self.record(by, draft).await?;
        let mut gateways = self.gateways.write().unwrap_or_else(PoisonError::into_inner);
        gateways.insert(key, Arc::new(record));
        Ok(())
    }
}

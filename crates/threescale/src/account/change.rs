//! Changing an account: durable first, then in force from the next call on.

use std::sync::PoisonError;

use keystile_core::owners::principal::Principal;
use keystile_engine::command::Failure;
use keystile_store::audit::EventKind;
use keystile_store::doors::meters::{METERS_AT_ONCE_MAX, MeterValue};

use super::catalog::{ApplicationEntry, Catalog, ServiceEntry};
use super::commit::{Draft, delete};
use super::gateway::{self, GATEWAYS};
use super::record::{ApplicationRecord, SERVICES, ServiceRecord};
use super::state::Account;
use crate::backend::metrics::MetricsError;
use crate::portal::records::Environment;

/// The longest id of anything: three of them are part of a meter's name or owner.
const ID_BYTES_MAX: usize = 100;

/// So many applications follow in one commit: writes at the gate wait for it.
pub(super) const FOLLOWED_AT_ONCE: usize = 250;

/// Why an account stays as it is.
#[derive(Debug, thiserror::Error)]
pub enum ChangeError {
    /// The application's service is not there.
    #[error("there is no such service")]
    NoService,
    /// An id that nothing can have.
    #[error("an id has 1 to {ID_BYTES_MAX} bytes and no slash")]
    InvalidId,
    /// Another application of the service has the user key.
    #[error("another application has this user key")]
    UserKeyTaken,
    /// The configurations of all gateways have no room.
    #[error("the configurations of all gateways are too large together")]
    GatewaysTooLarge,
    /// The metrics are no hierarchy.
    #[error(transparent)]
    Metrics(#[from] MetricsError),
    /// The store cannot commit, or not so much at once.
    #[error(transparent)]
    Failed(#[from] Failure),
}

pub(super) fn check_id(id: &str) -> Result<(), ChangeError> {
    let is_one = (1..=ID_BYTES_MAX).contains(&id.len()) && !id.contains('/');
    is_one.then_some(()).ok_or(ChangeError::InvalidId)
}

impl Account {
    /// Changes the service that has an id, or makes it: `change` is given what is there. Says what is there now.
    ///
    /// # Errors
    /// When the result is no service, or the store cannot commit; the account stays as it was.
    pub async fn change_service(
        &self,
        by: &Principal,
        id: &str,
        change: impl FnOnce(Option<ServiceRecord>) -> Option<ServiceRecord>,
    ) -> Result<Option<ServiceRecord>, ChangeError> {
        let mut kept = None;
        let changed = |catalog: &Catalog| {
            kept = change(catalog.service(id).map(|entry| entry.record.clone()));
            Ok::<_, ChangeError>(kept.iter().cloned().collect())
        };
        self.change_services(by, changed).await?;
        Ok(kept)
    }

    /// Deletes a service with its applications. `false` where it is not there.
    ///
    /// # Errors
    /// When the store cannot commit.
    pub async fn delete_service(&self, by: &Principal, id: &str) -> Result<bool, ChangeError> {
        let _changing = self.changing.lock().await;
        let of = |entry: &ApplicationEntry| {
            (entry.record.id.clone(), entry.counters().at_zero(&entry.owner))
        };
        let found = self
            .catalog()
            .service(id)
            .map(|service| service.applications().map(of).unzip::<_, _, Vec<_>, Vec<_>>());
        let Some((applications, counters)) = found else { return Ok(false) };
        for some in applications.chunks(FOLLOWED_AT_ONCE) {
            let mut draft = Draft::default();
            for application in some {
                self.let_application_go(&mut draft, id, application);
            }
            self.record(by, draft).await?;
        }
        let mut draft = Draft::default();
        draft.documents.push(delete(SERVICES, id.to_owned()));
        for environment in [Environment::Sandbox, Environment::Production] {
            draft.documents.push(delete(GATEWAYS, gateway::document_id(id, environment)));
        }
        let detail = format!("deleted, with {} applications", applications.len());
        draft.note(EventKind::SourceTermsChanged, id.to_owned(), detail);
        self.record(by, draft).await?;
        self.catalog_to_change().remove_service(id);
        self.gateways
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .retain(|(service, _), _| service != id);
        self.forget_usage(counters.concat()).await?;
        Ok(true)
    }

    /// Changes an application, or makes it: `change` is given what is there. Says what is there now.
    ///
    /// # Errors
    /// When its service is not there, another application has its user key, or the store cannot commit.
    pub async fn change_application(
        &self,
        by: &Principal,
        service: &str,
        id: &str,
        change: impl FnOnce(Option<ApplicationRecord>) -> Option<ApplicationRecord>,
    ) -> Result<Option<ApplicationRecord>, ChangeError> {
        check_id(id)?;
        let mut kept = None;
        let changed = |entry: &ServiceEntry| {
            kept = change(entry.application(id).map(|entry| entry.record.clone()));
            Ok::<_, ChangeError>(kept.iter().cloned().collect())
        };
        self.change_applications(by, service, changed).await?;
        Ok(kept)
    }

    /// Deletes an application. `false` where it is not there.
    ///
    /// # Errors
    /// When the store cannot commit.
    pub async fn delete_application(
        &self,
        by: &Principal,
        service: &str,
        id: &str,
    ) -> Result<bool, ChangeError> {
        let _changing = self.changing.lock().await;
        let found = {
            let catalog = self.catalog();
            let entry = catalog.service(service).and_then(|service| service.application(id));
            entry.map(|entry| entry.counters().at_zero(&entry.owner))
        };
        let Some(counters) = found else { return Ok(false) };
        let mut draft = Draft::default();
        self.let_application_go(&mut draft, service, id);
        let subject = ApplicationRecord::document_id(service, id);
        let kind = EventKind::SourceApplicationChanged;
        draft.note(kind, subject, "deleted".to_owned());
        self.record(by, draft).await?;
        self.catalog_to_change().remove_application(service, id);
        self.forget_usage(counters).await?;
        Ok(true)
    }

    /// Has the store forget counters.
    pub(super) async fn forget_usage(&self, counters: Vec<MeterValue>) -> Result<(), ChangeError> {
        for some in counters.chunks(METERS_AT_ONCE_MAX) {
            self.store.set_meters(some.to_vec()).await.map_err(Failure::from)?;
        }
        Ok(())
    }
}

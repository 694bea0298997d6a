//! Changing an account: durable first, then in force from the next call on.

use std::sync::PoisonError;

use keystile_store::doors::documents::{DocumentChange, DocumentName, ExpectedDocument};
use keystile_store::doors::meters::{METERS_AT_ONCE_MAX, MeterValue};
use keystile_store::error::Error;

use super::catalog::{ApplicationEntry, ServiceEntry};
use super::gateway::{self, GATEWAYS};
use super::open::{APPLICATIONS, SERVICES};
use super::record::{ApplicationRecord, ServiceRecord};
use super::state::Account;
use crate::backend::metrics::MetricsError;
use crate::portal::records::Environment;

/// The longest id of anything: three of them are part of a meter's name or owner.
const ID_BYTES_MAX: usize = 100;

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
    /// The store cannot commit.
    #[error(transparent)]
    Store(#[from] Error),
}

pub(super) fn check_id(id: &str) -> Result<(), ChangeError> {
    let is_one = (1..=ID_BYTES_MAX).contains(&id.len()) && !id.contains('/');
    is_one.then_some(()).ok_or(ChangeError::InvalidId)
}

pub(super) fn put(collection: &str, id: String, record: &impl serde::Serialize) -> DocumentChange {
    DocumentChange::Put {
        name: DocumentName { collection: collection.to_owned(), id },
        expected: ExpectedDocument::Any,
        body: serde_json::to_string(record).expect("records are texts and numbers"),
    }
}

fn delete(collection: &str, id: String) -> DocumentChange {
    let name = DocumentName { collection: collection.to_owned(), id };
    DocumentChange::Delete { name, expected: ExpectedDocument::Any }
}

impl Account {
    /// Changes the service that has an id, or makes it: `change` is given what is there. Says what is there now.
    ///
    /// # Errors
    /// When the result is no service, or the store cannot commit; the account stays as it was.
    pub async fn change_service(
        &self,
        id: &str,
        change: impl FnOnce(Option<ServiceRecord>) -> Option<ServiceRecord>,
    ) -> Result<Option<ServiceRecord>, ChangeError> {
        check_id(id)?;
        let _changing = self.changing.lock().await;
        let before = self.catalog().service(id).map(|entry| entry.record.clone());
        let Some(record) = change(before) else { return Ok(None) };
        for metric in &record.metrics {
            check_id(&metric.id)?;
        }
        // Only to see whether it is one.
        ServiceEntry::new(record.clone())?;
        self.store.change_documents(vec![put(SERVICES, id.to_owned(), &record)], None).await?;
        self.catalog_to_change().keep_service(record.clone())?;
        Ok(Some(record))
    }

    /// Deletes a service with its applications. `false` where it is not there.
    ///
    /// # Errors
    /// When the store cannot commit.
    pub async fn delete_service(&self, id: &str) -> Result<bool, ChangeError> {
        let _changing = self.changing.lock().await;
        let of = |entry: &ApplicationEntry| {
            (entry.record.id.clone(), entry.counters().at_zero(&entry.owner))
        };
        let found = self
            .catalog()
            .service(id)
            .map(|service| service.applications().map(of).unzip::<_, _, Vec<_>, Vec<_>>());
        let Some((applications, counters)) = found else { return Ok(false) };
        let document = |application: &String| {
            delete(APPLICATIONS, ApplicationRecord::document_id(id, application))
        };
        for some in applications.chunks(keystile_store::doors::documents::DOCUMENTS_AT_ONCE_MAX) {
            self.store.change_documents(some.iter().map(document).collect(), None).await?;
        }
        let gateways = [Environment::Sandbox, Environment::Production]
            .map(|environment| delete(GATEWAYS, gateway::document_id(id, environment)));
        let documents = gateways.into_iter().chain([delete(SERVICES, id.to_owned())]).collect();
        self.store.change_documents(documents, None).await?;
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
        service: &str,
        id: &str,
        change: impl FnOnce(Option<ApplicationRecord>) -> Option<ApplicationRecord>,
    ) -> Result<Option<ApplicationRecord>, ChangeError> {
        check_id(id)?;
        let _changing = self.changing.lock().await;
        let before = {
            let catalog = self.catalog();
            let entry = catalog.service(service).ok_or(ChangeError::NoService)?;
            entry.application(id).map(|entry| entry.record.clone())
        };
        let Some(record) = change(before) else { return Ok(None) };
        if let Some(user_key) = &record.user_key {
            let catalog = self.catalog();
            let other = catalog
                .service(service)
                .and_then(|entry| entry.application_with_user_key(&user_key.0))
                .is_some_and(|entry| entry.record.id != record.id);
            if other {
                return Err(ChangeError::UserKeyTaken);
            }
        }
        let document = put(APPLICATIONS, ApplicationRecord::document_id(service, id), &record);
        self.store.change_documents(vec![document], None).await?;
        self.catalog_to_change().keep_application(record.clone());
        Ok(Some(record))
    }

    /// Deletes an application. `false` where it is not there.
    ///
    /// # Errors
    /// When the store cannot commit.
    pub async fn delete_application(&self, service: &str, id: &str) -> Result<bool, ChangeError> {
        let _changing = self.changing.lock().await;
        let found = {
            let catalog = self.catalog();
            let entry = catalog.service(service).and_then(|service| service.application(id));
            entry.map(|entry| entry.counters().at_zero(&entry.owner))
        };
        let Some(counters) = found else { return Ok(false) };
        let document = delete(APPLICATIONS, ApplicationRecord::document_id(service, id));
        self.store.change_documents(vec![document], None).await?;
        self.catalog_to_change().remove_application(service, id);
        self.forget_usage(counters).await?;
        Ok(true)
    }

    async fn forget_usage(&self, counters: Vec<MeterValue>) -> Result<(), ChangeError> {
        for some in counters.chunks(METERS_AT_ONCE_MAX) {
            self.store.set_meters(some.to_vec()).await?;
        }
        Ok(())
    }
}

//! Changing several services or applications of an account in one commit: all of them, or none.

use std::collections::HashMap;

use keystile_core::keys::hash::KeyHash;

use super::catalog::{Catalog, ServiceEntry};
use super::change::{ChangeError, check_id, put};
use super::open::{APPLICATIONS, SERVICES};
use super::record::{ApplicationRecord, ServiceRecord};
use super::state::Account;

impl Account {
    /// Puts services in place of those with their ids, in one commit. `change` is given all that are there and
    /// says what is to be there now; at most 1,000.
    ///
    /// # Errors
    /// When `change` fails, one of the results is no service, or the store cannot commit; the account stays as it
    /// was.
    pub async fn change_services<E: From<ChangeError>>(
        &self,
        change: impl FnOnce(&Catalog) -> Result<Vec<ServiceRecord>, E>,
    ) -> Result<(), E> {
        let _changing = self.changing.lock().await;
        let records = change(&self.catalog())?;
        let mut puts = Vec::new();
        for record in &records {
            check_id(&record.id)?;
            for metric in &record.metrics {
                check_id(&metric.id)?;
            }
            // Only to see whether it is one.
            ServiceEntry::new(record.clone()).map_err(ChangeError::from)?;
            puts.push(put(SERVICES, record.id.clone(), record));
        }
        if puts.is_empty() {
            return Ok(());
        }
        self.store.change_documents(puts, None).await.map_err(ChangeError::from)?;
        let mut catalog = self.catalog_to_change();
        for record in records {
            catalog.keep_service(record).map_err(ChangeError::from)?;
        }
        Ok(())
    }

    /// Puts applications of a service in place of those with their ids, in one commit. `change` is given what is
    /// there and says what is to be there now; at most 1,000.
    ///
    /// # Errors
    /// When the service is not there, `change` fails, two applications would have one user key, or the store
    /// cannot commit; the account stays as it was.
    pub async fn change_applications<E: From<ChangeError>>(
        &self,
        service: &str,
        change: impl FnOnce(&ServiceEntry) -> Result<Vec<ApplicationRecord>, E>,
    ) -> Result<(), E> {
        let _changing = self.changing.lock().await;
        let records = {
            let catalog = self.catalog();
            let entry = catalog.service(service).ok_or(ChangeError::NoService)?;
            let records = change(entry)?;
            check_applications(entry, &records)?;
            records
        };
        if records.is_empty() {
            return Ok(());
        }
        let put = |record: &ApplicationRecord| {
            put(APPLICATIONS, ApplicationRecord::document_id(service, &record.id), record)
        };
        let puts = records.iter().map(put).collect();
        self.store.change_documents(puts, None).await.map_err(ChangeError::from)?;
        let mut catalog = self.catalog_to_change();
        for record in records {
            catalog.keep_application(record);
        }
        Ok(())
    }
}

fn check_applications(
    service: &ServiceEntry,
    records: &[ApplicationRecord],
) -> Result<(), ChangeError> {
    let mut changed: HashMap<&str, &ApplicationRecord> = HashMap::new();
    for record in records {
        check_id(&record.id)?;
        changed.insert(&record.id, record);
    }
    let mut holders: HashMap<KeyHash, &str> = HashMap::new();
    for record in changed.values() {
        let Some(user_key) = record.user_key else { continue };
        let has_before = service.application_with_user_key(&user_key.0);
        let is_taken = has_before.is_some_and(|entry| !changed.contains_key(&*entry.record.id));
        if is_taken || holders.insert(user_key.0, &record.id).is_some() {
            return Err(ChangeError::UserKeyTaken);
        }
    }
    Ok(())
}

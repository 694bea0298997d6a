//! Changing several services or applications of an account in one commit: all of them, or none.

use std::collections::HashMap;

use keystile_core::keys::hash::KeyHash;
use keystile_core::owners::principal::Principal;
use keystile_store::doors::meters::MeterValue;

use super::catalog::{Catalog, ServiceEntry};
use super::change::{ChangeError, FOLLOWED_AT_ONCE, check_id};
use super::commit::Draft;
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
        by: &Principal,
        change: impl FnOnce(&Catalog) -> Result<Vec<ServiceRecord>, E>,
    ) -> Result<(), E> {
        let _changing = self.changing.lock().await;
        let mut draft = Draft::default();
        let (records, effects) = {
            let catalog = self.catalog();
            let records = change(&catalog)?;
            let mut effects = Vec::new();
            for record in &records {
                check_service(record)?;
                let before = catalog.service(&record.id).map(|entry| &entry.record);
                draft.keep_service(before, record);
                effects.extend(before.map(|before| Effects::of(before, record)));
            }
            (records, effects)
        };
        if records.is_empty() {
            return Ok(());
        }
        self.record(by, draft).await.map_err(ChangeError::from)?;
        {
            let mut catalog = self.catalog_to_change();
            for record in records {
                catalog.keep_service(record).map_err(ChangeError::from)?;
            }
        }
        for Effects { service, metrics_gone, knows_by_other_keys } in effects {
            if knows_by_other_keys {
                self.follow_service(by, &service).await?;
            }
            if !metrics_gone.is_empty() {
                let gone = self.take_metrics(&service, &metrics_gone);
                self.forget_usage(gone).await?;
            }
        }
        Ok(())
    }

    /// The counters of metrics that a service no longer has, as the store is to keep them.
    fn take_metrics(&self, service: &str, metrics: &[String]) -> Vec<MeterValue> {
        let catalog = self.catalog();
        let applications =
            catalog.service(service).into_iter().flat_map(ServiceEntry::applications);
        let taken =
            applications.flat_map(|entry| entry.counters().take_metrics(&entry.owner, metrics));
        taken.collect()
    }

    /// Has the applications of a service follow it: another version knows them by other keys.
    pub(super) async fn follow_service(
        &self,
        by: &Principal,
        id: &str,
    ) -> Result<usize, ChangeError> {
        let mut drafts = vec![Draft::default()];
        {
            let catalog = self.catalog();
            let Some(service) = catalog.service(id) else { return Ok(0) };
            for entry in service.applications() {
                if drafts.last().is_none_or(|draft| draft.followed() >= FOLLOWED_AT_ONCE) {
                    drafts.push(Draft::default());
                }
                if let Some(draft) = drafts.last_mut() {
                    self.follow(draft, &service.record, &entry.record);
                }
            }
        }
        let mut followed = 0_usize;
        for draft in drafts.into_iter().filter(|draft| draft.followed() > 0) {
            followed = followed.saturating_add(draft.followed());
            self.record(by, draft).await?;
        }
        Ok(followed)
    }

    /// Puts applications of a service in place of those with their ids, in one commit. `change` is given what is
    /// there and says what is to be there now; at most 1,000.
    ///
    /// # Errors
    /// When the service is not there, `change` fails, two applications would have one user key, or the store
    /// cannot commit; the account stays as it was.
    pub async fn change_applications<E: From<ChangeError>>(
        &self,
        by: &Principal,
        service: &str,
        change: impl FnOnce(&ServiceEntry) -> Result<Vec<ApplicationRecord>, E>,
    ) -> Result<(), E> {
        let _changing = self.changing.lock().await;
        let mut draft = Draft::default();
        let records = {
            let catalog = self.catalog();
            let entry = catalog.service(service).ok_or(ChangeError::NoService)?;
            let records = change(entry)?;
            check_applications(entry, &records)?;
            for record in &records {
                let before = entry.application(&record.id).map(|entry| &entry.record);
                self.keep_application(&mut draft, &entry.record, (before, record));
            }
            records
        };
        if records.is_empty() {
            return Ok(());
        }
        self.record(by, draft).await.map_err(ChangeError::from)?;
        let id = |record: &ApplicationRecord| ApplicationRecord::document_id(service, &record.id);
        let ids: Vec<String> = records.iter().map(id).collect();
        {
            let mut catalog = self.catalog_to_change();
            for record in records {
                catalog.keep_application(record);
            }
        }
        self.note_here(ids.iter());
        Ok(())
    }
}

fn check_service(record: &ServiceRecord) -> Result<(), ChangeError> {
    check_id(&record.id)?;
    for metric in &record.metrics {
        check_id(&metric.id)?;
    }
    // Only to see whether it is one.
    ServiceEntry::new(record.clone())?;
    Ok(())
}

/// What a change of a service asks for beside its own record.
struct Effects {
    service: String,
    metrics_gone: Vec<String>,
    knows_by_other_keys: bool,
}

impl Effects {
    fn of(before: &ServiceRecord, now: &ServiceRecord) -> Self {
        let is_there = |id: &String| now.metrics.iter().any(|metric| metric.id == *id);
        let metrics = before.metrics.iter().map(|metric| &metric.id);
        Self {
            service: now.id.clone(),
            metrics_gone: metrics.filter(|id| !is_there(id)).cloned().collect(),
            knows_by_other_keys: before.backend_version != now.backend_version,
        }
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

//! A request to the internal API, once it may be one.

use keystile_core::owners::principal::Principal;

use super::fields::Fields;
use super::json::Json;
use crate::account::record::{ApplicationRecord, ServiceRecord};
use crate::account::{Account, ChangeError};

/// A request.
#[derive(Debug)]
pub(super) struct Call<'c> {
    pub(super) account: &'c Account,
    /// Who asks.
    pub(super) by: &'c Principal,
    /// Its parameters.
    pub(super) fields: Fields<'c>,
}

impl<'c> Call<'c> {
    /// The values that the request has to have under a name.
    pub(super) fn wrapped(&self, name: &str) -> Result<Fields<'c>, Json> {
        self.fields.under(name)?.ok_or_else(|| Json::missing(name))
    }

    /// Changes a service that is there. What stays as it is costs no commit.
    pub(super) async fn change_service<T>(
        &self,
        id: &str,
        change: impl FnOnce(&mut ServiceRecord) -> Result<T, Json>,
    ) -> Result<T, Json> {
        let mut result = Err(Json::not_found("service not found"));
        let changed = |before: Option<ServiceRecord>| {
            let before = before?;
            let mut record = before.clone();
            result = change(&mut record);
            (result.is_ok() && record != before).then_some(record)
        };
        self.account.change_service(self.by, id, changed).await?;
        result
    }

    /// Changes an application that is there. What stays as it is costs no commit.
    pub(super) async fn change_application<T>(
        &self,
        service: &str,
        id: &str,
        change: impl FnOnce(&mut ApplicationRecord) -> Result<T, Json>,
    ) -> Result<T, Json> {
        let mut result = Err(Json::not_found("application not found"));
        let changed = |before: Option<ApplicationRecord>| {
            let before = before?;
            let mut record = before.clone();
            result = change(&mut record);
            (result.is_ok() && record != before).then_some(record)
        };
        match self.account.change_application(self.by, service, id, changed).await {
            // As the reference says it, for which services and applications have nothing to do with each other.
            Err(ChangeError::NoService) => Err(Json::not_found("application not found")),
            changed => {
                changed?;
                result
            }
        }
    }
}

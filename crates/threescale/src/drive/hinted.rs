//! Looking at what was hinted at.

use std::collections::BTreeSet;
use std::sync::Arc;

use keystile_engine::Engine;
use keystile_engine::command::Failure;
use keystile_engine::keys::source::{SyncMode, SyncWanted};

use crate::drive::account::{DrivenAccount, failure};
use crate::drive::hint::Hinted;
use crate::drive::report::Report;
use crate::portal::ApplicationReference;
use crate::portal::error::PortalError;
use crate::portal::records::ApplicationId;

impl DrivenAccount {
    /// Looks at what was hinted at, and follows what is so. Fails when the portal or the store does.
    pub(super) async fn follow_hints(
        &self,
        engine: &Arc<Engine>,
        hinted: &Hinted,
    ) -> Result<(), Failure> {
        match hinted {
            Hinted::Nothing => Ok(()),
            Hinted::Everything => {
                self.read_and_follow(engine, SyncWanted::default()).await.map(drop)
            }
            Hinted::Applications(ids) => self.follow_some(engine, ids).await,
        }
    }

    async fn follow_some(
        &self,
        engine: &Arc<Engine>,
        ids: &BTreeSet<ApplicationId>,
    ) -> Result<(), Failure> {
        let _one = self.synchronizing.lock().await;
        let authentication = self.authentication().await?;
        let mut report = Report::new(&self.name, SyncMode::Apply);
        let mut is_one_missing = false;
        for id in ids {
            // No list is being read: what was looked up before this is older than what is found now.
            self.looked_up.lock().await.remove(id);
            match self.client.find_application(&ApplicationReference::Id(*id), None).await {
                Ok(found) if found.service == self.settings.service => {
                    let keys = self.credentials(&found, &authentication).await?;
                    self.follow(engine, &found, &keys, &mut report).await?;
                }
                Ok(_) | Err(PortalError::NotFound { .. }) => {
                    is_one_missing |= self.link(engine, *id).await?.is_some();
                }
                Err(error) => return Err(failure(&error)),
            }
        }
        if is_one_missing {
            // Keys are revoked for good: the whole list says whether it is one that is gone, or a fault.
            self.hints.put_back(Hinted::Everything);
        }
        let report = report.finish();
        if report.changed > 0 || report.left > 0 {
            let (changed, left) = (report.changed, report.left);
            tracing::info!(source = %self.name, changed, left, "a webhook was followed");
        }
        Ok(())
    }
}

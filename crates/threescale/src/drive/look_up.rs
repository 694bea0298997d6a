//! Looking one key up in 3scale that is unknown here, and bringing it over.
//!
//! A look-up only adds: an application that is new here, or a key of one that is known. What changed besides is
//! left to the next reading of the whole list, because a record that was read a moment ago may be older than what
//! that has done meanwhile, and a key that is revoked by mistake stays revoked.

use std::sync::Arc;
use std::time::Duration;

use keystile_core::keys::imported::ImportedText;
use keystile_engine::Engine;
use keystile_engine::command::{Failure, FailureKind};
use keystile_engine::keys::look_up::answer::FoundThere;
use keystile_engine::keys::source::SyncMode;

use crate::drive::account::{DrivenAccount, failure};
use crate::drive::compare::access;
use crate::drive::link::Access;
use crate::drive::report::Report;
use crate::drive::step::known_key;
use crate::pair::parts;
use crate::portal::ApplicationReference;
use crate::portal::error::PortalError;
use crate::portal::records::{Application, Authentication, Credential};

/// How long the portal may take for all that a look-up asks. A caller waits for it.
const PORTAL_MAX: Duration = Duration::from_secs(5);

impl DrivenAccount {
    /// Asks for the application of a key, and brings it over where it may call. Fails when the portal or the
    /// store does.
    pub(super) async fn look_up_there(
        &self,
        engine: &Arc<Engine>,
        key: &ImportedText,
    ) -> Result<FoundThere, Failure> {
        let key = Credential::new(key.expose().to_owned());
        let found = tokio::time::timeout(PORTAL_MAX, self.holder_of(&key)).await;
        let found = found.unwrap_or_else(|_| {
            Err(Failure {
                kind: FailureKind::Unavailable,
                message: format!("{}: the portal did not answer in time", self.name),
                help: None,
            })
        })?;
        let Some((application, keys)) = found else {
            return Ok(FoundThere::Unknown);
        };
        let mut report = Report::new(&self.name, SyncMode::Apply);
        self.add(engine, &application, &keys, &key, &mut report).await?;
        let report = report.finish();
        for said in report.changes.iter().chain(&report.problems) {
            tracing::info!(source = %self.name, %said, "a key was looked up in 3scale");
        }
        Ok(match known_key(engine, &key) {
            Some(_) => FoundThere::Imported,
            None => FoundThere::Unknown,
        })
    }

    /// The application that has a key and may call, with all its keys.
    async fn holder_of(
        &self,
        key: &Credential,
    ) -> Result<Option<(Application, Vec<Credential>)>, Failure> {
        let authentication = self.known_authentication().await?;
        let reference = match (&authentication, parts(key.reveal())) {
            (Authentication::UserKey, _) => ApplicationReference::UserKey(key.clone()),
            (Authentication::AppId, Some((id, _))) => ApplicationReference::AppId(id.to_owned()),
            (Authentication::AppId, None)
            | (Authentication::OpenIdConnect | Authentication::Unknown, _) => return Ok(None),
        };
        let service = self.settings.service;
        let found = match self.client.find_application(&reference, Some(service)).await {
            Ok(found) => found,
            Err(PortalError::NotFound { .. }) => return Ok(None),
            Err(error) => return Err(failure(&error)),
        };
        if found.service != service || access(&found) == Access::Barred {
            return Ok(None);
        }
        let keys = self.credentials(&found, &authentication).await?;
        // The portal is believed about what its applications have, and not that this is what was asked for.
        Ok(keys.contains(key).then_some((found, keys)))
    }

    async fn add(
        &self,
        engine: &Arc<Engine>,
        application: &Application,
        keys: &[Credential],
        key: &Credential,
        report: &mut Report,
    ) -> Result<(), Failure> {
        let mut looked_up = self.looked_up.lock().await;
        if known_key(engine, key).is_some() {
            return Ok(());
        }
        looked_up.insert(application.id);
        if let Some(usage) = &self.usage {
            usage.note_application(application);
        }
        match self.link(engine, application.id).await? {
            None => self.bring_over(engine, application, keys, report).await,
            Some(link) => self.import(engine, (application.id, &link), key, report).await,
        }
    }
}

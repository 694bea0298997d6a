//! Reading the portal, and following what it says.

use std::collections::BTreeMap;
use std::sync::Arc;

use keystile_engine::Engine;
use keystile_engine::command::{Failure, FailureKind};
use keystile_engine::keys::source::{Deletions, SyncMode, SyncReport, SyncWanted};

use crate::drive::account::{DrivenAccount, failure};
use crate::drive::difference::Seen;
use crate::drive::link::SyncNote;
use crate::drive::report::Report;
use crate::pair::unmistakable_text;
use crate::portal::ApplicationReference;
use crate::portal::error::PortalError;
use crate::portal::page::PageNumber;
use crate::portal::records::{Application, ApplicationId, Authentication, Credential};

/// Pages of applications that are read: half a million applications.
const PAGES_MAX: u32 = 1_000;
/// So many may be gone at once without being taken for a fault.
const GONE_MAX: usize = 10;
/// More of them may be, where all are this many times as many.
const GONE_SHARE: usize = 5;

impl DrivenAccount {
    /// Reads the portal and follows what changed there. Fails when the portal or the store cannot be read, or
    /// when so much is gone there that it is probably a fault; what was followed before that stays.
    pub(super) async fn read_and_follow(
        &self,
        engine: &Arc<Engine>,
        wanted: SyncWanted,
    ) -> Result<SyncReport, Failure> {
        let _one = self.synchronizing.lock().await;
        let result = self.follow_all(engine, wanted).await;
        if wanted.mode == SyncMode::Apply {
            let before = self.documents.note(engine).await?;
            let note = match &result {
                Ok(_) => {
                    SyncNote { synchronized: Some(engine.store().now()), ..SyncNote::default() }
                }
                Err(failure) => SyncNote {
                    synchronized: before.synchronized,
                    problem: Some(failure.message.clone()),
                    failing_since: before.failing_since.or(Some(engine.store().now())),
                    awaits_confirmation: failure.kind == FailureKind::Conflict,
                },
            };
            self.limit_keys(engine, &note);
            if note != before {
                self.documents.put_note(engine, &note).await?;
            }
        }
        result
    }

    async fn follow_all(
        &self,
        engine: &Arc<Engine>,
        wanted: SyncWanted,
    ) -> Result<SyncReport, Failure> {
        let authentication = self.authentication().await?;
        self.looked_up.lock().await.clear();
        let there = self.applications().await?;
        if let Some(usage) = &self.usage {
            usage.note_applications(there.values());
        }
        let mut report = Report::new(&self.name, wanted.mode);
        report.applications(there.len());
        let missing = self.missing(engine, &there, wanted.deletions).await?;
        let mut seen = Vec::new();
        for application in there.values() {
            let keys = self.credentials(application, &authentication).await?;
            seen.push(self.follow_and_see(engine, application, &keys, &mut report).await?);
        }
        for id in missing {
            // The list may have lost it while it was read.
            let reference = ApplicationReference::Id(id);
            match self.client.find_application(&reference, None).await {
                Ok(found) if found.service == self.settings.service => {
                    let keys = self.credentials(&found, &authentication).await?;
                    seen.push(self.follow_and_see(engine, &found, &keys, &mut report).await?);
                }
                Ok(_) | Err(PortalError::NotFound { .. }) => {
                    self.let_go(engine, id, &mut report).await?;
                }
                Err(error) => return Err(failure(&error)),
            }
        }
        if wanted.mode == SyncMode::Apply {
            self.keep_differences(engine, seen).await?;
        }
        Ok(report.finish())
    }

    /// Follows an application, and says what was seen of it.
    async fn follow_and_see(
        &self,
        engine: &Arc<Engine>,
        application: &Application,
        keys: &[Credential],
        report: &mut Report,
    ) -> Result<Seen, Failure> {
        let before = report.problem_count();
        self.follow(engine, application, keys, report).await?;
        self.seen(engine, application, (keys, report.problems_after(before))).await
    }

    /// How the service's applications authenticate, as it was last read; it is read where it never was. Fails
    /// when it cannot be seen, or has no keys.
    pub(super) async fn known_authentication(&self) -> Result<Authentication, Failure> {
        let mut known = self.authentication.lock().await;
        if let Some(known) = &*known {
            return Ok(known.clone());
        }
        let read = self.read_authentication().await?;
        Ok(known.insert(read).clone())
    }

    /// The same, as it is now.
    pub(super) async fn authentication(&self) -> Result<Authentication, Failure> {
        let read = self.read_authentication().await?;
        *self.authentication.lock().await = Some(read.clone());
        Ok(read)
    }

    async fn read_authentication(&self) -> Result<Authentication, Failure> {
        let services = self.client.services().await.map_err(|error| failure(&error))?;
        let wanted = self.settings.service;
        let Some(service) = services.iter().find(|service| service.id == wanted) else {
            return Err(Failure {
                kind: FailureKind::Missing,
                message: format!(
                    "{}: the token's user sees {} services in 3scale, and {wanted} is none of them",
                    self.name,
                    services.len()
                ),
                help: Some("correct `service`, or give the token's user a right to it".to_owned()),
            });
        };
        match &service.authentication {
            Authentication::UserKey | Authentication::AppId => Ok(service.authentication.clone()),
            Authentication::OpenIdConnect | Authentication::Unknown => Err(Failure {
                kind: FailureKind::Invalid,
                message: format!(
                    "{}: the applications of service {wanted} do not authenticate by keys",
                    self.name
                ),
                help: Some(
                    "services that go by user keys, or by app_id and app_key, can be driven"
                        .to_owned(),
                ),
            }),
        }
    }

    async fn applications(&self) -> Result<BTreeMap<ApplicationId, Application>, Failure> {
        let mut applications = BTreeMap::new();
        let mut next = Some(PageNumber::FIRST);
        while let Some(number) = next {
            if number.get() > PAGES_MAX {
                return Err(Failure {
                    kind: FailureKind::Invalid,
                    message: format!(
                        "{}: the list of applications has more than {PAGES_MAX} pages",
                        self.name
                    ),
                    help: None,
                });
            }
            let page = self.client.applications(Some(self.settings.service), number).await;
            let page = page.map_err(|error| failure(&error))?;
            applications
                .extend(page.records.into_iter().map(|application| (application.id, application)));
            next = page.next;
        }
        Ok(applications)
    }

    /// What an application authenticates with: its user key, or its `app_id` with each of its keys.
    pub(super) async fn credentials(
        &self,
        application: &Application,
        authentication: &Authentication,
    ) -> Result<Vec<Credential>, Failure> {
        if *authentication == Authentication::UserKey {
            return Ok(application.user_key.iter().cloned().collect());
        }
        let keys = self.client.application_keys(application.account, application.id).await;
        let keys = keys.map_err(|error| failure(&error))?;
        let app_id = application.app_id.as_deref().unwrap_or_default();
        let texts = keys.iter().filter_map(|key| unmistakable_text(app_id, key.value.reveal()));
        Ok(texts.map(Credential::new).collect())
    }

    /// What was brought over and is not in the list. Fails when that is so much that it must be a fault.
    async fn missing(
        &self,
        engine: &Arc<Engine>,
        there: &BTreeMap<ApplicationId, Application>,
        deletions: Deletions,
    ) -> Result<Vec<ApplicationId>, Failure> {
        let links = self.links(engine).await?;
        let missing: Vec<_> = links.keys().filter(|id| !there.contains_key(id)).copied().collect();
        let is_much =
            missing.len() > GONE_MAX && missing.len().saturating_mul(GONE_SHARE) > links.len();
        if is_much && deletions == Deletions::Guarded {
            return Err(Failure {
                kind: FailureKind::Conflict,
                message: format!(
                    "{}: {} of {} applications are gone in 3scale, which would revoke their keys for \
                     good; nothing was changed",
                    self.name,
                    missing.len(),
                    links.len()
                ),
                help: Some(
                    "see whether the token's user still sees them; if they were deleted, confirm that"
                        .to_owned(),
                ),
            });
        }
        Ok(missing)
    }
}

//! Having a lock here followed in 3scale.
//!
//! # How
//! Once a second what is asked of 3scale is held against the locks in the store: an application with a locked
//! key is to be suspended there, and resumed when no key of it is locked any more. A link says how far that
//! is, durably, before and after each request. So a crash at any point leaves something that goes on, and a
//! lock that came and went meanwhile asks for nothing.
//!
//! A suspension is resumed only where it was ours. An application that could not call before is left as it is;
//! where the answer of a request was lost, and it is suspended afterwards, that was us.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use keystile_core::time::Timestamp;
use keystile_engine::Engine;
use keystile_engine::command::Failure;
use keystile_engine::keys::key::{KeyFilter, ListKeys};
use keystile_engine::keys::source::FollowedLock;
use keystile_store::audit::EventKind;

use crate::drive::account::{DrivenAccount, words};
use crate::drive::link::{Link, LockThere, Sent, Standing};
use crate::drive::settings::OnLock;
use crate::portal::ApplicationReference;
use crate::portal::error::{PortalError, Retry};
use crate::portal::records::{ApplicationId, ApplicationState};

/// Requests of one round; the others come with the next.
const AT_ONCE: usize = 20;
/// The first pause after an attempt that failed; each further one is twice as long.
const PAUSE_MILLIS: i64 = 1_000;
/// The longest one. It is also that where somebody has to act first, such as to mend a token.
const PAUSE_MILLIS_MAX: i64 = 5 * 60 * 1_000;

/// What is asked of 3scale.
enum Wish {
    AsBefore,
    Anew(LockThere),
    Nothing,
}

impl LockThere {
    fn at(standing: Standing, now: Timestamp) -> Self {
        let next = matches!(standing, Standing::Asked | Standing::ResumeAsked).then_some(now);
        Self { standing, since: now, attempts: 0, next, sent: Sent::Not, said: None }
    }
}

impl Link {
    /// The lock that is followed there, in words.
    pub(super) fn followed_lock(&self) -> Option<FollowedLock> {
        let lock = self.lock.as_ref()?;
        let state = match (lock.standing, &lock.said) {
            (Standing::Asked, None) => "asked".to_owned(),
            (Standing::Asked, Some(said)) => format!("failed: {said}"),
            (Standing::Suspended, _) => "suspended there".to_owned(),
            (Standing::FoundBarred, _) => "could not call there already".to_owned(),
            (Standing::Overruled, _) => "resumed there while it is locked here".to_owned(),
            (Standing::ResumeAsked, None) => "asked to resume".to_owned(),
            (Standing::ResumeAsked, Some(said)) => format!("failed to resume: {said}"),
        };
        Some(FollowedLock {
            application: self.name.clone(),
            state,
            since: lock.since,
            attempts: lock.attempts,
            next: lock.next,
        })
    }

    /// What is asked of 3scale from now on.
    fn wish(&self, is_locked: bool, now: Timestamp) -> Wish {
        let Some(lock) = &self.lock else {
            let asked = || Wish::Anew(LockThere::at(Standing::Asked, now));
            return if is_locked { asked() } else { Wish::AsBefore };
        };
        match (lock.standing, is_locked) {
            (Standing::Asked, false) if lock.sent == Sent::Not => Wish::Nothing,
            (Standing::Asked | Standing::Suspended, false) => {
                Wish::Anew(LockThere::at(Standing::ResumeAsked, now))
            }
            (Standing::FoundBarred | Standing::Overruled, false) => Wish::Nothing,
            // It may be suspended there still, by us.
            (Standing::ResumeAsked, true) => {
                let sent = Sent::Perhaps;
                Wish::Anew(LockThere { sent, ..LockThere::at(Standing::Asked, now) })
            }
            (
                Standing::Asked | Standing::Suspended | Standing::FoundBarred | Standing::Overruled,
                true,
            )
            | (Standing::ResumeAsked, false) => Wish::AsBefore,
        }
    }
}

impl DrivenAccount {
    /// Holds what is asked of 3scale against the locks, and asks for what is due. Fails when the store does;
    /// what 3scale refuses is kept with the link.
    pub(super) async fn follow_locks(&self, engine: &Arc<Engine>) -> Result<(), Failure> {
        let locked = self.locked_keys(engine).await?;
        let now = engine.store().now();
        let (mut due, mut turned) = (BTreeSet::new(), Vec::new());
        for (id, link) in self.links(engine).await?.iter() {
            let is_locked = link.keys.iter().any(|key| locked.contains(key));
            let next = match link.wish(is_locked, now) {
                Wish::AsBefore => link.lock.as_ref().and_then(|lock| lock.next),
                Wish::Anew(lock) => {
                    let next = lock.next;
                    turned.push((*id, Some(lock)));
                    next
                }
                Wish::Nothing => {
                    turned.push((*id, None));
                    None
                }
            };
            due.extend(next.filter(|next| *next <= now).map(|next| (next, *id)));
        }
        for (id, lock) in turned {
            self.change_link(engine, id, None, |link| link.lock = lock).await?;
        }
        for (_, id) in due.into_iter().take(AT_ONCE) {
            self.ask(engine, id).await?;
        }
        Ok(())
    }

    /// The ids of the keys that are locked, where locks are followed.
    async fn locked_keys(&self, engine: &Arc<Engine>) -> Result<BTreeSet<String>, Failure> {
        if self.settings.on_lock == OnLock::Nothing || engine.locked_keys() == 0 {
            return Ok(BTreeSet::new());
        }
        let filter = KeyFilter { state: Some("locked".to_owned()), ..KeyFilter::default() };
        let keys = engine.execute(&self.principal(), ListKeys { filter }).await?;
        Ok(keys.into_iter().filter(|key| key.lock.is_some()).map(|key| key.id).collect())
    }

    async fn ask(&self, engine: &Arc<Engine>, id: ApplicationId) -> Result<(), Failure> {
        let _turn = self.changing.lock().await;
        let Some(link) = self.link(engine, id).await? else {
            return Ok(());
        };
        let Some(lock) = &link.lock else {
            return Ok(());
        };
        match lock.standing {
            Standing::Asked => match self.suspend_there(engine, id, lock.sent).await? {
                Ok(standing) => self.suspended(engine, (id, &link), standing).await,
                Err(error) => self.failed(engine, (id, &link), &error).await,
            },
            Standing::ResumeAsked => match self.client.resume(id).await {
                Ok(_) | Err(PortalError::NotFound { .. }) => {
                    let said = format!("Resumed {} in 3scale: it is not locked here.", link.name);
                    let event = self.event(EventKind::KeySourceChanged, said);
                    self.change_link(engine, id, Some(event), |link| link.lock = None).await
                }
                Err(error) => self.failed(engine, (id, &link), &error).await,
            },
            Standing::Suspended | Standing::FoundBarred | Standing::Overruled => Ok(()),
        }
    }

    /// Suspends an application, and says what came of it.
    async fn suspend_there(
        &self,
        engine: &Arc<Engine>,
        id: ApplicationId,
        sent: Sent,
    ) -> Result<Result<Standing, PortalError>, Failure> {
        if sent == Sent::Not {
            match self.client.find_application(&ApplicationReference::Id(id), None).await {
                Ok(found) if found.state != ApplicationState::Live => {
                    return Ok(Ok(Standing::FoundBarred));
                }
                Ok(_) => {}
                Err(error) => return Ok(Err(error)),
            }
            // Before the request: after a crash in it nobody would know that the suspension is ours.
            let perhaps = |link: &mut Link| {
                if let Some(lock) = &mut link.lock {
                    lock.sent = Sent::Perhaps;
                }
            };
            self.change_link(engine, id, None, perhaps).await?;
        }
        Ok(self.client.suspend(id).await.map(|transition| match transition.application.state {
            ApplicationState::Suspended => Standing::Suspended,
            ApplicationState::Pending | ApplicationState::Live | ApplicationState::Other(_) => {
                Standing::FoundBarred
            }
        }))
    }

    async fn suspended(
        &self,
        engine: &Arc<Engine>,
        (id, link): (ApplicationId, &Link),
        standing: Standing,
    ) -> Result<(), Failure> {
        let said = match standing {
            Standing::Suspended => format!(
                "Suspended {} in 3scale, because it is locked here; 3scale's own gateways may go on for \
                 up to a minute.",
                link.name
            ),
            Standing::FoundBarred
            | Standing::Asked
            | Standing::Overruled
            | Standing::ResumeAsked => format!(
                "{} is locked here, and could not call in 3scale already: it is left as it is there.",
                link.name
            ),
        };
        let (event, now) = (self.event(EventKind::KeySourceChanged, said), engine.store().now());
        self.change_link(engine, id, Some(event), |link| {
            link.lock = Some(LockThere::at(standing, now));
        })
        .await
    }

    /// Keeps why an attempt failed, and when the next is due. The first failure is an event.
    async fn failed(
        &self,
        engine: &Arc<Engine>,
        (id, link): (ApplicationId, &Link),
        error: &PortalError,
    ) -> Result<(), Failure> {
        let said = words(error);
        let attempts = link.lock.as_ref().map_or(0, |lock| lock.attempts);
        let next = Timestamp(engine.store().now().0.saturating_add(pause(error, attempts)));
        let is_new = link.lock.as_ref().is_none_or(|lock| lock.said.as_ref() != Some(&said));
        tracing::warn!(
            application = %link.name,
            problem = %said,
            "3scale does not follow a lock; it is asked again"
        );
        let event = is_new.then(|| {
            let detail = format!("3scale did not follow a lock of {}: {said}", link.name);
            self.event(EventKind::KeySourceProblem, detail)
        });
        let keep = |link: &mut Link| {
            if let Some(lock) = &mut link.lock {
                lock.attempts = attempts.saturating_add(1);
                (lock.next, lock.said) = (Some(next), Some(said));
            }
        };
        self.change_link(engine, id, event, keep).await
    }
}

/// Milliseconds until the next attempt.
fn pause(error: &PortalError, attempts: u32) -> i64 {
    match error.retry_after() {
        Retry::Never => PAUSE_MILLIS_MAX,
        Retry::Later => PAUSE_MILLIS
            .saturating_mul(2_i64.saturating_pow(attempts.min(20)))
            .min(PAUSE_MILLIS_MAX),
        Retry::After(wished) => {
            let wished: Duration = wished;
            i64::try_from(wished.as_millis())
                .unwrap_or(PAUSE_MILLIS_MAX)
                .clamp(PAUSE_MILLIS, PAUSE_MILLIS_MAX)
        }
    }
}

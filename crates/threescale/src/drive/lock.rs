//! Having a lock here followed in 3scale.
//!
//! # How
//! Once a second what is asked of 3scale is held against the locks in the store: an application with a locked
//! key is to be suspended there, or put on another plan, and that is to be undone when no key of it is locked any
//! more. A link says how far that is, durably, before and after each request. So a crash at any point leaves
//! something that goes on, and a lock that came and went meanwhile asks for nothing.
//!
//! What is done there and undone is the affair of [`super::measure`].

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use keystile_core::time::Timestamp;
use keystile_engine::Engine;
use keystile_engine::command::Failure;
use keystile_engine::keys::key::{KeyFilter, ListKeys};
use keystile_store::audit::EventKind;

use crate::drive::account::DrivenAccount;
use crate::drive::link::{Link, LockThere, Measure, Sent, Standing};
use crate::drive::measure::{NotDone, Undone};
use crate::drive::settings::OnLock;
use crate::portal::error::Retry;
use crate::portal::records::ApplicationId;

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
    pub(super) fn new(measure: Measure, now: Timestamp) -> Self {
        let (sent, next) = (Sent::Not, Some(now));
        Self { measure, standing: Standing::Asked, since: now, attempts: 0, next, sent, said: None }
    }

    /// The same at another standing.
    pub(super) fn at(&self, standing: Standing, now: Timestamp) -> Self {
        let next = matches!(standing, Standing::Asked | Standing::UndoAsked).then_some(now);
        let anew = Self::new(self.measure.clone(), now);
        Self { standing, next, ..anew }
    }
}

impl Link {
    /// What is asked of 3scale from now on, where a lock asks for a measure, or none does.
    fn wish(&self, wanted: Option<&Measure>, now: Timestamp) -> Wish {
        let Some(lock) = &self.lock else {
            return wanted.map_or(Wish::AsBefore, |measure| {
                Wish::Anew(LockThere::new(measure.clone(), now))
            });
        };
        match (lock.standing, wanted.is_some()) {
            (Standing::Asked, false) if lock.sent == Sent::Not => Wish::Nothing,
            (Standing::Asked | Standing::Done, false) => {
                Wish::Anew(lock.at(Standing::UndoAsked, now))
            }
            (Standing::FoundSo | Standing::Overruled, false) => Wish::Nothing,
            // It may be in force there still.
            (Standing::UndoAsked, true) => {
                Wish::Anew(LockThere { sent: Sent::Perhaps, ..lock.at(Standing::Asked, now) })
            }
            (Standing::Asked | Standing::Done | Standing::FoundSo | Standing::Overruled, true)
            | (Standing::UndoAsked, false) => Wish::AsBefore,
        }
    }
}

impl DrivenAccount {
    /// Holds what is asked of 3scale against the locks, and asks for what is due. Fails when the store does;
    /// what 3scale refuses is kept with the link.
    pub(super) async fn follow_locks(&self, engine: &Arc<Engine>) -> Result<(), Failure> {
        let _round = self.following.lock().await;
        let locked = self.locked_keys(engine).await?;
        let measure = Measure::of(&self.settings.on_lock);
        let now = engine.store().now();
        let (mut due, mut turned) = (BTreeSet::new(), Vec::new());
        for (id, link) in self.links(engine).await?.iter() {
            let is_locked = link.keys.iter().any(|key| locked.contains(key));
            let wanted = measure.as_ref().filter(|_| is_locked);
            let next = match link.wish(wanted, now) {
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
    pub(super) async fn locked_keys(
        &self,
        engine: &Arc<Engine>,
    ) -> Result<BTreeSet<String>, Failure> {
        let locked = engine.locked_keys() + engine.locked_applications();
        if self.settings.on_lock == OnLock::Nothing || locked == 0 {
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
            Standing::Asked => match self.take_measure(engine, id, lock).await? {
                Ok(standing) => self.taken(engine, (id, &link.name), standing).await,
                Err(error) => self.failed(engine, (id, &link), &error).await,
            },
            Standing::UndoAsked => match self.undo_measure(id, &lock.measure).await {
                Ok(undone) => {
                    let said = lock.undone_event(undone, &link.name);
                    let kind = match undone {
                        Undone::AsBefore => EventKind::KeySourceChanged,
                        Undone::LeftAsFound => EventKind::KeySourceProblem,
                    };
                    let event = self.event(kind, said);
                    self.change_link(engine, id, Some(event), |link| link.lock = None).await
                }
                Err(error) => self.failed(engine, (id, &link), &error).await,
            },
            Standing::Done | Standing::FoundSo | Standing::Overruled => Ok(()),
        }
    }

    /// Keeps how it stands after the measure, which the link knows best.
    async fn taken(
        &self,
        engine: &Arc<Engine>,
        (id, name): (ApplicationId, &str),
        standing: Standing,
    ) -> Result<(), Failure> {
        let Some(lock) = self.link(engine, id).await?.and_then(|link| link.lock) else {
            return Ok(());
        };
        let kind = match standing {
            Standing::Overruled => EventKind::KeySourceProblem,
            Standing::Done | Standing::FoundSo | Standing::Asked | Standing::UndoAsked => {
                EventKind::KeySourceChanged
            }
        };
        let event = self.event(kind, lock.done_event(standing, name));
        let lock = lock.at(standing, engine.store().now());
        self.change_link(engine, id, Some(event), |link| link.lock = Some(lock)).await
    }

    /// Keeps why an attempt failed, and when the next is due. The first failure is an event.
    async fn failed(
        &self,
        engine: &Arc<Engine>,
        (id, link): (ApplicationId, &Link),
        error: &NotDone,
    ) -> Result<(), Failure> {
        let said = error.to_string();
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
fn pause(error: &NotDone, attempts: u32) -> i64 {
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

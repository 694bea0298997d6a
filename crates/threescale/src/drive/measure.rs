//! What a lock here does to an application in 3scale, and how that is undone.
//!
//! # What this protects
//! Only what was done for a lock is undone after it. Before the request that changes something there, the link
//! says so durably; so where an answer was lost, or this program was killed, what is found there afterwards tells
//! whether it was us. What somebody else did there meanwhile stays.

use keystile_engine::Engine;
use keystile_engine::command::Failure;

use crate::drive::account::{DrivenAccount, words};
use crate::drive::link::{LockThere, Measure, Moved, Sent, Standing};
use crate::portal::error::{PortalError, Retry};
use crate::portal::records::{Application, ApplicationId, ApplicationState, PlanId};
use crate::portal::{ApplicationReference, Change, Transition};

/// Why 3scale did not do what a lock asks for.
#[derive(Debug, thiserror::Error)]
pub(super) enum NotDone {
    #[error("{}", words(.0))]
    Portal(#[from] PortalError),
    #[error("there is no plan {name:?} there, which `on_lock` names; the plans there are: {there}")]
    NoPlan { name: String, there: String },
}

impl NotDone {
    /// Whether the same makes sense again, and when.
    pub(super) fn retry_after(&self) -> Retry {
        match self {
            Self::Portal(error) => error.retry_after(),
            Self::NoPlan { .. } => Retry::Never,
        }
    }
}

/// What came of undoing a measure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Undone {
    /// It is as it was before the lock, or the application is gone.
    AsBefore,
    /// Somebody changed it there meanwhile, and it is left so.
    LeftAsFound,
}

impl DrivenAccount {
    /// Does there what a lock asks for, and says how it stands then. Fails when the store does.
    pub(super) async fn take_measure(
        &self,
        engine: &Engine,
        id: ApplicationId,
        lock: &LockThere,
    ) -> Result<Result<Standing, NotDone>, Failure> {
        let found = match self.client.find_application(&ApplicationReference::Id(id), None).await {
            Ok(found) => found,
            Err(error) => return Ok(Err(error.into())),
        };
        match &lock.measure {
            Measure::Suspend => self.suspend_there(engine, &found, lock.sent).await,
            Measure::ChangePlan { plan, moved } => match (moved, lock.sent) {
                (Some(moved), Sent::Perhaps) => Ok(self.go_on_moving(&found, moved).await),
                (Some(_) | None, _) => self.move_there(engine, &found, plan).await,
            },
        }
    }

    /// Undoes there what was done for a lock.
    pub(super) async fn undo_measure(
        &self,
        id: ApplicationId,
        measure: &Measure,
    ) -> Result<Undone, NotDone> {
        let undone = match measure {
            Measure::Suspend => self.client.resume(id).await.map(|_| Undone::AsBefore),
            Measure::ChangePlan { moved: None, .. } => Ok(Undone::AsBefore),
            Measure::ChangePlan { moved: Some(moved), .. } => {
                match self.client.find_application(&ApplicationReference::Id(id), None).await {
                    Ok(found) if found.plan == moved.to => {
                        // Where the plan is gone too, that is said until somebody chooses another one there.
                        self.client.change_plan(id, moved.from).await?;
                        Ok(Undone::AsBefore)
                    }
                    Ok(found) if found.plan == moved.from => Ok(Undone::AsBefore),
                    Ok(_) => Ok(Undone::LeftAsFound),
                    Err(error) => Err(error),
                }
            }
        };
        match undone {
            Err(PortalError::NotFound { .. }) => Ok(Undone::AsBefore),
            other => Ok(other?),
        }
    }

    async fn suspend_there(
        &self,
        engine: &Engine,
        found: &Application,
        sent: Sent,
    ) -> Result<Result<Standing, NotDone>, Failure> {
        if sent == Sent::Not {
            if found.state != ApplicationState::Live {
                return Ok(Ok(Standing::FoundSo));
            }
            self.note_sent(engine, found.id, None).await?;
        }
        let asked = self.client.suspend(found.id).await;
        Ok(asked.map_err(NotDone::from).map(|Transition { application, change }| {
            // Where the only request that went out was refused, somebody else was quicker.
            let is_theirs = change == Change::NotNeeded && sent == Sent::Not;
            let is_suspended = application.state == ApplicationState::Suspended;
            if is_suspended && !is_theirs { Standing::Done } else { Standing::FoundSo }
        }))
    }

    /// Puts an application on a plan for the first time.
    async fn move_there(
        &self,
        engine: &Engine,
        found: &Application,
        plan: &str,
    ) -> Result<Result<Standing, NotDone>, Failure> {
        let to = match self.plan_named(plan).await {
            Ok(to) => to,
            Err(error) => return Ok(Err(error)),
        };
        if found.plan == to {
            return Ok(Ok(Standing::FoundSo));
        }
        let from_name = found.plan_name.clone().unwrap_or_default();
        let moved = Moved { from: found.plan, from_name, to };
        self.note_sent(engine, found.id, Some(moved)).await?;
        let asked = self.client.change_plan(found.id, to).await;
        Ok(asked.map(|_| Standing::Done).map_err(NotDone::from))
    }

    /// Asks once more where an answer was lost.
    async fn go_on_moving(&self, found: &Application, moved: &Moved) -> Result<Standing, NotDone> {
        if found.plan == moved.to {
            return Ok(Standing::Done);
        }
        if found.plan != moved.from {
            return Ok(Standing::Overruled);
        }
        self.client.change_plan(found.id, moved.to).await?;
        Ok(Standing::Done)
    }

    /// The plan of the service that has a name.
    async fn plan_named(&self, name: &str) -> Result<PlanId, NotDone> {
        let plans = self.client.application_plans(self.settings.service).await?;
        if let Some(plan) = plans.iter().find(|plan| plan.name == name) {
            return Ok(plan.id);
        }
        let there: Vec<_> = plans.into_iter().map(|plan| plan.name).collect();
        Err(NotDone::NoPlan { name: name.to_owned(), there: there.join(", ") })
    }

    /// Keeps that a request goes out: after a crash in it nobody would know that what it did is ours.
    async fn note_sent(
        &self,
        engine: &Engine,
        id: ApplicationId,
        moved: Option<Moved>,
    ) -> Result<(), Failure> {
        self.change_link(engine, id, None, |link| {
            if let Some(lock) = &mut link.lock {
                lock.sent = Sent::Perhaps;
                if let Measure::ChangePlan { moved: kept, .. } = &mut lock.measure {
                    *kept = moved;
                }
            }
        })
        .await
    }
}

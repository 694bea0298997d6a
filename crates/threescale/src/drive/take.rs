//! Taking a side of a difference, for an owner who decided it.
//!
//! What is to be done was read off a page or a list that may be old. So the application is looked up there once
//! more, and only where the difference still says what its id says is anything done. Nobody else synchronizes
//! meanwhile, and what is changed here is expected to be as it was just seen.

use std::sync::Arc;
use std::time::Duration;

use keystile_core::keys::application::ApplicationState as StateHere;
use keystile_core::keys::lock::Budgets;
use keystile_core::owners::principal::Principal;
use keystile_core::version::Expected;
use keystile_engine::Engine;
use keystile_engine::command::{Done, Failure, FailureKind};
use keystile_engine::keys::application::{ShowApplication, ShowApplicationWithKeys};
use keystile_engine::keys::application_edit::{
    ChangeApplicationPlan, SetApplicationNote, SetApplicationState,
};
use keystile_engine::keys::difference::Side;
use keystile_engine::keys::edit::RevokeKey;
use keystile_engine::keys::lock::UnlockKey;
use keystile_store::audit::EventKind;
use keystile_store::doors::documents::DocumentEvent;

use crate::drive::account::{DrivenAccount, failure};
use crate::drive::difference::{Act, Found, Here, Kind, Seen, differences, subject_of};
use crate::drive::link::{Access, Link, LockThere, Suspension};
use crate::portal::ApplicationReference;
use crate::portal::error::PortalError;
use crate::portal::records::{Application, ApplicationId, ApplicationState};

/// How long an owner waits while the portal is being read.
const READING_WAIT: Duration = Duration::from_secs(5);

/// An application as it is now, there and here.
struct Present {
    id: ApplicationId,
    link: Link,
    here: Here,
}

impl DrivenAccount {
    /// Takes a side of the difference with an id. Fails with `Conflict` where it is no longer as it was, with
    /// `Invalid` where that side cannot be taken, and when the portal or the store does.
    pub(super) async fn take_side_of(
        &self,
        engine: &Arc<Engine>,
        by: &Principal,
        (wanted, side): (&str, Side),
    ) -> Result<Done, Failure> {
        let (kind, subject) = subject_of(wanted).ok_or_else(|| no_such(wanted))?;
        let reading = tokio::time::timeout(READING_WAIT, self.synchronizing.lock()).await;
        let Ok(_reading) = reading else {
            return Err(Failure {
                kind: FailureKind::Unavailable,
                message: format!("{} is being read at this moment; nothing was done", self.name),
                help: Some("try again in a moment".to_owned()),
            });
        };
        if kind == Kind::Gone {
            return self.take_gone(engine, by, (wanted, subject, side)).await;
        }
        let id = subject.parse().map(ApplicationId::new).map_err(|_| no_such(wanted))?;
        let _turn = self.changing.lock().await;
        let taken = self.take_of(engine, by, (id, kind), (wanted, side)).await;
        // What was seen is kept also where nothing was done, so that the page shows what is there now.
        self.renew(engine, id).await?;
        taken
    }

    async fn take_of(
        &self,
        engine: &Arc<Engine>,
        by: &Principal,
        (id, kind): (ApplicationId, Kind),
        (wanted, side): (&str, Side),
    ) -> Result<Done, Failure> {
        let seen = self.seen_now(engine, id).await?.ok_or_else(|| self.gone_meanwhile())?;
        let (link, here) = self.is_here(engine, id).await?;
        let found = differences(self.plan_map(), &seen, (link.as_ref(), here.as_ref()));
        let found = found.into_iter().find(|found| found.kind == kind);
        let name = seen.name.clone();
        let found = as_it_was(found, (wanted, &id.to_string()), &name)?;
        let act = takeable(&found, side)?.clone();
        let (Some(link), Some(here)) = (link, here) else {
            return Err(no_such(wanted));
        };
        let present = Present { id, link, here };
        let event = self.settled(by, &present.here.name, &found, side);
        self.carry_out(engine, by, &present, &act, event).await?;
        Ok(Done(format!("Done: {} of {}.", act.words(), present.here.name)))
    }

    /// An application as it is there at this moment, if it still is.
    async fn seen_now(
        &self,
        engine: &Arc<Engine>,
        id: ApplicationId,
    ) -> Result<Option<Seen>, Failure> {
        let Some(found) = self.application_there(id).await? else {
            return Ok(None);
        };
        let seen = self.seen(engine, &found, (&[], &[])).await?;
        // Its keys are not read: what was seen of them when they were is as good.
        let kept = self.kept(engine).await?;
        Ok(Some(match kept.seen(id) {
            Some(before) => Seen {
                revoked: before.revoked,
                came_over: before.came_over,
                left: before.left.clone(),
                ..seen
            },
            None => seen,
        }))
    }

    async fn application_there(&self, id: ApplicationId) -> Result<Option<Application>, Failure> {
        match self.client.find_application(&ApplicationReference::Id(id), None).await {
            Ok(found) => Ok((found.service == self.settings.service).then_some(found)),
            Err(PortalError::NotFound { .. }) => Ok(None),
            Err(error) => Err(failure(&error)),
        }
    }

    /// Looks at an application once more, and keeps what is to be decided of it. Where it cannot be seen now, the
    /// next synchronization does.
    async fn renew(&self, engine: &Arc<Engine>, id: ApplicationId) -> Result<(), Failure> {
        let seen = self.seen_now(engine, id).await;
        let (link, here) = self.is_here(engine, id).await?;
        let mut kept = self.kept(engine).await?;
        match seen {
            Ok(Some(seen)) => {
                let left = differences(self.plan_map(), &seen, (link.as_ref(), here.as_ref()));
                if left.is_empty() {
                    kept.forget(id);
                } else {
                    kept.renew(seen);
                }
            }
            Ok(None) => kept.forget(id),
            Err(_) => {}
        }
        self.keep(engine, &kept, None).await
    }

    async fn carry_out(
        &self,
        engine: &Arc<Engine>,
        by: &Principal,
        present: &Present,
        act: &Act,
        event: DocumentEvent,
    ) -> Result<(), Failure> {
        let Present { id, here, link, .. } = present;
        let change: Box<dyn FnOnce(&mut Link) + Send> = match act {
            Act::PutOnPlanHere { plan } => {
                self.put_on_plan_here(engine, by, here, plan).await?;
                let plan = plan.clone();
                Box::new(|link| link.plan = plan)
            }
            Act::PutOnPlanThere { name } => {
                self.put_on_plan_there(*id, name).await?;
                let plan = here.plan.clone();
                Box::new(|link| link.plan = plan)
            }
            Act::SuspendHere => {
                self.set_state_for(engine, by, here, StateHere::Suspended).await?;
                Box::new(|link| {
                    (link.access, link.suspension) = (Access::Barred, Suspension::Followed);
                })
            }
            Act::ResumeHere => {
                self.set_state_for(engine, by, here, StateHere::Active).await?;
                Box::new(|link| {
                    (link.access, link.suspension) = (Access::Allowed, Suspension::NotOurs);
                })
            }
            Act::SuspendThere => {
                self.client.suspend(*id).await.map_err(|error| failure(&error))?;
                Box::new(|link| {
                    (link.access, link.suspension) = (Access::Barred, Suspension::NotOurs);
                })
            }
            Act::ResumeThere => {
                let resumed = self.client.resume(*id).await.map_err(|error| failure(&error))?;
                if resumed.application.state != ApplicationState::Live {
                    return Err(self.gone_meanwhile());
                }
                Box::new(|link| {
                    (link.access, link.suspension) = (Access::Allowed, Suspension::NotOurs);
                })
            }
            Act::AskAgain { measure } => {
                let lock = LockThere::new(measure.clone(), engine.store().now());
                Box::new(|link| link.lock = Some(lock))
            }
            Act::UnlockHere => {
                self.unlock_here(engine, by, link).await?;
                Box::new(|link| link.lock = None)
            }
            Act::RevokeHere => Box::new(|_| {}),
        };
        self.change_link(engine, *id, Some(event), change).await
    }

    async fn put_on_plan_here(
        &self,
        engine: &Arc<Engine>,
        by: &Principal,
        here: &Here,
        plan: &str,
    ) -> Result<(), Failure> {
        let (application, plan) = (here.id.clone(), plan.to_owned());
        let expected = self.expected(engine, here).await?;
        engine.execute(by, ChangeApplicationPlan { application, plan, expected }).await.map(drop)
    }

    async fn put_on_plan_there(&self, id: ApplicationId, name: &str) -> Result<(), Failure> {
        let plans = self.client.application_plans(self.settings.service).await;
        let plans = plans.map_err(|error| failure(&error))?;
        let Some(plan) = plans.iter().find(|plan| plan.name == name) else {
            return Err(Failure {
                kind: FailureKind::Missing,
                message: format!("{}: there is no plan {name:?} there", self.name),
                help: Some("correct `plans`, or make it in 3scale".to_owned()),
            });
        };
        self.client.change_plan(id, plan.id).await.map(drop).map_err(|error| failure(&error))
    }

    /// Suspends or resumes an application here. Its note says why as long as that is 3scale's doing.
    async fn set_state_for(
        &self,
        engine: &Arc<Engine>,
        by: &Principal,
        here: &Here,
        state: StateHere,
    ) -> Result<(), Failure> {
        let expected = self.expected(engine, here).await?;
        let application = here.id.clone();
        let set = SetApplicationState { application: application.clone(), state, expected };
        let note = engine.execute(by, set).await?.now.note;
        let ours = self.suspension_note();
        let note = match (state, note) {
            (StateHere::Suspended, None) => ours,
            (StateHere::Active, Some(note)) if note == ours => String::new(),
            (StateHere::Suspended | StateHere::Active, _) => return Ok(()),
        };
        let set = SetApplicationNote { application, note, expected: Expected::Any };
        engine.execute(by, set).await.map(drop)
    }

    /// The version of an application, where it is still as it was seen.
    async fn expected(&self, engine: &Arc<Engine>, here: &Here) -> Result<Expected, Failure> {
        let show = ShowApplication { application: here.id.clone() };
        let now = engine.execute(&self.principal(), show).await?;
        if (&now.plan, now.state) != (&here.plan, here.state) {
            return Err(self.gone_meanwhile());
        }
        Ok(Expected::OneOf(vec![now.version()]))
    }

    async fn unlock_here(
        &self,
        engine: &Arc<Engine>,
        by: &Principal,
        link: &Link,
    ) -> Result<(), Failure> {
        let show = ShowApplicationWithKeys { application: link.application.clone() };
        let details = engine.execute(&self.principal(), show).await?;
        let of_link = details.keys_list.into_iter().filter(|key| link.keys.contains(&key.id));
        for key in of_link.filter(|key| key.lock.is_some()) {
            let expected = Expected::OneOf(vec![key.version()]);
            let unlock = UnlockKey { key: key.id, budgets: Budgets::Keep, expected };
            engine.execute(by, unlock).await?;
        }
        Ok(())
    }

    /// Revokes the keys of an application that the source does not have.
    async fn take_gone(
        &self,
        engine: &Arc<Engine>,
        by: &Principal,
        (wanted, subject, side): (&str, &str, Side),
    ) -> Result<Done, Failure> {
        let present = self.gone_now(engine, subject).await?;
        let name = present.as_ref().map_or(subject, |(_, here, _)| &here.name).to_owned();
        let (found, here, keys) = match present {
            Some((found, here, keys)) => (Some(found), Some(here), keys),
            None => (None, None, Vec::new()),
        };
        let found = as_it_was(found, (wanted, subject), &name)?;
        takeable(&found, side)?;
        for key in keys {
            let expected = Expected::OneOf(vec![key.version()]);
            engine.execute(by, RevokeKey { key: key.id, expected }).await?;
        }
        let name = here.map_or(name, |here| here.name);
        let event = self.settled(by, &name, &found, side);
        let kept = self.kept(engine).await?;
        self.keep(engine, &kept, Some(event)).await?;
        Ok(Done(format!("Revoked the keys of {name} that came from {}.", self.name)))
    }

    fn settled(&self, by: &Principal, name: &str, found: &Found, side: Side) -> DocumentEvent {
        let act = found.act(side).map(Act::words).unwrap_or_default();
        let Found { kind, there, here, .. } = found;
        let detail = format!("{name}, {}: {act}. There: {there} Here: {here}", kind.words());
        let subject = Some(self.name.clone());
        DocumentEvent { kind: EventKind::DifferenceSettled, subject, actor: by.actor(), detail }
    }

    fn gone_meanwhile(&self) -> Failure {
        Failure {
            kind: FailureKind::Conflict,
            message: format!(
                "the application was changed while this was decided, or is gone in {}; nothing was done",
                self.name
            ),
            help: Some(LOOK_AGAIN.to_owned()),
        }
    }
}

const LOOK_AGAIN: &str = "look at it again, and decide anew";

/// A difference that still says what somebody saw.
fn as_it_was(
    found: Option<Found>,
    (wanted, subject): (&str, &str),
    name: &str,
) -> Result<Found, Failure> {
    let conflict = |message| Failure {
        kind: FailureKind::Conflict,
        message,
        help: Some(LOOK_AGAIN.to_owned()),
    };
    match found {
        Some(found) if found.id(subject) == wanted => Ok(found),
        Some(Found { there, here, .. }) => Err(conflict(format!(
            "{name} is not as it was shown any more; nothing was done. There now: {there} Here now: {here}"
        ))),
        None => Err(conflict(format!("{name} does not differ in that any more; nothing was done"))),
    }
}

fn takeable(found: &Found, side: Side) -> Result<&Act, Failure> {
    found.act(side).ok_or_else(|| Failure {
        kind: FailureKind::Invalid,
        message: format!("nothing can be done for the side `{side}` of this difference"),
        help: found.advice.clone(),
    })
}

fn no_such(wanted: &str) -> Failure {
    Failure {
        kind: FailureKind::Missing,
        message: format!("there is no difference {wanted}"),
        help: Some("list the differences to see what there is".to_owned()),
    }
}

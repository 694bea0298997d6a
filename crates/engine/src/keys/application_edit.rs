//! Suspending and resuming applications, changing their plans, and noting something about them.

use std::sync::Arc;

use keystile_core::keys::application::ApplicationState;
use keystile_core::owners::scope::Scope;
use keystile_core::version::Expected;
use keystile_store::applications::{ApplicationEdit, PlanChange, Progress};
use serde::{Deserialize, Serialize};

use crate::command::failure::application_failure;
use crate::command::input::checked_note;
use crate::command::{Authorized, Command, Edited, Running};
use crate::engine::Engine;
use crate::keys::application::ApplicationView;

/// Keys put on another plan in one transaction.
const CHANGED_AT_ONCE: u32 = 2_000;

/// Stops or resumes all calls of an application.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SetApplicationState {
    /// Its name or id.
    pub application: String,
    /// The state to bring about.
    pub state: ApplicationState,
    /// The versions of it that this is meant for.
    #[serde(default)]
    pub expected: Expected,
}

/// Puts an application on another plan, and with it those of its keys that are on its present one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChangeApplicationPlan {
    /// Its name or id.
    pub application: String,
    /// The plan.
    pub plan: String,
    /// The versions of it that this is meant for.
    #[serde(default)]
    pub expected: Expected,
}

/// Notes something about an application; an empty note removes the one before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SetApplicationNote {
    /// Its name or id.
    pub application: String,
    /// The note.
    pub note: String,
    /// The versions of it that this is meant for.
    #[serde(default)]
    pub expected: Expected,
}

/// What an edit of an application answers.
type EditRunning<'a> = Running<'a, Edited<ApplicationView>>;

impl Command for SetApplicationState {
    type Answer = Edited<ApplicationView>;
    const SCOPE: Scope = Scope::Write;

    fn run<'a>(self, engine: &'a Arc<Engine>, by: &'a Authorized) -> EditRunning<'a> {
        Box::pin(async move {
            let Self { application, state, expected } = self;
            let edit = ApplicationEdit { application, expected, actor: by.actor().clone() };
            let set = engine.store.set_application_state(edit, state).await;
            let row = set.map_err(application_failure)?;
            let done = match state {
                ApplicationState::Active => format!("{} may call again.", row.name),
                ApplicationState::Suspended => {
                    format!("Suspended {}: none of its keys may call.", row.name)
                }
            };
            Ok(Edited { done, now: ApplicationView::of(row, engine.store.now()) })
        })
    }
}

impl Command for ChangeApplicationPlan {
    type Answer = Edited<ApplicationView>;
    const SCOPE: Scope = Scope::Write;

    /// The keys follow that are on the application's present plan; one that has a plan of its own keeps
    /// it. In parts, because writes wait for each: the application comes last, so that what a crash left
    /// undone is done by the same command again.
    fn run<'a>(self, engine: &'a Arc<Engine>, by: &'a Authorized) -> EditRunning<'a> {
        Box::pin(async move {
            let Self { application, plan, mut expected } = self;
            engine.check_plan(&plan)?;
            let row = engine.application_row(application).await?;
            let (mut after, mut changed) = (0, 0);
            loop {
                // What is expected holds before the first part: the others follow from it.
                let edit = ApplicationEdit {
                    application: row.id.clone(),
                    expected: std::mem::take(&mut expected),
                    actor: by.actor().clone(),
                };
                let change = PlanChange { plan: plan.clone(), after, limit: CHANGED_AT_ONCE };
                let (keys, progress) = engine.store.set_application_plan(edit, change).await?;
                changed += keys;
                match progress {
                    Progress::Unfinished { after: last } => after = last,
                    Progress::Done => break,
                }
            }
            let keys = match changed {
                0 => "none of its keys was on its plan before".to_owned(),
                1 => "1 key of it follows".to_owned(),
                count => format!("{count} keys of it follow"),
            };
            let done = if row.plan == plan {
                format!("{} is on the plan {plan} already.", row.name)
            } else {
                format!("{} is on the plan {plan}; {keys}.", row.name)
            };
            Ok(Edited {
                done,
                now: ApplicationView { plan, ..ApplicationView::of(row, engine.store.now()) },
            })
        })
    }
}

impl Command for SetApplicationNote {
    type Answer = Edited<ApplicationView>;
    const SCOPE: Scope = Scope::Write;

    fn run<'a>(self, engine: &'a Arc<Engine>, by: &'a Authorized) -> EditRunning<'a> {
        Box::pin(async move {
            let note = checked_note(&self.note)?;
            let Self { application, expected, .. } = self;
            let edit = ApplicationEdit { application, expected, actor: by.actor().clone() };
            let noted = engine.store.set_application_note(edit, note).await;
            let row = noted.map_err(application_failure)?;
            let said = if row.note.is_some() { "Noted for" } else { "Removed the note of" };
            Ok(Edited {
                done: format!("{said} {}.", row.name),
                now: ApplicationView::of(row, engine.store.now()),
            })
        })
    }
}

//! What owners do with applications.

use keystile_core::decision::ApplicationState;
use keystile_core::lock::Actor;
use keystile_store::error::Error;
use keystile_store::sqlite::keys::change::Progress;
use keystile_store::sqlite::keys::key::{self, ApplicationRow};

use crate::Engine;
use crate::advice;
use crate::command::{ApplicationDetails, ApplicationView, Failure, KeyFilter};
use crate::execute::{check_name, checked_note, missing};
use crate::keys::version::Expected;
use crate::keys::view;
use crate::legacy::Answer;

/// Keys put on another plan in one transaction.
const CHANGED_AT_ONCE: u32 = 2_000;

impl Engine {
    pub(crate) async fn create_application(
        &self,
        name: String,
        plan: String,
        actor: Actor,
    ) -> Result<Answer, Failure> {
        check_name(&name)?;
        self.check_plan(&plan)?;
        let shown = name.clone();
        self.store
            .change(move |work| work.create_application(&name, &plan, &actor).map(|_| ()))
            .await?;
        self.show_application(&shown)
    }

    /// Applications by name, after one, at most so many. Blocks.
    pub fn application_page(
        &self,
        after: &str,
        limit: u32,
    ) -> Result<Vec<ApplicationView>, Failure> {
        let rows = self.store.read(|read| key::list_applications(read, after, limit))?;
        Ok(rows.into_iter().map(view::application).collect())
    }

    pub(crate) fn list_applications(&self) -> Result<Answer, Failure> {
        let rows = self.store.read(|read| key::list_applications(read, "", u32::MAX))?;
        Ok(Answer::Applications(rows.into_iter().map(view::application).collect()))
    }

    fn find_application(&self, name: &str) -> Result<ApplicationRow, Failure> {
        self.store.read(|read| key::find_application(read, name)).map_err(|error| match error {
            Error::Missing(what) => {
                missing(format!("there is no {what}"), advice::LIST_APPLICATIONS)
            }
            other => other.into(),
        })
    }

    /// An application by its name or id. Blocks.
    pub fn application(&self, name: &str) -> Result<ApplicationView, Failure> {
        self.find_application(name).map(view::application)
    }

    pub(crate) fn show_application(&self, name: &str) -> Result<Answer, Failure> {
        let row = self.find_application(name)?;
        let filter = KeyFilter { application: Some(row.name.clone()), ..KeyFilter::default() };
        let keys_list = self.list_keys(&filter)?;
        Ok(Answer::Application(Box::new(ApplicationDetails {
            application: view::application(row),
            keys_list,
        })))
    }

    pub(crate) async fn set_application_state(
        &self,
        name: &str,
        state: ApplicationState,
        actor: Actor,
        expected: Expected,
    ) -> Result<Answer, Failure> {
        let row = self.find_application(name)?;
        let (id, is_so_already) = (row.id.clone(), row.state == state);
        if !is_so_already || expected != Expected::Any {
            self.store
                .change(move |work| {
                    expected.check_application(work, &id)?;
                    if is_so_already {
                        return Ok(());
                    }
                    work.set_application_state(row.row, state, &actor)
                })
                .await?;
        }
        Ok(Answer::Done(match state {
            ApplicationState::Active => format!("{} may call again.", row.name),
            ApplicationState::Suspended => {
                format!("Suspended {}: none of its keys may call.", row.name)
            }
        }))
    }

    /// The keys follow that are on the application's present plan; one that has a plan of its own keeps
    /// it. In parts, because writes wait for each: the application comes last, so that what a crash left
    /// undone is done by the same command again.
    pub(crate) async fn change_application_plan(
        &self,
        name: &str,
        plan: String,
        actor: Actor,
        expected: Expected,
    ) -> Result<Answer, Failure> {
        self.check_plan(&plan)?;
        let row = self.find_application(name)?;
        let (mut after, mut changed) = (0, 0);
        loop {
            let (plan, actor, id) = (plan.clone(), actor.clone(), row.id.clone());
            // Only before the first part: the others follow from it.
            let expected = if after == 0 { expected.clone() } else { Expected::Any };
            let (keys, progress) = self
                .store
                .change(move |work| {
                    expected.check_application(work, &id)?;
                    work.set_application_plan(row.row, &plan, (after, CHANGED_AT_ONCE), &actor)
                })
                .await?;
            changed += keys;
            match progress {
                Progress::Unfinished { after: last } => after = last,
                Progress::Done => break,
            }
        }
        if row.plan == plan {
            return Ok(Answer::Done(format!("{} is on the plan {plan} already.", row.name)));
        }
        let keys = match changed {
            0 => "none of its keys was on its plan before".to_owned(),
            1 => "1 key of it follows".to_owned(),
            count => format!("{count} keys of it follow"),
        };
        Ok(Answer::Done(format!("{} is on the plan {plan}; {keys}.", row.name)))
    }

    pub(crate) async fn set_application_note(
        &self,
        name: &str,
        note: &str,
        actor: Actor,
        expected: Expected,
    ) -> Result<Answer, Failure> {
        let note = checked_note(note)?;
        let row = self.find_application(name)?;
        let said = if note.is_some() { "Noted for" } else { "Removed the note of" };
        let (id, is_so_already) = (row.id.clone(), note == row.note);
        if !is_so_already || expected != Expected::Any {
            self.store
                .change(move |work| {
                    expected.check_application(work, &id)?;
                    if is_so_already {
                        return Ok(());
                    }
                    work.set_application_note(row.row, note.as_deref(), &actor)
                })
                .await?;
        }
        Ok(Answer::Done(format!("{said} {}.", row.name)))
    }
}

//! What can change of an application: created, suspended, put on another plan, noted.

use std::sync::Arc;

use keystile_core::actor::Actor;
use keystile_core::keys::application::{ApplicationId, ApplicationState};
use rusqlite::params;
use uuid::Uuid;

use crate::applications::Progress;
use crate::error::{Error, Result};
use crate::key_cache::ApplicationEntry;
use crate::sqlite::audit::event::{Event, EventKind};
use crate::sqlite::keys::application;
use crate::sqlite::keys::key_change::note_detail;
use crate::sqlite::writer::write_tx::WriteTx;

impl WriteTx<'_> {
    /// Creates an application.
    pub(crate) fn create_application(
        &mut self,
        name: &str,
        plan: &str,
        actor: &Actor,
    ) -> Result<Arc<ApplicationEntry>> {
        self.create_application_as(ApplicationId::new(Uuid::now_v7()), name, plan, actor)
    }

    /// Creates an application whose id was drawn before.
    pub(crate) fn create_application_as(
        &mut self,
        id: ApplicationId,
        name: &str,
        plan: &str,
        actor: &Actor,
    ) -> Result<Arc<ApplicationEntry>> {
        let entry = application::insert_application(
            self.connection,
            &mut self.memory.rows,
            id,
            name,
            plan,
            self.now,
        )?;
        let detail = format!("created with the plan {plan}");
        self.record_of_application(EventKind::ApplicationCreated, entry.row, actor, &detail)?;
        let (table, shared) = (self.memory.keys.clone(), entry.clone());
        self.after_commit(move || table.insert_application(shared));
        Ok(entry)
    }

    /// The application with a name, which is created when it is new, and its plan.
    pub(crate) fn application_or_new(
        &mut self,
        name: &str,
        plan: Option<&str>,
        actor: &Actor,
    ) -> Result<(Arc<ApplicationEntry>, String)> {
        match (application::find_application(self.connection, name), plan) {
            (Ok(known), plan) => {
                let plan = plan.map_or(known.plan, str::to_owned);
                Ok((self.application_entry(known.row)?, plan))
            }
            (Err(Error::Missing(_)), Some(plan)) => {
                Ok((self.create_application(name, plan, actor)?, plan.to_owned()))
            }
            (Err(Error::Missing(_)), None) => Err(Error::Conflict(format!(
                "the application {name} is new: say which plan it gets"
            ))),
            (Err(error), _) => Err(error),
        }
    }

    /// Suspends or resumes an application.
    pub(crate) fn set_application_state(
        &mut self,
        row: i64,
        state: ApplicationState,
        actor: &Actor,
    ) -> Result<()> {
        let (kind, text, detail) = match state {
            ApplicationState::Active => {
                (EventKind::ApplicationResumed, "active", "its keys may call again")
            }
            ApplicationState::Suspended => {
                (EventKind::ApplicationSuspended, "suspended", "none of its keys may call")
            }
        };
        self.connection
            .execute("UPDATE application SET state = ?2 WHERE id = ?1", params![row, text])?;
        self.record_of_application(kind, row, actor, detail)?;
        let entry = self.application_entry(row)?;
        self.after_commit(move || entry.set_state(state));
        Ok(())
    }

    /// Puts some of an application's keys from its plan on another, those after a row number; once none
    /// is left, the application too. Says how many keys were changed, and whether all is done.
    pub(crate) fn set_application_plan(
        &mut self,
        row: i64,
        plan: &str,
        (after, limit): (i64, u32),
        actor: &Actor,
    ) -> Result<(usize, Progress)> {
        let before: String = self.connection.query_row(
            "SELECT plan FROM application WHERE id = ?1",
            [row],
            |row| row.get(0),
        )?;
        if before == plan {
            return Ok((0, Progress::Done));
        }
        let keys = application::some_on_plan(self.connection, row, &before, (after, limit))?;
        for key in &keys {
            let entry = self.entry(*key)?;
            self.set_key_plan(&entry, plan, actor)?;
        }
        if let (true, Some(last)) = (keys.len() >= limit as usize, keys.last()) {
            return Ok((keys.len(), Progress::Unfinished { after: *last }));
        }
        self.connection
            .execute("UPDATE application SET plan = ?2 WHERE id = ?1", params![row, plan])?;
        let detail = format!("from the plan {before} to {plan}, with its keys on that plan");
        self.record_of_application(EventKind::ApplicationPlanChanged, row, actor, &detail)?;
        Ok((keys.len(), Progress::Done))
    }

    /// Notes something about an application.
    pub(crate) fn set_application_note(
        &mut self,
        row: i64,
        note: Option<&str>,
        actor: &Actor,
    ) -> Result<()> {
        self.connection
            .execute("UPDATE application SET note = ?2 WHERE id = ?1", params![row, note])?;
        let detail = note_detail(note);
        self.record_of_application(EventKind::ApplicationNoteChanged, row, actor, detail)
    }

    pub(crate) fn record_of_application(
        &mut self,
        kind: EventKind,
        row: i64,
        actor: &Actor,
        detail: &str,
    ) -> Result<()> {
        let application = Some(row);
        self.record_event(&Event { application, ..Event::named(kind, None, actor, detail) })
    }
}

//! Changes that owners ask for: each is one function, run in a transaction of the writer.

use std::sync::Arc;

use keystile_core::actor::Actor;
use keystile_core::keys::application::{ApplicationId, ApplicationState};
use keystile_core::time::Timestamp;
use rusqlite::params;
use uuid::Uuid;

use crate::applications::Progress;
use crate::error::{Error, Result};
use crate::key_cache::{ApplicationEntry, KeyEntry};
use crate::keys::{KeyRow, NewKeyRow};
use crate::sqlite::audit::event::{Event, EventKind};
use crate::sqlite::journal::retention;
use crate::sqlite::keys::key;
use crate::sqlite::writer::write_tx::WriteTx;

impl WriteTx<'_> {
    /// Creates an application.
    pub(crate) fn create_application(
        &mut self,
        name: &str,
        plan: &str,
        actor: &Actor,
    ) -> Result<Arc<ApplicationEntry>> {
        let id = ApplicationId::new(Uuid::now_v7());
        let entry = key::insert_application(
            self.connection,
            &mut self.memory.rows,
            id,
            name,
            plan,
            self.now,
        )?;
        let detail = format!("created with the plan {plan}");
        self.record_of_application(EventKind::ApplicationCreated, entry.row, actor, &detail)?;
        Ok(entry)
    }

    /// The application with a name, which is created when it is new, and its plan.
    pub(crate) fn application_or_new(
        &mut self,
        name: &str,
        plan: Option<&str>,
        actor: &Actor,
    ) -> Result<(Arc<ApplicationEntry>, String)> {
        match (key::find_application(self.connection, name), plan) {
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

    /// Issues a key. The table knows it once the transaction is durable.
    pub(crate) fn create_key(
        &mut self,
        application: &Arc<ApplicationEntry>,
        new: &NewKeyRow,
        actor: &Actor,
    ) -> Result<Arc<KeyEntry>> {
        let entry =
            key::insert_key(self.connection, &mut self.memory.rows, application, new, self.now)?;
        let detail = format!("issued as {} on the plan {}", new.prefix, new.plan);
        let (kind, key) = (EventKind::KeyCreated, Some(entry.row));
        let (application, detail) = (Some(application.row), detail.as_str());
        self.record(&Event { key, application, ..Event::named(kind, None, actor, detail) })?;
        let (keys, hash, shared) = (self.memory.keys.clone(), new.hash, entry.clone());
        self.after_commit(move || keys.insert(hash, shared));
        Ok(entry)
    }

    /// Issues a key's successor; the old key ends at a time.
    pub(crate) fn roll_key(
        &mut self,
        old: &(KeyRow, Arc<KeyEntry>),
        new: &NewKeyRow,
        ends: Timestamp,
        actor: &Actor,
    ) -> Result<Arc<KeyEntry>> {
        let (row, entry) = old;
        // A key that has ended by its last rolling would come back to life.
        if row.revoked.is_some() || row.expires.is_some_and(|ends| ends <= self.now) {
            return Err(Error::Conflict(
                "a revoked key has no successor: create a new key".to_owned(),
            ));
        }
        let successor = self.create_key(&entry.application, new, actor)?;
        // A lock passes on, or rolling would be a way around it.
        if let Some(lock) = row.lock.as_ref().filter(|lock| lock.holds_at(self.now)) {
            self.lock_key(&successor, lock.clone())?;
        }
        self.expire_key(entry, ends, actor, &format!("its successor is {}", new.prefix))?;
        Ok(successor)
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

    /// Puts a key on another plan. What it wrote before counts in the budgets of the new one.
    pub(crate) fn set_key_plan(
        &mut self,
        key: &Arc<KeyEntry>,
        plan: &str,
        actor: &Actor,
    ) -> Result<()> {
        let before: String = self
            .connection
            .prepare_cached("SELECT plan FROM key WHERE id = ?1")?
            .query_row([key.row], |row| row.get(0))?;
        if before == plan {
            return Ok(());
        }
        self.connection
            .prepare_cached("UPDATE key SET plan = ?2 WHERE id = ?1")?
            .execute(params![key.row, plan])?;
        let detail = format!("from the plan {before} to {plan}");
        self.record(&Event::of_key(EventKind::KeyPlanChanged, key, actor, &detail))?;
        let (key, shared) = (key.clone(), self.memory.rows.plan(plan));
        self.after_commit(move || key.set_plan(shared));
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
        let keys = key::some_on_plan(self.connection, row, &before, (after, limit))?;
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

    /// Notes something about a key. The note itself stays out of the audit, which forgets nothing.
    pub(crate) fn set_key_note(
        &mut self,
        key: &Arc<KeyEntry>,
        note: Option<&str>,
        actor: &Actor,
    ) -> Result<()> {
        self.connection
            .execute("UPDATE key SET note = ?2 WHERE id = ?1", params![key.row, note])?;
        self.record(&Event::of_key(EventKind::KeyNoteChanged, key, actor, note_detail(note)))
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

    /// Deletes records before a time, some at once. Says how many went.
    pub(crate) fn delete_records_before(&mut self, time: Timestamp, limit: u32) -> Result<usize> {
        retention::delete_before(self.connection, time, limit)
    }

    pub(crate) fn record_of_application(
        &mut self,
        kind: EventKind,
        row: i64,
        actor: &Actor,
        detail: &str,
    ) -> Result<()> {
        let application = Some(row);
        self.record(&Event { application, ..Event::named(kind, None, actor, detail) })
    }
}

fn note_detail(note: Option<&str>) -> &'static str {
    if note.is_some() { "noted" } else { "the note was removed" }
}

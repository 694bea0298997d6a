//! What can change of a key beside its locks: issued, rolled, put on another plan, noted.

use std::sync::Arc;

use keystile_core::actor::Actor;
use keystile_core::time::Timestamp;
use rusqlite::params;

use crate::error::{Error, Result};
use crate::key_cache::{ApplicationEntry, KeyEntry};
use crate::keys::{KeyRow, NewKeyRow};
use crate::sqlite::audit::event::{Event, EventKind};
use crate::sqlite::keys::key;
use crate::sqlite::writer::write_tx::WriteTx;

impl WriteTx<'_> {
    /// Issues a key. The table knows it once the transaction is durable.
    pub(crate) fn create_key(
        &mut self,
        application: &Arc<ApplicationEntry>,
        new: &NewKeyRow,
        actor: &Actor,
    ) -> Result<Arc<KeyEntry>> {
        let entry =
            key::insert_key(self.connection, &mut self.memory.rows, application, new, self.now)?;
        let (kind, detail) = created(new);
        let key = Some(entry.row);
        let (application, detail) = (Some(application.row), detail.as_str());
        self.record_event(&Event { key, application, ..Event::named(kind, None, actor, detail) })?;
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
        self.record_event(&Event::of_key(EventKind::KeyPlanChanged, key, actor, &detail))?;
        let (key, shared) = (key.clone(), self.memory.rows.plan(plan));
        self.after_commit(move || key.set_plan(shared));
        Ok(())
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
        self.record_event(&Event::of_key(EventKind::KeyNoteChanged, key, actor, note_detail(note)))
    }
}

fn created(new: &NewKeyRow) -> (EventKind, String) {
    let NewKeyRow { prefix, plan, .. } = new;
    match &new.origin {
        None => (EventKind::KeyCreated, format!("issued as {prefix} on the plan {plan}")),
        Some(origin) => (
            EventKind::KeyImported,
            format!("imported from {origin} as {prefix} on the plan {plan}"),
        ),
    }
}

pub(super) fn note_detail(note: Option<&str>) -> &'static str {
    if note.is_some() { "noted" } else { "the note was removed" }
}

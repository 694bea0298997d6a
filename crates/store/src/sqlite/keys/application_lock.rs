//! Locks on applications, and their budgets: what all keys of one share.
//!
//! Such a lock is one row, not a lock on each key: a key that is issued or rolled later is under it from its
//! first call on, one message tells of it, and it is taken off as a whole.

use std::sync::Arc;

use keystile_core::actor::Actor;
use keystile_core::budget::{Per, Subject};
use keystile_core::keys::lock::{Budgets, Lock, LockChange};
use keystile_core::notifications::notice::NoticeBudget;
use keystile_core::refusal::LockNotice;
use rusqlite::params;

use crate::applications::{ApplicationEdit, ApplicationRow, UnlockedApplication};
use crate::error::Result;
use crate::key_cache::{ApplicationEntry, KeyEntry};
use crate::sqlite::audit::event::{Event, EventKind, Facts};
use crate::sqlite::keys::application;
use crate::sqlite::keys::application_edit::begin;
use crate::sqlite::notifications::budget_level::{self, level_subject};
use crate::sqlite::writer::write_tx::WriteTx;

impl WriteTx<'_> {
    /// Locks the application of a key whose write did not fit into a budget that it shares, or of one that
    /// ended while it was locked and left no other behind: the only way in which an application is locked.
    /// One that is locked keeps the stricter level and the later end; the lock that it has now comes back.
    ///
    /// # Errors
    /// When the store cannot be written to.
    pub(crate) fn lock_application(
        &mut self,
        (application, key): (&Arc<ApplicationEntry>, &KeyEntry),
        asked: Lock,
        budget: Option<NoticeBudget>,
    ) -> Result<Lock> {
        let row = application.row;
        // Locks by shared budgets grow with each other, and with no others.
        let by_budget = i64::from(budget.is_some());
        let (by, reason) = (asked.actor.clone(), asked.reason.clone());
        let (lock, change) =
            asked.joined_with(application::lock_of_application(self.connection, row)?);
        let json = serde_json::to_string(&lock).expect("a lock is texts and numbers");
        self.connection
            .prepare_cached("UPDATE application SET lock = ?2, locks = locks + ?3 WHERE id = ?1")?
            .execute(params![row, json, by_budget])?;
        let detail = match &lock.evidence {
            Some(evidence) => format!("{reason} ({evidence})"),
            None => reason,
        };
        let facts = match change {
            LockChange::Unchanged => Facts::Unannounced,
            LockChange::New | LockChange::Extended => Facts::Lock { lock: &lock, budget },
        };
        let event = Event::named(EventKind::ApplicationLocked, None, &by, &detail);
        let (key, of) = (Some(key.row), Some(row));
        self.record_event(&Event { facts, key, application: of, ..event })?;
        let notice = LockNotice::from(&lock);
        self.application_locks.insert(row, Some(notice));
        let application = application.clone();
        let locked = self.memory.rows.locked_applications.clone();
        self.after_commit(move || application.set_lock(Some(notice), &locked));
        Ok(lock)
    }

    /// Unlocks an application, and with it every key of it that carries no lock of its own.
    ///
    /// # Errors
    /// When the store cannot be written to.
    pub(crate) fn unlock_application(
        &mut self,
        application: &Arc<ApplicationEntry>,
        actor: &Actor,
        detail: &str,
    ) -> Result<()> {
        let row = application.row;
        self.connection
            .prepare_cached("UPDATE application SET lock = NULL WHERE id = ?1")?
            .execute([row])?;
        let event = Event::named(EventKind::ApplicationUnlocked, None, actor, detail);
        self.record_event(&Event { application: Some(row), facts: Facts::Unlock, ..event })?;
        self.application_locks.insert(row, None);
        let application = application.clone();
        let locked = self.memory.rows.locked_applications.clone();
        self.after_commit(move || application.set_lock(None, &locked));
        Ok(())
    }

    /// Lets the budgets that an application's keys share begin anew. Those of each key go on, and so do
    /// those of its plan, which others share too.
    ///
    /// # Errors
    /// When the store cannot be written to.
    fn reset_application_budgets(&mut self, row: i64) -> Result<()> {
        let mut statement = self
            .connection
            .prepare_cached("UPDATE application SET counts_after = ?2 WHERE id = ?1")?;
        statement.execute(params![row, self.memory.last_id])?;
        self.memory.ledger.forget(Subject::Application(row));
        budget_level::forget_levels(self, &level_subject(Per::Application, row, ""))
    }
}

/// Unlocks an application, and lets the budgets that its keys share begin anew where that is wanted.
pub(crate) fn unlock(
    tx: &mut WriteTx<'_>,
    edit: &ApplicationEdit,
    budgets: Budgets,
) -> Result<UnlockedApplication> {
    let row = begin(tx, edit)?;
    let entry = tx.application_entry(row.row)?;
    let was_locked = row.lock.is_some();
    match budgets {
        Budgets::Keep if !was_locked => {}
        Budgets::Keep => {
            tx.unlock_application(&entry, &edit.actor, "unlocked; what was counted stays counted")?;
        }
        Budgets::Reset => {
            tx.reset_application_budgets(row.row)?;
            let detail = "unlocked; the budgets that its keys share begin anew";
            tx.unlock_application(&entry, &edit.actor, detail)?;
        }
    }
    Ok(UnlockedApplication { application: ApplicationRow { lock: None, ..row }, was_locked })
}

/// Opens locks of applications whose time has run out, so that listings say so.
pub(super) fn open_expired(tx: &mut WriteTx<'_>) -> Result<()> {
    for application in application::locked_applications(tx.connection, u32::MAX)? {
        if application.lock_at(tx.now).is_none() {
            let entry = tx.application_entry(application.row)?;
            tx.unlock_application(&entry, &Actor::Time, "the lock's time ran out")?;
        }
    }
    Ok(())
}

//! Whether a key may be used: locks, and what ends a key for good.

use std::sync::Arc;

use keystile_core::actor::Actor;
use keystile_core::budget::{Per, Subject};
use keystile_core::keys::key::KeyState;
use keystile_core::keys::lock::{Lock, LockChange};
use keystile_core::notifications::notice::NoticeBudget;
use keystile_core::refusal::LockNotice;
use keystile_core::time::Timestamp;
use rusqlite::{Connection, params};

use crate::error::{Error, Result};
use crate::key_cache::KeyEntry;
use crate::keys::KeyRow;
use crate::sqlite::audit::event::{Event, EventKind, Facts};
use crate::sqlite::keys::stored_lock::lock_from;
use crate::sqlite::keys::{application_lock, key};
use crate::sqlite::notifications::budget_level::{self, level_subject};
use crate::sqlite::writer::write_tx::WriteTx;

impl WriteTx<'_> {
    /// Locks a key: the only way in which any lock comes about, whoever asks for it. A key that is locked
    /// keeps the stricter level and the later end; the lock that it has now comes back.
    ///
    /// # Errors
    /// `Conflict` when the key is revoked; when the store cannot be written to.
    pub(crate) fn lock_key(
        &mut self,
        key: &Arc<KeyEntry>,
        lock: Lock,
    ) -> Result<(Lock, LockChange)> {
        self.lock_key_over_budget(key, lock, None)
    }

    /// The same, for a key that went over a budget.
    pub(crate) fn lock_key_over_budget(
        &mut self,
        key: &Arc<KeyEntry>,
        asked: Lock,
        budget: Option<NoticeBudget>,
    ) -> Result<(Lock, LockChange)> {
        if self.state_of(key) == KeyState::Revoked {
            return Err(Error::Conflict("a revoked key needs no lock".to_owned()));
        }
        let by_budget = i64::from(matches!(asked.actor, Actor::Budget(_)));
        let (by, reason) = (asked.actor.clone(), asked.reason.clone());
        let (lock, change) = asked.joined_with(key::lock_of(self.connection, key.row)?);
        let json = serde_json::to_string(&lock).expect("a lock is texts and numbers");
        let mut statement = self
            .connection
            .prepare_cached("UPDATE key SET lock = ?2, locks = locks + ?3 WHERE id = ?1")?;
        statement.execute(params![key.row, json, by_budget])?;
        let detail = match (change, &lock.evidence) {
            (LockChange::Unchanged, _) => format!("{reason} (it was locked for as much already)"),
            (LockChange::New | LockChange::Extended, Some(evidence)) => {
                format!("{reason} ({evidence})")
            }
            (LockChange::New | LockChange::Extended, None) => reason,
        };
        let facts = match change {
            LockChange::Unchanged => Facts::Unannounced,
            LockChange::New | LockChange::Extended => Facts::Lock { lock: &lock, budget },
        };
        self.record_event(&Event {
            facts,
            ..Event::of_key(EventKind::KeyLocked, key, &by, &detail)
        })?;
        if change == LockChange::Unchanged {
            return Ok((lock, change));
        }
        let notice = LockNotice::from(&lock);
        self.locks.insert(key.row, Some(notice));
        let (key, locked) = (key.clone(), self.memory.rows.locked.clone());
        self.after_commit(move || key.set_lock(Some(notice), &locked));
        Ok((lock, change))
    }

    /// Unlocks a key.
    ///
    /// # Errors
    /// When the store cannot be written to.
    pub(crate) fn unlock_key(
        &mut self,
        key: &Arc<KeyEntry>,
        actor: &Actor,
        detail: &str,
    ) -> Result<()> {
        self.connection
            .prepare_cached("UPDATE key SET lock = NULL WHERE id = ?1")?
            .execute([key.row])?;
        let event = Event::of_key(EventKind::KeyUnlocked, key, actor, detail);
        self.record_event(&Event { facts: Facts::Unlock, ..event })?;
        self.locks.insert(key.row, None);
        let (key, locked) = (key.clone(), self.memory.rows.locked.clone());
        self.after_commit(move || {
            if key.own_state(Timestamp(i64::MIN)) != KeyState::Revoked {
                key.set_lock(None, &locked);
            }
        });
        Ok(())
    }

    /// Lets a key's budgets begin anew: what is on record so far no longer counts in them.
    ///
    /// # Errors
    /// When the store cannot be written to.
    pub(crate) fn reset_budgets(&mut self, key: &KeyEntry) -> Result<()> {
        let mut statement =
            self.connection.prepare_cached("UPDATE key SET counts_after = ?2 WHERE id = ?1")?;
        statement.execute(params![key.row, self.memory.last_id])?;
        self.memory.ledger.forget(Subject::Key(key.row));
        budget_level::forget_levels(self, &level_subject(Per::Key, key.row, ""))
    }

    /// Revokes a key for good.
    ///
    /// # Errors
    /// When the store cannot be written to.
    pub(crate) fn revoke_key(
        &mut self,
        key: &Arc<KeyEntry>,
        actor: &Actor,
        detail: &str,
    ) -> Result<()> {
        let mut statement = self
            .connection
            .prepare_cached("UPDATE key SET revoked = ?2, lock = NULL WHERE id = ?1")?;
        statement.execute(params![key.row, self.now.0])?;
        self.record_event(&Event::of_key(EventKind::KeyRevoked, key, actor, detail))?;
        self.revoked.insert(key.row);
        let (key, locked) = (key.clone(), self.memory.rows.locked.clone());
        self.after_commit(move || key.set_revoked(&locked));
        Ok(())
    }

    /// Lets a key end at a time, because it has a successor.
    ///
    /// # Errors
    /// When the store cannot be written to.
    pub(crate) fn expire_key(
        &mut self,
        key: &Arc<KeyEntry>,
        at: Timestamp,
        actor: &Actor,
        detail: &str,
    ) -> Result<()> {
        self.connection
            .prepare_cached("UPDATE key SET expires = ?2 WHERE id = ?1")?
            .execute(params![key.row, at.0])?;
        self.record_event(&Event::of_key(EventKind::KeyRolled, key, actor, detail))?;
        let key = key.clone();
        self.after_commit(move || key.set_expires(at));
        Ok(())
    }

    /// The key's row and the entry that requests see.
    ///
    /// # Errors
    /// `Missing` when no key has it, `Conflict` when several have the prefix; when the store cannot be read.
    pub(crate) fn find_key(&self, id_or_prefix: &str) -> Result<(KeyRow, Arc<KeyEntry>)> {
        let row = key::find_key(self.connection, id_or_prefix)?;
        let entry = self.entry(row.row)?;
        Ok((row, entry))
    }
}

/// Opens locks whose time has run out, so that listings say so. Requests see it without this.
pub(crate) fn open_expired(tx: &mut WriteTx<'_>) -> Result<()> {
    let mut statement =
        tx.connection.prepare_cached("SELECT id, lock FROM key WHERE lock IS NOT NULL")?;
    let locked: Vec<(i64, String)> = statement
        .query_and_then([], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<Result<_>>()?;
    for (row, lock) in locked {
        if !lock_from(&lock)?.holds_at(tx.now) {
            let entry = tx.entry(row)?;
            tx.unlock_key(&entry, &Actor::Time, "the lock's time ran out")?;
        }
    }
    application_lock::open_expired(tx)
}

/// Whether a key or an application carries a lock that ends by itself.
pub(crate) fn is_any_timed(connection: &Connection) -> bool {
    let is_timed = |table: &str| {
        let sql = format!(
            "SELECT count(*) FROM {table} WHERE lock IS NOT NULL AND json_extract(lock, '$.until') IS NOT NULL"
        );
        let found = connection
            .prepare_cached(&sql)
            .and_then(|mut statement| statement.query_row([], |row| row.get::<_, u32>(0)));
        found.is_ok_and(|count| count > 0)
    };
    is_timed("key") || is_timed("application")
}

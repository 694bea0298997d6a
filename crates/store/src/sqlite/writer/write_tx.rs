//! One transaction of the writer: what it may do, and what happens once it is durable.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use arc_swap::ArcSwap;
use keystile_core::decision::KeyState;
use keystile_core::lock::{Actor, Lock, LockChange};
use keystile_core::notifications::notice::NoticeBudget;
use keystile_core::notifications::watch::WatchRules;
use keystile_core::refusal::LockNotice;
use keystile_core::time::Timestamp;
use rusqlite::{Connection, params};
use tokio::sync::Notify;

use crate::clock::StoreClock;
use crate::error::{Error, Result};
use crate::sqlite::audit::event::{Event, EventKind};
use crate::sqlite::audit::{AuditHead, Position};
use crate::sqlite::files::schema;
use crate::sqlite::journal::facet_index::{Blocks, SEGMENT};
use crate::sqlite::journal::subject_index::SubjectIndex;
use crate::sqlite::keys::key::{self, KeyRow};
use crate::sqlite::keys::key_cache::{ApplicationEntry, KeyEntry, Rows};
use crate::sqlite::ledger::Ledger;
use crate::sqlite::ledger::sending::Sending;

/// What the writer knows beside the database. It follows from the database, and is read from there
/// again after a failed commit.
#[derive(Debug)]
pub(crate) struct WriterState {
    pub(crate) ledger: Ledger,
    pub(crate) index: SubjectIndex,
    pub(crate) blocks: Blocks,
    pub(crate) rows: Rows,
    pub(crate) audit: AuditHead,
    /// Records whose writes are under way.
    pub(crate) open: BTreeMap<i64, Arc<Sending>>,
    pub(crate) clock: StoreClock,
    pub(crate) last_id: i64,
    /// What is told, and on which channels.
    pub(crate) watching: Arc<ArcSwap<WatchRules>>,
    /// Rung when something was put into the outbox.
    pub(crate) outbox_signal: Arc<Notify>,
}

impl WriterState {
    /// The last record that blocks may be filled with: none from the first write that is under way,
    /// unless that holds up more than a segment.
    pub(crate) fn settled_to(&self) -> i64 {
        let before_open = self.open.first_key_value().map_or(self.last_id, |(open, _)| open - 1);
        before_open.max(self.last_id - SEGMENT)
    }
}

/// The transaction that is open, as changes see it.
pub struct WriteTx<'w> {
    pub(crate) connection: &'w Connection,
    pub(crate) memory: &'w mut WriterState,
    pub(crate) now: Timestamp,
    /// Locks and unlocks of this transaction, which the shared entries do not show yet.
    locks: HashMap<i64, Option<LockNotice>>,
    /// Keys that this transaction revoked.
    revoked: HashSet<i64>,
    effects: Vec<Box<dyn FnOnce() + Send>>,
}

/// How far a transaction had come.
#[derive(Debug)]
pub(crate) struct Savepoint {
    locks: HashMap<i64, Option<LockNotice>>,
    revoked: HashSet<i64>,
    effects: usize,
    audit: Position,
}

impl std::fmt::Debug for WriteTx<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WriteTx").field("now", &self.now).finish_non_exhaustive()
    }
}

impl<'w> WriteTx<'w> {
    pub(crate) fn new(
        connection: &'w Connection,
        memory: &'w mut WriterState,
        now: Timestamp,
    ) -> Self {
        Self {
            connection,
            memory,
            now,
            locks: HashMap::new(),
            revoked: HashSet::new(),
            effects: Vec::new(),
        }
    }

    /// The time of the transaction on the store's clock.
    pub fn now(&self) -> Timestamp {
        self.now
    }

    /// The database, with what the transaction has done so far.
    pub fn connection(&self) -> &Connection {
        self.connection
    }

    /// Does something once the transaction is durable, in the order of the calls.
    pub(crate) fn after_commit(&mut self, effect: impl FnOnce() + Send + 'static) {
        self.effects.push(Box::new(effect));
    }

    /// What a change that fails has to go back to.
    pub(crate) fn mark(&self) -> Savepoint {
        Savepoint {
            locks: self.locks.clone(),
            revoked: self.revoked.clone(),
            effects: self.effects.len(),
            audit: self.memory.audit.position(),
        }
    }

    /// Forgets what was done since a mark, as the database did.
    pub(crate) fn rollback_to(&mut self, mark: Savepoint) {
        self.locks = mark.locks;
        self.revoked = mark.revoked;
        self.effects.truncate(mark.effects);
        self.memory.audit.rollback_to(mark.audit);
        // What was counted since may follow from what is no longer there.
        self.memory.ledger.clear();
    }

    pub(crate) fn into_effects(self) -> Vec<Box<dyn FnOnce() + Send>> {
        self.effects
    }

    pub(crate) fn next_id(&mut self) -> i64 {
        self.memory.last_id += 1;
        self.memory.last_id
    }

    /// Whether a key may be used, with what this transaction did to it.
    pub(crate) fn state_of(&self, key: &KeyEntry) -> KeyState {
        let shared =
            if self.revoked.contains(&key.row) { KeyState::Revoked } else { key.state(self.now) };
        match (shared, self.locks.get(&key.row)) {
            (KeyState::Revoked, _) | (_, None) => shared,
            (KeyState::Active | KeyState::Locked(_), Some(None)) => KeyState::Active,
            (KeyState::Active | KeyState::Locked(_), Some(Some(lock))) => KeyState::Locked(*lock),
        }
    }

    /// The entry of a key that requests see.
    pub(crate) fn entry(&self, row: i64) -> Result<Arc<KeyEntry>> {
        self.memory
            .rows
            .key(row)
            .cloned()
            .ok_or_else(|| Error::Missing("key with this row".to_owned()))
    }

    /// The entry of an application that requests see.
    pub(crate) fn application_entry(&self, row: i64) -> Result<Arc<ApplicationEntry>> {
        let found = self.memory.rows.application(row).cloned();
        found.ok_or_else(|| Error::Missing("application with this row".to_owned()))
    }

    /// Locks a key: the only way in which any lock comes about, whoever asks for it. A key that is locked
    /// keeps the stricter level and the later end; the lock that it has now comes back.
    pub fn lock_key(&mut self, key: &Arc<KeyEntry>, lock: Lock) -> Result<(Lock, LockChange)> {
        self.lock_key_over(key, lock, None)
    }

    /// The same, for a key that went over a budget.
    pub(crate) fn lock_key_over(
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
        self.tell(EventKind::KeyLocked, key, &by, &detail)?;
        if change == LockChange::Unchanged {
            return Ok((lock, change));
        }
        self.tell_locked(key, &lock, budget)?;
        let notice = LockNotice { level: lock.level, until: lock.until };
        self.locks.insert(key.row, Some(notice));
        let key = key.clone();
        self.after_commit(move || key.set_lock(Some(notice)));
        Ok((lock, change))
    }

    /// Unlocks a key.
    pub fn unlock_key(&mut self, key: &Arc<KeyEntry>, actor: &Actor, detail: &str) -> Result<()> {
        self.connection
            .prepare_cached("UPDATE key SET lock = NULL WHERE id = ?1")?
            .execute([key.row])?;
        self.tell(EventKind::KeyUnlocked, key, actor, detail)?;
        self.tell_unlocked(key, actor, detail)?;
        self.locks.insert(key.row, None);
        let key = key.clone();
        self.after_commit(move || {
            if key.state(Timestamp(i64::MIN)) != KeyState::Revoked {
                key.set_lock(None);
            }
        });
        Ok(())
    }

    /// Lets a key's budgets begin anew: what is on record so far no longer counts in them.
    pub fn reset_budgets(&mut self, key: &KeyEntry) -> Result<()> {
        let mut statement =
            self.connection.prepare_cached("UPDATE key SET counts_after = ?2 WHERE id = ?1")?;
        statement.execute(params![key.row, self.memory.last_id])?;
        self.memory.ledger.forget(key.row);
        self.forget_levels(key.row)
    }

    /// Revokes a key for good.
    pub fn revoke_key(&mut self, key: &Arc<KeyEntry>, actor: &Actor, detail: &str) -> Result<()> {
        let mut statement = self
            .connection
            .prepare_cached("UPDATE key SET revoked = ?2, lock = NULL WHERE id = ?1")?;
        statement.execute(params![key.row, self.now.0])?;
        self.tell(EventKind::KeyRevoked, key, actor, detail)?;
        self.revoked.insert(key.row);
        let key = key.clone();
        self.after_commit(move || key.set_revoked());
        Ok(())
    }

    /// Lets a key end at a time, because it has a successor.
    pub fn expire_key(
        &mut self,
        key: &Arc<KeyEntry>,
        at: Timestamp,
        actor: &Actor,
        detail: &str,
    ) -> Result<()> {
        self.connection
            .prepare_cached("UPDATE key SET expires = ?2 WHERE id = ?1")?
            .execute(params![key.row, at.0])?;
        self.tell(EventKind::KeyRolled, key, actor, detail)?;
        let key = key.clone();
        self.after_commit(move || key.set_expires(at));
        Ok(())
    }

    /// Writes an event into the audit; it is there exactly when the rest of the transaction is.
    pub(crate) fn record(&mut self, event: &Event<'_>) -> Result<()> {
        self.memory.audit.append(self.connection, self.now, event)
    }

    /// Writes an event that concerns no key and no application; the subject is a name, where there is one.
    pub fn tell_of(
        &mut self,
        kind: EventKind,
        subject: Option<&str>,
        actor: &Actor,
        detail: &str,
    ) -> Result<()> {
        self.record(&Event { kind, key: None, application: None, subject, actor, detail })
    }

    pub(crate) fn tell(
        &mut self,
        kind: EventKind,
        key: &KeyEntry,
        actor: &Actor,
        detail: &str,
    ) -> Result<()> {
        let (key, application) = (Some(key.row), Some(key.application.row));
        self.record(&Event { kind, key, application, subject: None, actor, detail })
    }

    /// Writes something that nobody reads, to find out whether that is possible again.
    pub(crate) fn try_to_write(&mut self) -> Result<()> {
        schema::set_meta(self.connection, "tried", &self.now.0.to_string())
    }

    /// Opens locks whose time has run out, so that listings say so. Requests see it without this.
    pub(crate) fn open_expired_locks(&mut self) -> Result<()> {
        let mut statement =
            self.connection.prepare_cached("SELECT id, lock FROM key WHERE lock IS NOT NULL")?;
        let locked: Vec<(i64, String)> = statement
            .query_and_then([], |row| Ok((row.get(0)?, row.get(1)?)))?
            .collect::<Result<_>>()?;
        for (row, lock) in locked {
            if !key::lock_from(&lock)?.holds_at(self.now) {
                let entry = self.entry(row)?;
                self.unlock_key(&entry, &Actor::Time, "the lock's time ran out")?;
            }
        }
        Ok(())
    }

    /// The key's row and the entry that requests see.
    pub fn find_key(&self, id_or_prefix: &str) -> Result<(KeyRow, Arc<KeyEntry>)> {
        let row = key::find_key(self.connection, id_or_prefix)?;
        let entry = self.entry(row.row)?;
        Ok((row, entry))
    }
}

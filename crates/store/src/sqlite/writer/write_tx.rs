//! One transaction of the writer: what it may do, and what happens once it is durable.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use arc_swap::ArcSwap;
use keystile_core::keys::key::KeyState;
use keystile_core::notifications::watch::WatchRules;
use keystile_core::refusal::LockNotice;
use keystile_core::time::Timestamp;
use rusqlite::Connection;
use tokio::sync::Notify;

use crate::clock::StoreClock;
use crate::departure::WriteDeparture;
use crate::error::{Error, Result};
use crate::key_cache::lock::joined;
use crate::key_cache::{ApplicationEntry, KeyCache, KeyEntry, Rows};
use crate::sqlite::audit::event::Event;
use crate::sqlite::audit::{AuditHead, Position};
use crate::sqlite::journal::facet::SEGMENT;
use crate::sqlite::journal::facet_index::Blocks;
use crate::sqlite::journal::subject_index::SubjectIndex;
use crate::sqlite::ledger::Ledger;
use crate::sqlite::meters::log::MeterLog;
use crate::sqlite::node::Node;

/// What the writer knows beside the database. It follows from the database, and is read from there
/// again after a failed commit.
#[derive(Debug)]
pub(crate) struct WriterState {
    pub(crate) ledger: Ledger,
    pub(crate) index: SubjectIndex,
    pub(crate) blocks: Blocks,
    pub(crate) rows: Rows,
    /// The keys that requests are looked up in.
    pub(crate) keys: Arc<KeyCache>,
    pub(crate) audit: AuditHead,
    pub(crate) meters: MeterLog,
    /// Records whose writes are under way.
    pub(crate) open: BTreeMap<i64, Arc<WriteDeparture>>,
    pub(crate) clock: StoreClock,
    pub(crate) last_id: i64,
    pub(crate) node: Node,
    /// The first record that another node had under way at the start.
    pub(crate) pending_elsewhere: Option<i64>,
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
pub(crate) struct WriteTx<'w> {
    pub(crate) connection: &'w Connection,
    pub(crate) memory: &'w mut WriterState,
    pub(crate) now: Timestamp,
    /// Locks and unlocks of this transaction, which the shared entries do not show yet.
    pub(crate) locks: HashMap<i64, Option<LockNotice>>,
    /// The same of applications.
    pub(crate) application_locks: HashMap<i64, Option<LockNotice>>,
    /// Keys that this transaction revoked.
    pub(crate) revoked: HashSet<i64>,
    effects: Vec<Box<dyn FnOnce() + Send>>,
}

/// How far a transaction had come.
#[derive(Debug)]
struct Savepoint {
    locks: HashMap<i64, Option<LockNotice>>,
    application_locks: HashMap<i64, Option<LockNotice>>,
    ledger: u64,
    pub(crate) revoked: HashSet<i64>,
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
            application_locks: HashMap::new(),
            revoked: HashSet::new(),
            effects: Vec::new(),
        }
    }

    /// The time of the transaction on the store's clock.
    pub(crate) fn now(&self) -> Timestamp {
        self.now
    }

    /// The database, with what the transaction has done so far.
    #[cfg(test)]
    pub(crate) fn connection(&self) -> &Connection {
        self.connection
    }

    /// Does something once the transaction is durable, in the order of the calls.
    pub(crate) fn after_commit(&mut self, effect: impl FnOnce() + Send + 'static) {
        self.effects.push(Box::new(effect));
    }

    /// What a change that fails has to go back to.
    fn mark(&self) -> Savepoint {
        Savepoint {
            locks: self.locks.clone(),
            application_locks: self.application_locks.clone(),
            ledger: self.memory.ledger.changes(),
            revoked: self.revoked.clone(),
            effects: self.effects.len(),
            audit: self.memory.audit.position(),
        }
    }

    /// Forgets what was done since a mark, as the database did.
    fn rollback_to(&mut self, mark: Savepoint) {
        self.locks = mark.locks;
        self.application_locks = mark.application_locks;
        self.revoked = mark.revoked;
        self.effects.truncate(mark.effects);
        self.memory.audit.rollback_to(mark.audit);
        // What was counted since may follow from what is no longer there. A command that fails before it
        // changed anything costs nobody their account: to count one anew can take long.
        if self.memory.ledger.changes() != mark.ledger {
            self.memory.ledger.clear();
        }
    }

    /// Makes a change that leaves nothing behind where it fails.
    pub(crate) fn in_savepoint<T>(
        &mut self,
        change: impl FnOnce(&mut Self) -> Result<T>,
    ) -> Result<T> {
        self.connection.execute_batch("SAVEPOINT change")?;
        let mark = self.mark();
        let result = change(self);
        if result.is_ok() {
            self.connection.execute_batch("RELEASE change")?;
            return result;
        }
        self.rollback_to(mark);
        // Where the change ended the whole transaction there is no savepoint left; the writer sees to that.
        if !self.connection.is_autocommit() {
            self.connection.execute_batch("ROLLBACK TO change; RELEASE change")?;
        }
        result
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
        joined(self.own_state_of(key), self.lock_of_application(&key.application))
    }

    /// The same, by what is on the key itself and not on its application.
    pub(crate) fn own_state_of(&self, key: &KeyEntry) -> KeyState {
        let shared = if self.revoked.contains(&key.row) {
            KeyState::Revoked
        } else {
            key.own_state(self.now)
        };
        match (shared, self.locks.get(&key.row)) {
            (KeyState::Revoked, _) | (_, None) => shared,
            (KeyState::Active | KeyState::Locked(_), Some(None)) => KeyState::Active,
            (KeyState::Active | KeyState::Locked(_), Some(Some(lock))) => KeyState::Locked(*lock),
        }
    }

    /// The lock that is on an application, with what this transaction did to it.
    fn lock_of_application(&self, application: &ApplicationEntry) -> Option<LockNotice> {
        match self.application_locks.get(&application.row) {
            Some(lock) => *lock,
            None => application.lock(self.now),
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

    /// Appends an event to the audit; it is there exactly when the rest of the transaction is.
    pub(crate) fn append(&mut self, event: &Event<'_>) -> Result<()> {
        self.memory.audit.append(self.connection, self.now, event)
    }
}

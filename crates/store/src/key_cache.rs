//! Keys and applications in memory: the table that every request is looked up in.

use std::collections::HashMap;
use std::ops::Deref;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use arc_swap::{ArcSwap, Guard};
use keystile_core::keys::application::{ApplicationId, ApplicationState};
use keystile_core::keys::hash::KeyHash;
use keystile_core::keys::key::{KeyForm, KeyId, KeyState};
use keystile_core::keys::lock::LockTarget;
use keystile_core::rate::RateState;
use keystile_core::refusal::LockNotice;
use keystile_core::request::call_method::CallMethod;
use keystile_core::time::Timestamp;

use crate::key_origin::{KeyOrigin, Origins};
use crate::sent::reads::{ReadCounts, SentReads};

pub(crate) mod lock;
#[cfg(test)]
mod tests;

use self::lock::{LockCell, LockedCount, joined};

/// An application, as requests see it.
#[derive(Debug)]
pub struct ApplicationEntry {
    pub(crate) row: i64,
    pub id: ApplicationId,
    /// Its name.
    pub name: Box<str>,
    is_suspended: AtomicBool,
    is_suspended_at_source: AtomicBool,
    /// Reads of its imported keys; nothing where none went out or nobody is told of them.
    sent_reads: OnceLock<Box<SentReads>>,
    lock: LockCell,
}

impl ApplicationEntry {
    pub(crate) fn new(row: i64, id: ApplicationId, name: &str, state: ApplicationState) -> Self {
        let is_suspended = AtomicBool::new(state == ApplicationState::Suspended);
        Self {
            row,
            id,
            name: name.into(),
            is_suspended,
            is_suspended_at_source: AtomicBool::new(false),
            sent_reads: OnceLock::new(),
            lock: LockCell::default(),
        }
    }

    /// Takes the counts of reads that went out since they were last taken.
    pub fn take_sent_reads(&self) -> Option<ReadCounts> {
        self.sent_reads.get().and_then(|reads| reads.take())
    }

    /// Whether it may call.
    pub fn state(&self) -> ApplicationState {
        if self.is_suspended.load(Ordering::Acquire) {
            ApplicationState::Suspended
        } else {
            ApplicationState::Active
        }
    }

    pub(crate) fn set_state(&self, state: ApplicationState) {
        self.is_suspended.store(state == ApplicationState::Suspended, Ordering::Release);
    }

    /// Whether a door that answers for its source says that it is suspended there.
    pub(crate) fn is_suspended_at_source(&self) -> bool {
        self.is_suspended_at_source.load(Ordering::Acquire)
    }

    /// Says whether it is suspended at its source: it cannot be resumed here as long as it is.
    pub fn set_suspended_at_source(&self, is_suspended: bool) {
        self.is_suspended_at_source.store(is_suspended, Ordering::Release);
    }

    /// The lock that is on the application at a time, and so on all of its keys.
    pub fn lock(&self, now: Timestamp) -> Option<LockNotice> {
        self.lock.notice(LockTarget::Application, now)
    }

    pub(crate) fn set_lock(&self, lock: Option<LockNotice>, count: &LockedCount) {
        self.lock.set(lock, count);
    }
}

/// The name of a plan, shared by all keys on it.
pub(crate) type SharedName = Arc<Box<str>>;

/// The name of a key's plan, as it was when it was asked for.
#[derive(Debug)]
pub struct PlanName(Guard<SharedName>);

impl Deref for PlanName {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

/// A key, as requests see it. Only the store's writer changes what it may do, after the change is
/// durable.
#[derive(Debug)]
pub struct KeyEntry {
    pub(crate) row: i64,
    pub id: KeyId,
    /// Whose form its text has.
    pub form: KeyForm,
    /// The system that it comes from, where that is another one.
    origin: Option<Arc<KeyOrigin>>,
    /// Its application.
    pub application: Arc<ApplicationEntry>,
    plan: ArcSwap<Box<str>>,
    /// Its use of the plan's rate limits.
    pub rate: RateState,
    lock: LockCell,
    /// When a rolled key stops working, `i64::MAX` for never.
    expires: AtomicI64,
    /// When it last called, to the second; `i64::MIN` where it has not since the start.
    last_call: AtomicI64,
}

/// The last call is noted no more often than this.
const LAST_CALL_MILLIS: i64 = 1_000;

impl KeyEntry {
    /// A key that may be used.
    pub(crate) fn new(
        row: i64,
        id: KeyId,
        origin: Option<Arc<KeyOrigin>>,
        application: Arc<ApplicationEntry>,
        plan: SharedName,
    ) -> Self {
        Self {
            row,
            id,
            form: if origin.is_some() { KeyForm::Imported } else { KeyForm::Own },
            origin,
            application,
            plan: ArcSwap::new(plan),
            rate: RateState::default(),
            lock: LockCell::default(),
            expires: AtomicI64::new(i64::MAX),
            last_call: AtomicI64::new(i64::MIN),
        }
    }

    /// Its number, counted from 1 in the order of issue.
    pub fn number(&self) -> i64 {
        self.row
    }

    /// Whether the system that it comes from still vouches for it; one of ours needs nobody to.
    pub fn is_vouched_for(&self, now: Timestamp) -> bool {
        let origin = self.origin.as_ref();
        origin.is_none_or(|origin| origin.works_at(now))
    }

    /// The name of its plan. Readers it writes nothing that other cores read.
    pub fn plan(&self) -> PlanName {
        PlanName(self.plan.load())
    }

    pub(crate) fn set_plan(&self, plan: SharedName) {
        self.plan.store(plan);
    }

    /// Whether it may be used at a time, by what is on it and on its application.
    pub fn state(&self, now: Timestamp) -> KeyState {
        joined(self.own_state(now), self.application.lock(now))
    }

    /// The same, by what is on the key itself.
    pub(crate) fn own_state(&self, now: Timestamp) -> KeyState {
        if now.0 >= self.expires.load(Ordering::Relaxed) {
            return KeyState::Revoked;
        }
        if self.lock.is_revoked() {
            return KeyState::Revoked;
        }
        self.lock.notice(LockTarget::Key, now).map_or(KeyState::Active, KeyState::Locked)
    }

    /// Takes note of a call. Written only when a second has passed, so that the cores which share a busy
    /// key do not take its cache line from each other on every request.
    pub fn note_call(&self, now: Timestamp) {
        let known = self.last_call.load(Ordering::Relaxed);
        if now.0.saturating_sub(known) >= LAST_CALL_MILLIS {
            self.last_call.store(now.0, Ordering::Relaxed);
        }
    }

    /// When it last called, to the second, whether or not it was let through; `None` where it has not
    /// since this process started.
    pub fn last_call(&self) -> Option<Timestamp> {
        let known = self.last_call.load(Ordering::Relaxed);
        (known != i64::MIN).then_some(Timestamp(known))
    }

    /// Counts a read of its application that went out, in whatever state.
    pub fn note_sent_read(&self, method: CallMethod) {
        self.application.sent_reads.get_or_init(Box::default).note(method);
    }

    pub(crate) fn set_lock(&self, lock: Option<LockNotice>, count: &LockedCount) {
        self.lock.set(lock, count);
    }

    pub(crate) fn set_revoked(&self, count: &LockedCount) {
        self.lock.revoke(count);
    }

    pub(crate) fn set_expires(&self, at: Timestamp) {
        self.expires.store(at.0, Ordering::Release);
    }
}

/// Every key by its hash, for lookups without a lock.
#[derive(Debug, Default)]
pub struct KeyCache {
    by_hash: papaya::HashMap<KeyHash, Arc<KeyEntry>>,
    applications: papaya::HashMap<ApplicationId, Arc<ApplicationEntry>>,
    /// How many entries there are; the map counts only with an effort.
    len: AtomicU64,
    pub(crate) locked: Arc<LockedCount>,
    pub(crate) locked_applications: Arc<LockedCount>,
    pub(crate) origins: Arc<Origins>,
    /// Whether somebody is told of the reads of imported keys.
    counts_reads: AtomicBool,
}

impl KeyCache {
    /// A system that keys come from, whether or not it has any here yet.
    pub fn origin(&self, name: &str) -> Arc<KeyOrigin> {
        self.origins.named(name)
    }

    /// How many keys carry a lock, one that has just run out included.
    pub fn locked(&self) -> u64 {
        self.locked.number()
    }

    /// How many applications carry a lock, one that has just run out included.
    pub fn locked_applications(&self) -> u64 {
        self.locked_applications.number()
    }

    /// The key with a hash.
    pub fn find(&self, hash: &KeyHash) -> Option<Arc<KeyEntry>> {
        self.by_hash.pin().get(hash).cloned()
    }

    /// The application with an id, for a door that knows one that may have no key.
    pub fn application(&self, id: ApplicationId) -> Option<Arc<ApplicationEntry>> {
        self.applications.pin().get(&id).cloned()
    }

    /// How many keys there are, of any state.
    pub fn len(&self) -> u64 {
        self.len.load(Ordering::Relaxed)
    }

    /// Whether no key was ever issued.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(crate) fn insert_application(&self, entry: Arc<ApplicationEntry>) {
        self.applications.pin().insert(entry.id, entry);
    }

    /// Counts the reads of imported keys from now on.
    pub fn count_reads(&self) {
        self.counts_reads.store(true, Ordering::Relaxed);
    }

    /// Whether reads with this key are counted.
    pub fn counts_reads_of(&self, key: &KeyEntry) -> bool {
        key.form == KeyForm::Imported && self.counts_reads.load(Ordering::Relaxed)
    }

    pub(crate) fn insert(&self, hash: KeyHash, entry: Arc<KeyEntry>) {
        self.by_hash.pin().insert(hash, entry);
        self.len.fetch_add(1, Ordering::Relaxed);
    }
}

/// What the writer knows of keys and applications by row number.
#[derive(Clone, Debug, Default)]
pub(crate) struct Rows {
    keys: HashMap<i64, Arc<KeyEntry>>,
    applications: HashMap<i64, Arc<ApplicationEntry>>,
    plans: HashMap<String, SharedName>,
    pub(crate) locked: Arc<LockedCount>,
    pub(crate) origins: Arc<Origins>,
    pub(crate) locked_applications: Arc<LockedCount>,
}

impl Rows {
    /// No keys yet, whose locks will be counted in a table.
    pub(crate) fn of(table: &KeyCache) -> Self {
        let (locked, origins) = (table.locked.clone(), table.origins.clone());
        let locked_applications = table.locked_applications.clone();
        Self { locked, origins, locked_applications, ..Self::default() }
    }

    pub(crate) fn key(&self, row: i64) -> Option<&Arc<KeyEntry>> {
        self.keys.get(&row)
    }

    pub(crate) fn application(&self, row: i64) -> Option<&Arc<ApplicationEntry>> {
        self.applications.get(&row)
    }

    pub(crate) fn add_key(&mut self, key: Arc<KeyEntry>) {
        self.keys.insert(key.row, key);
    }

    pub(crate) fn add_application(&mut self, application: Arc<ApplicationEntry>) {
        self.applications.insert(application.row, application);
    }

    /// Plans are few and keys many: all keys of a plan share its name.
    pub(crate) fn plan(&mut self, name: &str) -> SharedName {
        if let Some(known) = self.plans.get(name) {
            return known.clone();
        }
        let shared: SharedName = Arc::new(name.into());
        self.plans.insert(name.to_owned(), shared.clone());
        shared
    }
}

//! Applications and keys: their rows, and the table in memory that every request is looked up in.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU8, AtomicU64, Ordering};

use keystile_core::decision::{ApplicationState, KeyState};
use keystile_core::key::{ApplicationId, KeyHash, KeyId};
use keystile_core::lock::{Lock, LockLevel};
use keystile_core::rate::RateState;
use keystile_core::refusal::LockNotice;
use keystile_core::time::Timestamp;
use rusqlite::{Connection, OptionalExtension, Row, params};

use crate::error::{Error, Result};

/// An application, as requests see it.
#[derive(Debug)]
pub struct ApplicationEntry {
    pub(crate) row: i64,
    /// Its id.
    pub id: ApplicationId,
    /// Its name.
    pub name: Box<str>,
    is_suspended: AtomicBool,
}

impl ApplicationEntry {
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
}

/// A key, as requests see it. Only the store's writer changes it, after the change is durable.
#[derive(Debug)]
pub struct KeyEntry {
    pub(crate) row: i64,
    /// Its id.
    pub id: KeyId,
    /// Its application.
    pub application: Arc<ApplicationEntry>,
    /// The name of its plan.
    pub plan: Arc<str>,
    /// Its use of the plan's rate limits.
    pub rate: RateState,
    standing: AtomicU8,
    /// When the lock opens by itself, `i64::MAX` for one that does not.
    locked_until: AtomicI64,
    /// When a rolled key stops working, `i64::MAX` for never.
    expires: AtomicI64,
}

const ACTIVE: u8 = 0;
const WRITES_LOCKED: u8 = 1;
const ALL_LOCKED: u8 = 2;
const REVOKED: u8 = 3;

impl KeyEntry {
    /// Its number, counted from 1 in the order of issue.
    pub fn number(&self) -> i64 {
        self.row
    }

    /// Whether it may be used at a time.
    pub fn state(&self, now: Timestamp) -> KeyState {
        if now.0 >= self.expires.load(Ordering::Relaxed) {
            return KeyState::Revoked;
        }
        let level = match self.standing.load(Ordering::Acquire) {
            ACTIVE => return KeyState::Active,
            WRITES_LOCKED => LockLevel::Writes,
            ALL_LOCKED => LockLevel::All,
            _ => return KeyState::Revoked,
        };
        let until = self.locked_until.load(Ordering::Acquire);
        if now.0 >= until {
            return KeyState::Active;
        }
        KeyState::Locked(LockNotice {
            level,
            until: (until != i64::MAX).then_some(Timestamp(until)),
        })
    }

    pub(crate) fn set_lock(&self, lock: Option<LockNotice>) {
        let Some(lock) = lock else {
            self.standing.store(ACTIVE, Ordering::Release);
            return;
        };
        self.locked_until.store(lock.until.map_or(i64::MAX, |until| until.0), Ordering::Release);
        let standing = match lock.level {
            LockLevel::Writes => WRITES_LOCKED,
            LockLevel::All => ALL_LOCKED,
        };
        self.standing.store(standing, Ordering::Release);
    }

    pub(crate) fn set_revoked(&self) {
        self.standing.store(REVOKED, Ordering::Release);
    }

    pub(crate) fn set_expires(&self, at: Timestamp) {
        self.expires.store(at.0, Ordering::Release);
    }
}

/// Every key by its hash, for lookups without a lock.
#[derive(Debug, Default)]
pub struct KeyTable {
    by_hash: papaya::HashMap<KeyHash, Arc<KeyEntry>>,
    /// How many entries there are; the map counts only with an effort.
    len: AtomicU64,
}

impl KeyTable {
    /// The key with a hash.
    pub fn find(&self, hash: &KeyHash) -> Option<Arc<KeyEntry>> {
        self.by_hash.pin().get(hash).cloned()
    }

    /// How many keys there are, of any state.
    pub fn len(&self) -> u64 {
        self.len.load(Ordering::Relaxed)
    }

    /// Whether no key was ever issued.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(crate) fn insert(&self, hash: KeyHash, entry: Arc<KeyEntry>) {
        self.by_hash.pin().insert(hash, entry);
        self.len.fetch_add(1, Ordering::Relaxed);
    }
}

/// What the writer knows of keys and applications by row number.
#[derive(Debug, Default)]
pub(crate) struct Rows {
    keys: HashMap<i64, Arc<KeyEntry>>,
    applications: HashMap<i64, Arc<ApplicationEntry>>,
    plans: HashMap<String, Arc<str>>,
}

impl Rows {
    pub(crate) fn key(&self, row: i64) -> Option<&Arc<KeyEntry>> {
        self.keys.get(&row)
    }

    pub(crate) fn application(&self, row: i64) -> Option<&Arc<ApplicationEntry>> {
        self.applications.get(&row)
    }

    /// Plans are few and keys many: all keys of a plan share its name.
    fn plan(&mut self, name: &str) -> Arc<str> {
        if let Some(known) = self.plans.get(name) {
            return known.clone();
        }
        let shared: Arc<str> = name.into();
        self.plans.insert(name.to_owned(), shared.clone());
        shared
    }
}

/// Reads all keys into memory.
pub(crate) fn load(connection: &Connection, table: &KeyTable) -> Result<Rows> {
    let mut rows = Rows::default();
    let mut statement = connection.prepare("SELECT id, uid, name, state FROM application")?;
    let mut applications = statement.query([])?;
    while let Some(row) = applications.next()? {
        let entry = ApplicationEntry {
            row: row.get(0)?,
            id: parsed(&row.get::<_, String>(1)?)?,
            name: row.get::<_, String>(2)?.into(),
            is_suspended: AtomicBool::new(row.get_ref(3)?.as_str() == Ok("suspended")),
        };
        rows.applications.insert(entry.row, Arc::new(entry));
    }
    let mut statement = connection
        .prepare("SELECT id, uid, application, plan, hash, expires, revoked, lock FROM key")?;
    let mut keys = statement.query([])?;
    while let Some(row) = keys.next()? {
        load_key(row, &mut rows, table)?;
    }
    Ok(rows)
}

fn load_key(row: &Row<'_>, rows: &mut Rows, table: &KeyTable) -> Result<()> {
    let application =
        rows.application(row.get(2)?).ok_or_else(|| corrupt("a key has no application"))?.clone();
    let hash = KeyHash::from_slice(row.get_ref(4)?.as_blob().map_err(rusqlite::Error::from)?)
        .ok_or_else(|| corrupt("a key's hash has another length"))?;
    let plan = rows.plan(&row.get::<_, String>(3)?);
    let entry = Arc::new(new_entry(
        row.get(0)?,
        parsed(row.get_ref(1)?.as_str().map_err(rusqlite::Error::from)?)?,
        application,
        plan,
    ));
    if let Some(expires) = row.get::<_, Option<i64>>(5)? {
        entry.set_expires(Timestamp(expires));
    }
    if let Some(lock) = row.get::<_, Option<String>>(7)? {
        let lock = lock_from(&lock)?;
        entry.set_lock(Some(LockNotice { level: lock.level, until: lock.until }));
    }
    if row.get::<_, Option<i64>>(6)?.is_some() {
        entry.set_revoked();
    }
    rows.keys.insert(entry.row, entry.clone());
    table.insert(hash, entry);
    Ok(())
}

fn new_entry(row: i64, id: KeyId, application: Arc<ApplicationEntry>, plan: Arc<str>) -> KeyEntry {
    KeyEntry {
        row,
        id,
        application,
        plan,
        rate: RateState::default(),
        standing: AtomicU8::new(ACTIVE),
        locked_until: AtomicI64::new(i64::MAX),
        expires: AtomicI64::new(i64::MAX),
    }
}

fn corrupt(fault: &str) -> Error {
    Error::Corrupt(fault.to_owned())
}

fn parsed<T: std::str::FromStr<Err: std::fmt::Display>>(text: &str) -> Result<T> {
    text.parse().map_err(|error: T::Err| Error::Corrupt(error.to_string()))
}

pub(crate) fn lock_from(json: &str) -> Result<Lock> {
    serde_json::from_str(json)
        .map_err(|error| Error::Corrupt(format!("a lock cannot be read: {error}")))
}

/// What an application is in the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApplicationRow {
    /// Its row number.
    pub row: i64,
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// The plan of its new keys.
    pub plan: String,
    /// Whether it may call.
    pub state: ApplicationState,
    /// When it was created.
    pub created: Timestamp,
    /// How many of its keys are not revoked.
    pub keys: u32,
}

/// What a key is in the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyRow {
    /// Its row number.
    pub row: i64,
    /// Its id.
    pub id: String,
    /// Its recognisable beginning.
    pub prefix: String,
    /// Its application's row number.
    pub application_row: i64,
    /// Its application's name.
    pub application: String,
    /// Its plan.
    pub plan: String,
    /// When it was issued.
    pub created: Timestamp,
    /// When it stops working.
    pub expires: Option<Timestamp>,
    /// Since when it is revoked.
    pub revoked: Option<Timestamp>,
    /// The lock that is on it, which may have run out.
    pub lock: Option<Lock>,
    /// How often a budget locked it.
    pub locks: u32,
    /// Records up to this one no longer count in its budgets.
    pub counts_after: i64,
}

/// Which keys to list.
#[derive(Clone, Debug, Default)]
pub struct KeyQuery {
    /// Only those of this application.
    pub application_row: Option<i64>,
    /// Only those on this plan.
    pub plan: Option<String>,
    /// Only those with a higher row number.
    pub after_row: i64,
    /// At most so many.
    pub limit: u32,
}

const KEY_COLUMNS: &str =
    "key.id, key.uid, key.prefix, key.application, application.name, key.plan, key.created,
    key.expires, key.revoked, key.lock, key.locks, key.counts_after
    FROM key JOIN application ON application.id = key.application";

fn key_row(row: &Row<'_>) -> Result<KeyRow> {
    let lock: Option<String> = row.get(9)?;
    Ok(KeyRow {
        row: row.get(0)?,
        id: row.get(1)?,
        prefix: row.get(2)?,
        application_row: row.get(3)?,
        application: row.get(4)?,
        plan: row.get(5)?,
        created: Timestamp(row.get(6)?),
        expires: row.get::<_, Option<i64>>(7)?.map(Timestamp),
        revoked: row.get::<_, Option<i64>>(8)?.map(Timestamp),
        lock: lock.as_deref().map(lock_from).transpose()?,
        locks: row.get(10)?,
        counts_after: row.get(11)?,
    })
}

/// Keys by row number.
pub fn list_keys(connection: &Connection, query: &KeyQuery) -> Result<Vec<KeyRow>> {
    let mut statement = connection.prepare_cached(&format!(
        "SELECT {KEY_COLUMNS} WHERE key.id > ?1 AND (?2 IS NULL OR key.application = ?2)
         AND (?3 IS NULL OR key.plan = ?3) ORDER BY key.id LIMIT ?4"
    ))?;
    statement
        .query_and_then(
            params![query.after_row, query.application_row, query.plan, query.limit],
            key_row,
        )?
        .collect()
}

/// The key with an id, or the one with a prefix where it is the only one.
pub fn find_key(connection: &Connection, id_or_prefix: &str) -> Result<KeyRow> {
    let mut statement = connection.prepare_cached(&format!(
        "SELECT {KEY_COLUMNS} WHERE key.uid = ?1 OR key.prefix = ?1 LIMIT 2"
    ))?;
    let mut found: Vec<KeyRow> =
        statement.query_and_then([id_or_prefix], key_row)?.collect::<Result<_>>()?;
    match (found.pop(), found.pop()) {
        (Some(key), None) => Ok(key),
        (None, _) => Err(Error::Missing(format!("key {id_or_prefix}"))),
        (Some(_), Some(_)) => {
            Err(Error::Conflict(format!("several keys begin with {id_or_prefix}; use the id")))
        }
    }
}

/// The key with a hash.
pub fn find_key_by_hash(connection: &Connection, hash: &KeyHash) -> Result<KeyRow> {
    let mut statement =
        connection.prepare_cached(&format!("SELECT {KEY_COLUMNS} WHERE key.hash = ?1"))?;
    let mut found = statement.query_and_then([hash.as_bytes().as_slice()], key_row)?;
    found.next().unwrap_or_else(|| Err(Error::Missing("key with this text".to_owned())))
}

/// Applications by name.
pub fn list_applications(connection: &Connection) -> Result<Vec<ApplicationRow>> {
    let mut statement = connection.prepare_cached(
        "SELECT id, uid, name, plan, state, created,
                (SELECT count(*) FROM key WHERE key.application = application.id AND revoked IS NULL)
         FROM application ORDER BY name",
    )?;
    statement.query_and_then([], application_row)?.collect()
}

/// The application with a name or id.
pub fn find_application(connection: &Connection, name_or_id: &str) -> Result<ApplicationRow> {
    let mut statement = connection.prepare_cached(
        "SELECT id, uid, name, plan, state, created,
                (SELECT count(*) FROM key WHERE key.application = application.id AND revoked IS NULL)
         FROM application WHERE name = ?1 OR uid = ?1 ORDER BY name = ?1 DESC LIMIT 1",
    )?;
    let found = statement.query_and_then([name_or_id], application_row)?.next();
    found.unwrap_or_else(|| Err(Error::Missing(format!("application {name_or_id}"))))
}

fn application_row(row: &Row<'_>) -> Result<ApplicationRow> {
    let is_suspended = row.get_ref(4)?.as_str() == Ok("suspended");
    Ok(ApplicationRow {
        row: row.get(0)?,
        id: row.get(1)?,
        name: row.get(2)?,
        plan: row.get(3)?,
        state: if is_suspended { ApplicationState::Suspended } else { ApplicationState::Active },
        created: Timestamp(row.get(5)?),
        keys: row.get(6)?,
    })
}

/// A key to issue.
#[derive(Clone, Debug)]
pub struct NewKeyRow {
    /// Its id.
    pub id: KeyId,
    /// The hash of its text.
    pub hash: KeyHash,
    /// Its recognisable beginning.
    pub prefix: String,
    /// Its plan.
    pub plan: String,
}

/// Inserts an application.
pub(crate) fn insert_application(
    connection: &Connection,
    rows: &mut Rows,
    id: ApplicationId,
    name: &str,
    plan: &str,
    now: Timestamp,
) -> Result<Arc<ApplicationEntry>> {
    let taken = connection
        .query_row("SELECT 1 FROM application WHERE name = ?1", [name], |_| Ok(()))
        .optional()?;
    if taken.is_some() {
        return Err(Error::Exists(format!("an application named {name}")));
    }
    connection.execute(
        "INSERT INTO application (uid, name, plan, state, created) VALUES (?1, ?2, ?3, 'active', ?4)",
        params![id.to_string(), name, plan, now.0],
    )?;
    let row = connection.last_insert_rowid();
    let entry = Arc::new(ApplicationEntry {
        row,
        id,
        name: name.into(),
        is_suspended: AtomicBool::new(false),
    });
    rows.applications.insert(row, entry.clone());
    Ok(entry)
}

/// Inserts a key; its entry is to be put into the table once the transaction is durable.
pub(crate) fn insert_key(
    connection: &Connection,
    rows: &mut Rows,
    application: &Arc<ApplicationEntry>,
    key: &NewKeyRow,
    now: Timestamp,
) -> Result<Arc<KeyEntry>> {
    let mut statement = connection.prepare_cached(
        "INSERT INTO key (uid, hash, prefix, application, plan, created) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    )?;
    let hash = key.hash.as_bytes().as_slice();
    statement.execute(params![
        key.id.to_string(),
        hash,
        key.prefix,
        application.row,
        key.plan,
        now.0
    ])?;
    let plan = rows.plan(&key.plan);
    let entry =
        Arc::new(new_entry(connection.last_insert_rowid(), key.id, application.clone(), plan));
    rows.keys.insert(entry.row, entry.clone());
    Ok(entry)
}

/// How many keys are active, locked and revoked.
pub fn count_states(connection: &Connection, now: Timestamp) -> Result<[u64; 3]> {
    let counted = connection.query_row(
        "SELECT coalesce(sum(revoked IS NOT NULL OR coalesce(expires <= ?1, 0)), 0),
                coalesce(sum(revoked IS NULL AND coalesce(expires > ?1, 1) AND lock IS NOT NULL), 0), count(*)
         FROM key",
        [now.0],
        |row| Ok([row.get::<_, i64>(0)?, row.get(1)?, row.get(2)?]),
    )?;
    let [revoked, locked, all] = counted.map(i64::unsigned_abs);
    Ok([all - locked - revoked, locked, revoked])
}

/// Whether a key was ever issued.
pub(crate) fn exist(connection: &Connection) -> Result<bool> {
    Ok(connection.query_row("SELECT EXISTS (SELECT 1 FROM key)", [], |row| row.get(0))?)
}

/// The plans of all keys that are not revoked.
pub fn plans_in_use(connection: &Connection) -> Result<Vec<String>> {
    let mut statement =
        connection.prepare("SELECT DISTINCT plan FROM key WHERE revoked IS NULL ORDER BY plan")?;
    Ok(statement.query_map([], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?)
}

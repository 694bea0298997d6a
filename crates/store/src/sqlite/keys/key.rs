//! Applications and keys in the database. Requests see them in [`crate::key_cache`].

use std::sync::Arc;

use keystile_core::keys::hash::KeyHash;
use keystile_core::keys::lock::Lock;
use keystile_core::refusal::LockNotice;
use keystile_core::time::Timestamp;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, Row, params};

use crate::error::{Error, Result};
use crate::key_cache::{ApplicationEntry, KeyCache, KeyEntry, Rows};
use crate::keys::{KeyRef, KeyRow, NewKeyRow};
use crate::sqlite::keys::application;
use crate::sqlite::keys::stored_lock::lock_from;
use crate::sqlite::row::parsed;

/// Reads all keys into memory.
pub(crate) fn load(connection: &Connection, table: &KeyCache) -> Result<Rows> {
    let mut rows = Rows::of(table);
    let mut statement = connection.prepare("SELECT id, uid, name, state, lock FROM application")?;
    let mut applications = statement.query([])?;
    while let Some(row) = applications.next()? {
        let id = parsed(&row.get::<_, String>(1)?)?;
        let (name, state): (String, _) = (row.get(2)?, application::state_from(row.get_ref(3)?));
        let entry = Arc::new(ApplicationEntry::new(row.get(0)?, id, &name, state));
        if let Some(lock) = row.get::<_, Option<String>>(4)? {
            let lock = LockNotice::from(&lock_from(&lock)?);
            entry.set_lock(Some(lock), &table.locked_applications);
        }
        table.insert_application(entry.clone());
        rows.add_application(entry);
    }
    let mut statement = connection.prepare(
        "SELECT id, uid, application, plan, hash, expires, revoked, lock, origin FROM key",
    )?;
    let mut keys = statement.query([])?;
    while let Some(row) = keys.next()? {
        load_key(row, &mut rows, table)?;
    }
    Ok(rows)
}

fn load_key(row: &Row<'_>, rows: &mut Rows, table: &KeyCache) -> Result<()> {
    let application =
        rows.application(row.get(2)?).ok_or_else(|| corrupt("a key has no application"))?.clone();
    let hash = hash_of(row.get_ref(4)?)?;
    let plan = rows.plan(&row.get::<_, String>(3)?);
    let origin = row.get_ref(8)?.as_str_or_null().map_err(rusqlite::Error::from)?;
    let origin = origin.map(|name| rows.origins.named(name));
    let entry = Arc::new(KeyEntry::new(
        row.get(0)?,
        parsed(row.get_ref(1)?.as_str().map_err(rusqlite::Error::from)?)?,
        origin,
        application,
        plan,
    ));
    if let Some(expires) = row.get::<_, Option<i64>>(5)? {
        entry.set_expires(Timestamp(expires));
    }
    if let Some(lock) = row.get::<_, Option<String>>(7)? {
        let lock = lock_from(&lock)?;
        entry.set_lock(Some(LockNotice::from(&lock)), &table.locked);
    }
    if row.get::<_, Option<i64>>(6)?.is_some() {
        entry.set_revoked(&table.locked);
    }
    rows.add_key(entry.clone());
    table.insert(hash, entry);
    Ok(())
}

fn hash_of(column: ValueRef<'_>) -> Result<KeyHash> {
    KeyHash::from_slice(column.as_blob().map_err(rusqlite::Error::from)?)
        .ok_or_else(|| corrupt("a key's hash has another length"))
}

fn corrupt(fault: &str) -> Error {
    Error::Corrupt(fault.to_owned())
}

/// A step through the table of keys.
#[derive(Clone, Debug, Default)]
pub(crate) struct KeyScan {
    /// Only those of this application.
    pub(crate) application_row: Option<i64>,
    /// Only those on this plan.
    pub(crate) plan: Option<String>,
    /// Only those that come from this system.
    pub(crate) origin: Option<String>,
    /// Only those with a higher row number.
    pub(crate) after_row: i64,
    /// At most so many.
    pub(crate) limit: u32,
    /// Only those that are locked.
    pub(crate) locked: LockedOnly,
}

/// Which keys of those that a scan passes are wanted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum LockedOnly {
    /// Locked or not.
    #[default]
    No,
    /// Those that carry a lock or whose application does, one that has just run out included.
    WithApplication,
    /// Those that carry one themselves.
    Themselves,
}

impl LockedOnly {
    /// The condition, for the partial indexes on locks where only those are wanted.
    fn sql(self) -> &'static str {
        match self {
            Self::No => "",
            Self::Themselves => "AND key.lock IS NOT NULL",
            Self::WithApplication => {
                "AND key.id IN (SELECT id FROM key WHERE lock IS NOT NULL UNION ALL
                     SELECT own.id FROM application AS locked
                     JOIN key AS own ON own.application = locked.id WHERE locked.lock IS NOT NULL)"
            }
        }
    }
}

const KEY_COLUMNS: &str =
    "key.id, key.uid, key.prefix, key.application, application.name, key.plan, key.created,
    key.expires, key.revoked, key.lock, key.locks, key.counts_after, key.note, key.hash, key.origin,
    application.lock
    FROM key JOIN application ON application.id = key.application";

fn key_row(row: &Row<'_>) -> Result<KeyRow> {
    let lock = |column| -> Result<Option<Lock>> {
        let lock: Option<String> = row.get(column)?;
        lock.as_deref().map(lock_from).transpose()
    };
    Ok(KeyRow {
        row: row.get(0)?,
        id: row.get(1)?,
        hash: hash_of(row.get_ref(13)?)?,
        prefix: row.get(2)?,
        origin: row.get(14)?,
        application_row: row.get(3)?,
        application: row.get(4)?,
        plan: row.get(5)?,
        created: Timestamp(row.get(6)?),
        expires: row.get::<_, Option<i64>>(7)?.map(Timestamp),
        revoked: row.get::<_, Option<i64>>(8)?.map(Timestamp),
        lock: lock(9)?,
        application_lock: lock(15)?,
        locks: row.get(10)?,
        counts_after: row.get(11)?,
        note: row.get(12)?,
    })
}

/// Keys by row number.
pub(crate) fn list_keys(connection: &Connection, query: &KeyScan) -> Result<Vec<KeyRow>> {
    let locked = query.locked.sql();
    let mut statement = connection.prepare_cached(&format!(
        "SELECT {KEY_COLUMNS} WHERE key.id > ?1 AND (?2 IS NULL OR key.application = ?2)
         AND (?3 IS NULL OR key.plan = ?3) AND (?5 IS NULL OR key.origin = ?5) {locked} ORDER BY key.id LIMIT ?4"
    ))?;
    statement
        .query_and_then(
            params![query.after_row, query.application_row, query.plan, query.limit, query.origin],
            key_row,
        )?
        .collect()
}

/// The key that is meant.
pub(crate) fn find(connection: &Connection, key: &KeyRef) -> Result<KeyRow> {
    match key {
        KeyRef::Named(id_or_prefix) => find_key(connection, id_or_prefix),
        KeyRef::Hashed(hash) => find_key_by_hash(connection, hash),
    }
}

/// The key with an id, or the one with a prefix where it is the only one.
pub(crate) fn find_key(connection: &Connection, id_or_prefix: &str) -> Result<KeyRow> {
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
pub(crate) fn find_key_by_hash(connection: &Connection, hash: &KeyHash) -> Result<KeyRow> {
    let mut statement =
        connection.prepare_cached(&format!("SELECT {KEY_COLUMNS} WHERE key.hash = ?1"))?;
    let mut found = statement.query_and_then([hash.as_bytes().as_slice()], key_row)?;
    found.next().unwrap_or_else(|| Err(Error::Missing("key with this text".to_owned())))
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
        "INSERT INTO key (uid, hash, prefix, application, plan, created, origin)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
    )?;
    let hash = key.hash.as_bytes().as_slice();
    statement.execute(params![
        key.id.to_string(),
        hash,
        key.prefix,
        application.row,
        key.plan,
        now.0,
        key.origin,
    ])?;
    let plan = rows.plan(&key.plan);
    let row = connection.last_insert_rowid();
    let origin = key.origin.as_ref().map(|name| rows.origins.named(name));
    let entry = Arc::new(KeyEntry::new(row, key.id, origin, application.clone(), plan));
    rows.add_key(entry.clone());
    Ok(entry)
}

/// The lock that a key carries, which may have run out.
pub(crate) fn lock_of(connection: &Connection, row: i64) -> Result<Option<Lock>> {
    let mut statement = connection.prepare_cached("SELECT lock FROM key WHERE id = ?1")?;
    let lock: Option<String> = statement.query_row([row], |row| row.get(0))?;
    lock.as_deref().map(lock_from).transpose()
}

/// How many keys are active, locked and revoked.
pub(crate) fn count_states(connection: &Connection, now: Timestamp) -> Result<[u64; 3]> {
    // The first two read only the partial indexes on keys that are locked or have an end.
    let counted = connection.query_row(
        "SELECT (SELECT count(*) FROM key WHERE (revoked IS NOT NULL OR expires IS NOT NULL)
                        AND (revoked IS NOT NULL OR expires <= ?1)),
                (SELECT count(*) FROM key WHERE key.id IN
                        (SELECT id FROM key WHERE lock IS NOT NULL UNION ALL
                         SELECT own.id FROM application AS locked
                         JOIN key AS own ON own.application = locked.id WHERE locked.lock IS NOT NULL)
                        AND revoked IS NULL AND coalesce(expires > ?1, 1)),
                (SELECT count(*) FROM key)",
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
pub(crate) fn plans_in_use(connection: &Connection) -> Result<Vec<String>> {
    // From one plan to the next by the index, rather than past every key.
    let mut statement = connection.prepare_cached(
        "WITH RECURSIVE used (plan) AS (
             SELECT min(plan) FROM key WHERE revoked IS NULL
             UNION ALL
             SELECT (SELECT min(plan) FROM key WHERE revoked IS NULL AND plan > used.plan)
             FROM used WHERE plan IS NOT NULL)
         SELECT plan FROM used WHERE plan IS NOT NULL",
    )?;
    Ok(statement.query_map([], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?)
}

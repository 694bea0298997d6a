//! Applications in the database. Requests see them in [`crate::key_cache`].

use std::sync::Arc;

use keystile_core::keys::application::{ApplicationId, ApplicationState};
use keystile_core::keys::lock::Lock;
use keystile_core::time::Timestamp;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, OptionalExtension, Row, params};

use crate::applications::ApplicationRow;
use crate::error::{Error, Result};
use crate::key_cache::{ApplicationEntry, Rows};
use crate::sqlite::keys::stored_lock::lock_from;

const COLUMNS: &str = "SELECT id, uid, name, plan, state, created,
    (SELECT count(*) FROM key WHERE key.application = application.id AND revoked IS NULL), note, lock
    FROM application";

pub(super) fn state_from(column: ValueRef<'_>) -> ApplicationState {
    if column.as_str() == Ok("suspended") {
        ApplicationState::Suspended
    } else {
        ApplicationState::Active
    }
}

/// Applications by name, after one, at most so many.
pub(crate) fn list_applications(
    connection: &Connection,
    after: &str,
    limit: u32,
) -> Result<Vec<ApplicationRow>> {
    let mut statement =
        connection.prepare_cached(&format!("{COLUMNS} WHERE name > ?1 ORDER BY name LIMIT ?2"))?;
    statement.query_and_then(params![after, limit], application_row)?.collect()
}

/// The application with a name or id.
pub(crate) fn find_application(
    connection: &Connection,
    name_or_id: &str,
) -> Result<ApplicationRow> {
    let mut statement = connection.prepare_cached(&format!(
        "{COLUMNS} WHERE name = ?1 OR uid = ?1 ORDER BY name = ?1 DESC LIMIT 1"
    ))?;
    let found = statement.query_and_then([name_or_id], application_row)?.next();
    found.unwrap_or_else(|| Err(Error::Missing(format!("application {name_or_id}"))))
}

/// The row number of the application with a name or id. Unlike [`find_application`] it counts no keys.
pub(crate) fn application_row_of(connection: &Connection, name_or_id: &str) -> Result<i64> {
    let mut statement = connection.prepare_cached(
        "SELECT id FROM application WHERE name = ?1 OR uid = ?1 ORDER BY name = ?1 DESC LIMIT 1",
    )?;
    let found = statement.query_row([name_or_id], |row| row.get(0)).optional()?;
    found.ok_or_else(|| Error::Missing(format!("application {name_or_id}")))
}

fn application_row(row: &Row<'_>) -> Result<ApplicationRow> {
    Ok(ApplicationRow {
        row: row.get(0)?,
        id: row.get(1)?,
        name: row.get(2)?,
        plan: row.get(3)?,
        state: state_from(row.get_ref(4)?),
        created: Timestamp(row.get(5)?),
        keys: row.get(6)?,
        note: row.get(7)?,
        lock: row.get::<_, Option<String>>(8)?.as_deref().map(lock_from).transpose()?,
    })
}

/// The lock that an application carries, which may have run out.
pub(crate) fn lock_of_application(connection: &Connection, row: i64) -> Result<Option<Lock>> {
    let mut statement = connection.prepare_cached("SELECT lock FROM application WHERE id = ?1")?;
    let lock: Option<String> = statement.query_row([row], |row| row.get(0))?;
    lock.as_deref().map(lock_from).transpose()
}

/// Applications that carry a lock, by name, at most so many. By the partial index on their locks.
pub(crate) fn locked_applications(
    connection: &Connection,
    limit: u32,
) -> Result<Vec<ApplicationRow>> {
    let mut statement = connection
        .prepare_cached(&format!("{COLUMNS} WHERE lock IS NOT NULL ORDER BY name LIMIT ?1"))?;
    statement.query_and_then([limit], application_row)?.collect()
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
    let entry = Arc::new(ApplicationEntry::new(row, id, name, ApplicationState::Active));
    rows.add_application(entry.clone());
    Ok(entry)
}

/// Keys of an application on a plan that are not revoked, some at once.
pub(crate) fn some_on_plan(
    connection: &Connection,
    application_row: i64,
    plan: &str,
    (after, limit): (i64, u32),
) -> Result<Vec<i64>> {
    let mut statement = connection.prepare_cached(
        "SELECT id FROM key WHERE application = ?1 AND plan = ?2 AND revoked IS NULL AND id > ?3
         ORDER BY id LIMIT ?4",
    )?;
    let rows =
        statement.query_map(params![application_row, plan, after, limit], |row| row.get(0))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// The plans of an application's keys that are not revoked, at most so many.
pub(crate) fn plans_of_application(
    connection: &Connection,
    row: i64,
    limit: u32,
) -> Result<Vec<String>> {
    // By the partial index `key_usable`.
    let mut statement = connection.prepare_cached(
        "SELECT DISTINCT plan FROM key WHERE application = ?1 AND revoked IS NULL
         ORDER BY plan LIMIT ?2",
    )?;
    let plans = statement.query_map(params![row, limit], |row| row.get(0))?;
    Ok(plans.collect::<rusqlite::Result<_>>()?)
}

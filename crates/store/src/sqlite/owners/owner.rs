//! Owners.
//!
//! What a passkey and a password are inside is not looked at here: the first is a text that the console
//! made with its credential's id beside it, the second a text that the console hashed.

use keystile_core::actor::Actor;
use keystile_core::owners::secret::PasswordHash;
use keystile_core::time::Timestamp;
use rusqlite::{Connection, Row};
use uuid::Uuid;

use crate::error::{Error, Result};
use crate::owners::OwnerRow;
use crate::sqlite::audit::event::{Event, EventKind};
use crate::sqlite::row::parsed;
use crate::sqlite::writer::write_tx::WriteTx;

const OWNER_COLUMNS: &str =
    "owner.id, owner.uid, owner.name, owner.handle, owner.password, owner.created,
    (SELECT count(*) FROM passkey WHERE passkey.owner = owner.id),
    (SELECT count(*) FROM recovery_code WHERE recovery_code.owner = owner.id AND used IS NULL)";

fn owner_row(row: &Row<'_>) -> Result<OwnerRow> {
    let handle: Vec<u8> = row.get(3)?;
    Ok(OwnerRow {
        row: row.get(0)?,
        id: parsed(&row.get::<_, String>(1)?)?,
        name: row.get(2)?,
        handle: Uuid::from_slice(&handle)
            .map_err(|_| Error::Corrupt("an owner's handle has another length".to_owned()))?,
        password: row.get::<_, Option<String>>(4)?.map(PasswordHash::new),
        created: Timestamp(row.get(5)?),
        passkeys: row.get(6)?,
        recovery_codes: row.get(7)?,
    })
}

/// Owners by name.
pub(crate) fn list(connection: &Connection) -> Result<Vec<OwnerRow>> {
    let mut statement = connection
        .prepare_cached(&format!("SELECT {OWNER_COLUMNS} FROM owner ORDER BY owner.name"))?;
    statement.query_and_then([], owner_row)?.collect()
}

/// Whether there is an owner.
pub(crate) fn exist(connection: &Connection) -> Result<bool> {
    Ok(connection.query_row("SELECT EXISTS (SELECT 1 FROM owner)", [], |row| row.get(0))?)
}

/// The owner with a name or id, where there is one.
pub(crate) fn find_any(connection: &Connection, name_or_id: &str) -> Result<Option<OwnerRow>> {
    find_where(connection, "owner.name = ?1 OR owner.uid = ?1", &name_or_id)
}

/// The owner with a name or id.
pub(crate) fn find(connection: &Connection, name_or_id: &str) -> Result<OwnerRow> {
    let found = find_any(connection, name_or_id)?;
    found.ok_or_else(|| Error::Missing(format!("owner {name_or_id}")))
}

pub(crate) fn find_where(
    connection: &Connection,
    condition: &str,
    value: &dyn rusqlite::ToSql,
) -> Result<Option<OwnerRow>> {
    let mut statement = connection
        .prepare_cached(&format!("SELECT {OWNER_COLUMNS} FROM owner WHERE {condition} LIMIT 1"))?;
    statement.query_and_then([value], owner_row)?.next().transpose()
}

/// Removes an owner; never the last one.
pub(crate) fn remove(tx: &mut WriteTx<'_>, name_or_id: &str, actor: &Actor) -> Result<OwnerRow> {
    let owner = find(tx.connection, name_or_id)?;
    let others: i64 = tx.connection.query_row(
        "SELECT count(*) FROM owner WHERE id <> ?1",
        [owner.row],
        |row| row.get(0),
    )?;
    if others == 0 {
        return Err(Error::Conflict(format!(
            "the owner {} is the last one, and without one nobody can sign in",
            owner.name
        )));
    }
    // What they sign in with, their sessions and their devices go with the row: ON DELETE CASCADE.
    tx.connection.execute("DELETE FROM owner WHERE id = ?1", [owner.row])?;
    // They may have made one, to come back by it.
    tx.connection.execute("DELETE FROM claim WHERE used IS NULL", [])?;
    let detail = "their sessions have ended";
    tx.record_event(&Event::named(EventKind::OwnerRemoved, Some(&owner.name), actor, detail))?;
    Ok(owner)
}

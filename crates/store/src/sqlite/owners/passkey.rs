//! Passkeys of owners.

use keystile_core::actor::Actor;
use keystile_core::owners::owner::OwnerId;
use keystile_core::owners::passkey::PasskeyId;
use keystile_core::time::Timestamp;
use rusqlite::{Connection, OptionalExtension, Row, params};
use uuid::Uuid;

use crate::error::{Error, Result};
use crate::owners::credentials::PasskeyRow;
use crate::owners::{NewPasskeyRow, OwnerRow};
use crate::sqlite::audit::event::{Event, EventKind};
use crate::sqlite::owners::owner;
use crate::sqlite::row::parsed;
use crate::sqlite::writer::write_tx::WriteTx;

const COLUMNS: &str = "uid, credential, name, data, created, used FROM passkey";

fn passkey_row(row: &Row<'_>) -> Result<PasskeyRow> {
    Ok(PasskeyRow {
        id: parsed(&row.get::<_, String>(0)?)?,
        credential: row.get(1)?,
        name: row.get(2)?,
        data: row.get(3)?,
        created: Timestamp(row.get(4)?),
        used: row.get::<_, Option<i64>>(5)?.map(Timestamp),
    })
}

/// The passkeys of an owner, oldest first.
pub(crate) fn list(connection: &Connection, owner: OwnerId) -> Result<Vec<PasskeyRow>> {
    let owner = owner::find(connection, &owner.to_string())?;
    list_of(connection, owner.row)
}

fn list_of(connection: &Connection, owner_row: i64) -> Result<Vec<PasskeyRow>> {
    let mut statement =
        connection.prepare_cached(&format!("SELECT {COLUMNS} WHERE owner = ?1 ORDER BY id"))?;
    statement.query_and_then([owner_row], passkey_row)?.collect()
}

/// The owner whom passkeys know by a handle, with the one of their passkeys that has a credential's id.
pub(crate) fn find(
    connection: &Connection,
    handle: Uuid,
    credential: &[u8],
) -> Result<Option<(OwnerRow, PasskeyRow)>> {
    let found = owner::find_where(connection, "owner.handle = ?1", &handle.as_bytes().as_slice())?;
    let Some(owner) = found else {
        return Ok(None);
    };
    let mut statement = connection
        .prepare_cached(&format!("SELECT {COLUMNS} WHERE credential = ?1 AND owner = ?2"))?;
    let found = statement.query_and_then(params![credential, owner.row], passkey_row)?.next();
    Ok(found.transpose()?.map(|passkey| (owner, passkey)))
}

pub(crate) fn insert(tx: &WriteTx<'_>, owner_row: i64, new: &NewPasskeyRow) -> Result<()> {
    let NewPasskeyRow { id, credential, name, data } = new;
    let is_known = tx
        .connection
        .query_row("SELECT 1 FROM passkey WHERE credential = ?1", [credential], |_| Ok(()))
        .optional()?;
    if is_known.is_some() {
        return Err(Error::Exists("this passkey".to_owned()));
    }
    tx.connection.execute(
        "INSERT INTO passkey (uid, owner, credential, name, data, created)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        params![id.to_string(), owner_row, credential, name, data, tx.now.0],
    )?;
    Ok(())
}

/// Gives an owner another passkey.
pub(crate) fn add(
    tx: &mut WriteTx<'_>,
    owner: OwnerId,
    new: &NewPasskeyRow,
    actor: &Actor,
) -> Result<()> {
    let owner = owner::find(tx.connection, &owner.to_string())?;
    insert(tx, owner.row, new)?;
    tx.record_event(&Event::named(EventKind::PasskeyAdded, Some(&owner.name), actor, &new.name))
}

/// Takes a passkey from an owner; never what they last sign in with.
pub(crate) fn remove(
    tx: &mut WriteTx<'_>,
    owner: OwnerId,
    passkey: PasskeyId,
    actor: &Actor,
) -> Result<()> {
    let owner = owner::find(tx.connection, &owner.to_string())?;
    let passkeys = list_of(tx.connection, owner.row)?;
    let Some(found) = passkeys.iter().find(|known| known.id == passkey) else {
        return Err(Error::Missing(format!("passkey {passkey} of {}", owner.name)));
    };
    if passkeys.len() == 1 && owner.password.is_none() {
        return Err(Error::Conflict(format!(
            "the owner {} has no other passkey and no password to sign in with",
            owner.name
        )));
    }
    tx.connection.execute("DELETE FROM passkey WHERE uid = ?1", [passkey.to_string()])?;
    tx.record_event(&Event::named(EventKind::PasskeyRemoved, Some(&owner.name), actor, &found.name))
}

/// Keeps what a passkey became when it signed its owner in.
pub(crate) fn update(tx: &mut WriteTx<'_>, credential: &[u8], data: &str) -> Result<()> {
    let updated = tx.connection.execute(
        "UPDATE passkey SET data = ?2, used = ?3 WHERE credential = ?1",
        params![credential, data, tx.now.0],
    )?;
    if updated == 1 { Ok(()) } else { Err(Error::Missing("passkey of this kind".to_owned())) }
}

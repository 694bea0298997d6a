//! Passwords of owners, as the console hashed them.

use keystile_core::actor::Actor;
use keystile_core::owners::owner::OwnerId;
use keystile_core::owners::secret::PasswordHash;
use rusqlite::params;

use crate::error::Result;
use crate::owners::sessions::SessionsToEnd;
use crate::sqlite::audit::event::{Event, EventKind};
use crate::sqlite::owners::{owner, session};
use crate::sqlite::writer::write_tx::WriteTx;

pub(crate) fn write(tx: &WriteTx<'_>, owner_row: i64, password: &PasswordHash) -> Result<()> {
    tx.connection.execute(
        "UPDATE owner SET password = ?2 WHERE id = ?1",
        params![owner_row, password.expose()],
    )?;
    Ok(())
}

/// Gives an owner a password, in the place of one before, and ends those sessions: whoever knew the old
/// one may be signed in.
pub(crate) fn set(
    tx: &mut WriteTx<'_>,
    owner: OwnerId,
    password: &PasswordHash,
    ended: &SessionsToEnd,
    actor: &Actor,
) -> Result<()> {
    let row = owner::find(tx.connection, &owner.to_string())?;
    write(tx, row.row, password)?;
    let detail = if row.password.is_some() { "in the place of another" } else { "" };
    tx.record_event(&Event::named(EventKind::PasswordSet, Some(&row.name), actor, detail))?;
    session::end_some(tx, owner, ended, actor)?;
    Ok(())
}

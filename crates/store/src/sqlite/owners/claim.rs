//! Claim links, with which somebody becomes an owner.

use keystile_core::actor::Actor;
use keystile_core::owners::secret::SecretHash;
use keystile_core::time::{Span, Timestamp};
use rusqlite::{Connection, params};

use crate::error::{Error, Result};
use crate::owners::{NewCredential, NewOwnerRow, OwnerRow};
use crate::sqlite::audit::event::{Event, EventKind};
use crate::sqlite::owners::{owner, passkey, password, recovery};
use crate::sqlite::writer::write_tx::WriteTx;

/// Whether a claim link can still be used.
pub(crate) fn is_open(connection: &Connection, hash: &SecretHash, now: Timestamp) -> Result<bool> {
    let mut statement = connection.prepare_cached(
        "SELECT EXISTS (SELECT 1 FROM claim WHERE hash = ?1 AND used IS NULL AND expires > ?2)",
    )?;
    Ok(statement.query_row(params![hash.as_bytes().as_slice(), now.0], |row| row.get(0))?)
}

/// Makes a claim link, in the place of one that was not used. Says when it ends.
pub(crate) fn create(
    tx: &mut WriteTx<'_>,
    hash: &SecretHash,
    works_for: Span,
    actor: &Actor,
) -> Result<Timestamp> {
    let expires = tx.now.plus(works_for);
    tx.connection.execute("DELETE FROM claim WHERE used IS NULL OR expires <= ?1", [tx.now.0])?;
    tx.connection.execute(
        "INSERT INTO claim (hash, created, expires) VALUES (?1, ?2, ?3)",
        params![hash.as_bytes().as_slice(), tx.now.0, expires.0],
    )?;
    let detail = format!("works once, until {}", expires.readable());
    tx.record_event(&Event::named(EventKind::ClaimLinkMade, None, actor, &detail))?;
    Ok(expires)
}

/// Makes somebody an owner by a claim link, which is used up with it: all of it or nothing.
pub(crate) fn claim(
    tx: &mut WriteTx<'_>,
    hash: &SecretHash,
    new: &NewOwnerRow,
) -> Result<OwnerRow> {
    let claimed = tx.connection.execute(
        "UPDATE claim SET used = ?2 WHERE hash = ?1 AND used IS NULL AND expires > ?2",
        params![hash.as_bytes().as_slice(), tx.now.0],
    )?;
    if claimed != 1 {
        return Err(Error::Conflict("this link was used, or its time is over".to_owned()));
    }
    let is_taken = owner::find_where(tx.connection, "owner.name = ?1", &new.name)?.is_some();
    if is_taken {
        return Err(Error::Exists(format!("an owner named {}", new.name)));
    }
    tx.connection.execute(
        "INSERT INTO owner (uid, name, handle, created) VALUES (?1, ?2, ?3, ?4)",
        params![new.id.to_string(), new.name, new.handle.as_bytes().as_slice(), tx.now.0],
    )?;
    let row = tx.connection.last_insert_rowid();
    let with = match &new.credential {
        NewCredential::Passkey(_) => "a passkey",
        NewCredential::Password(_) => "a password",
    };
    let actor = Actor::Owner(new.name.clone());
    let detail = format!("by a claim link, with {with}");
    tx.record_event(&Event::named(EventKind::OwnerCreated, Some(&new.name), &actor, &detail))?;
    match &new.credential {
        NewCredential::Passkey(new) => passkey::insert(tx, row, new)?,
        NewCredential::Password(new) => password::write(tx, row, new)?,
    }
    recovery::replace(tx, row, &new.recovery_codes)?;
    owner::find(tx.connection, &new.id.to_string())
}

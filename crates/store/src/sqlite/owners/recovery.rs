//! Recovery codes of owners.

use keystile_core::actor::Actor;
use keystile_core::owners::owner::OwnerId;
use keystile_core::owners::secret::SecretHash;
use rusqlite::params;

use crate::error::Result;
use crate::owners::OwnerRow;
use crate::sqlite::audit::event::{Event, EventKind};
use crate::sqlite::owners::owner;
use crate::sqlite::writer::write_tx::WriteTx;

pub(crate) fn replace(tx: &WriteTx<'_>, owner_row: i64, hashes: &[SecretHash]) -> Result<()> {
    tx.connection.execute("DELETE FROM recovery_code WHERE owner = ?1", [owner_row])?;
    for hash in hashes {
        tx.connection.execute(
            "INSERT INTO recovery_code (hash, owner) VALUES (?1, ?2)",
            params![hash.as_bytes().as_slice(), owner_row],
        )?;
    }
    Ok(())
}

/// Gives an owner recovery codes; those before them are void.
pub(crate) fn make(
    tx: &mut WriteTx<'_>,
    owner: OwnerId,
    hashes: &[SecretHash],
    actor: &Actor,
) -> Result<()> {
    let owner = owner::find(tx.connection, &owner.to_string())?;
    replace(tx, owner.row, hashes)?;
    let detail = format!("{} codes; those before them are void", hashes.len());
    tx.record_event(&Event::named(EventKind::RecoveryCodesMade, Some(&owner.name), actor, &detail))
}

/// Uses up a recovery code of an owner; `None` where it is not theirs or was used.
pub(crate) fn use_up(
    tx: &mut WriteTx<'_>,
    name: &str,
    hash: &SecretHash,
) -> Result<Option<OwnerRow>> {
    let Some(owner) = owner::find_where(tx.connection, "owner.name = ?1", &name)? else {
        return Ok(None);
    };
    let used = tx.connection.execute(
        "UPDATE recovery_code SET used = ?3 WHERE hash = ?1 AND owner = ?2 AND used IS NULL",
        params![hash.as_bytes().as_slice(), owner.row, tx.now.0],
    )?;
    if used != 1 {
        return Ok(None);
    }
    let owner = owner::find(tx.connection, &owner.id.to_string())?;
    let detail = format!("{} are left", owner.recovery_codes);
    let actor = Actor::Owner(owner.name.clone());
    tx.record_event(&Event::named(
        EventKind::RecoveryCodeUsed,
        Some(&owner.name),
        &actor,
        &detail,
    ))?;
    Ok(Some(owner))
}

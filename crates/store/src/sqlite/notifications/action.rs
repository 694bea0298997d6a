//! Action links that acted: each acts once.

use keystile_core::actor::Actor;
use keystile_core::keys::key::KeyId;
use keystile_core::keys::lock::{Lock, LockLevel, LockTarget};
use keystile_core::owners::secret::SecretHash;
use keystile_core::time::Timestamp;
use rusqlite::{Connection, params};

use crate::error::{Error, Result};
use crate::owners::action_links::{LinkLock, LinkTarget};
use crate::sqlite::keys::key;
use crate::sqlite::writer::write_tx::WriteTx;

/// Whether a link has acted, and the key that it is for.
pub(crate) fn target(connection: &Connection, hash: &SecretHash, key: KeyId) -> Result<LinkTarget> {
    let mut statement =
        connection.prepare_cached("SELECT EXISTS (SELECT 1 FROM action_used WHERE hash = ?1)")?;
    let was_used: bool = statement.query_row([hash.as_bytes().as_slice()], |row| row.get(0))?;
    if was_used {
        return Ok(LinkTarget::Used);
    }
    match key::find_key(connection, &key.to_string()) {
        Ok(row) if row.revoked.is_none() => Ok(LinkTarget::Key(Box::new(row))),
        Ok(_) | Err(Error::Missing(_)) => Ok(LinkTarget::NoKey),
        Err(error) => Err(error),
    }
}

/// Uses a link up and locks its key: both, or neither. Of two that come at once one finds it used,
/// because changes come one by one.
pub(crate) fn lock(tx: &mut WriteTx<'_>, link: &LinkLock, actor: &Actor) -> Result<LinkTarget> {
    let first = tx
        .connection
        .prepare_cached(
            "INSERT OR IGNORE INTO action_used (hash, time, expires) VALUES (?1, ?2, ?3)",
        )?
        .execute(params![link.hash.as_bytes().as_slice(), tx.now.0, link.remembered.0])?;
    if first == 0 {
        return Ok(LinkTarget::Used);
    }
    let id = link.key.to_string();
    let (_, entry) = tx.find_key(&id)?;
    let lock = Lock {
        level: LockLevel::Writes,
        reason: link.reason.clone(),
        actor: actor.clone(),
        since: tx.now,
        until: None,
        evidence: None,
        on: LockTarget::Key,
    };
    tx.lock_key(&entry, lock)?;
    let (row, _) = tx.find_key(&id)?;
    Ok(LinkTarget::Key(Box::new(row)))
}

impl WriteTx<'_> {
    /// Forgets uses of links that expired before a time.
    pub(crate) fn forget_actions(&mut self, before: Timestamp) -> Result<usize> {
        Ok(self.connection.execute("DELETE FROM action_used WHERE expires < ?1", [before.0])?)
    }
}

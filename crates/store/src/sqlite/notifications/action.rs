//! Action links that acted: each acts once.

use keystile_core::owners::secret::SecretHash;
use keystile_core::time::Timestamp;
use rusqlite::{Connection, OptionalExtension, params};

use crate::error::Result;
use crate::sqlite::writer::write_tx::WriteTx;

/// When a link acted, if it did.
pub fn used_at(connection: &Connection, hash: &SecretHash) -> Result<Option<Timestamp>> {
    let mut statement =
        connection.prepare_cached("SELECT time FROM action_used WHERE hash = ?1")?;
    let found = statement.query_row([hash.as_bytes().as_slice()], |row| row.get(0)).optional()?;
    Ok(found.map(Timestamp))
}

/// Whether a link may act.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FirstUse {
    /// It acts now, and never again.
    Yes,
    /// It has acted.
    No,
}

impl WriteTx<'_> {
    /// Uses a link up. Of two that come at once one finds it used, because changes come one by one.
    pub fn use_action(&mut self, hash: &SecretHash, expires: Timestamp) -> Result<FirstUse> {
        let mut statement = self.connection.prepare_cached(
            "INSERT OR IGNORE INTO action_used (hash, time, expires) VALUES (?1, ?2, ?3)",
        )?;
        let hash = hash.as_bytes().as_slice();
        Ok(match statement.execute(params![hash, self.now.0, expires.0])? {
            0 => FirstUse::No,
            1.. => FirstUse::Yes,
        })
    }

    /// Forgets uses of links that expired before a time.
    pub fn forget_actions(&mut self, before: Timestamp) -> Result<usize> {
        Ok(self.connection.execute("DELETE FROM action_used WHERE expires < ?1", [before.0])?)
    }
}

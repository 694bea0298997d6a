//! Sessions of owners at the console. How long one lasts is a rule of the core.

use keystile_core::key::OwnerId;
use keystile_core::owners::secret::SecretHash;
use keystile_core::owners::session::SessionTimes;
use keystile_core::time::Timestamp;
use rusqlite::{Connection, OptionalExtension, Row, params};

use crate::error::{Error, Result};
use crate::sqlite::owners::owner;
use crate::sqlite::writer::write_tx::WriteTx;

/// A session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionRow {
    /// The hash of its secret.
    pub hash: SecretHash,
    /// The row number of its owner.
    pub owner_row: i64,
    /// When it began, was last seen and last proved.
    pub times: SessionTimes,
    /// Where it began.
    pub address: String,
    /// What its browser calls itself.
    pub agent: String,
}

const COLUMNS: &str = "hash, owner, created, seen, proved, address, agent FROM session";

fn session_row(row: &Row<'_>) -> Result<SessionRow> {
    let hash = row.get_ref(0)?.as_blob().map_err(rusqlite::Error::from)?;
    Ok(SessionRow {
        hash: SecretHash::from_slice(hash)
            .ok_or_else(|| Error::Corrupt("a session's hash has another length".to_owned()))?,
        owner_row: row.get(1)?,
        times: SessionTimes {
            created: Timestamp(row.get(2)?),
            seen: Timestamp(row.get(3)?),
            proved: Timestamp(row.get(4)?),
        },
        address: row.get(5)?,
        agent: row.get(6)?,
    })
}

/// The session with a secret, of whatever age, and its owner.
pub fn find(
    connection: &Connection,
    hash: &SecretHash,
) -> Result<Option<(SessionRow, owner::OwnerRow)>> {
    let mut statement = connection.prepare_cached(&format!("SELECT {COLUMNS} WHERE hash = ?1"))?;
    let found = statement.query_and_then([hash.as_bytes().as_slice()], session_row)?.next();
    let Some(session) = found.transpose()? else {
        return Ok(None);
    };
    let owner = owner::find_where(connection, "owner.id = ?1", &session.owner_row)?;
    Ok(owner.map(|owner| (session, owner)))
}

/// The sessions of an owner, of whatever age, latest first.
pub fn list(connection: &Connection, owner: OwnerId) -> Result<Vec<SessionRow>> {
    let mut statement = connection.prepare_cached(&format!(
        "SELECT {COLUMNS} WHERE owner = (SELECT id FROM owner WHERE uid = ?1) ORDER BY seen DESC"
    ))?;
    statement.query_and_then([owner.to_string()], session_row)?.collect()
}

/// A session to begin.
#[derive(Clone, Debug)]
pub struct NewSessionRow {
    /// The hash of its secret.
    pub hash: SecretHash,
    /// Whose it is.
    pub owner: OwnerId,
    /// Where it begins.
    pub address: String,
    /// What its browser calls itself.
    pub agent: String,
}

impl WriteTx<'_> {
    /// Begins a session, proved just now.
    pub fn insert_session(&mut self, new: &NewSessionRow) -> Result<owner::OwnerRow> {
        let owner = owner::find(self.connection, &new.owner.to_string())?;
        self.connection.execute(
            "INSERT INTO session (hash, owner, created, seen, proved, address, agent)
             VALUES (?1, ?2, ?3, ?3, ?3, ?4, ?5)",
            params![new.hash.as_bytes().as_slice(), owner.row, self.now.0, new.address, new.agent],
        )?;
        Ok(owner)
    }

    /// Notes that a session was seen.
    pub fn touch_session(&mut self, hash: &SecretHash) -> Result<()> {
        self.connection
            .prepare_cached("UPDATE session SET seen = ?2 WHERE hash = ?1")?
            .execute(params![hash.as_bytes().as_slice(), self.now.0])?;
        Ok(())
    }

    /// Notes that a session's owner has just proved who they are.
    pub fn prove_session(&mut self, hash: &SecretHash) -> Result<()> {
        let proved = self.connection.execute(
            "UPDATE session SET seen = ?2, proved = ?2 WHERE hash = ?1",
            params![hash.as_bytes().as_slice(), self.now.0],
        )?;
        if proved == 1 { Ok(()) } else { Err(Error::Missing("session of this kind".to_owned())) }
    }

    /// Ends a session; the name of its owner, where it was there.
    pub fn delete_session(&mut self, hash: &SecretHash) -> Result<Option<String>> {
        let hash = hash.as_bytes().as_slice();
        let owner = self
            .connection
            .query_row(
                "SELECT name FROM owner WHERE id = (SELECT owner FROM session WHERE hash = ?1)",
                [hash],
                |row| row.get(0),
            )
            .optional()?;
        self.connection.execute("DELETE FROM session WHERE hash = ?1", [hash])?;
        Ok(owner)
    }

    /// Deletes sessions that began or were last seen before these times, and links whose time is over.
    pub fn delete_over(&mut self, created: Timestamp, seen: Timestamp) -> Result<()> {
        self.connection
            .prepare_cached("DELETE FROM session WHERE created <= ?1 OR seen <= ?2")?
            .execute([created.0, seen.0])?;
        self.connection
            .prepare_cached("DELETE FROM claim WHERE expires <= ?1")?
            .execute([self.now.0])?;
        Ok(())
    }
}

/// Whether [`WriteTx::delete_over`] has something to do.
pub fn has_over(
    connection: &Connection,
    created: Timestamp,
    seen: Timestamp,
    now: Timestamp,
) -> Result<bool> {
    let mut statement = connection.prepare_cached(
        "SELECT EXISTS (SELECT 1 FROM session WHERE created <= ?1 OR seen <= ?2)
             OR EXISTS (SELECT 1 FROM claim WHERE expires <= ?3)",
    )?;
    Ok(statement.query_row([created.0, seen.0, now.0], |row| row.get(0))?)
}

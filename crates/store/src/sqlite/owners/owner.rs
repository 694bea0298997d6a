//! Owners, and what they sign in with: passkeys, a password, recovery codes; and the links with which
//! somebody becomes one.
//!
//! What a passkey and a password are inside is not looked at here: the first is a text that the console
//! made with its credential's id beside it, the second a text that the console hashed.

use keystile_core::key::{OwnerId, PasskeyId};
use keystile_core::lock::Actor;
use keystile_core::owners::secret::{PasswordHash, SecretHash};
use keystile_core::time::Timestamp;
use rusqlite::{Connection, OptionalExtension, Row, params};
use uuid::Uuid;

use crate::error::{Error, Result};
use crate::sqlite::audit::event::EventKind;
use crate::sqlite::row::parsed;
use crate::sqlite::writer::write_tx::WriteTx;

/// What an owner is in the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnerRow {
    /// Their row number.
    pub row: i64,
    /// Their id.
    pub id: OwnerId,
    /// Their name.
    pub name: String,
    /// What passkeys know them by.
    pub handle: Uuid,
    /// Their password, hashed.
    pub password: Option<PasswordHash>,
    /// Since when.
    pub created: Timestamp,
    /// How many passkeys they have.
    pub passkeys: u32,
    /// How many recovery codes they have left.
    pub recovery_codes: u32,
}

/// A passkey of an owner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PasskeyRow {
    /// Its id.
    pub id: PasskeyId,
    /// The id that its authenticator gave it.
    pub credential: Vec<u8>,
    /// What its owner calls it.
    pub name: String,
    /// What the console needs to check it, as JSON.
    pub data: String,
    /// When it was added.
    pub created: Timestamp,
    /// When it last signed its owner in.
    pub used: Option<Timestamp>,
}

/// What somebody signs in with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NewCredential {
    /// A passkey.
    Passkey {
        /// Its id.
        id: PasskeyId,
        /// The id that its authenticator gave it.
        credential: Vec<u8>,
        /// What its owner calls it.
        name: String,
        /// What the console needs to check it, as JSON.
        data: String,
    },
    /// A password, hashed.
    Password(PasswordHash),
}

/// Somebody who becomes an owner.
#[derive(Clone, Debug)]
pub struct NewOwnerRow {
    /// Their id.
    pub id: OwnerId,
    /// Their name.
    pub name: String,
    /// What passkeys know them by.
    pub handle: Uuid,
    /// What they sign in with.
    pub credential: NewCredential,
    /// The hashes of their recovery codes.
    pub recovery_codes: Vec<SecretHash>,
}

const OWNER_COLUMNS: &str =
    "owner.id, owner.uid, owner.name, owner.handle, owner.password, owner.created,
    (SELECT count(*) FROM passkey WHERE passkey.owner = owner.id),
    (SELECT count(*) FROM recovery_code WHERE recovery_code.owner = owner.id AND used IS NULL)";

pub(crate) fn owner_row(row: &Row<'_>) -> Result<OwnerRow> {
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
pub fn list(connection: &Connection) -> Result<Vec<OwnerRow>> {
    let mut statement = connection
        .prepare_cached(&format!("SELECT {OWNER_COLUMNS} FROM owner ORDER BY owner.name"))?;
    statement.query_and_then([], owner_row)?.collect()
}

/// Whether there is an owner.
pub fn exist(connection: &Connection) -> Result<bool> {
    Ok(connection.query_row("SELECT EXISTS (SELECT 1 FROM owner)", [], |row| row.get(0))?)
}

/// The owner with a name or id.
pub fn find(connection: &Connection, name_or_id: &str) -> Result<OwnerRow> {
    let found = find_where(connection, "owner.name = ?1 OR owner.uid = ?1", &name_or_id)?;
    found.ok_or_else(|| Error::Missing(format!("owner {name_or_id}")))
}

/// The owner whose passkey has a credential's id.
pub fn find_by_credential(connection: &Connection, credential: &[u8]) -> Result<Option<OwnerRow>> {
    let condition = "owner.id = (SELECT owner FROM passkey WHERE credential = ?1)";
    find_where(connection, condition, &credential)
}

/// The owner whom passkeys know by a handle.
pub fn find_by_handle(connection: &Connection, handle: Uuid) -> Result<Option<OwnerRow>> {
    find_where(connection, "owner.handle = ?1", &handle.as_bytes().as_slice())
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

/// The passkeys of an owner, oldest first.
pub fn passkeys(connection: &Connection, owner_row: i64) -> Result<Vec<PasskeyRow>> {
    let mut statement = connection.prepare_cached(
        "SELECT uid, credential, name, data, created, used FROM passkey WHERE owner = ?1 ORDER BY id",
    )?;
    statement
        .query_and_then([owner_row], |row| {
            Ok(PasskeyRow {
                id: parsed(&row.get::<_, String>(0)?)?,
                credential: row.get(1)?,
                name: row.get(2)?,
                data: row.get(3)?,
                created: Timestamp(row.get(4)?),
                used: row.get::<_, Option<i64>>(5)?.map(Timestamp),
            })
        })?
        .collect()
}

/// When a claim link ends that can still be used.
pub fn claim_ends(
    connection: &Connection,
    hash: &SecretHash,
    now: Timestamp,
) -> Result<Option<Timestamp>> {
    let mut statement = connection.prepare_cached(
        "SELECT expires FROM claim WHERE hash = ?1 AND used IS NULL AND expires > ?2",
    )?;
    let found = statement.query_row(params![hash.as_bytes().as_slice(), now.0], |row| row.get(0));
    Ok(found.optional()?.map(Timestamp))
}

impl WriteTx<'_> {
    /// Makes a claim link, in the place of one that was not used.
    pub fn create_claim(
        &mut self,
        hash: &SecretHash,
        expires: Timestamp,
        actor: &Actor,
    ) -> Result<()> {
        self.connection
            .execute("DELETE FROM claim WHERE used IS NULL OR expires <= ?1", [self.now.0])?;
        self.connection.execute(
            "INSERT INTO claim (hash, created, expires) VALUES (?1, ?2, ?3)",
            params![hash.as_bytes().as_slice(), self.now.0, expires.0],
        )?;
        let detail = format!("works once, until {}", expires.readable());
        self.tell_of(EventKind::ClaimLinkMade, None, actor, &detail)
    }

    /// Makes somebody an owner by a claim link, which is used up with it: all of it or nothing.
    pub fn claim(&mut self, hash: &SecretHash, new: &NewOwnerRow) -> Result<OwnerRow> {
        let claimed = self.connection.execute(
            "UPDATE claim SET used = ?2 WHERE hash = ?1 AND used IS NULL AND expires > ?2",
            params![hash.as_bytes().as_slice(), self.now.0],
        )?;
        if claimed != 1 {
            return Err(Error::Conflict("this link was used, or its time is over".to_owned()));
        }
        let is_taken = find_where(self.connection, "owner.name = ?1", &new.name)?.is_some();
        if is_taken {
            return Err(Error::Exists(format!("an owner named {}", new.name)));
        }
        self.connection.execute(
            "INSERT INTO owner (uid, name, handle, created) VALUES (?1, ?2, ?3, ?4)",
            params![new.id.to_string(), new.name, new.handle.as_bytes().as_slice(), self.now.0],
        )?;
        let row = self.connection.last_insert_rowid();
        let with = match &new.credential {
            NewCredential::Passkey { .. } => "a passkey",
            NewCredential::Password(_) => "a password",
        };
        let actor = Actor::Owner(new.name.clone());
        let detail = format!("by a claim link, with {with}");
        self.tell_of(EventKind::OwnerCreated, Some(&new.name), &actor, &detail)?;
        self.insert_credential(row, &new.credential)?;
        self.replace_recovery_codes(row, &new.recovery_codes)?;
        find(self.connection, &new.id.to_string())
    }

    fn insert_credential(&self, owner_row: i64, new: &NewCredential) -> Result<()> {
        let NewCredential::Passkey { id, credential, name, data } = new else {
            return self.write_password(owner_row, new);
        };
        let is_known = self
            .connection
            .query_row("SELECT 1 FROM passkey WHERE credential = ?1", [credential], |_| Ok(()))
            .optional()?;
        if is_known.is_some() {
            return Err(Error::Exists("this passkey".to_owned()));
        }
        self.connection.execute(
            "INSERT INTO passkey (uid, owner, credential, name, data, created)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            params![id.to_string(), owner_row, credential, name, data, self.now.0],
        )?;
        Ok(())
    }

    fn write_password(&self, owner_row: i64, new: &NewCredential) -> Result<()> {
        if let NewCredential::Password(password) = new {
            self.connection.execute(
                "UPDATE owner SET password = ?2 WHERE id = ?1",
                params![owner_row, password.expose()],
            )?;
        }
        Ok(())
    }

    /// Gives an owner another passkey, or a password in the place of the one before.
    pub fn add_credential(
        &mut self,
        owner: OwnerId,
        new: &NewCredential,
        actor: &Actor,
    ) -> Result<()> {
        let owner = find(self.connection, &owner.to_string())?;
        self.insert_credential(owner.row, new)?;
        let (kind, detail) = match new {
            NewCredential::Passkey { name, .. } => (EventKind::PasskeyAdded, name.clone()),
            NewCredential::Password(_) => {
                let detail = if owner.password.is_some() { "in the place of another" } else { "" };
                (EventKind::PasswordSet, detail.to_owned())
            }
        };
        self.tell_of(kind, Some(&owner.name), actor, &detail)
    }

    /// Takes a passkey from an owner; never what they last sign in with.
    pub fn remove_passkey(
        &mut self,
        owner: OwnerId,
        passkey: PasskeyId,
        actor: &Actor,
    ) -> Result<()> {
        let owner = find(self.connection, &owner.to_string())?;
        let keys = passkeys(self.connection, owner.row)?;
        let Some(found) = keys.iter().find(|known| known.id == passkey) else {
            return Err(Error::Missing(format!("passkey {passkey} of {}", owner.name)));
        };
        if keys.len() == 1 && owner.password.is_none() {
            return Err(Error::Conflict(format!(
                "{} has no other passkey and no password to sign in with",
                owner.name
            )));
        }
        self.connection.execute("DELETE FROM passkey WHERE uid = ?1", [passkey.to_string()])?;
        self.tell_of(EventKind::PasskeyRemoved, Some(&owner.name), actor, &found.name)
    }

    /// Keeps what a passkey became when it signed its owner in.
    pub fn update_passkey(&mut self, credential: &[u8], data: &str) -> Result<()> {
        let updated = self.connection.execute(
            "UPDATE passkey SET data = ?2, used = ?3 WHERE credential = ?1",
            params![credential, data, self.now.0],
        )?;
        if updated == 1 { Ok(()) } else { Err(Error::Missing("passkey of this kind".to_owned())) }
    }

    /// Removes an owner with all they sign in with, their sessions, and links that were not yet used;
    /// never the last one.
    pub fn remove_owner(&mut self, name_or_id: &str, actor: &Actor) -> Result<OwnerRow> {
        let owner = find(self.connection, name_or_id)?;
        let others: i64 = self.connection.query_row(
            "SELECT count(*) FROM owner WHERE id <> ?1",
            [owner.row],
            |row| row.get(0),
        )?;
        if others == 0 {
            return Err(Error::Conflict(format!(
                "{} is the last owner, and without one nobody can sign in",
                owner.name
            )));
        }
        self.connection.execute("DELETE FROM owner WHERE id = ?1", [owner.row])?;
        // They may have made one, to come back by it.
        self.connection.execute("DELETE FROM claim WHERE used IS NULL", [])?;
        self.tell_of(
            EventKind::OwnerRemoved,
            Some(&owner.name),
            actor,
            "their sessions have ended",
        )?;
        Ok(owner)
    }

    /// Gives an owner recovery codes; those before them are void.
    pub fn make_recovery_codes(
        &mut self,
        owner: OwnerId,
        hashes: &[SecretHash],
        actor: &Actor,
    ) -> Result<()> {
        let owner = find(self.connection, &owner.to_string())?;
        self.replace_recovery_codes(owner.row, hashes)?;
        let detail = format!("{} codes; those before them are void", hashes.len());
        self.tell_of(EventKind::RecoveryCodesMade, Some(&owner.name), actor, &detail)
    }

    fn replace_recovery_codes(&self, owner_row: i64, hashes: &[SecretHash]) -> Result<()> {
        self.connection.execute("DELETE FROM recovery_code WHERE owner = ?1", [owner_row])?;
        for hash in hashes {
            self.connection.execute(
                "INSERT INTO recovery_code (hash, owner) VALUES (?1, ?2)",
                params![hash.as_bytes().as_slice(), owner_row],
            )?;
        }
        Ok(())
    }

    /// Uses up a recovery code of an owner; `None` where it is not theirs or was used.
    pub fn use_recovery_code(&mut self, name: &str, hash: &SecretHash) -> Result<Option<OwnerRow>> {
        let Some(owner) = find_where(self.connection, "owner.name = ?1", &name)? else {
            return Ok(None);
        };
        let used = self.connection.execute(
            "UPDATE recovery_code SET used = ?3 WHERE hash = ?1 AND owner = ?2 AND used IS NULL",
            params![hash.as_bytes().as_slice(), owner.row, self.now.0],
        )?;
        if used != 1 {
            return Ok(None);
        }
        let owner = find(self.connection, &owner.id.to_string())?;
        let detail = format!("{} are left", owner.recovery_codes);
        let actor = Actor::Owner(owner.name.clone());
        self.tell_of(EventKind::RecoveryCodeUsed, Some(&owner.name), &actor, &detail)?;
        Ok(Some(owner))
    }
}

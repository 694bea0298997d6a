//! Tokens of the admin API.

use keystile_core::key::TokenId;
use keystile_core::lock::Actor;
use keystile_core::owners::scope::Scope;
use keystile_core::owners::secret::SecretHash;
use keystile_core::time::Timestamp;
use rusqlite::{Connection, OptionalExtension, Row, params};

use crate::error::{Error, Result};
use crate::sqlite::audit::event::{EventKind, actor_from, actor_text};
use crate::sqlite::owners::owner::parsed;
use crate::sqlite::writer::write_tx::Work;

/// A token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenRow {
    /// Its id.
    pub id: TokenId,
    /// Its name, by which its acts are known.
    pub name: String,
    /// What it may do.
    pub scope: Scope,
    /// Who made it.
    pub actor: Actor,
    /// When.
    pub created: Timestamp,
    /// When it stops working.
    pub expires: Option<Timestamp>,
    /// When it was last used, to the minute.
    pub used: Option<Timestamp>,
    /// Since when it is revoked.
    pub revoked: Option<Timestamp>,
}

/// A token to make.
#[derive(Clone, Debug)]
pub struct NewTokenRow {
    /// Its id.
    pub id: TokenId,
    /// The hash of its text.
    pub hash: SecretHash,
    /// Its name.
    pub name: String,
    /// What it may do.
    pub scope: Scope,
    /// When it stops working.
    pub expires: Option<Timestamp>,
}

const COLUMNS: &str = "uid, name, scope, actor, created, expires, used, revoked FROM token";

fn token_row(row: &Row<'_>) -> Result<TokenRow> {
    let time = |place: usize| row.get::<_, Option<i64>>(place).map(|time| time.map(Timestamp));
    Ok(TokenRow {
        id: parsed(&row.get::<_, String>(0)?)?,
        name: row.get(1)?,
        scope: parsed(&row.get::<_, String>(2)?)?,
        actor: actor_from(&row.get::<_, String>(3)?)?,
        created: Timestamp(row.get(4)?),
        expires: time(5)?,
        used: time(6)?,
        revoked: time(7)?,
    })
}

/// Tokens in the order in which they were made.
pub fn list(connection: &Connection) -> Result<Vec<TokenRow>> {
    let mut statement = connection.prepare_cached(&format!("SELECT {COLUMNS} ORDER BY id"))?;
    statement.query_and_then([], token_row)?.collect()
}

/// The token with a text's hash, of whatever state.
pub fn find_by_hash(connection: &Connection, hash: &SecretHash) -> Result<Option<TokenRow>> {
    let mut statement = connection.prepare_cached(&format!("SELECT {COLUMNS} WHERE hash = ?1"))?;
    statement.query_and_then([hash.as_bytes().as_slice()], token_row)?.next().transpose()
}

/// The token with an id, or the one with a name that is not revoked.
pub fn find(connection: &Connection, name_or_id: &str) -> Result<TokenRow> {
    let mut statement = connection.prepare_cached(&format!(
        "SELECT {COLUMNS} WHERE uid = ?1 OR (name = ?1 AND revoked IS NULL) LIMIT 1"
    ))?;
    let found = statement.query_and_then([name_or_id], token_row)?.next().transpose()?;
    found.ok_or_else(|| Error::Missing(format!("token {name_or_id} that works")))
}

impl Work<'_> {
    /// Makes a token.
    pub fn create_token(&mut self, new: &NewTokenRow, actor: &Actor) -> Result<()> {
        let taken = self
            .connection
            .query_row(
                "SELECT 1 FROM token WHERE name = ?1 AND revoked IS NULL",
                [&new.name],
                |_| Ok(()),
            )
            .optional()?;
        if taken.is_some() {
            return Err(Error::Exists(format!("a token named {}", new.name)));
        }
        self.connection.execute(
            "INSERT INTO token (uid, hash, name, scope, actor, created, expires)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            params![
                new.id.to_string(),
                new.hash.as_bytes().as_slice(),
                new.name,
                new.scope.name(),
                actor_text(actor),
                self.now.0,
                new.expires.map(|expires| expires.0),
            ],
        )?;
        let detail = match new.expires {
            Some(expires) => format!("with the scope {}, until {}", new.scope, expires.readable()),
            None => format!("with the scope {}", new.scope),
        };
        self.tell_of(EventKind::TokenCreated, Some(&new.name), actor, &detail)
    }

    /// Notes that a token was used.
    pub fn touch_token(&mut self, id: TokenId) -> Result<()> {
        self.connection
            .prepare_cached("UPDATE token SET used = ?2 WHERE uid = ?1")?
            .execute(params![id.to_string(), self.now.0])?;
        Ok(())
    }

    /// Revokes a token for good.
    pub fn revoke_token(&mut self, name_or_id: &str, actor: &Actor) -> Result<TokenRow> {
        let mut token = find(self.connection, name_or_id)?;
        if token.revoked.is_none() {
            self.connection.execute(
                "UPDATE token SET revoked = ?2 WHERE uid = ?1",
                params![token.id.to_string(), self.now.0],
            )?;
            token.revoked = Some(self.now);
            self.tell_of(EventKind::TokenRevoked, Some(&token.name), actor, "for good")?;
        }
        Ok(token)
    }
}

//! Tokens of the admin API.

use keystile_core::actor::Actor;
use keystile_core::owners::secret::SecretHash;
use keystile_core::owners::token::TokenId;
use keystile_core::time::Timestamp;
use rusqlite::{Connection, OptionalExtension, Row, params};

use crate::error::{Error, Result};
use crate::owners::tokens::{NewTokenRow, TokenRow};
use crate::sqlite::audit::event::{Event, EventKind, actor_from, actor_text};
use crate::sqlite::row::parsed;
use crate::sqlite::writer::write_tx::WriteTx;

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
pub(crate) fn list(connection: &Connection) -> Result<Vec<TokenRow>> {
    let mut statement = connection.prepare_cached(&format!("SELECT {COLUMNS} ORDER BY id"))?;
    statement.query_and_then([], token_row)?.collect()
}

/// The token with a text's hash, of whatever state.
pub(crate) fn find_by_hash(connection: &Connection, hash: &SecretHash) -> Result<Option<TokenRow>> {
    let mut statement = connection.prepare_cached(&format!("SELECT {COLUMNS} WHERE hash = ?1"))?;
    statement.query_and_then([hash.as_bytes().as_slice()], token_row)?.next().transpose()
}

/// The token with an id, or the one with a name that is not revoked.
pub(crate) fn find(connection: &Connection, name_or_id: &str) -> Result<TokenRow> {
    let mut statement = connection.prepare_cached(&format!(
        "SELECT {COLUMNS} WHERE uid = ?1 OR (name = ?1 AND revoked IS NULL) LIMIT 1"
    ))?;
    let found = statement.query_and_then([name_or_id], token_row)?.next().transpose()?;
    found.ok_or_else(|| Error::Missing(format!("token {name_or_id} that works")))
}

/// Makes a token.
pub(crate) fn create(tx: &mut WriteTx<'_>, new: &NewTokenRow, actor: &Actor) -> Result<TokenRow> {
    let taken = tx
        .connection
        .query_row("SELECT 1 FROM token WHERE name = ?1 AND revoked IS NULL", [&new.name], |_| {
            Ok(())
        })
        .optional()?;
    if taken.is_some() {
        return Err(Error::Exists(format!("a token named {}", new.name)));
    }
    tx.connection.execute(
        "INSERT INTO token (uid, hash, name, scope, actor, created, expires)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        params![
            new.id.to_string(),
            new.hash.as_bytes().as_slice(),
            new.name,
            new.scope.name(),
            actor_text(actor),
            tx.now.0,
            new.expires.map(|expires| expires.0),
        ],
    )?;
    let detail = match new.expires {
        Some(expires) => format!("with the scope {}, until {}", new.scope, expires.readable()),
        None => format!("with the scope {}", new.scope),
    };
    tx.record_event(&Event::named(EventKind::TokenCreated, Some(&new.name), actor, &detail))?;
    find(tx.connection, &new.id.to_string())
}

/// Notes that a token was used.
pub(crate) fn note_used(tx: &mut WriteTx<'_>, id: TokenId) -> Result<()> {
    tx.connection
        .prepare_cached("UPDATE token SET used = ?2 WHERE uid = ?1")?
        .execute(params![id.to_string(), tx.now.0])?;
    Ok(())
}

/// Revokes a token for good.
pub(crate) fn revoke(tx: &mut WriteTx<'_>, name_or_id: &str, actor: &Actor) -> Result<TokenRow> {
    let mut token = find(tx.connection, name_or_id)?;
    if token.revoked.is_none() {
        tx.connection.execute(
            "UPDATE token SET revoked = ?2 WHERE uid = ?1",
            params![token.id.to_string(), tx.now.0],
        )?;
        token.revoked = Some(tx.now);
        tx.record_event(&Event::named(
            EventKind::TokenRevoked,
            Some(&token.name),
            actor,
            "for good",
        ))?;
    }
    Ok(token)
}

//! Sessions of owners at the console. How long one lasts is a rule of the core.

use keystile_core::actor::Actor;
use keystile_core::owners::owner::OwnerId;
use keystile_core::owners::secret::SecretHash;
use keystile_core::owners::session::SessionTimes;
use keystile_core::time::Timestamp;
use rusqlite::{Connection, Row, params};

use crate::error::{Error, Result};
use crate::owners::OwnerRow;
use crate::owners::sessions::{NewSessionRow, SessionRow, SessionsToEnd};
use crate::sqlite::audit::event::{Event, EventKind};
use crate::sqlite::owners::owner;
use crate::sqlite::writer::write_tx::WriteTx;

/// The event of ended sessions names so many addresses.
const ADDRESSES_NAMED: usize = 5;

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
            authenticated: Timestamp(row.get(4)?),
        },
        address: row.get(5)?,
        agent: row.get(6)?,
    })
}

/// The session with a secret, of whatever age, and its owner.
pub(crate) fn find(
    connection: &Connection,
    hash: &SecretHash,
) -> Result<Option<(SessionRow, OwnerRow)>> {
    let mut statement = connection.prepare_cached(&format!("SELECT {COLUMNS} WHERE hash = ?1"))?;
    let found = statement.query_and_then([hash.as_bytes().as_slice()], session_row)?.next();
    let Some(session) = found.transpose()? else {
        return Ok(None);
    };
    let owner = owner::find_where(connection, "owner.id = ?1", &session.owner_row)?;
    Ok(owner.map(|owner| (session, owner)))
}

/// An owner and their sessions, of whatever age, latest first.
pub(crate) fn list(connection: &Connection, owner: OwnerId) -> Result<(OwnerRow, Vec<SessionRow>)> {
    let owner = owner::find(connection, &owner.to_string())?;
    let sessions = list_of(connection, owner.row)?;
    Ok((owner, sessions))
}

fn list_of(connection: &Connection, owner_row: i64) -> Result<Vec<SessionRow>> {
    let mut statement = connection
        .prepare_cached(&format!("SELECT {COLUMNS} WHERE owner = ?1 ORDER BY seen DESC"))?;
    statement.query_and_then([owner_row], session_row)?.collect()
}

/// Where the sessions of an owner began; none where no owner has the name.
pub(crate) fn addresses(connection: &Connection, owner_name: &str) -> Result<Vec<String>> {
    let Some(owner) = owner::find_any(connection, owner_name)? else {
        return Ok(Vec::new());
    };
    let sessions = list_of(connection, owner.row)?;
    Ok(sessions.into_iter().map(|session| session.address).collect())
}

/// Begins a session of an owner who has just shown who they are, and says who it is.
pub(crate) fn begin(tx: &mut WriteTx<'_>, new: &NewSessionRow) -> Result<OwnerRow> {
    let owner = owner::find(tx.connection, &new.owner.to_string())?;
    tx.connection.execute(
        "INSERT INTO session (hash, owner, created, seen, proved, address, agent)
         VALUES (?1, ?2, ?3, ?3, ?3, ?4, ?5)",
        params![new.hash.as_bytes().as_slice(), owner.row, tx.now.0, new.address, new.agent],
    )?;
    let actor = Actor::Owner(owner.name.clone());
    let detail = format!("{}, from {}", new.signed_in, new.address);
    tx.record_event(&Event::named(EventKind::SignedIn, Some(&owner.name), &actor, &detail))?;
    Ok(owner)
}

/// Notes that a session was seen.
pub(crate) fn touch(tx: &mut WriteTx<'_>, hash: &SecretHash) -> Result<()> {
    tx.connection
        .prepare_cached("UPDATE session SET seen = ?2 WHERE hash = ?1")?
        .execute(params![hash.as_bytes().as_slice(), tx.now.0])?;
    Ok(())
}

/// Notes that a session's owner has just shown again who they are.
pub(crate) fn confirm(tx: &mut WriteTx<'_>, hash: &SecretHash) -> Result<()> {
    let confirmed = tx.connection.execute(
        "UPDATE session SET seen = ?2, proved = ?2 WHERE hash = ?1",
        params![hash.as_bytes().as_slice(), tx.now.0],
    )?;
    if confirmed == 1 { Ok(()) } else { Err(Error::Missing("session of this kind".to_owned())) }
}

/// Ends a session because its owner signs out. One that is over already is no mistake.
pub(crate) fn sign_out(tx: &mut WriteTx<'_>, hash: &SecretHash) -> Result<()> {
    let found = find(tx.connection, hash)?;
    delete(tx, hash)?;
    let Some((_, owner)) = found else {
        return Ok(());
    };
    let actor = Actor::Owner(owner.name.clone());
    tx.record_event(&Event::named(EventKind::SignedOut, Some(&owner.name), &actor, ""))
}

fn delete(tx: &WriteTx<'_>, hash: &SecretHash) -> Result<()> {
    tx.connection.execute("DELETE FROM session WHERE hash = ?1", [hash.as_bytes().as_slice()])?;
    Ok(())
}

/// Ends some sessions of an owner; says how many.
pub(crate) fn end_some(
    tx: &mut WriteTx<'_>,
    owner: OwnerId,
    ended: &SessionsToEnd,
    actor: &Actor,
) -> Result<usize> {
    let (owner, sessions) = list(tx.connection, owner)?;
    let ended: Vec<_> = sessions.into_iter().filter(|session| ended.includes(session)).collect();
    for session in &ended {
        delete(tx, &session.hash)?;
    }
    if !ended.is_empty() {
        let addresses: Vec<_> =
            ended.iter().take(ADDRESSES_NAMED).map(|session| session.address.as_str()).collect();
        let detail = format!("{} of them, from {}", ended.len(), addresses.join(", "));
        tx.record_event(&Event::named(EventKind::SessionEnded, Some(&owner.name), actor, &detail))?;
    }
    Ok(ended.len())
}

/// Whether [`delete_over`] has something to do.
pub(crate) fn has_over(
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

/// Deletes sessions that began or were last seen before these times, and links whose time is over.
pub(crate) fn delete_over(tx: &mut WriteTx<'_>, created: Timestamp, seen: Timestamp) -> Result<()> {
    tx.connection
        .prepare_cached("DELETE FROM session WHERE created <= ?1 OR seen <= ?2")?
        .execute([created.0, seen.0])?;
    tx.connection.prepare_cached("DELETE FROM claim WHERE expires <= ?1")?.execute([tx.now.0])?;
    Ok(())
}

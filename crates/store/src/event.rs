//! Events: what happened to keys and applications, each written in the transaction that made it true.
//!
//! The table is the audit of what locks do, and the outbox of what is to be told.

use keystile_core::lock::Actor;
use keystile_core::time::Timestamp;
use rusqlite::{Connection, params};

use crate::error::{Error, Result};

/// What can happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventKind {
    /// An application was created.
    ApplicationCreated,
    /// An application may no longer call.
    ApplicationSuspended,
    /// It may again.
    ApplicationResumed,
    /// A key was issued.
    KeyCreated,
    /// A key was locked.
    KeyLocked,
    /// A key was unlocked.
    KeyUnlocked,
    /// A key got a successor.
    KeyRolled,
    /// A key was revoked.
    KeyRevoked,
}

impl EventKind {
    /// The stable name.
    pub fn name(self) -> &'static str {
        match self {
            Self::ApplicationCreated => "application_created",
            Self::ApplicationSuspended => "application_suspended",
            Self::ApplicationResumed => "application_resumed",
            Self::KeyCreated => "key_created",
            Self::KeyLocked => "key_locked",
            Self::KeyUnlocked => "key_unlocked",
            Self::KeyRolled => "key_rolled",
            Self::KeyRevoked => "key_revoked",
        }
    }
}

/// Something that happened.
#[derive(Clone, Debug)]
pub(crate) struct Event<'a> {
    pub(crate) kind: EventKind,
    pub(crate) key: Option<i64>,
    pub(crate) application: Option<i64>,
    pub(crate) actor: &'a Actor,
    pub(crate) detail: &'a str,
}

/// An event as it is listed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventRow {
    /// Its number.
    pub id: i64,
    /// When.
    pub time: Timestamp,
    /// Its kind's name.
    pub kind: String,
    /// Who did it.
    pub actor: Actor,
    /// More about it.
    pub detail: String,
}

pub(crate) fn insert(connection: &Connection, now: Timestamp, event: &Event<'_>) -> Result<()> {
    let actor = serde_json::to_string(event.actor).expect("an actor is two texts");
    let mut statement = connection.prepare_cached(
        "INSERT INTO event (time, kind, key, application, actor, detail) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    )?;
    statement.execute(params![
        now.0,
        event.kind.name(),
        event.key,
        event.application,
        actor,
        event.detail
    ])?;
    Ok(())
}

/// What happened to a key, latest first.
pub fn list_of_key(connection: &Connection, key_row: i64, limit: u32) -> Result<Vec<EventRow>> {
    let mut statement = connection.prepare_cached(
        "SELECT id, time, kind, actor, detail FROM event WHERE key = ?1 ORDER BY id DESC LIMIT ?2",
    )?;
    statement
        .query_and_then(params![key_row, limit], |row| {
            let actor: String = row.get(3)?;
            Ok(EventRow {
                id: row.get(0)?,
                time: Timestamp(row.get(1)?),
                kind: row.get(2)?,
                actor: serde_json::from_str(&actor).map_err(|error| {
                    Error::Corrupt(format!("an event's actor cannot be read: {error}"))
                })?,
                detail: row.get(4)?,
            })
        })?
        .collect()
}

//! Which program has a write or a delivery under way, and until when others leave it alone.
//!
//! # What this protects
//!
//! What was under way when a program stopped is closed by the next start: its writes are `unknown`, its
//! deliveries are sent again. What another program has under way must not be, or a write that is about to be
//! answered would stand as unknown, and somebody would be told twice. So each row says whose it is, and a
//! node closes only what is its own or what a node left whose lease has run out.
//!
//! # How
//!
//! The writer renews its node's lease with whatever it commits. A data directory is held by one process, so
//! its node is the one that was there before, and takes its lease over at once.

use keystile_core::time::{Span, Timestamp};
use rusqlite::{Connection, OptionalExtension, params};

use crate::error::Result;

/// How long a node that does not renew its lease is taken to be alive.
const LEASE: Span = Span::from_secs(300);
/// The node of a data directory.
const OWN_NAME: &str = "local";

/// This program, as the store knows it.
#[derive(Debug)]
pub(crate) struct Node {
    id: i64,
    /// Half of the lease is over then.
    renews_at: Timestamp,
}

impl Node {
    /// The node of the data directory, which is made where there is none yet. One that is there is not
    /// written: a start must not need a disk that takes writes.
    pub(crate) fn take_over(connection: &Connection, now: Timestamp) -> Result<Self> {
        let mut statement =
            connection.prepare("SELECT id, lease_until FROM node WHERE name = ?1")?;
        let known = statement.query_row([OWN_NAME], |row| Ok((row.get(0)?, row.get(1)?)));
        if let Some((id, lease_until)) = known.optional()? {
            let mut node = Self { id, renews_at: now };
            node.note_renewed(Timestamp(i64::saturating_sub(lease_until, LEASE.millis())));
            return Ok(node);
        }
        let next = "SELECT coalesce(max(id), 0) + 1 FROM node";
        let mut node =
            Self { id: connection.query_row(next, [], |row| row.get(0))?, renews_at: now };
        node.renew(connection, now)?;
        node.note_renewed(now);
        Ok(node)
    }

    /// Its number, for the rows that it has under way.
    pub(crate) fn id(&self) -> i64 {
        self.id
    }

    /// Whether its lease is to be renewed.
    pub(crate) fn is_due(&self, now: Timestamp) -> bool {
        now >= self.renews_at
    }

    /// Renews its lease, in a transaction that is about to be committed.
    pub(crate) fn renew(&self, connection: &Connection, now: Timestamp) -> Result<()> {
        let mut statement = connection.prepare_cached(
            "INSERT INTO node (id, name, lease_until) VALUES (?1, ?2, ?3)
             ON CONFLICT (id) DO UPDATE SET lease_until = excluded.lease_until",
        )?;
        statement.execute(params![self.id, OWN_NAME, now.plus(LEASE).0])?;
        Ok(())
    }

    /// The renewal is durable.
    pub(crate) fn note_renewed(&mut self, now: Timestamp) {
        self.renews_at = Timestamp(now.0.saturating_add(LEASE.millis() / 2));
    }
}

/// The condition under which a row of a table may be closed by the node `?1` at the time `?2`: it is its own,
/// nobody's, or of a node whose lease has run out.
pub(crate) fn is_closable(table: &str) -> String {
    format!(
        "({table}.node IS NULL OR {table}.node = ?1 OR NOT EXISTS
          (SELECT 1 FROM node AS other WHERE other.id = {table}.node AND other.lease_until > ?2))"
    )
}

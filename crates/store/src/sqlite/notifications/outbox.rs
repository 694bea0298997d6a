//! The outbox: deliveries and their attempts.
//!
//! # What this protects
//!
//! Every message is written in the transaction that made it true, one row for each receiver, so
//! a crash loses none and makes none up (promise P6). Sending holds nothing of the store: a delivery is
//! claimed for a while, sent, and its attempt recorded. A claim that nobody came back to is claimed again,
//! under the same id.

use keystile_core::notifications::channel::ChannelRule;
use keystile_core::notifications::delivery::{DeliveryId, DeliveryState};
use keystile_core::notifications::notice::Notice;
use keystile_core::notifications::plan::Message;
use keystile_core::notifications::trigger::Trigger;
use keystile_core::time::Timestamp;
use rusqlite::{Connection, OptionalExtension, Row, params};
use uuid::Uuid;

use crate::deliveries::{AttemptRow, ChannelStanding, DeliveryQuery, DeliveryRow};
use crate::error::{Error, Result};
use crate::sqlite::node::{self, Node};
use crate::sqlite::row::parsed;
use crate::sqlite::writer::write_tx::WriteTx;

pub(crate) const COLUMNS: &str =
    "id, uid, rule, channel, receiver, kind, thread, payload, state, not_before, attempts, created,
     updated, last_said";

pub(crate) fn delivery_row(row: &Row<'_>) -> Result<DeliveryRow> {
    let (kind, payload): (String, String) = (row.get(5)?, row.get(7)?);
    Ok(DeliveryRow {
        row: row.get(0)?,
        id: parsed(&row.get::<_, String>(1)?)?,
        rule: row.get(2)?,
        channel: row.get(3)?,
        receiver: row.get(4)?,
        kind: trigger_of(&kind)?,
        thread: row.get(6)?,
        notice: serde_json::from_str(&payload)
            .map_err(|error| Error::Corrupt(format!("a notice cannot be read: {error}")))?,
        state: parsed(&row.get::<_, String>(8)?)?,
        not_before: Timestamp(row.get(9)?),
        attempts: row.get(10)?,
        created: Timestamp(row.get(11)?),
        updated: Timestamp(row.get(12)?),
        last_said: row.get(13)?,
    })
}

pub(crate) fn trigger_of(name: &str) -> Result<Trigger> {
    Trigger::stored_as(name)
        .ok_or_else(|| Error::Corrupt(format!("no event that rules wait for is named {name}")))
}

/// Deliveries, latest first.
pub(crate) fn list(connection: &Connection, query: &DeliveryQuery) -> Result<Vec<DeliveryRow>> {
    // By the primary key, backwards; filters pass over rows.
    let mut statement = connection.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM delivery WHERE id < ?1 AND (?2 IS NULL OR state = ?2)
            AND (?3 IS NULL OR channel = ?3) AND (?4 IS NULL OR kind IN (?4, ?6))
         ORDER BY id DESC LIMIT ?5"
    ))?;
    statement
        .query_and_then(
            params![
                query.before.unwrap_or(i64::MAX),
                query.state.map(DeliveryState::name),
                query.channel,
                query.kind.map(Trigger::name),
                query.limit,
                query.kind.and_then(Trigger::former_name),
            ],
            delivery_row,
        )?
        .collect()
}

/// The delivery with an id.
pub(crate) fn find(connection: &Connection, id: DeliveryId) -> Result<DeliveryRow> {
    let mut statement =
        connection.prepare_cached(&format!("SELECT {COLUMNS} FROM delivery WHERE uid = ?1"))?;
    let found = statement.query_and_then([id.to_string()], delivery_row)?.next().transpose()?;
    found.ok_or_else(|| Error::Missing(format!("delivery {id}")))
}

/// The attempts at a delivery, earliest first.
pub(crate) fn attempts(connection: &Connection, row: i64) -> Result<Vec<AttemptRow>> {
    let mut statement = connection.prepare_cached(
        "SELECT time, outcome, said, duration_ms FROM attempt WHERE delivery = ?1 ORDER BY id",
    )?;
    statement
        .query_and_then([row], |row| {
            Ok(AttemptRow {
                time: Timestamp(row.get(0)?),
                outcome: row.get(1)?,
                said: row.get(2)?,
                duration_ms: row.get::<_, i64>(3)?.unsigned_abs(),
            })
        })?
        .collect()
}

/// The channels on which something is due. Reads only what is open.
pub(crate) fn due_channels(connection: &Connection, now: Timestamp) -> Result<Vec<String>> {
    let mut statement = connection.prepare_cached(
        "SELECT DISTINCT channel FROM delivery INDEXED BY delivery_open
         WHERE state IN ('waiting', 'sending')
            AND ((state = 'waiting' AND not_before <= ?1) OR (state = 'sending' AND lease_until <= ?1))",
    )?;
    statement.query_and_then([now.0], |row| Ok(row.get(0)?))?.collect()
}

/// How a channel stands.
pub(crate) fn standing(connection: &Connection, channel: &str) -> Result<ChannelStanding> {
    let mut statement = connection.prepare_cached(
        "SELECT count(*) FILTER (WHERE state IN ('waiting', 'sending')),
                count(*) FILTER (WHERE state = 'failed'),
                max(updated) FILTER (WHERE state = 'sent') FROM delivery WHERE channel = ?1",
    )?;
    let (open, failed, last_sent) = statement.query_row([channel], |row| {
        Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?, row.get::<_, Option<i64>>(2)?))
    })?;
    Ok(ChannelStanding {
        open: open.unsigned_abs(),
        failed: failed.unsigned_abs(),
        last_sent: last_sent.map(Timestamp),
        gone: gone(connection, channel)?,
    })
}

/// How many of a channel's messages failed since one last arrived.
pub(crate) fn failed_since_sent(connection: &Connection, channel: &str) -> Result<u64> {
    let mut statement = connection.prepare_cached(
        "SELECT count(*) FROM delivery WHERE channel = ?1 AND state = 'failed' AND updated >
         (SELECT coalesce(max(updated), -1) FROM delivery WHERE channel = ?1 AND state = 'sent')",
    )?;
    Ok(statement.query_row([channel], |row| row.get::<_, i64>(0))?.unsigned_abs())
}

/// What the other side of a channel said when it went.
pub(crate) fn gone(connection: &Connection, channel: &str) -> Result<Option<String>> {
    let mut statement =
        connection.prepare_cached("SELECT said FROM channel_gone WHERE channel = ?1")?;
    Ok(statement.query_row([channel], |row| row.get(0)).optional()?)
}

/// What a node had claimed at its last stop is free at once, and so is what nobody alive has claimed.
pub(crate) fn release_claims(connection: &Connection, node: &Node, now: Timestamp) -> Result<()> {
    let is_left = node::is_closable("delivery");
    connection.execute(
        &format!(
            "UPDATE delivery SET state = 'waiting', lease_until = NULL
             WHERE state = 'sending' AND {is_left}"
        ),
        params![node.id(), now.0],
    )?;
    Ok(())
}

/// When a channel carried its latest messages, earliest first: as many as it carries in an hour.
pub(crate) fn sent_times(connection: &Connection, channel: &ChannelRule) -> Result<Vec<Timestamp>> {
    // By `delivery_message`.
    let mut statement = connection.prepare_cached(
        "SELECT created FROM delivery INDEXED BY delivery_message WHERE channel = ?1 AND id = message
         ORDER BY created DESC LIMIT ?2",
    )?;
    let mut times: Vec<Timestamp> = statement
        .query_and_then(params![channel.name, channel.per_hour_max], |row| {
            Ok(Timestamp(row.get(0)?))
        })?
        .collect::<Result<_>>()?;
    times.reverse();
    Ok(times)
}

/// A message that was planned, with what it says.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NewMessage<'a> {
    pub(crate) message: &'a Message<'a>,
    pub(crate) notice: &'a Notice,
}

impl WriteTx<'_> {
    /// Writes the deliveries of a message, one for each receiver. Says their ids.
    pub(crate) fn send_message(&mut self, new: &NewMessage<'_>) -> Result<Vec<DeliveryId>> {
        let mut message = None;
        let mut ids = Vec::new();
        for receiver in &new.message.to {
            let id = DeliveryId::new(Uuid::now_v7());
            let row = self.insert_delivery(id, message, new, receiver.as_deref())?;
            message = message.or(Some(row));
            ids.push(id);
        }
        let signal = self.memory.outbox_signal.clone();
        self.after_commit(move || signal.notify_one());
        Ok(ids)
    }

    fn insert_delivery(
        &self,
        id: DeliveryId,
        message: Option<i64>,
        new: &NewMessage<'_>,
        receiver: Option<&str>,
    ) -> Result<i64> {
        let planned = new.message;
        let state = match planned.hopeless {
            Some(_) => DeliveryState::Failed,
            None => DeliveryState::Waiting,
        };
        let mut statement = self.connection.prepare_cached(
            "INSERT INTO delivery (uid, message, rule, channel, receiver, kind, thread, payload, state,
                                   first_due, not_before, created, updated, last_said)
             VALUES (?1, coalesce(?2, (SELECT coalesce(max(id), 0) + 1 FROM delivery)), ?3, ?4, ?5, ?6, ?7,
                     ?8, ?9, ?10, ?10, ?10, ?10, ?11)",
        )?;
        statement.execute(params![
            id.to_string(),
            message,
            planned.rule,
            planned.channel.name,
            receiver,
            new.notice.trigger.name(),
            planned.thread,
            serde_json::to_string(new.notice).expect("a notice is texts and numbers"),
            state.name(),
            self.now.0,
            planned.hopeless,
        ])?;
        Ok(self.connection.last_insert_rowid())
    }
}

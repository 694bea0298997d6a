//! The outbox: deliveries, their attempts, and the windows of events that are told together.
//!
//! # What this protects
//!
//! Whatever is to be told is written in the transaction that made it true, one row for each receiver, so
//! a crash loses none and makes none up (promise P6). Sending holds nothing of the store: a delivery is
//! claimed for a while, sent, and its attempt recorded. A claim that nobody came back to is claimed again,
//! under the same id.

use keystile_core::key::{DeliveryId, SubscriptionId};
use keystile_core::notifications::channel::{ChannelRule, ChannelSpec};
use keystile_core::notifications::delivery::DeliveryState;
use keystile_core::notifications::notice::Notice;
use keystile_core::notifications::watch::TriggerKind;
use keystile_core::time::{Span, Timestamp};
use rusqlite::{Connection, OptionalExtension, Row, params};
use uuid::Uuid;

use crate::error::{Error, Result};
use crate::sqlite::node::{self, Node};
use crate::sqlite::notifications::digest_stop;
use crate::sqlite::notifications::subscription;
use crate::sqlite::row::parsed;
use crate::sqlite::writer::write_tx::WriteTx;

/// How long a claim holds. It is longer than any sender takes to give up, because a claim that ends while
/// its sender still talks to the other side tells somebody twice.
pub const LEASE: Span = Span::from_secs(180);

/// A delivery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeliveryRow {
    /// Its row number.
    pub row: i64,
    /// Its id.
    pub id: DeliveryId,
    /// The rule by which it is told.
    pub rule: String,
    /// The channel.
    pub channel: String,
    /// The address or subscription, where the channel has several.
    pub receiver: Option<String>,
    /// What happened.
    pub kind: TriggerKind,
    /// What it belongs together with.
    pub thread: String,
    /// What is told.
    pub notice: Notice,
    /// How far it has come.
    pub state: DeliveryState,
    /// When it is tried next.
    pub not_before: Timestamp,
    /// How often it was claimed.
    pub attempts: u32,
    /// When it was written.
    pub created: Timestamp,
    /// When it last changed.
    pub updated: Timestamp,
    /// What the other side said last.
    pub last_said: Option<String>,
}

/// An attempt at a delivery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttemptRow {
    /// When it ended.
    pub time: Timestamp,
    /// Its outcome's name.
    pub outcome: String,
    /// What the other side said.
    pub said: String,
    /// How long it took.
    pub duration_ms: u64,
}

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
        kind: kind_of(&kind)?,
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

pub(crate) fn kind_of(name: &str) -> Result<TriggerKind> {
    TriggerKind::of_name(name)
        .ok_or_else(|| Error::Corrupt(format!("nothing that is told is called {name}")))
}

/// Which deliveries to list.
#[derive(Clone, Debug, Default)]
pub struct DeliveryQuery {
    /// Only those in this state.
    pub state: Option<DeliveryState>,
    /// Only those on this channel.
    pub channel: Option<String>,
    /// Only those of this kind.
    pub kind: Option<TriggerKind>,
    /// Only those with a lower row number.
    pub before: Option<i64>,
    /// At most so many.
    pub limit: u32,
}

/// Deliveries, latest first.
pub fn list(connection: &Connection, query: &DeliveryQuery) -> Result<Vec<DeliveryRow>> {
    // By the primary key, backwards; filters pass over rows.
    let mut statement = connection.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM delivery WHERE id < ?1 AND (?2 IS NULL OR state = ?2)
            AND (?3 IS NULL OR channel = ?3) AND (?4 IS NULL OR kind = ?4)
         ORDER BY id DESC LIMIT ?5"
    ))?;
    statement
        .query_and_then(
            params![
                query.before.unwrap_or(i64::MAX),
                query.state.map(DeliveryState::name),
                query.channel,
                query.kind.map(TriggerKind::name),
                query.limit,
            ],
            delivery_row,
        )?
        .collect()
}

/// The delivery with an id.
pub fn find(connection: &Connection, id: DeliveryId) -> Result<DeliveryRow> {
    let mut statement =
        connection.prepare_cached(&format!("SELECT {COLUMNS} FROM delivery WHERE uid = ?1"))?;
    let found = statement.query_and_then([id.to_string()], delivery_row)?.next().transpose()?;
    found.ok_or_else(|| Error::Missing(format!("delivery {id}")))
}

/// The attempts at a delivery, earliest first.
pub fn attempts(connection: &Connection, row: i64) -> Result<Vec<AttemptRow>> {
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
pub fn due_channels(connection: &Connection, now: Timestamp) -> Result<Vec<String>> {
    let mut statement = connection.prepare_cached(
        "SELECT DISTINCT channel FROM delivery INDEXED BY delivery_open
         WHERE state IN ('waiting', 'sending')
            AND ((state = 'waiting' AND not_before <= ?1) OR (state = 'sending' AND lease_until <= ?1))",
    )?;
    statement.query_and_then([now.0], |row| Ok(row.get(0)?))?.collect()
}

/// Whether a window is to be told as a digest.
pub fn has_due_digest(connection: &Connection, now: Timestamp) -> Result<bool> {
    let mut statement =
        connection.prepare_cached("SELECT EXISTS (SELECT 1 FROM digest WHERE until <= ?1)")?;
    Ok(statement.query_row([now.0], |row| row.get(0))?)
}

/// How a channel stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ChannelStanding {
    /// Deliveries that wait or are being sent.
    pub open: u64,
    /// Deliveries that failed.
    pub failed: u64,
    /// When something last arrived.
    pub last_sent: Option<Timestamp>,
    /// What the other side said when it went.
    pub gone: Option<String>,
}

/// How a channel stands.
pub fn standing(connection: &Connection, channel: &str) -> Result<ChannelStanding> {
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
pub fn failed_since_sent(connection: &Connection, channel: &str) -> Result<u64> {
    let mut statement = connection.prepare_cached(
        "SELECT count(*) FROM delivery WHERE channel = ?1 AND state = 'failed' AND updated >
         (SELECT coalesce(max(updated), -1) FROM delivery WHERE channel = ?1 AND state = 'sent')",
    )?;
    Ok(statement.query_row([channel], |row| row.get::<_, i64>(0))?.unsigned_abs())
}

fn gone(connection: &Connection, channel: &str) -> Result<Option<String>> {
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

/// When a channel that has carried its hour's messages has room again.
pub(crate) fn full_until(
    connection: &Connection,
    channel: &ChannelRule,
    now: Timestamp,
) -> Result<Option<Timestamp>> {
    let hour = Span::from_secs(3_600);
    // By `delivery_message`: the message before so many others.
    let mut statement = connection.prepare_cached(
        "SELECT created FROM delivery INDEXED BY delivery_message WHERE channel = ?1 AND id = message
         ORDER BY created DESC LIMIT 1 OFFSET ?2",
    )?;
    let first: Option<i64> = statement
        .query_row(params![channel.name, channel.per_hour_max.saturating_sub(1)], |row| row.get(0))
        .optional()?;
    Ok(first.map(|first| Timestamp(first).plus(hour)).filter(|until| *until > now))
}

/// A message on a channel.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NewMessage<'a> {
    pub(crate) rule: &'a str,
    pub(crate) channel: &'a ChannelRule,
    pub(crate) thread: &'a str,
    pub(crate) notice: &'a Notice,
    /// Whether it only adds to what was told: receivers who stopped digests do without it.
    pub(crate) is_sequel: bool,
}

impl WriteTx<'_> {
    /// Writes the deliveries of a message, one for each receiver. Says their ids.
    pub(crate) fn send_message(&mut self, new: &NewMessage<'_>) -> Result<Vec<DeliveryId>> {
        let mut receivers = self.receivers(new.channel)?;
        // One that stands in the log as failed tells the owner that there is nobody.
        if receivers.is_empty() {
            return self.send_to(new, &[None], Some("no device is subscribed"));
        }
        if new.is_sequel {
            let stops = digest_stop::list(self.connection, &new.channel.name)?;
            let has_stopped = |receiver: &String| {
                stops.iter().any(|stop| stop.rule == new.rule && stop.receiver == *receiver)
            };
            receivers.retain(|receiver| !receiver.as_ref().is_some_and(has_stopped));
        }
        // A test finds out whether the other side is there again.
        let gone = match new.notice.trigger {
            TriggerKind::Test => None,
            _ => gone(self.connection, &new.channel.name)?,
        };
        let hopeless =
            gone.map(|said| format!("the channel is off, because its other side said: {said}"));
        self.send_to(new, &receivers, hopeless.as_deref())
    }

    fn receivers(&self, channel: &ChannelRule) -> Result<Vec<Option<String>>> {
        Ok(match &channel.spec {
            ChannelSpec::Email { to, .. } => to.iter().cloned().map(Some).collect(),
            ChannelSpec::WebPush { .. } => {
                subscription::ids(self.connection)?.into_iter().map(Some).collect()
            }
            ChannelSpec::Webhook { .. }
            | ChannelSpec::Slack { .. }
            | ChannelSpec::Discord { .. }
            | ChannelSpec::Teams { .. }
            | ChannelSpec::Ntfy { .. }
            | ChannelSpec::Gotify { .. }
            | ChannelSpec::Telegram { .. }
            | ChannelSpec::Pushover { .. }
            | ChannelSpec::Matrix { .. } => vec![None],
        })
    }

    fn send_to(
        &mut self,
        new: &NewMessage<'_>,
        receivers: &[Option<String>],
        hopeless: Option<&str>,
    ) -> Result<Vec<DeliveryId>> {
        let mut message = None;
        let mut ids = Vec::new();
        for receiver in receivers {
            let id = DeliveryId::new(Uuid::now_v7());
            let row = self.insert_delivery(id, message, new, receiver.as_deref(), hopeless)?;
            message = message.or(Some(row));
            ids.push(id);
        }
        let signal = self.memory.outbox_signal.clone();
        self.after_commit(move || signal.notify_one());
        Ok(ids)
    }

    /// Writes a message that tries a channel, or one device of it. Says the ids of its deliveries.
    pub fn test_channel(
        &mut self,
        channel: &ChannelRule,
        device: Option<SubscriptionId>,
    ) -> Result<Vec<DeliveryId>> {
        let notice = Notice::new(TriggerKind::Test, self.now);
        let thread = format!("test-{}", self.now.0);
        let new = NewMessage {
            rule: "test",
            channel,
            thread: &thread,
            notice: &notice,
            is_sequel: false,
        };
        match device {
            Some(device) => self.send_to(&new, &[Some(device.to_string())], None),
            None => self.send_message(&new),
        }
    }

    fn insert_delivery(
        &self,
        id: DeliveryId,
        message: Option<i64>,
        new: &NewMessage<'_>,
        receiver: Option<&str>,
        hopeless: Option<&str>,
    ) -> Result<i64> {
        let state = if hopeless.is_some() { DeliveryState::Failed } else { DeliveryState::Waiting };
        let mut statement = self.connection.prepare_cached(
            "INSERT INTO delivery (uid, message, rule, channel, receiver, kind, thread, payload, state,
                                   first_due, not_before, created, updated, last_said)
             VALUES (?1, coalesce(?2, (SELECT coalesce(max(id), 0) + 1 FROM delivery)), ?3, ?4, ?5, ?6, ?7,
                     ?8, ?9, ?10, ?10, ?10, ?10, ?11)",
        )?;
        statement.execute(params![
            id.to_string(),
            message,
            new.rule,
            new.channel.name,
            receiver,
            new.notice.trigger.name(),
            new.thread,
            serde_json::to_string(new.notice).expect("a notice is texts and numbers"),
            state.name(),
            self.now.0,
            hopeless,
        ])?;
        Ok(self.connection.last_insert_rowid())
    }
}

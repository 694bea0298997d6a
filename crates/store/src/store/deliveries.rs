//! Deliveries, their attempts, and the channels that carry them.

use keystile_core::actor::Actor;
use keystile_core::notifications::channel::ChannelRule;
use keystile_core::notifications::delivery::{DeliveryId, DeliveryState};
use keystile_core::notifications::subscription::SubscriptionId;
use keystile_core::time::Timestamp;
use rusqlite::Connection;

use crate::deliveries::{
    AttemptRow, ChannelStanding, ClaimedRow, DeliveryQuery, DeliveryRow, DigestStop,
    ListedDelivery, NewAttempt,
};
use crate::error::Result;
use crate::owners::devices::SubscriptionRow;
use crate::sqlite::audit::event::{Event, EventKind};
use crate::sqlite::notifications::{outbox, stop_digests, subscription};
use crate::store::Store;

impl Store {
    /// Deliveries, latest first; only those before one, where it is named.
    ///
    /// # Errors
    /// `Missing` when there is no delivery that they are to be before; when the store cannot be read.
    pub async fn deliveries(
        &self,
        mut query: DeliveryQuery,
        before: Option<DeliveryId>,
    ) -> Result<Vec<ListedDelivery>> {
        self.query(move |connection| {
            if let Some(before) = before {
                query.before = Some(outbox::find(connection, before)?.row);
            }
            let rows = outbox::list(connection, &query)?;
            rows.into_iter().map(|row| listed(connection, row)).collect()
        })
        .await
    }

    /// How many messages of each channel failed since one last arrived there.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn failed_since_sent(&self, channels: Vec<String>) -> Result<Vec<(String, u64)>> {
        self.query(move |connection| {
            let failed = |channel: String| {
                let count = outbox::failed_since_sent(connection, &channel)?;
                Ok((channel, count))
            };
            channels.into_iter().map(failed).collect()
        })
        .await
    }

    /// A delivery with its attempts, earliest first.
    ///
    /// # Errors
    /// `Missing` when there is none with the id; when the store cannot be read.
    pub async fn delivery(&self, id: DeliveryId) -> Result<(ListedDelivery, Vec<AttemptRow>)> {
        self.query(move |connection| {
            let found = listed(connection, outbox::find(connection, id)?)?;
            let attempts = outbox::attempts(connection, found.row.row)?;
            Ok((found, attempts))
        })
        .await
    }

    /// Sends a delivery that failed again, under its own id.
    ///
    /// # Errors
    /// `Missing` when there is none with the id, `Conflict` when it has not failed; when the store cannot
    /// commit.
    pub async fn resend_delivery(&self, id: DeliveryId, actor: Actor) -> Result<DeliveryRow> {
        self.write(move |tx| {
            let row = tx.resend_delivery(id)?;
            let detail = format!("{id} on {}", row.channel);
            let kind = EventKind::DeliveryResent;
            tx.record_event(&Event::named(kind, Some(&row.channel), &actor, &detail))?;
            Ok(row)
        })
        .await
    }

    /// How channels stand, and who takes no more digests on them, in the order of the names.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn channel_standings(
        &self,
        names: Vec<String>,
    ) -> Result<Vec<(ChannelStanding, Vec<DigestStop>)>> {
        self.query(move |connection| {
            let standing = |name: &String| {
                Ok((outbox::standing(connection, name)?, stop_digests::list(connection, name)?))
            };
            names.iter().map(standing).collect()
        })
        .await
    }

    /// Writes a message that tries a channel, or one device of it. Says the ids of its deliveries.
    ///
    /// # Errors
    /// When the store cannot commit.
    pub async fn test_channel(
        &self,
        channel: ChannelRule,
        device: Option<SubscriptionId>,
        actor: Actor,
    ) -> Result<Vec<DeliveryId>> {
        self.write(move |tx| {
            let (kind, detail) = (EventKind::ChannelTested, channel.spec.kind());
            tx.record_event(&Event::named(kind, Some(&channel.name), &actor, detail))?;
            tx.test_channel(&channel, device)
        })
        .await
    }

    /// The channels on which something is due.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn due_channels(&self) -> Result<Vec<String>> {
        let now = self.now();
        self.query(move |connection| outbox::due_channels(connection, now)).await
    }

    /// Claims deliveries of a channel that are due, the oldest first: nobody else sends them for as long as
    /// [`LEASE`](crate::deliveries::LEASE).
    ///
    /// # Errors
    /// When the store cannot commit.
    pub async fn claim_deliveries(&self, channel: String, limit: u32) -> Result<Vec<ClaimedRow>> {
        self.write(move |tx| {
            let rows = tx.claim_deliveries(&channel, limit)?;
            let claimed = |row: DeliveryRow| {
                let device = device_of(tx.connection, &row)?;
                Ok(ClaimedRow { row, device })
            };
            rows.into_iter().map(claimed).collect()
        })
        .await
    }

    /// Writes down the result of an attempt, and what follows from it.
    ///
    /// # Errors
    /// `Missing` when the delivery is no longer known; when the store cannot commit.
    pub async fn record_attempt(&self, new: NewAttempt) -> Result<DeliveryState> {
        let NewAttempt { id, claim, outcome, duration_ms, random } = new;
        self.write(move |tx| tx.record_attempt(id, claim, &outcome, duration_ms, random)).await
    }

    /// Forgets uses of action links that have expired, and some deliveries that ended before a time. Says
    /// how many of these.
    ///
    /// # Errors
    /// When the store cannot commit.
    pub async fn forget_deliveries(&self, before: Timestamp, limit: u32) -> Result<usize> {
        self.write(move |tx| {
            tx.forget_actions(tx.now())?;
            tx.forget_deliveries(before, limit)
        })
        .await
    }

    /// A delivery, and whether its receiver takes no more digests of its rule.
    ///
    /// # Errors
    /// `Missing` when there is none with the id; when the store cannot be read.
    pub async fn digest_stop_of(&self, id: DeliveryId) -> Result<(DeliveryRow, bool)> {
        self.query(move |connection| {
            let row = outbox::find(connection, id)?;
            let receiver = row.receiver.as_deref().unwrap_or_default();
            let has_stopped =
                stop_digests::is_stopped(connection, &row.channel, &row.rule, receiver)?;
            Ok((row, has_stopped))
        })
        .await
    }

    /// Stops the digests of a delivery's rule to its receiver. What is stopped stays as it is.
    ///
    /// # Errors
    /// `Missing` when there is no delivery with the id; when the store cannot commit.
    pub async fn stop_digests(&self, id: DeliveryId, actor: Actor) -> Result<DeliveryRow> {
        self.write(move |tx| {
            let row = outbox::find(tx.connection, id)?;
            let receiver = row.receiver.as_deref().unwrap_or_default();
            tx.stop_digests(&row.channel, &row.rule, receiver, &actor)?;
            Ok(row)
        })
        .await
    }

    /// Lets all digests of a channel go out again. Says how many were stopped.
    ///
    /// # Errors
    /// When the store cannot commit.
    pub async fn resume_digests(&self, channel: String, actor: Actor) -> Result<usize> {
        self.write(move |tx| tx.resume_digests(&channel, &actor)).await
    }
}

fn device_of(connection: &Connection, row: &DeliveryRow) -> Result<Option<SubscriptionRow>> {
    match row.device() {
        Some(device) => subscription::find(connection, device),
        None => Ok(None),
    }
}

fn listed(connection: &Connection, row: DeliveryRow) -> Result<ListedDelivery> {
    let device = device_of(connection, &row)?.map(|device| device.label);
    Ok(ListedDelivery { row, device })
}

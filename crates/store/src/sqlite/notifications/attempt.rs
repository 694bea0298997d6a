//! Attempts: claiming deliveries, and what follows from what the other side said.
//!
//! A claim has a number. Whoever comes back late, when another has claimed the delivery since, finds that
//! their number is not the last one, and changes nothing but the list of attempts.

use keystile_core::actor::Actor;
use keystile_core::notifications::delivery::{
    AttemptOutcome, DeliveryId, DeliveryState, next_attempt,
};
use keystile_core::notifications::trigger::Trigger;
use keystile_core::time::Timestamp;
use rusqlite::params;

use crate::deliveries::{DeliveryRow, LEASE};
use crate::error::{Error, Result};
use crate::sqlite::audit::event::{Event, EventKind, Facts};
use crate::sqlite::notifications::outbox::{COLUMNS, delivery_row, find};
use crate::sqlite::notifications::subscription;
use crate::sqlite::writer::write_tx::WriteTx;

/// What the other side said is kept up to here; a server may answer with a gigabyte.
const SAID_BYTES_MAX: usize = 500;

impl WriteTx<'_> {
    /// Claims deliveries of a channel that are due, for as long as [`LEASE`]; the oldest first.
    pub(crate) fn claim_deliveries(
        &mut self,
        channel: &str,
        limit: u32,
    ) -> Result<Vec<DeliveryRow>> {
        // By `delivery_open`, which has only what is not yet done.
        let mut statement = self.connection.prepare_cached(&format!(
            "UPDATE delivery SET state = 'sending', lease_until = ?2, attempts = attempts + 1, updated = ?3,
                    node = ?5
             WHERE id IN (
                SELECT id FROM delivery INDEXED BY delivery_open
                WHERE channel = ?1 AND state IN ('waiting', 'sending')
                    AND ((state = 'waiting' AND not_before <= ?3)
                        OR (state = 'sending' AND lease_until <= ?3))
                ORDER BY id LIMIT ?4)
             RETURNING {COLUMNS}"
        ))?;
        let until = self.now.plus(LEASE).0;
        let mut claimed: Vec<DeliveryRow> = statement
            .query_and_then(
                params![channel, until, self.now.0, limit, self.memory.node.id()],
                delivery_row,
            )?
            .collect::<Result<_>>()?;
        claimed.sort_by_key(|delivery| delivery.row);
        Ok(claimed)
    }

    /// Writes down what came of an attempt, and what follows from it. `claim` is the number of attempts
    /// that the delivery had when it was claimed.
    pub(crate) fn record_attempt(
        &mut self,
        id: DeliveryId,
        claim: u32,
        outcome: &AttemptOutcome,
        duration_ms: u64,
        random: u32,
    ) -> Result<DeliveryState> {
        let delivery = find(self.connection, id)?;
        let said = shortened(outcome.said());
        self.connection
            .prepare_cached(
                "INSERT INTO attempt (delivery, time, outcome, said, duration_ms)
                 VALUES (?1, ?2, ?3, ?4, ?5)",
            )?
            .execute(params![
                delivery.row,
                self.now.0,
                outcome.name(),
                said,
                i64::try_from(duration_ms).unwrap_or(i64::MAX),
            ])?;
        if delivery.state != DeliveryState::Sending || delivery.attempts != claim {
            return Ok(delivery.state);
        }
        let is_test = delivery.kind == Trigger::Test;
        let (state, next) = match outcome {
            AttemptOutcome::Sent { .. } => (DeliveryState::Sent, None),
            AttemptOutcome::Later { retry_after, .. } if !is_test => {
                let first_due = self.first_due(delivery.row)?;
                match next_attempt(first_due, self.now, claim, *retry_after, random) {
                    Some(next) => (DeliveryState::Waiting, Some(next)),
                    None => (DeliveryState::Failed, None),
                }
            }
            AttemptOutcome::Later { .. }
            | AttemptOutcome::Never { .. }
            | AttemptOutcome::Gone { .. } => (DeliveryState::Failed, None),
        };
        self.set_delivery_state(delivery.row, state, next, said)?;
        match outcome {
            AttemptOutcome::Sent { .. } => self.channel_is_back(&delivery)?,
            AttemptOutcome::Gone { .. } => self.receiver_is_gone(&delivery, said)?,
            AttemptOutcome::Later { .. } | AttemptOutcome::Never { .. } => {}
        }
        if state == DeliveryState::Failed && !is_test {
            self.record_failure(&delivery, said)?;
        }
        Ok(state)
    }

    /// A delivery has failed for good. Owners hear of it where that can arrive: on the other channels. That
    /// one of these messages fails as well is only in the audit, or two dead channels would notify of each
    /// other for ever.
    fn record_failure(&mut self, delivery: &DeliveryRow, said: &str) -> Result<()> {
        let to = match &delivery.receiver {
            Some(receiver) => format!("{} ({receiver})", delivery.channel),
            None => delivery.channel.clone(),
        };
        let detail = format!("{} to {to} was not delivered: {said}", delivery.id);
        let (kind, subject) = (EventKind::DeliveryFailed, Some(delivery.channel.as_str()));
        let facts = if delivery.kind == Trigger::DeliveryFailed {
            Facts::Unannounced
        } else {
            Facts::FailedChannel
        };
        self.record_event(&Event { facts, ..Event::named(kind, subject, &Actor::System, &detail) })
    }

    fn first_due(&self, row: i64) -> Result<Timestamp> {
        let mut statement =
            self.connection.prepare_cached("SELECT first_due FROM delivery WHERE id = ?1")?;
        Ok(Timestamp(statement.query_row([row], |row| row.get(0))?))
    }

    fn set_delivery_state(
        &self,
        row: i64,
        state: DeliveryState,
        next: Option<Timestamp>,
        said: &str,
    ) -> Result<()> {
        self.connection
            .prepare_cached(
                "UPDATE delivery SET state = ?2, not_before = coalesce(?3, not_before),
                        lease_until = NULL, updated = ?4, last_said = ?5 WHERE id = ?1",
            )?
            .execute(params![row, state.name(), next.map(|next| next.0), self.now.0, said])?;
        Ok(())
    }

    fn channel_is_back(&self, delivery: &DeliveryRow) -> Result<()> {
        if let Some(subscription) = &delivery.receiver {
            subscription::touch(self.connection, subscription, self.now)?;
        }
        self.connection
            .prepare_cached("DELETE FROM channel_gone WHERE channel = ?1")?
            .execute([&delivery.channel])?;
        Ok(())
    }

    /// A device is forgotten; a channel without receivers of its own is off until a test succeeds.
    fn receiver_is_gone(&mut self, delivery: &DeliveryRow, said: &str) -> Result<()> {
        if let Some(receiver) = &delivery.receiver {
            return subscription::forget_gone(self, receiver, said);
        }
        self.connection.execute(
            "INSERT OR REPLACE INTO channel_gone (channel, since, said) VALUES (?1, ?2, ?3)",
            params![delivery.channel, self.now.0, said],
        )?;
        self.connection.execute(
            "UPDATE delivery SET state = 'failed', updated = ?2, last_said = ?3
             WHERE channel = ?1 AND state = 'waiting'",
            params![
                delivery.channel,
                self.now.0,
                format!("the channel is off, because its other side said: {said}")
            ],
        )?;
        Ok(())
    }

    /// Sends a delivery that failed again, under its own id, for another three days.
    pub(crate) fn resend_delivery(&mut self, id: DeliveryId) -> Result<DeliveryRow> {
        let delivery = find(self.connection, id)?;
        if delivery.state != DeliveryState::Failed {
            return Err(Error::Conflict(format!(
                "the delivery is {}: only one that failed is sent again",
                delivery.state
            )));
        }
        self.connection.execute(
            "UPDATE delivery SET state = 'waiting', first_due = ?2, not_before = ?2, updated = ?2
             WHERE id = ?1",
            params![delivery.row, self.now.0],
        )?;
        let signal = self.memory.outbox_signal.clone();
        self.after_commit(move || signal.notify_one());
        Ok(delivery)
    }

    /// Forgets deliveries that came to their end before a time, some at once.
    pub(crate) fn forget_deliveries(&mut self, before: Timestamp, limit: u32) -> Result<usize> {
        Ok(self.connection.execute(
            "DELETE FROM delivery WHERE id IN (SELECT id FROM delivery WHERE updated < ?1
                AND created < ?1 AND state IN ('sent', 'failed') ORDER BY id LIMIT ?2)",
            params![before.0, limit],
        )?)
    }
}

fn shortened(text: &str) -> &str {
    let mut end = text.len().min(SAID_BYTES_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

//! Notifying owners: what follows from the journal, what is to be sent, and the result.
//!
//! # Who does what
//!
//! - A *rule* waits for events. What it waits for becomes *deliveries* in the transaction of the event, or,
//!   for writes, in that of [`Engine::follow_writes`], which reads the journal behind a cursor.
//! - A *delivery* is one message to one receiver of a *channel*. Whoever sends claims it for a while with
//!   [`Engine::claim_deliveries`], sends it with nothing held, and tells what came of it with
//!   [`Engine::record_attempt`]: it is done, tried again later, or failed.
//! - A delivery that failed is an event, told on the other channels, and can be sent again.
//!
//! # What is exact and what is not
//!
//! Each event becomes a delivery, or a count in a digest, exactly once. A delivery arrives at least once: a
//! crash between sending and recording repeats it, under the same id, by which the other side knows it.
//! Nothing here has to run for writes to be guarded.
//!
//! # Not here
//!
//! Words, protocols and sockets.

use std::sync::Arc;

use keystile_core::notifications::delivery::{AttemptOutcome, DeliveryId, DeliveryState};
use keystile_core::time::{Span, Timestamp};
use keystile_store::deliveries::NewAttempt;

use crate::engine::Engine;
use crate::notifications::claimed::ClaimedDelivery;
use crate::notifications::refusal_burst::Burst;

/// So many records are read in one go; a few milliseconds.
const READ_AT_ONCE: u32 = 5_000;
/// How long deliveries that came to their end stay in the log.
const KEPT: Span = Span::from_secs(90 * 86_400);
/// So many are forgotten in one transaction.
const FORGOTTEN_AT_ONCE: u32 = 1_000;

impl Engine {
    /// Makes sure that rules which follow the journal begin with the next record, whatever happens until
    /// they look. Call it before the first write can come, and after each change of the rules.
    pub async fn begin_watching(&self) {
        if let Err(error) = self.store.begin_watching().await {
            tracing::warn!(%error, "rules could not begin to follow the journal");
        }
    }

    /// Notifies of new records of the journal, and sends digests that are due. Call it a few times a second;
    /// it does nothing where there is nothing to do.
    pub async fn follow_writes(&self) {
        loop {
            match self.store.follow_journal(READ_AT_ONCE).await {
                Ok(true) => {}
                Ok(false) => break,
                Err(error) => {
                    tracing::debug!(%error, "the journal could not be followed; it will be");
                    break;
                }
            }
        }
        if let Err(error) = self.store.close_digests().await {
            tracing::debug!(%error, "digests could not be written; they will be");
        }
    }

    /// The channels on which something is due.
    pub async fn due_channels(&self) -> Vec<String> {
        self.store.due_channels().await.unwrap_or_else(|error| {
            tracing::warn!(%error, "the outbox could not be read; it will be");
            Vec::new()
        })
    }

    /// Claims deliveries of a channel that are due: they are this caller's to send, for as long as a claim
    /// holds. Nothing of the store is held meanwhile.
    pub async fn claim_deliveries(
        self: &Arc<Self>,
        channel: &str,
        limit: u32,
    ) -> Vec<ClaimedDelivery> {
        let rows = self.store.claim_deliveries(channel.to_owned(), limit).await;
        let rows = rows.unwrap_or_else(|error| {
            tracing::debug!(%error, channel, "deliveries could not be claimed; they will be");
            Vec::new()
        });
        let mut claimed = Vec::new();
        for row in rows {
            let (id, claim) = (row.row.id, row.row.attempts);
            match self.claimed(row).await {
                Ok(delivery) => claimed.push(delivery),
                Err(said) => {
                    self.record_attempt(id, claim, AttemptOutcome::Never { said }, 0).await;
                }
            }
        }
        claimed
    }

    /// Records bursts that have begun.
    pub(crate) async fn record_refusal_bursts(&self) {
        for Burst { key, detail } in self.refusal_bursts.take() {
            let recorded = self.store.record_refusal_burst(key, detail).await;
            if let Err(error) = recorded {
                tracing::warn!(%error, "a burst of refusals could not be recorded");
            }
        }
    }

    /// Writes down what came of an attempt. Where the store cannot, the claim ends by itself and the
    /// delivery is sent once more.
    pub async fn record_attempt(
        &self,
        id: DeliveryId,
        claim: u32,
        outcome: AttemptOutcome,
        duration_ms: u64,
    ) -> Option<DeliveryState> {
        if claim == 0 {
            return None;
        }
        let random = u32::from_ne_bytes(keystile_store::random());
        let attempt = NewAttempt { id, claim, outcome, duration_ms, random };
        let recorded = self.store.record_attempt(attempt).await;
        recorded
            .inspect_err(|error| {
                tracing::warn!(%error, delivery.id = %id, "an attempt could not be recorded");
            })
            .ok()
    }

    /// Forgets deliveries, and uses of action links, that are over since long; about once an hour.
    pub(crate) async fn forget_deliveries(&self) {
        let now = self.store.now();
        if !self.forgetting.is_due(now) {
            return;
        }
        let before = Timestamp(now.0.saturating_sub(KEPT.millis()));
        let forgotten = self.store.forget_deliveries(before, FORGOTTEN_AT_ONCE).await;
        match forgotten {
            // More of them wait.
            Ok(count) if count >= FORGOTTEN_AT_ONCE as usize => self.forgetting.is_unfinished(),
            Ok(_) => {}
            Err(error) => tracing::warn!(%error, "old deliveries could not be forgotten"),
        }
    }
}

//! Telling owners: what follows from the journal, what is to be sent, and what came of it.
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
use std::sync::atomic::{AtomicI64, Ordering};

use keystile_core::key::{DeliveryId, KeyId};
use keystile_core::notifications::channel::ChannelRule;
use keystile_core::notifications::delivery::{AttemptOutcome, DeliveryState};
use keystile_core::notifications::notice::{Notice, NoticeWrite};
use keystile_core::notifications::watch::TriggerKind;
use keystile_core::time::{Span, Timestamp};
use keystile_store::devices::SubscriptionRow;
use keystile_store::error::Error;
use keystile_store::sqlite::notifications::follow;
use keystile_store::sqlite::notifications::outbox::{self, DeliveryRow};
use keystile_store::sqlite::notifications::subscription;

use crate::Engine;
use crate::journal::{Order, RecordFilter};
use crate::notifications::action_link::Act;

/// So many records are read in one go; a few milliseconds.
const READ_AT_ONCE: u32 = 5_000;
/// A notice of a lock names so many writes before it.
const WRITES_BEFORE: u32 = 5;
/// How long deliveries that came to their end stay in the log.
const KEPT: Span = Span::from_secs(90 * 86_400);
/// That is looked after so often.
const FORGOTTEN_EVERY: Span = Span::from_secs(3_600);
/// So many are forgotten in one transaction.
const FORGOTTEN_AT_ONCE: u32 = 1_000;

/// A delivery that its holder sends now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimedDelivery {
    /// Its id, which stays the same however often it is sent.
    pub id: DeliveryId,
    /// The number of this claim; 0 for what is sent past the store.
    pub claim: u32,
    /// The rule by which it is told.
    pub rule: String,
    /// The channel.
    pub channel: ChannelRule,
    /// Who, where the channel has several receivers.
    pub receiver: Option<Receiver>,
    /// What it belongs together with.
    pub thread: String,
    /// What is told.
    pub notice: Notice,
    /// When it was written.
    pub created: Timestamp,
    /// What its reader can do.
    pub links: Links,
}

/// A receiver of a channel that has several.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Receiver {
    /// A mailbox.
    Address(String),
    /// A subscribed device.
    Device(Box<SubscriptionRow>),
}

/// Addresses that a message leads to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Links {
    /// Where the console shows what it is about.
    pub view: Option<String>,
    /// What locks the key, once, without signing in.
    pub lock: Option<String>,
    /// Where a signed-in owner unlocks the key.
    pub unlock: Option<String>,
    /// What ends digests like this one to its receiver, without signing in.
    pub stop: Option<String>,
}

impl Engine {
    /// Makes sure that rules which follow the journal begin with the next record, whatever happens until
    /// they look. Call it before the first write can come, and after each change of the rules.
    pub async fn begin_watching(&self) {
        if !self.store.watching().watches_writes() {
            return;
        }
        let from = self.store.watch_from();
        if let Err(error) = self.store.change(move |work| work.begin_watching(from)).await {
            tracing::warn!(%error, "rules could not begin to follow the journal");
        }
    }

    /// Tells what new records of the journal are to be told, and ends windows that are due. Call it a few
    /// times a second; it does nothing where there is nothing to do.
    pub async fn follow_writes(self: &Arc<Self>) {
        loop {
            match self.follow_once().await {
                Ok(true) => {}
                Ok(false) => break,
                Err(error) => {
                    tracing::debug!(%error, "the journal could not be followed; it will be");
                    break;
                }
            }
        }
        if let Err(error) = self.close_digests().await {
            tracing::debug!(%error, "digests could not be written; they will be");
        }
    }

    /// Says whether more records wait.
    async fn follow_once(self: &Arc<Self>) -> Result<bool, Error> {
        let watching = self.store.watching();
        let store = self.store.clone();
        if !watching.watches_writes() {
            let cursor = self.store.read(follow::watched_to)?;
            if cursor.is_some() {
                self.stop_watching().await?;
            }
            return Ok(false);
        }
        let look = tokio::task::spawn_blocking(move || {
            let now = store.now();
            store.read(|read| {
                let from = follow::watched_to(read)?.unwrap_or_else(|| store.watch_from());
                follow::look(read, &watching, from, now, READ_AT_ONCE)
            })
        });
        let look = look.await.map_err(|_| Error::Unavailable)??;
        let is_full = look.is_full;
        if !look.is_empty() {
            self.store.change(move |work| work.tell_watched(&look)).await?;
        }
        Ok(is_full)
    }

    async fn stop_watching(&self) -> Result<(), Error> {
        self.store.change(|work| work.stop_watching().map(drop)).await
    }

    async fn close_digests(&self) -> Result<(), Error> {
        let now = self.store.now();
        if self.store.read(|read| outbox::has_due_digest(read, now))? {
            self.store.change(|work| work.close_digests().map(|_| ())).await?;
        }
        Ok(())
    }

    /// The channels on which something is due. Blocks for a moment.
    pub fn due_channels(&self) -> Vec<String> {
        let now = self.store.now();
        self.store.read(|read| outbox::due_channels(read, now)).unwrap_or_else(|error| {
            tracing::warn!(%error, "the outbox could not be read; it will be");
            Vec::new()
        })
    }

    /// Claims deliveries of a channel that are due: they are this caller's to send, for as long as a claim
    /// holds. Nothing of the store is held meanwhile.
    pub async fn claim_deliveries(&self, channel: &str, limit: u32) -> Vec<ClaimedDelivery> {
        let name = channel.to_owned();
        let rows = self.store.change(move |work| work.claim_deliveries(&name, limit)).await;
        let rows = rows.unwrap_or_else(|error| {
            tracing::debug!(%error, channel, "deliveries could not be claimed; they will be");
            Vec::new()
        });
        let mut claimed = Vec::new();
        for row in rows {
            let (id, claim) = (row.id, row.attempts);
            match self.claimed(row) {
                Ok(delivery) => claimed.push(delivery),
                Err(said) => {
                    self.record_attempt(id, claim, AttemptOutcome::Never { said }, 0).await;
                }
            }
        }
        claimed
    }

    /// What is to be sent past the store, because that fails; tried once.
    pub fn direct_deliveries_waiting(&self) -> Vec<ClaimedDelivery> {
        self.take_direct()
    }

    /// A delivery with all that sending it takes, or why it cannot be sent.
    fn claimed(&self, row: DeliveryRow) -> Result<ClaimedDelivery, String> {
        let watching = self.store.watching();
        let channel = watching
            .channel(&row.channel)
            .cloned()
            .ok_or_else(|| "the configuration has no such channel any more".to_owned())?;
        let stop = self.stop_link(&row);
        let links = Links { stop, ..self.links(&row.notice, row.id, row.created) };
        let receiver = match row.receiver {
            None => None,
            Some(receiver) if receiver.starts_with("device_") => {
                let device = self.store.read(|read| subscription::find(read, &receiver));
                let device = device.ok().flatten();
                let device = device.ok_or_else(|| "the device was removed".to_owned())?;
                Some(Receiver::Device(Box::new(device)))
            }
            Some(address) => Some(Receiver::Address(address)),
        };
        let mut notice = row.notice;
        if notice.trigger == TriggerKind::KeyLocked && notice.writes.is_empty() {
            notice.writes = self.writes_before(&notice);
        }
        Ok(ClaimedDelivery {
            id: row.id,
            claim: row.attempts,
            rule: row.rule,
            channel,
            receiver,
            thread: row.thread,
            notice,
            created: row.created,
            links,
        })
    }

    /// The last few writes of a key until it was locked.
    fn writes_before(&self, notice: &Notice) -> Vec<NoticeWrite> {
        let Some(key) = &notice.key else {
            return Vec::new();
        };
        let filter = RecordFilter {
            key: Some(key.id.clone()),
            until: Some(Timestamp(notice.time.0.saturating_add(1))),
            order: Order::Latest,
            limit: WRITES_BEFORE,
            ..RecordFilter::default()
        };
        let records = self.record_page(filter).map(|page| page.records).unwrap_or_default();
        let write = |record: keystile_core::journal::WriteRecord| NoticeWrite {
            id: record.id,
            time: record.time,
            api: record.api,
            operation: record.operation,
            method: record.method,
            path: record.path,
            address: record.address,
            outcome: record.outcome,
            application: record.application,
        };
        records.into_iter().rev().map(write).collect()
    }

    fn links(&self, notice: &Notice, id: DeliveryId, created: Timestamp) -> Links {
        let console = self.console_url();
        let Some(key) = &notice.key else {
            let place = match notice.trigger {
                TriggerKind::DeliveryFailed => "/deliveries?state=failed",
                trigger if trigger.is_of_writes() => "/journal",
                _ => "/",
            };
            return Links { view: Some(format!("{console}{place}")), ..Links::default() };
        };
        let view = format!("{console}/keys/{}", key.id);
        let (lock, unlock) = match notice.trigger {
            TriggerKind::KeyLocked => (None, Some(format!("{view}/unlock"))),
            TriggerKind::Write
            | TriggerKind::FirstWriteOfKey
            | TriggerKind::FirstWriteOfOperation
            | TriggerKind::BudgetLevel
            | TriggerKind::KeyUnlocked
            | TriggerKind::WriteUnknown
            | TriggerKind::RefusedStorm => {
                let link = |key: KeyId| self.action_link(Act::Lock, key, created, id.uuid());
                (key.id.parse().ok().map(link), None)
            }
            TriggerKind::StoreTrouble | TriggerKind::DeliveryFailed | TriggerKind::Test => {
                (None, None)
            }
        };
        Links { view: Some(view), lock, unlock, stop: None }
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
        let recorded = self
            .store
            .change(move |work| work.record_attempt(id, claim, &outcome, duration_ms, random))
            .await;
        recorded
            .inspect_err(|error| {
                tracing::warn!(%error, delivery.id = %id, "an attempt could not be recorded");
            })
            .ok()
    }

    /// Forgets deliveries, and uses of action links, that are over since long; about once an hour.
    pub(crate) async fn forget_told(&self) {
        let now = self.store.now();
        if !self.forgot.is_due(now) {
            return;
        }
        let before = Timestamp(now.0.saturating_sub(KEPT.millis()));
        let forgotten = self
            .store
            .change(move |work| {
                work.forget_actions(now)?;
                work.forget_deliveries(before, FORGOTTEN_AT_ONCE)
            })
            .await;
        match forgotten {
            // More of them wait.
            Ok(count) if count >= FORGOTTEN_AT_ONCE as usize => self.forgot.not_yet(),
            Ok(_) => {}
            Err(error) => tracing::warn!(%error, "old deliveries could not be forgotten"),
        }
    }
}

/// When something was last forgotten.
#[derive(Debug, Default)]
pub(crate) struct Forgot(AtomicI64);

impl Forgot {
    fn is_due(&self, now: Timestamp) -> bool {
        let last = self.0.load(Ordering::Relaxed);
        let is_due = now.0.saturating_sub(last) >= FORGOTTEN_EVERY.millis();
        if is_due {
            self.0.store(now.0, Ordering::Relaxed);
        }
        is_due
    }

    fn not_yet(&self) {
        self.0.store(0, Ordering::Relaxed);
    }
}

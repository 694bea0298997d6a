//! Storage failures: owners are notified while one lasts, although nothing can be written, and it is on
//! record after.
//!
//! The outbox is in the store, so a message that the store fails cannot wait there. It is kept in memory,
//! handed to whoever sends with the next claim, and tried once. When the store commits again, what it was
//! goes through the outbox like every other event.

use keystile_core::notifications::channel::ChannelRule;
use keystile_core::notifications::delivery::DeliveryId;
use keystile_core::notifications::digest::Occurrence;
use keystile_core::notifications::notice::Notice;
use keystile_core::notifications::plan;
use keystile_core::notifications::trigger::Trigger;
use keystile_core::time::Timestamp;
use uuid::Uuid;

use crate::engine::Engine;
use crate::notifications::claimed::{ClaimedDelivery, Links, Receiver};
use crate::notifications::store_health::StoreFailure;

impl Engine {
    /// Looks whether a failure began or ended.
    pub(crate) async fn watch_store(&self) {
        match (self.store.fault(), self.store_health.failure()) {
            (None, None) | (Some(_), Some(_)) => {}
            (Some(fault), None) => {
                let since = self.store.now();
                let detail = format!("the store cannot commit, and writes are refused: {fault}");
                let direct = self.direct_deliveries(&detail, since).await;
                self.store_health.begin(StoreFailure { since, fault }, direct);
            }
            (None, Some(StoreFailure { since, fault })) => {
                let secs = self.store.now().millis_since(since).unsigned_abs().div_ceil(1_000);
                let detail = format!(
                    "the store could not commit for {secs} s since {}, and refused writes; it does again: {fault}",
                    since.readable()
                );
                match self.store.record_storage_failure(detail).await {
                    Ok(()) => self.store_health.end(),
                    // It is tried again a second later.
                    Err(error) => {
                        tracing::debug!(%error, "the end of a storage failure is not on record yet");
                    }
                }
            }
        }
    }

    /// What is to be sent past the store, because that fails; tried once.
    pub fn direct_deliveries_waiting(&self) -> Vec<ClaimedDelivery> {
        self.store_health.take_direct()
    }

    async fn direct_deliveries(&self, detail: &str, now: Timestamp) -> Vec<ClaimedDelivery> {
        let rules = self.store.watching();
        let mut notice = Notice::new(Trigger::StorageFailure, now);
        detail.clone_into(&mut notice.detail);
        let event = plan::Event {
            trigger: Trigger::StorageFailure,
            rules: rules
                .waiting_for(Trigger::StorageFailure, None)
                .map(|(place, _)| place)
                .collect(),
            occurrence: Occurrence { subject: 0, count: 1, sample: 0 },
            thread: None,
            except: None,
        };
        let mut deliveries = Vec::new();
        for (place, channel) in plan::routes(&rules, &event) {
            for receiver in self.receivers_past_the_store(channel).await {
                deliveries.push(ClaimedDelivery {
                    id: DeliveryId::new(Uuid::now_v7()),
                    claim: 0,
                    rule: rules.rules()[place].name.clone(),
                    channel: channel.clone(),
                    receiver,
                    thread: "store".to_owned(),
                    notice: notice.clone(),
                    elsewhere: None,
                    created: now,
                    links: Links { view: Some(self.console_url()), ..Links::default() },
                });
            }
        }
        deliveries
    }

    /// Who receives on a channel, as far as the store can still be read.
    async fn receivers_past_the_store(&self, channel: &ChannelRule) -> Vec<Option<Receiver>> {
        let devices = if channel.spec.is_for_devices() {
            self.store.devices().await.unwrap_or_else(|error| {
                tracing::warn!(%error, "no device hears of a storage failure: they could not be read");
                Vec::new()
            })
        } else {
            Vec::new()
        };
        let ids: Vec<String> = devices.iter().map(|device| device.id.to_string()).collect();
        let receiver = |name: String| match ids.iter().position(|id| *id == name) {
            Some(place) => Receiver::Device(Box::new(devices[place].clone())),
            None => Receiver::Address(name),
        };
        channel.spec.receivers(&ids).into_iter().map(|name| name.map(receiver)).collect()
    }
}

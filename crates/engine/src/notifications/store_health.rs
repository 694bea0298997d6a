//! Trouble of the store: told while it lasts, although nothing can be written, and on record after.
//!
//! The outbox is in the store, so a message that the store fails cannot wait there. It is kept in memory,
//! handed to whoever sends with the next claim, and tried once. When the store commits again, what it was
//! goes through the outbox like every other event.

use std::sync::{Mutex, PoisonError};

use keystile_core::key::DeliveryId;
use keystile_core::notifications::channel::ChannelSpec;
use keystile_core::notifications::notice::Notice;
use keystile_core::notifications::watch::TriggerKind;
use keystile_core::time::Timestamp;
use keystile_store::sqlite::notifications::subscription;
use uuid::Uuid;

use crate::Engine;
use crate::notifications::notify::{ClaimedDelivery, Links, Receiver};

/// What the store's trouble is, while there is any.
#[derive(Debug, Default)]
pub(crate) struct Trouble {
    present: Mutex<Option<Present>>,
    /// What is to be told past the store.
    direct: Mutex<Vec<ClaimedDelivery>>,
}

#[derive(Clone, Debug)]
struct Present {
    since: Timestamp,
    fault: String,
}

impl Engine {
    /// Looks whether trouble began or ended.
    pub(crate) async fn watch_store(&self) {
        let known = self.trouble.present.lock().unwrap_or_else(PoisonError::into_inner).clone();
        match (self.store.fault(), known) {
            (None, None) | (Some(_), Some(_)) => {}
            (Some(fault), None) => {
                let since = self.store.now();
                let detail = format!("the store cannot commit, and writes are refused: {fault}");
                let direct = self.direct_deliveries(&detail, since);
                *self.trouble.direct.lock().unwrap_or_else(PoisonError::into_inner) = direct;
                *self.trouble.present.lock().unwrap_or_else(PoisonError::into_inner) =
                    Some(Present { since, fault });
            }
            (None, Some(Present { since, fault })) => {
                let secs = self.store.now().millis_since(since).unsigned_abs().div_ceil(1_000);
                let detail = format!(
                    "the store could not commit for {secs} s since {}, and refused writes; it does again: {fault}",
                    since.readable()
                );
                let told = self.store.change(move |work| work.tell_store_trouble(&detail)).await;
                if told.is_ok() {
                    *self.trouble.present.lock().unwrap_or_else(PoisonError::into_inner) = None;
                }
            }
        }
    }

    /// What is to be sent past the store, once.
    pub(crate) fn take_direct(&self) -> Vec<ClaimedDelivery> {
        std::mem::take(&mut *self.trouble.direct.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn direct_deliveries(&self, detail: &str, now: Timestamp) -> Vec<ClaimedDelivery> {
        let watching = self.store.watching();
        let mut notice = Notice::new(TriggerKind::StoreTrouble, now);
        detail.clone_into(&mut notice.detail);
        let mut deliveries: Vec<ClaimedDelivery> = Vec::new();
        for rule in watching.of_kind(TriggerKind::StoreTrouble) {
            for channel in rule.tell.iter().filter_map(|name| watching.channel(name)) {
                let receivers: Vec<Option<Receiver>> = match &channel.spec {
                    ChannelSpec::Email { to, .. } => {
                        to.iter().map(|to| Some(Receiver::Address(to.clone()))).collect()
                    }
                    ChannelSpec::WebPush { .. } => {
                        let devices = self.store.read(subscription::list).unwrap_or_default();
                        devices
                            .into_iter()
                            .map(|row| Some(Receiver::Device(Box::new(row))))
                            .collect()
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
                };
                if deliveries.iter().any(|known| known.channel.name == channel.name) {
                    continue;
                }
                deliveries.extend(receivers.into_iter().map(|receiver| ClaimedDelivery {
                    id: DeliveryId::new(Uuid::now_v7()),
                    claim: 0,
                    rule: rule.name.clone(),
                    channel: channel.clone(),
                    receiver,
                    thread: "store".to_owned(),
                    notice: notice.clone(),
                    created: now,
                    links: Links { view: Some(self.console_url()), ..Links::default() },
                }));
            }
        }
        deliveries
    }
}

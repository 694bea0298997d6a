//! Making a claimed delivery whole: its channel, receiver and links, and the writes before a lock.

use std::sync::Arc;

use keystile_core::journal::WriteRecord;
use keystile_core::keys::key::KeyId;
use keystile_core::notifications::delivery::DeliveryId;
use keystile_core::notifications::notice::{Notice, NoticeWrite};
use keystile_core::notifications::trigger::Trigger;
use keystile_core::time::Timestamp;
use keystile_store::deliveries::ClaimedRow;

use crate::engine::Engine;
use crate::journal::{Order, RecordFilter};
use crate::notifications::action_link::Act;
use crate::notifications::claimed::{ClaimedDelivery, Links, Receiver};

/// A notice of a lock names so many writes before it.
const WRITES_BEFORE: u32 = 5;

impl Engine {
    /// A delivery with all that sending it takes, or why it cannot be sent.
    pub(super) async fn claimed(
        self: &Arc<Self>,
        claimed: ClaimedRow,
    ) -> Result<ClaimedDelivery, String> {
        let ClaimedRow { row, device } = claimed;
        let watching = self.store.watching();
        let channel = watching
            .channel(&row.channel)
            .cloned()
            .ok_or_else(|| "the configuration has no such channel any more".to_owned())?;
        let stop = self.stop_link(&row);
        let links = Links { stop, ..self.links(&row.notice, row.id, row.created) };
        let receiver = match (row.device().is_some(), device, row.receiver) {
            (true, None, _) => return Err("the device was removed".to_owned()),
            (true, Some(device), _) => Some(Receiver::Device(Box::new(device))),
            (false, _, address) => address.map(Receiver::Address),
        };
        let mut notice = row.notice;
        let mut elsewhere = None;
        if notice.trigger == Trigger::KeyLocked {
            if notice.writes.is_empty() {
                notice.writes = self.writes_before(&notice).await;
            }
            elsewhere = self.lock_elsewhere(&notice).await;
        }
        Ok(ClaimedDelivery {
            id: row.id,
            claim: row.attempts,
            rule: row.rule,
            channel,
            receiver,
            thread: row.thread,
            notice,
            elsewhere,
            created: row.created,
            links,
        })
    }

    /// What becomes of a lock in the system that its key comes from.
    async fn lock_elsewhere(self: &Arc<Self>, notice: &Notice) -> Option<String> {
        let key = notice.key.as_ref()?;
        for source in self.key_sources().iter() {
            match source.lock_there(self, &key.id).await {
                Ok(None) => {}
                Ok(said) => return said,
                Err(error) => {
                    tracing::warn!(%error, key.id = %key.id, "a message does not say what a key source makes of a lock");
                }
            }
        }
        None
    }

    /// The last few writes of a key until it was locked.
    async fn writes_before(&self, notice: &Notice) -> Vec<NoticeWrite> {
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
        let (owner, query) = self.record_query(filter);
        let page = self.store.record_page(owner, query).await;
        let records = page.map_or_else(
            |error| {
                tracing::warn!(%error, key.id = %key.id, "a message goes without the writes before a lock");
                Vec::new()
            },
            |page| page.records,
        );
        let write = |record: WriteRecord| NoticeWrite {
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
        if let Some(application) = &notice.application {
            let view = format!("{console}/applications/{}", application.id);
            let unlock = format!("{view}/unlock");
            let unlock = (notice.trigger == Trigger::KeyLocked).then_some(unlock);
            return Links { view: Some(view), unlock, ..Links::default() };
        }
        let Some(key) = &notice.key else {
            let place = match notice.trigger {
                Trigger::DeliveryFailed => "/deliveries?state=failed",
                trigger if trigger.is_of_writes() => "/journal",
                _ => "/",
            };
            return Links { view: Some(format!("{console}{place}")), ..Links::default() };
        };
        let view = format!("{console}/keys/{}", key.id);
        let (lock, unlock) = match notice.trigger {
            Trigger::KeyLocked => (None, Some(format!("{view}/unlock"))),
            Trigger::Write
            | Trigger::FirstWriteOfKey
            | Trigger::FirstWriteOfOperation
            | Trigger::BudgetLevel
            | Trigger::KeyUnlocked
            | Trigger::WriteUnknown
            | Trigger::RefusalBurst => {
                let link = |key: KeyId| self.action_link(Act::Lock, key, created, id.uuid());
                (key.id.parse().ok().map(link), None)
            }
            Trigger::StorageFailure | Trigger::DeliveryFailed | Trigger::Test => (None, None),
        };
        Links { view: Some(view), lock, unlock, stop: None }
    }
}

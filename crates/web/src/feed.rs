//! What was written a moment ago, for whoever watches: server-sent events.
//!
//! One task reads the store for all watchers, twice a second, and only while there are any; the gate
//! notices nothing of it. A watcher that comes back after a break says what it saw last and gets what it
//! missed, up to a bound; a watcher that is too slow learns how much it missed.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use keystile_core::audit::AuditEvent;
use keystile_core::journal::{Outcome, RecordId, WriteRecord};
use keystile_core::owners::principal::Principal;
use keystile_engine::Engine;
use keystile_engine::audit::{EventFilter, ListEvents};
use keystile_engine::command::Failure;
use keystile_engine::journal::{CountRecords, Order, PageRecords, RecordFilter};
use serde::Serialize;
use tokio::sync::broadcast;

/// How often the store is read; a write shows within a second.
const READ_EVERY: Duration = Duration::from_millis(500);
/// Records sent at once; of a burst only the latest are shown, and how many more there were.
const RECORDS_MAX: u32 = 50;
/// Batches that a watcher may lag behind.
const LAG_MAX: usize = 64;
/// Records under way whose end is awaited.
const OPEN_MAX: usize = 1_000;

/// What a watcher has seen: the last record and the last event.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) record: i64,
    pub(crate) event: i64,
}

impl FromStr for Seen {
    type Err = ();

    /// As in `41.7`, which is what the last message's id said.
    fn from_str(text: &str) -> Result<Self, ()> {
        let (record, event) = text.split_once('.').ok_or(())?;
        let number = |text: &str| text.parse().map_err(|_| ());
        Ok(Self { record: number(record)?, event: number(event)? })
    }
}

/// The messages of one reading of the store, ready to be sent.
#[derive(Clone, Debug)]
pub(crate) struct FeedBatch {
    pub(crate) before: Seen,
    pub(crate) text: Bytes,
}

/// Where watchers listen.
pub(crate) struct Feed {
    engine: Arc<Engine>,
    sender: broadcast::Sender<FeedBatch>,
    is_running: AtomicBool,
}

fn message(text: &mut String, kind: &str, seen: Seen, data: &impl Serialize) {
    // What is sent are our own structs, which always serialize; JSON has no line ends of its own.
    let data = serde_json::to_string(data).unwrap_or_default();
    let _ = write!(text, "id: {}.{}\nevent: {kind}\ndata: {data}\n\n", seen.record, seen.event);
}

#[derive(Serialize)]
struct Skipped {
    writes: u64,
}

/// Whoever watches may see it: their scope was checked when they came.
const WATCHER: Principal = Principal::System;

async fn records(engine: &Arc<Engine>, filter: RecordFilter) -> Result<Vec<WriteRecord>, Failure> {
    Ok(engine.execute(&WATCHER, PageRecords { filter }).await?.records)
}

async fn events(engine: &Arc<Engine>, filter: EventFilter) -> Result<Vec<AuditEvent>, Failure> {
    engine.execute(&WATCHER, ListEvents { filter }).await
}

/// What is new since `seen`, as messages; the caller's `seen` moves on.
async fn read_new(
    engine: &Arc<Engine>,
    seen: &mut Seen,
) -> Result<(String, Vec<WriteRecord>), Failure> {
    let mut text = String::new();
    let latest = RecordFilter { limit: RECORDS_MAX, ..RecordFilter::default() };
    let mut records = records(engine, latest).await?;
    let filter =
        EventFilter { after: Some(seen.event), limit: RECORDS_MAX, ..EventFilter::default() };
    let mut events = events(engine, filter).await?;
    records.retain(|record| record.id.0 > seen.record);
    records.reverse();
    if let Some(first) = records.first() {
        let between = CountRecords { after: RecordId(seen.record), before: first.id };
        let writes = if seen.record > 0 { engine.execute(&WATCHER, between).await? } else { 0 };
        if writes > 0 {
            message(&mut text, "skipped", *seen, &Skipped { writes });
        }
    }
    for record in &records {
        seen.record = record.id.0;
        message(&mut text, "write", *seen, record);
    }
    events.sort_by_key(|event| event.id);
    for event in &events {
        seen.event = event.id;
        message(&mut text, "event", *seen, event);
    }
    Ok((text, records))
}

/// The end of the journal and the audit.
async fn end(engine: &Arc<Engine>) -> Result<Seen, Failure> {
    let records = records(engine, RecordFilter { limit: 1, ..RecordFilter::default() }).await?;
    let events = events(engine, EventFilter { limit: 1, ..EventFilter::default() }).await?;
    Ok(Seen {
        record: records.first().map_or(0, |record| record.id.0),
        event: events.first().map_or(0, |event| event.id),
    })
}

/// Records that were sent while under way, sent again when they have ended.
async fn ended(
    engine: &Arc<Engine>,
    open: &mut BTreeSet<i64>,
    seen: Seen,
) -> Result<String, Failure> {
    let mut text = String::new();
    for id in open.clone() {
        let only =
            RecordFilter { order: Order::Only(RecordId(id)), limit: 1, ..RecordFilter::default() };
        match records(engine, only).await?.first() {
            Some(record) if record.outcome == Outcome::Pending => {}
            Some(record) => {
                message(&mut text, "write", seen, record);
                open.remove(&id);
            }
            None => {
                open.remove(&id);
            }
        }
    }
    Ok(text)
}

/// One reading: what was seen before it, its messages, what is seen now, and the records still under way.
async fn read_batch(
    engine: &Arc<Engine>,
    seen: Option<Seen>,
    mut open: BTreeSet<i64>,
) -> Result<(Seen, String, Seen, BTreeSet<i64>), Failure> {
    let mut seen = match seen {
        Some(seen) => seen,
        None => end(engine).await?,
    };
    let before = seen;
    let ended = ended(engine, &mut open, seen).await?;
    let (text, records) = read_new(engine, &mut seen).await?;
    let pending = records.iter().filter(|record| record.outcome == Outcome::Pending);
    open.extend(pending.map(|record| record.id.0));
    while open.len() > OPEN_MAX {
        open.pop_first();
    }
    Ok((before, ended + &text, seen, open))
}

impl Feed {
    /// The feed of a store. Nobody listens yet.
    pub(crate) fn new(engine: Arc<Engine>) -> Arc<Self> {
        let is_running = AtomicBool::new(false);
        Arc::new(Self { engine, sender: broadcast::channel(LAG_MAX).0, is_running })
    }

    /// Listens from now on, and sees to it that somebody reads the store.
    pub(crate) fn listen(self: &Arc<Self>) -> broadcast::Receiver<FeedBatch> {
        let listening = self.sender.subscribe();
        if !self.is_running.swap(true, Ordering::AcqRel) {
            tokio::spawn(self.clone().run());
        }
        listening
    }

    /// Reads until nobody listens any more.
    async fn run(self: Arc<Self>) {
        let mut state = (None::<Seen>, BTreeSet::new());
        let mut ticks = tokio::time::interval(READ_EVERY);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            if self.sender.receiver_count() == 0 {
                self.is_running.store(false, Ordering::Release);
                // Somebody may have come in between, and relies on whoever runs.
                let is_alone = self.sender.receiver_count() == 0
                    || self.is_running.swap(true, Ordering::AcqRel);
                if is_alone {
                    return;
                }
            }
            let (seen, open) = state.clone();
            match read_batch(&self.engine, seen, open).await {
                Ok((before, text, seen, open)) => {
                    state = (Some(seen), open);
                    if !text.is_empty() {
                        // Nobody listens: the next tick ends this.
                        let _ = self.sender.send(FeedBatch { before, text: text.into() });
                    }
                }
                Err(failure) => tracing::warn!(%failure, "the live feed could not be read"),
            }
        }
    }

    /// What a watcher missed since the last message it got.
    pub(crate) async fn missed(&self, mut seen: Seen) -> Result<(Seen, String), Failure> {
        let (text, _) = read_new(&self.engine, &mut seen).await?;
        Ok((seen, text))
    }

    /// Where a watcher that has seen nothing begins.
    pub(crate) async fn here(&self) -> Result<Seen, Failure> {
        end(&self.engine).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_watcher_says_what_it_saw_last() {
        assert_eq!("41.7".parse(), Ok(Seen { record: 41, event: 7 }));
        for text in ["", "41", "41.", ".7", "a.b", "41.7.8"] {
            assert!(text.parse::<Seen>().is_err(), "{text}");
        }
    }
}

//! Counting what was used, every second: writes from the journal, reads from memory.
//!
//! A write counts when it went out, by its record, and how far the journal was counted is kept in the same commit
//! as the counts. What a crash left open may have gone out or not, and is missing as that. Reads of the last
//! second are lost by a crash; none counts twice.

use std::collections::HashMap;
use std::sync::Arc;

use keystile_core::request::call_method::CallMethod;
use keystile_core::time::{Span, Timestamp};
use keystile_engine::Engine;
use keystile_engine::command::Failure;
use keystile_store::sent::reads::ReadCounts;
use keystile_store::sent::writes::{PageLimits, SentWrites};

use super::kept::{Draft, Kept, SLOTS_AT_ONCE};
use super::mapping::{CallClass, UsageMap};
use super::record::{Hour, Lost, Slot};
use super::reports::{KnownApplications, UsageReports};
use super::store::{TakenReads, UsageStore};
use crate::drive::account::DrivenAccount;
use crate::portal::records::ApplicationId;

/// 3scale takes no transaction that is older than a day. This is less, because a report takes its time.
const AGE_MAX: Span = Span::from_secs(24 * 60 * 60 - 10 * 60);
/// A key calls from the moment in which it is imported, a little before it is known whose it is there.
const LINKED_WITHIN: Span = Span::from_secs(60);
const PAGE: PageLimits = PageLimits { records: 10_000, counts: SLOTS_AT_ONCE };
/// The most pages of one round; the others come with the next.
const PAGES_AT_ONCE: usize = 20;
/// After so many records without a count, how far they were looked at is kept nevertheless.
const RECORDS_UNKEPT_MAX: u64 = 50_000;

/// Whether calls of a time are too old to be reported.
pub(super) fn is_too_old(time: Timestamp, now: Timestamp) -> bool {
    now.millis_since(time) > AGE_MAX.millis()
}

impl DrivenAccount {
    /// Counts what was used since the last time. Fails when the store cannot be read or does not commit; nothing
    /// is lost or counted twice by that.
    pub(super) async fn collect(
        &self,
        usage: &UsageReports,
        engine: &Arc<Engine>,
    ) -> Result<(), Failure> {
        if engine.store().fault().is_some() {
            // Reads stay in memory meanwhile, where none of them is in doubt.
            return Ok(());
        }
        let mut known = usage.applications.lock().await;
        self.know_applications(&mut known, engine).await?;
        let mut usage_store = usage.store.lock().await;
        self.collect_writes(&mut usage_store, &usage.map, &known, engine).await?;
        if usage.map.counts_reads() {
            collect_reads(&mut usage_store, &usage.map, &known, engine).await?;
        }
        drop_old(&mut usage_store, engine).await
    }

    async fn know_applications(
        &self,
        known: &mut KnownApplications,
        engine: &Arc<Engine>,
    ) -> Result<(), Failure> {
        // Before they are read: what changes meanwhile is seen the next time.
        let seen = self.links_changed();
        if known.seen == Some(seen) {
            return Ok(());
        }
        let links = self.links(engine).await?;
        (known.by_id, known.entries) = (HashMap::new(), Vec::new());
        for (there, link) in links.iter() {
            known.by_id.insert(link.application.clone(), *there);
            let entry = link.application.parse().ok();
            let entry = entry.and_then(|id| engine.store().keys().application(id));
            known.entries.extend(entry.map(|entry| (*there, entry)));
        }
        known.seen = Some(seen);
        Ok(())
    }

    async fn collect_writes(
        &self,
        usage_store: &mut UsageStore,
        map: &UsageMap,
        known: &KnownApplications,
        engine: &Arc<Engine>,
    ) -> Result<(), Failure> {
        let store = engine.store();
        let Some(kept_to) = usage_store.kept(engine).await?.state.position.clone() else {
            let mut draft = usage_store.kept(engine).await?.draft();
            draft.state.position = Some(store.journal_end().await?);
            return usage_store.commit(engine, draft, None).await;
        };
        for _ in 0..PAGES_AT_ONCE {
            let kept = usage_store.kept(engine).await?;
            let from = kept.state.position.clone().unwrap_or_else(|| kept_to.clone());
            let page = store.sent_writes(self.name.clone(), from.clone(), PAGE).await?;
            if page.position == from {
                return Ok(());
            }
            let now = store.now();
            let is_early = |writes: &SentWrites| {
                !known.by_id.contains_key(&writes.application)
                    && now.millis_since(writes.last) < LINKED_WITHIN.millis()
            };
            if page.writes.iter().any(is_early) {
                return Ok(());
            }
            let is_far = page.position.records_since(&kept_to) > RECORDS_UNKEPT_MAX;
            if page.writes.is_empty() && !is_far {
                usage_store.pass_over(page.position);
            } else {
                let mut draft = kept.draft();
                for writes in &page.writes {
                    let there = known.by_id.get(&writes.application).copied();
                    add_writes(&mut draft, kept, map, (writes, there), now);
                }
                draft.state.position = Some(page.position);
                usage_store.commit(engine, draft, None).await?;
            }
            if !page.is_full {
                return Ok(());
            }
        }
        Ok(())
    }
}

fn add_writes(
    draft: &mut Draft,
    kept: &Kept,
    map: &UsageMap,
    (writes, there): (&SentWrites, Option<ApplicationId>),
    now: Timestamp,
) {
    let SentWrites { method, first, last, sent, perhaps_sent, .. } = writes;
    let Some(metric) = map.metric(*method, CallClass::Write) else {
        return;
    };
    draft.state.miss(metric, *perhaps_sent, *first, Lost::Uncertain);
    match there {
        Some(there) if *sent > 0 && !is_too_old(*last, now) => {
            let slot = draft.slot(kept, (Hour::of(*last), there), Slot::at(*last));
            slot.add(metric, *sent, (*first, *last));
        }
        // Its application is gone, or its calls come too late.
        Some(_) | None => draft.state.miss(metric, *sent, *first, Lost::Unreported),
    }
}

async fn collect_reads(
    usage_store: &mut UsageStore,
    map: &UsageMap,
    known: &KnownApplications,
    engine: &Arc<Engine>,
) -> Result<(), Failure> {
    let mut applications = known.entries.iter();
    loop {
        let reads = usage_store.reads_in_doubt().unwrap_or_else(|| {
            let taken = applications
                .by_ref()
                .filter_map(|(there, entry)| entry.take_sent_reads().map(|reads| (*there, reads)));
            taken.take(SLOTS_AT_ONCE).collect::<TakenReads>()
        });
        if reads.is_empty() {
            return Ok(());
        }
        let (kept, now) = (usage_store.kept(engine).await?, engine.store().now());
        let mut draft = kept.draft();
        for (there, counts) in &reads {
            add_reads(&mut draft, kept, map, (*there, counts), now);
        }
        usage_store.commit_reads(engine, draft, reads).await?;
    }
}

fn add_reads(
    draft: &mut Draft,
    kept: &Kept,
    map: &UsageMap,
    (there, counts): (ApplicationId, &ReadCounts),
    now: Timestamp,
) {
    for (method, count) in CallMethod::ALL.into_iter().zip(counts) {
        if let Some(metric) = map.metric(method, CallClass::Read).filter(|_| *count > 0) {
            let slot = draft.slot(kept, (Hour::of(now), there), Slot::at(now));
            slot.add(metric, *count, (now, now));
        }
    }
}

/// Gives up what is too old to be reported.
async fn drop_old(usage_store: &mut UsageStore, engine: &Arc<Engine>) -> Result<(), Failure> {
    let now = engine.store().now();
    loop {
        let kept = usage_store.kept(engine).await?;
        let mut draft = kept.draft();
        // In the order of their hours.
        for (place, slot) in kept.slots.iter().take_while(|(_, slot)| is_too_old(slot.last, now)) {
            if draft.is_full() {
                break;
            }
            draft.state.miss_slot(slot, Lost::Unreported);
            draft.slots.insert(*place, None);
        }
        if draft.slots.is_empty() {
            return Ok(());
        }
        tracing::warn!(
            slots = draft.slots.len(),
            "usage is too old to be reported to 3scale, and is shown as missing there"
        );
        usage_store.commit(engine, draft, None).await?;
    }
}

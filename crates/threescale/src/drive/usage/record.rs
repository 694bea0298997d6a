//! What is kept of usage that is reported: what waits, the report that is on its way, and what came of others.

use std::collections::BTreeMap;

use keystile_core::time::Timestamp;
use keystile_engine::keys::source::MissingUsage;
use keystile_store::sent::writes::JournalPosition;
use serde::{Deserialize, Serialize};

use crate::portal::records::ApplicationId;

const HOUR_MILLIS: i64 = 3_600_000;

/// Calls by metric.
pub(super) type Calls = BTreeMap<String, u64>;

/// An hour of UTC, counted from 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Hour(i64);

impl Hour {
    pub(super) fn of(time: Timestamp) -> Self {
        Self(time.0.div_euclid(HOUR_MILLIS))
    }
}

/// Whose calls of which hour. They are in the order in which they are reported.
pub(super) type Place = (Hour, ApplicationId);

/// The id of a document that keeps the calls of a place.
pub(super) fn document_id((hour, application): Place) -> String {
    format!("{:010}-{application}", hour.0)
}

/// The place that a document is of.
pub(super) fn place_of(id: &str) -> Option<Place> {
    let (hour, application) = id.split_once('-')?;
    Some((Hour(hour.parse().ok()?), ApplicationId::new(application.parse().ok()?)))
}

/// Calls of one application in one hour.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Slot {
    pub(super) first: Timestamp,
    /// The time that they are reported with.
    pub(super) last: Timestamp,
    pub(super) calls: Calls,
}

impl Slot {
    pub(super) fn at(time: Timestamp) -> Self {
        Self { first: time, last: time, calls: Calls::new() }
    }

    pub(super) fn add(&mut self, metric: &str, calls: u64, (first, last): (Timestamp, Timestamp)) {
        (self.first, self.last) = (self.first.min(first), self.last.max(last));
        add(&mut self.calls, metric, calls);
    }
}

pub(super) fn add(all: &mut Calls, metric: &str, calls: u64) {
    if calls > 0 {
        let count = all.entry(metric.to_owned()).or_default();
        *count = count.saturating_add(calls);
    }
}

pub(super) fn sum(calls: &Calls) -> u64 {
    calls.values().fold(0, |sum, calls| sum.saturating_add(*calls))
}

/// A report.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Batch {
    /// Its number. It stays the same however often the report is tried.
    pub(super) id: u64,
    pub(super) progress: Progress,
    pub(super) transactions: Vec<Transaction>,
}

impl Batch {
    pub(super) fn calls(&self) -> u64 {
        self.transactions
            .iter()
            .fold(0, |all: u64, transaction| all.saturating_add(sum(&transaction.slot.calls)))
    }
}

/// How far a report is. When it was taken it is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Progress {
    /// It is not on its way, and does not count there.
    ToSend,
    /// It may count there.
    Sending,
}

/// What one application used in an hour.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Transaction {
    pub(super) application: u64,
    #[serde(flatten)]
    pub(super) slot: Slot,
}

/// Tells one commit from all others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct CommitId(u64);

impl CommitId {
    pub(super) fn random() -> Self {
        Self(u64::from_ne_bytes(keystile_store::random()))
    }
}

/// How reports stand.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct State {
    /// Numbers what is kept: each commit has the next one.
    pub(super) serial: u64,
    /// The last commit.
    #[serde(default)]
    pub(super) commit: CommitId,
    /// How far writes were counted; nothing before they are.
    #[serde(default)]
    pub(super) position: Option<JournalPosition>,
    /// Calls that were reported.
    #[serde(default)]
    pub(super) reported: u64,
    /// When a report was last taken.
    #[serde(default)]
    pub(super) last: Option<Timestamp>,
    /// Why the last one was not, where it was not.
    #[serde(default)]
    pub(super) problem: Option<String>,
    /// What 3scale may lack, by metric.
    #[serde(default)]
    pub(super) missing: BTreeMap<String, Missing>,
}

/// Calls of a metric that 3scale may lack.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Missing {
    pub(super) uncertain: u64,
    pub(super) unreported: u64,
    /// When the first of them was made.
    pub(super) since: Timestamp,
}

/// Why calls are missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lost {
    /// They may have been reported.
    Uncertain,
    /// They were not.
    Unreported,
}

impl State {
    pub(super) fn miss(&mut self, metric: &str, calls: u64, since: Timestamp, lost: Lost) {
        if calls == 0 {
            return;
        }
        let none = Missing { uncertain: 0, unreported: 0, since };
        let missing = self.missing.entry(metric.to_owned()).or_insert(none);
        missing.since = missing.since.min(since);
        let count = match lost {
            Lost::Uncertain => &mut missing.uncertain,
            Lost::Unreported => &mut missing.unreported,
        };
        *count = count.saturating_add(calls);
    }

    pub(super) fn miss_slot(&mut self, slot: &Slot, lost: Lost) {
        for (metric, calls) in &slot.calls {
            self.miss(metric, *calls, slot.first, lost);
        }
    }

    pub(super) fn missing(&self) -> Vec<MissingUsage> {
        let shown = self.missing.iter().map(|(name, missing)| MissingUsage {
            name: name.clone(),
            uncertain: missing.uncertain,
            unreported: missing.unreported,
            since: missing.since,
        });
        shown.collect()
    }
}

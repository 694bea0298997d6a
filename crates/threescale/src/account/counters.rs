//! What an application has used, in the windows of the calendar that have not ended.
//!
//! # How
//!
//! Calls are decided and counted here, in memory, by one at a time for each application. What a limit rests on
//! goes to the store before the call is answered; the rest is written every second.

use std::sync::Arc;

use keystile_core::time::Timestamp;
use keystile_store::doors::meters::MeterValue;

use crate::backend::metrics::{MetricIndex, Metrics};
use crate::backend::period::{Period, Window};
use crate::backend::usage::{Amount, Usage};

/// The counters of one application.
#[derive(Debug, Default)]
pub struct Counters {
    all: Vec<Counter>,
    /// Whether something was counted that is not on its way to the store.
    pub(super) is_unsaved: bool,
}

#[derive(Clone, Debug)]
struct Counter {
    /// The metric's id and the period, as the store names the meter: `8/month`.
    name: Arc<str>,
    window: Window,
    value: u64,
    is_unsaved: bool,
}

/// What a change of counters asks of the store.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// What has to be durable before the call is answered.
    pub durable: Vec<MeterValue>,
    /// Whether values replace larger ones.
    pub replaces: bool,
    /// Whether nothing was counted before, ever and today.
    pub first: FirstTraffic,
}

/// Whether a call is the first of an application.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FirstTraffic {
    /// The first ever.
    pub ever: bool,
    /// The first today.
    pub today: bool,
}

fn meter_name(metric: &str, period: Period) -> String {
    format!("{metric}/{}", period.name())
}

fn is_meter(name: &str, metric: &str, period: Period) -> bool {
    name.strip_prefix(metric).and_then(|rest| rest.strip_prefix('/')) == Some(period.name())
}

impl Counters {
    /// Takes up what the store kept. What is not a counter's name is passed over.
    pub(super) fn restore(&mut self, kept: &MeterValue) {
        let end = kept.ends.unwrap_or(Period::Eternity.window(kept.starts).end);
        self.all.push(Counter {
            name: kept.name.clone(),
            window: Window { start: kept.starts, end },
            value: kept.value,
            is_unsaved: false,
        });
    }

    /// What was counted of a metric in a window.
    pub fn value(&self, metric: &str, period: Period, window: Window) -> u64 {
        let found = self.all.iter().find(|counter| {
            counter.window.start == window.start && is_meter(&counter.name, metric, period)
        });
        found.map_or(0, |counter| counter.value)
    }

    /// Counts usage at a time, in all windows around it that have not ended. `is_limited` says what has to be
    /// durable at once.
    pub fn count(
        &mut self,
        owner: &Arc<str>,
        usage: &Usage,
        metrics: &Metrics,
        (at, now): (Timestamp, Timestamp),
        is_limited: impl Fn(MetricIndex, Period) -> bool,
    ) -> Changes {
        self.all.retain(|counter| counter.window.end > now || counter.is_unsaved);
        let mut changes = Changes { first: self.first(now), ..Changes::default() };
        for (index, amount) in usage.iter() {
            let metric = &metrics.metric(index).id;
            changes.replaces |= matches!(amount, Amount::Set(_));
            for period in Period::ALL {
                let window = period.window(at);
                if window.end <= now {
                    continue;
                }
                let counter = self.counter(metric, period, window);
                counter.value = amount.after(counter.value);
                if is_limited(index, period) {
                    changes.durable.push(counter.meter(owner));
                    counter.is_unsaved = false;
                } else {
                    counter.is_unsaved = true;
                    self.is_unsaved = true;
                }
            }
        }
        changes
    }

    /// Takes back what could not be made durable, so that nobody is refused for what did not pass.
    pub fn take_back(&mut self, usage: &Usage, metrics: &Metrics, at: Timestamp) {
        for (index, amount) in usage.iter() {
            let Amount::Add(more) = amount else { continue };
            for period in Period::ALL {
                let counter = self.counter(&metrics.metric(index).id, period, period.window(at));
                counter.value = counter.value.saturating_sub(more);
            }
        }
    }

    /// Takes all of them for unsaved.
    pub(super) fn mark_unsaved(&mut self) {
        self.all.iter_mut().for_each(|counter| counter.is_unsaved = true);
        self.is_unsaved = true;
    }

    /// What is not on its way to the store yet.
    pub(super) fn take_unsaved(&mut self, owner: &Arc<str>) -> Vec<MeterValue> {
        self.is_unsaved = false;
        let unsaved = self.all.iter_mut().filter(|counter| counter.is_unsaved);
        let taken = unsaved.map(|counter| {
            counter.is_unsaved = false;
            counter.meter(owner)
        });
        taken.collect()
    }

    /// All counters at nothing, as the store is to keep them of an application that is gone: one that is made
    /// again under its id begins anew.
    pub(super) fn at_zero(&self, owner: &Arc<str>) -> Vec<MeterValue> {
        let zero = |counter: &Counter| MeterValue { value: 0, ..counter.meter(owner) };
        self.all.iter().map(zero).collect()
    }

    /// Takes out the counters of metrics that are gone, as the store is to keep them: at nothing.
    pub(super) fn take_metrics(&mut self, owner: &Arc<str>, metrics: &[String]) -> Vec<MeterValue> {
        let is_gone = |counter: &Counter| {
            let metric = counter.name.rsplit_once('/').map(|(metric, _)| metric);
            metric.is_some_and(|metric| metrics.iter().any(|gone| gone == metric))
        };
        let (gone, kept) = std::mem::take(&mut self.all).into_iter().partition(is_gone);
        self.all = kept;
        let gone: Vec<Counter> = gone;
        gone.iter().map(|counter| MeterValue { value: 0, ..counter.meter(owner) }).collect()
    }

    fn first(&self, now: Timestamp) -> FirstTraffic {
        let is_none = |period: Period| {
            let start = period.window(now).start;
            let suffix = period.name();
            !self.all.iter().any(|counter| {
                counter.value > 0
                    && counter.window.start == start
                    && counter.name.rsplit('/').next() == Some(suffix)
            })
        };
        FirstTraffic { ever: is_none(Period::Eternity), today: is_none(Period::Day) }
    }

    fn counter(&mut self, metric: &str, period: Period, window: Window) -> &mut Counter {
        let found = self.all.iter().position(|counter| {
            counter.window.start == window.start && is_meter(&counter.name, metric, period)
        });
        let place = found.unwrap_or_else(|| {
            let name = meter_name(metric, period).into();
            self.all.push(Counter { name, window, value: 0, is_unsaved: false });
            self.all.len().saturating_sub(1)
        });
        &mut self.all[place]
    }
}

impl Counter {
    fn meter(&self, owner: &Arc<str>) -> MeterValue {
        let ends = (self.window.end != Period::Eternity.window(self.window.start).end)
            .then_some(self.window.end);
        MeterValue {
            owner: owner.clone(),
            name: self.name.clone(),
            starts: self.window.start,
            ends,
            value: self.value,
        }
    }
}

//! What was admitted under one quota for one key.

use std::collections::VecDeque;

use jiff::tz::TimeZone;

use super::quota::{Quota, Window};
use crate::time::{Span, Timestamp};

/// So many entries a rolling window has at most while each is a millisecond; then slices.
const ENTRIES_MAX: usize = 62;
/// What was sent is held for up to this long past its window, for its way to the upstream; with the
/// millisecond that an entry stands for it makes a second.
const GUARD_MILLIS_MAX: i64 = 999;

/// What was admitted under one quota for one key.
///
/// A write counts from the moment when it begins to leave. Until that is known it is on hold: it counts
/// as one that leaves now.
#[derive(Clone, Debug, Default)]
pub struct Counter {
    /// Rolling: millisecond or slice, and amount, oldest first. Calendar: one entry, numbered by its start.
    entries: VecDeque<(i64, u32)>,
    counted: u64,
    on_hold: u64,
    grain: Grain,
}

/// What one entry of a rolling window stands for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Grain {
    /// One millisecond.
    #[default]
    Fine,
    /// A slice: 62 cover the window, so that with the one that is filling and the one that is leaving there
    /// are never more than 64.
    Slice,
}

impl Grain {
    fn millis(self, span: Span) -> i64 {
        match self {
            Self::Fine => 1,
            Self::Slice => span.millis().saturating_add(61).checked_div(62).unwrap_or(1).max(1),
        }
    }

    /// How long an entry is held after its last millisecond: the window, and what is left of a sixtieth
    /// of it, for what is between the gate and the upstream.
    fn hold_millis(self, span: Span) -> i64 {
        let sixtieth = span.millis().checked_div(60).unwrap_or(0);
        let guard = sixtieth.saturating_sub(self.millis(span)).clamp(0, GUARD_MILLIS_MAX);
        span.millis().saturating_add(guard)
    }
}

impl Counter {
    /// What counts at a time. Amounts that have left the window are forgotten.
    pub fn used(&mut self, window: Window, now: Timestamp, zone: &TimeZone) -> u64 {
        while let Some((number, amount)) = self.entries.front().copied() {
            if now < self.leaves_at(window, number, zone) {
                break;
            }
            self.entries.pop_front();
            self.counted = self.counted.saturating_sub(u64::from(amount));
        }
        if self.entries.is_empty() {
            self.grain = Grain::Fine;
        }
        self.counted()
    }

    /// Counts an amount that is about to be sent, until `drop_hold`.
    pub fn hold(&mut self, amount: u32) {
        self.on_hold = self.on_hold.saturating_add(u64::from(amount));
    }

    /// The amount was sent, and is added at its time, or it was given up.
    pub fn drop_hold(&mut self, amount: u32) {
        self.on_hold = self.on_hold.saturating_sub(u64::from(amount));
    }

    /// Counts an amount that was sent at a time; times may come in any order.
    pub fn add(&mut self, window: Window, at: Timestamp, amount: u32, zone: &TimeZone) {
        if amount == 0 {
            return;
        }
        self.counted = self.counted.saturating_add(u64::from(amount));
        let number = self.number(window, at, zone);
        if !self.add_to(number, amount) {
            self.coarsen(window);
            let number = self.number(window, at, zone);
            self.add_to(number, amount);
        }
    }

    /// Whether there was room for the entry.
    fn add_to(&mut self, number: i64, amount: u32) -> bool {
        let is_full = self.grain == Grain::Fine && self.entries.len() >= ENTRIES_MAX;
        let place = self.entries.partition_point(|(known, _)| *known < number);
        match self.entries.get_mut(place) {
            Some((known, held)) if *known == number => *held = held.saturating_add(amount),
            _ if is_full => return false,
            _ => self.entries.insert(place, (number, amount)),
        }
        true
    }

    fn coarsen(&mut self, window: Window) {
        self.grain = Grain::Slice;
        let Window::Rolling(span) = window else {
            return;
        };
        let length = Grain::Slice.millis(span);
        for (millisecond, amount) in std::mem::take(&mut self.entries) {
            self.add_to(millisecond.div_euclid(length), amount);
        }
    }

    /// Gives back an amount that was added at a time and does not count after all.
    pub fn release(&mut self, window: Window, at: Timestamp, amount: u32, zone: &TimeZone) {
        let number = self.number(window, at, zone);
        if let Ok(place) = self.entries.binary_search_by_key(&number, |(known, _)| *known)
            && let Some((_, held)) = self.entries.get_mut(place)
        {
            let given_back = amount.min(*held);
            *held = held.saturating_sub(given_back);
            self.counted = self.counted.saturating_sub(u64::from(given_back));
            if *held == 0 {
                self.entries.remove(place);
            }
        }
    }

    /// When an amount fits again, given what is counted now; `None` when it never can.
    pub fn fits_at(
        &self,
        quota: Quota,
        amount: u32,
        now: Timestamp,
        zone: &TimeZone,
    ) -> Option<Timestamp> {
        let allowed = quota.amount.checked_sub(amount).map(u64::from)?;
        let mut used = self.counted();
        let mut at = now;
        for (number, held) in &self.entries {
            if used <= allowed {
                return Some(at);
            }
            used = used.saturating_sub(u64::from(*held));
            at = self.leaves_at(quota.window, *number, zone).max(now);
        }
        Some(if used <= allowed { at } else { self.frees_when_sent_at(quota.window, now, zone) })
    }

    /// When the first of what is counted leaves the window; `None` when nothing is.
    pub fn first_leaves_at(
        &self,
        window: Window,
        now: Timestamp,
        zone: &TimeZone,
    ) -> Option<Timestamp> {
        match self.entries.front() {
            Some((number, _)) => Some(self.leaves_at(window, *number, zone)),
            None if self.on_hold > 0 => Some(self.frees_when_sent_at(window, now, zone)),
            None => None,
        }
    }

    /// What is counted, as of the last look at the time.
    pub fn counted(&self) -> u64 {
        self.counted.saturating_add(self.on_hold)
    }

    /// Whether nothing is counted any more.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty() && self.on_hold == 0
    }

    /// How many entries it holds, for its bound.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    fn frees_when_sent_at(&self, window: Window, at: Timestamp, zone: &TimeZone) -> Timestamp {
        self.leaves_at(window, self.number(window, at, zone), zone)
    }

    fn number(&self, window: Window, at: Timestamp, zone: &TimeZone) -> i64 {
        match window {
            Window::Rolling(span) => at.0.div_euclid(self.grain.millis(span)),
            Window::Calendar(unit) => unit.period(at, zone).0.0,
        }
    }

    fn leaves_at(&self, window: Window, number: i64, zone: &TimeZone) -> Timestamp {
        match window {
            Window::Rolling(span) => {
                let end = number.saturating_add(1).saturating_mul(self.grain.millis(span));
                Timestamp(end.saturating_add(self.grain.hold_millis(span)))
            }
            Window::Calendar(unit) => unit.period(Timestamp(number), zone).1,
        }
    }
}

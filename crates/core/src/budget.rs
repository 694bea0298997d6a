//! Quotas over time windows, and the counters that hold a key to them exactly.
//!
//! # What this protects
//!
//! In any interval of a window's length at most the quota is admitted (promise P1). A rolling window is
//! counted in at most 64 slices; a slice is held until it has wholly left the window, and then a
//! little longer, because a write leaves the gate some milliseconds after it was counted. Capacity
//! therefore comes back late, by at most one sixtieth of the window, and never early.

#![deny(clippy::arithmetic_side_effects)]

use std::collections::VecDeque;
use std::fmt;
use std::str::FromStr;

use jiff::tz::TimeZone;
use jiff::{ToSpan, Unit, ZonedDateTime, ZonedDateTimeRound};

use crate::time::{SPAN_MAX, Span, Timestamp};

/// So much per window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quota {
    /// How much is admitted in one window.
    pub amount: u32,
    /// The window.
    pub window: Window,
}

/// The stretch of time that a quota speaks of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Window {
    /// Any interval of this length.
    Rolling(Span),
    /// The present minute, hour, day, week, month or year in the policy's time zone.
    Calendar(CalendarUnit),
}

/// A period that begins at a civil boundary.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CalendarUnit {
    /// From second zero.
    Minute,
    /// From minute zero.
    Hour,
    /// From midnight.
    Day,
    /// From Monday, midnight.
    Week,
    /// From the first of the month.
    Month,
    /// From the first of January.
    Year,
}

const CALENDAR_NAMES: [(CalendarUnit, &str); 6] = [
    (CalendarUnit::Minute, "minute"),
    (CalendarUnit::Hour, "hour"),
    (CalendarUnit::Day, "day"),
    (CalendarUnit::Week, "week"),
    (CalendarUnit::Month, "month"),
    (CalendarUnit::Year, "year"),
];

impl CalendarUnit {
    fn name(self) -> &'static str {
        CALENDAR_NAMES
            .iter()
            .find(|(unit, _)| *unit == self)
            .map(|(_, name)| *name)
            .expect("every unit has a name")
    }

    /// The period around a time: its first millisecond, and the first one after it.
    fn period(self, now: Timestamp, zone: &TimeZone) -> (Timestamp, Timestamp) {
        let bounds = || -> Option<(Timestamp, Timestamp)> {
            let here =
                jiff::Timestamp::from_millisecond(now.0).ok()?.to_zoned_datetime(zone.clone());
            let start = self.start(&here).ok()?;
            let end = self.next(&start).ok()?;
            Some((
                Timestamp(start.timestamp().as_millisecond()),
                Timestamp(end.timestamp().as_millisecond()),
            ))
        };
        bounds().unwrap_or((now, Timestamp(i64::MAX)))
    }

    fn start(self, here: &ZonedDateTime) -> Result<ZonedDateTime, jiff::Error> {
        let round = |unit| {
            here.round(ZonedDateTimeRound::new().smallest(unit).mode(jiff::RoundMode::Trunc))
        };
        match self {
            Self::Minute => round(Unit::Minute),
            Self::Hour => round(Unit::Hour),
            Self::Day => here.start_of_day(),
            Self::Week => {
                let since_monday = here.weekday().to_monday_zero_offset();
                here.checked_sub(i64::from(since_monday).days())?.start_of_day()
            }
            Self::Month => here.first_of_month()?.start_of_day(),
            Self::Year => here.first_of_year()?.start_of_day(),
        }
    }

    fn next(self, start: &ZonedDateTime) -> Result<ZonedDateTime, jiff::Error> {
        let next = start.checked_add(match self {
            Self::Minute => 1.minute(),
            Self::Hour => 1.hour(),
            Self::Day => 1.day(),
            Self::Week => 1.week(),
            Self::Month => 1.month(),
            Self::Year => 1.year(),
        })?;
        match self {
            Self::Minute | Self::Hour => Ok(next),
            Self::Day | Self::Week | Self::Month | Self::Year => next.start_of_day(),
        }
    }
}

impl fmt::Display for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rolling(span) => {
                let text = span.to_string();
                f.write_str(text.strip_prefix("1 ").unwrap_or(&text))
            }
            Self::Calendar(unit) => write!(f, "{} calendar", unit.name()),
        }
    }
}

impl Window {
    /// The window's length, for a calendar period its longest.
    pub fn span_max(self) -> Span {
        match self {
            Self::Rolling(span) => span,
            Self::Calendar(CalendarUnit::Minute) => Span::from_secs(60),
            Self::Calendar(CalendarUnit::Hour) => Span::from_secs(3600),
            Self::Calendar(CalendarUnit::Day) => Span::from_secs(25 * 3600),
            Self::Calendar(CalendarUnit::Week) => Span::from_secs(8 * 86_400),
            Self::Calendar(CalendarUnit::Month) => Span::from_secs(32 * 86_400),
            Self::Calendar(CalendarUnit::Year) => Span::from_secs(367 * 86_400),
        }
    }

    /// When everything that is counted at a time has surely left the window, but for a slice.
    pub fn passed_at(self, at: Timestamp, zone: &TimeZone) -> Timestamp {
        match self {
            Self::Rolling(span) => at.plus(span),
            Self::Calendar(unit) => unit.period(at, zone).1,
        }
    }

    /// The window as part of a policy's name: `day`, `2-hours`, `calendar-month`.
    pub fn slug(self) -> String {
        match self {
            Self::Rolling(_) => self.to_string().replace(' ', "-"),
            Self::Calendar(unit) => format!("calendar-{}", unit.name()),
        }
    }
}

impl fmt::Display for Quota {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} per {}", self.amount, self.window)
    }
}

/// Why a text is not a quota.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum InvalidQuota {
    /// It does not read as an amount per window.
    #[error(
        "{0:?} is not a quota: write it as \"100 per day\", \"10 per 2 hours\" or \"500 per month calendar\""
    )]
    Form(String),
    /// The amount is out of bounds.
    #[error("the amount {0:?} is not a whole number from 0 to 4294967295")]
    Amount(String),
    /// The unit of time is unknown.
    #[error("{0:?} is not a unit of time: write second, minute, hour, day, week, month or year")]
    Unit(String),
    /// The window is out of bounds.
    #[error("a window is at least one second and at most 400 days")]
    Window,
    /// A calendar window of several units has no agreed beginning.
    #[error(
        "a calendar window is one minute, hour, day, week, month or year, as in \"100 per day calendar\""
    )]
    Calendar,
}

impl FromStr for Quota {
    type Err = InvalidQuota;

    fn from_str(text: &str) -> Result<Self, InvalidQuota> {
        let words: Vec<&str> = text.split_whitespace().collect();
        let (amount, window): (&str, &[&str]) = match words.as_slice() {
            [amount, "per", window @ ..] if !window.is_empty() => (amount, window),
            _ => return Err(InvalidQuota::Form(text.to_owned())),
        };
        let digits = amount.replace('_', "");
        if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(InvalidQuota::Amount(amount.to_owned()));
        }
        let amount = digits.parse().map_err(|_| InvalidQuota::Amount(amount.to_owned()))?;
        Ok(Self { amount, window: window_from(window, text)? })
    }
}

fn window_from(words: &[&str], text: &str) -> Result<Window, InvalidQuota> {
    match words {
        [unit, "calendar"] => CALENDAR_NAMES
            .iter()
            .find(|(_, name)| name == unit)
            .map(|(unit, _)| Window::Calendar(*unit))
            .ok_or(InvalidQuota::Calendar),
        [_, _, "calendar"] => Err(InvalidQuota::Calendar),
        [unit] => rolling(1, unit),
        [count, unit] => {
            let count = count.parse().map_err(|_| InvalidQuota::Form(text.to_owned()))?;
            rolling(count, unit)
        }
        _ => Err(InvalidQuota::Form(text.to_owned())),
    }
}

/// A rolling month has 31 days and a rolling year 366: an interval may be counted longer, never shorter.
fn rolling(count: i64, unit: &str) -> Result<Window, InvalidQuota> {
    let unit_millis = match unit {
        "month" | "months" => 31 * 86_400_000,
        "year" | "years" => 366 * 86_400_000,
        _ => Span::of_unit(unit).ok_or_else(|| InvalidQuota::Unit(unit.to_owned()))?.millis(),
    };
    count
        .checked_mul(unit_millis)
        .filter(|millis| (1_000..=SPAN_MAX.millis()).contains(millis))
        .and_then(Span::from_millis)
        .map(Window::Rolling)
        .ok_or(InvalidQuota::Window)
}

/// What was admitted under one quota for one key.
#[derive(Clone, Debug, Default)]
pub struct Counter {
    /// Rolling: slice number and amount, oldest first. Calendar: one entry, numbered by its start.
    slices: VecDeque<(i64, u32)>,
    used: u64,
}

/// The slices of a rolling window: 62 cover it, so that with the one that is filling and the one that
/// is leaving there are never more than 64.
fn slice_millis(span: Span) -> i64 {
    span.millis().saturating_add(61).checked_div(62).unwrap_or(1).max(1)
}

/// A slice is held until this long after its last millisecond: the window, and what is left of a
/// sixtieth of it, for the time a write needs from its count to the upstream.
fn hold_millis(span: Span) -> i64 {
    let sixtieth = span.millis().checked_div(60).unwrap_or(0);
    let slack = sixtieth.saturating_sub(slice_millis(span)).max(0);
    span.millis().saturating_add(slack)
}

impl Counter {
    /// What counts at a time. Amounts that have left the window are forgotten.
    pub fn used(&mut self, window: Window, now: Timestamp, zone: &TimeZone) -> u64 {
        while let Some((number, amount)) = self.slices.front().copied() {
            if now < leaves_at(window, number, zone) {
                break;
            }
            self.slices.pop_front();
            self.used = self.used.saturating_sub(u64::from(amount));
        }
        self.used
    }

    /// Counts an amount at a time; times may come in any order when a ledger is rebuilt.
    pub fn add(&mut self, window: Window, at: Timestamp, amount: u32, zone: &TimeZone) {
        if amount == 0 {
            return;
        }
        let number = slice_number(window, at, zone);
        self.used = self.used.saturating_add(u64::from(amount));
        let place = self.slices.partition_point(|(known, _)| *known < number);
        match self.slices.get_mut(place) {
            Some((known, held)) if *known == number => *held = held.saturating_add(amount),
            _ => self.slices.insert(place, (number, amount)),
        }
    }

    /// Gives back an amount that was counted at a time and proven not to have been sent.
    pub fn release(&mut self, window: Window, at: Timestamp, amount: u32, zone: &TimeZone) {
        let number = slice_number(window, at, zone);
        if let Ok(place) = self.slices.binary_search_by_key(&number, |(known, _)| *known)
            && let Some((_, held)) = self.slices.get_mut(place)
        {
            let given_back = amount.min(*held);
            *held = held.saturating_sub(given_back);
            self.used = self.used.saturating_sub(u64::from(given_back));
            if *held == 0 {
                self.slices.remove(place);
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
        let mut used = self.used;
        let mut at = now;
        for (number, held) in &self.slices {
            if used <= allowed {
                break;
            }
            used = used.saturating_sub(u64::from(*held));
            at = leaves_at(quota.window, *number, zone);
        }
        Some(at.max(now))
    }

    /// When the first of what is counted leaves the window; `None` when nothing is.
    pub fn first_leaves_at(&self, window: Window, zone: &TimeZone) -> Option<Timestamp> {
        self.slices.front().map(|(number, _)| leaves_at(window, *number, zone))
    }

    /// Whether nothing is counted any more.
    pub fn is_empty(&self) -> bool {
        self.slices.is_empty()
    }
}

fn slice_number(window: Window, at: Timestamp, zone: &TimeZone) -> i64 {
    match window {
        Window::Rolling(span) => at.0.div_euclid(slice_millis(span)),
        Window::Calendar(unit) => unit.period(at, zone).0.0,
    }
}

fn leaves_at(window: Window, number: i64, zone: &TimeZone) -> Timestamp {
    match window {
        Window::Rolling(span) => {
            let end = number.saturating_add(1).saturating_mul(slice_millis(span));
            Timestamp(end.saturating_add(hold_millis(span)))
        }
        Window::Calendar(unit) => unit.period(Timestamp(number), zone).1,
    }
}

#[cfg(test)]
mod tests;

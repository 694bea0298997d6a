//! Quotas as people write them, and the windows that they speak of.

use std::fmt;
use std::str::FromStr;

use jiff::tz::TimeZone;

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

    /// The length of the window that holds at a time: of a calendar period as it really is.
    pub fn length_at(self, now: Timestamp, zone: &TimeZone) -> Span {
        match self {
            Self::Rolling(span) => span,
            Self::Calendar(unit) => {
                let (start, end) = unit.period(now, zone);
                Span::from_millis(end.millis_since(start)).unwrap_or_else(|| self.span_max())
            }
        }
    }

    /// What was sent before this counts no more at a time.
    pub fn counts_since(self, now: Timestamp, zone: &TimeZone) -> Timestamp {
        match self {
            Self::Rolling(span) => {
                let late = span.millis().checked_div(30).unwrap_or(0);
                Timestamp(now.0.saturating_sub(span.millis()).saturating_sub(late))
            }
            Self::Calendar(unit) => unit.period(now, zone).0,
        }
    }

    /// Whether the window that ends now, or the present period, has a time in it.
    pub fn holds(self, at: Timestamp, now: Timestamp, zone: &TimeZone) -> bool {
        match self {
            Self::Rolling(span) => at.plus(span) > now,
            Self::Calendar(unit) => at >= unit.period(now, zone).0,
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

//! Time as the rules see it: milliseconds of the store's clock, and spans that people write.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

pub mod when;

/// A point in time on the store's clock, in milliseconds since the Unix epoch.
///
/// The store's clock never runs backwards, so later records never carry earlier times.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema), schema(value_type = String, format = DateTime))]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// The same point plus a span; saturates at the end of time.
    #[must_use]
    pub const fn plus(self, span: Span) -> Self {
        Self(self.0.saturating_add(span.millis()))
    }

    /// Milliseconds from `earlier` to this point, zero when it lies in the future.
    pub const fn millis_since(self, earlier: Self) -> i64 {
        let millis = self.0.saturating_sub(earlier.0);
        if millis < 0 { 0 } else { millis }
    }

    /// Whole seconds to wait from `now` until this point, rounded up, at least one.
    pub fn seconds_from(self, now: Self) -> u64 {
        u64::try_from(self.millis_since(now)).unwrap_or(0).div_ceil(1000).max(1)
    }

    fn civil(self) -> Option<jiff::Timestamp> {
        jiff::Timestamp::from_millisecond(self.0).ok()
    }
}

impl Timestamp {
    /// As people read it, in UTC, to the second: `2026-11-24 05:30:23 UTC`.
    pub fn readable(self) -> String {
        let text = self.to_string();
        match (text.get(..10), text.get(11..19)) {
            (Some(day), Some(time)) => format!("{day} {time} UTC"),
            _ => text,
        }
    }
}

/// RFC 3339 in UTC with milliseconds, as in `2026-11-24T05:30:23.120Z`.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.civil() {
            Some(time) => write!(f, "{time:.3}"),
            None => f.write_str("out of range"),
        }
    }
}

/// The text is not a time that Keystile reads.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("{0:?} is not a time: write it as 2026-11-24T05:30:23Z")]
pub struct InvalidTimestamp(pub String);

impl FromStr for Timestamp {
    type Err = InvalidTimestamp;

    fn from_str(text: &str) -> Result<Self, InvalidTimestamp> {
        text.parse::<jiff::Timestamp>()
            .map(|time| Self(time.as_millisecond()))
            .map_err(|_| InvalidTimestamp(text.to_owned()))
    }
}

impl Serialize for Timestamp {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// A positive length of time, at most 400 days, as people write it: `10 s`, `1 hour`, `2 weeks`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span {
    millis: i64,
}

/// The longest span that any rule may name; budget windows are held in memory for as long.
pub const SPAN_MAX: Span = Span { millis: 400 * 86_400_000 };

const UNITS: &[(i64, &[&str])] = &[
    (1, &["ms", "millisecond", "milliseconds"]),
    (1_000, &["s", "sec", "second", "seconds"]),
    (60_000, &["m", "min", "minute", "minutes"]),
    (3_600_000, &["h", "hour", "hours"]),
    (86_400_000, &["d", "day", "days"]),
    (604_800_000, &["w", "week", "weeks"]),
];

impl Span {
    /// A span of whole milliseconds, where it lies within the bounds.
    pub fn from_millis(millis: i64) -> Option<Self> {
        (1..=SPAN_MAX.millis).contains(&millis).then_some(Self { millis })
    }

    /// A span of whole seconds; for constants.
    ///
    /// # Panics
    /// At compile time, when the constant is out of bounds.
    pub const fn from_secs(secs: u32) -> Self {
        assert!(secs > 0 && secs <= 400 * 86_400, "a span is positive and at most 400 days");
        Self { millis: secs as i64 * 1000 }
    }

    /// The length in milliseconds.
    pub const fn millis(self) -> i64 {
        self.millis
    }

    /// The length for timers.
    pub const fn duration(self) -> std::time::Duration {
        std::time::Duration::from_millis(self.millis.unsigned_abs())
    }

    /// All names that units have.
    pub fn units() -> Vec<&'static str> {
        UNITS.iter().flat_map(|(_, names)| names.iter().copied()).collect()
    }

    /// The length of a named unit, as in `minute` or `days`.
    pub fn of_unit(name: &str) -> Option<Self> {
        UNITS
            .iter()
            .find(|(_, names)| names.contains(&name))
            .map(|(millis, _)| Self { millis: *millis })
    }
}

/// The largest unit that divides the span: `90 minutes`, `1 day`.
impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (millis, names) = UNITS
            .iter()
            .rev()
            .find(|(millis, _)| self.millis % millis == 0)
            .expect("every span is a whole number of milliseconds");
        let count = self.millis / millis;
        let singular = names.len() - 2;
        write!(f, "{count} {}", names[if count == 1 { singular } else { singular + 1 }])
    }
}

/// The text is not a length of time.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error(
    "{0:?} is not a length of time: write a number and a unit, as in \"10 s\" or \"1 hour\", at most 400 days"
)]
pub struct InvalidSpan(pub String);

impl FromStr for Span {
    type Err = InvalidSpan;

    fn from_str(text: &str) -> Result<Self, InvalidSpan> {
        let invalid = || InvalidSpan(text.to_owned());
        let trimmed = text.trim();
        let digits = trimmed.find(|c: char| !c.is_ascii_digit()).ok_or_else(invalid)?;
        let count: i64 = trimmed[..digits].parse().map_err(|_| invalid())?;
        let unit = Self::of_unit(trimmed[digits..].trim()).ok_or_else(invalid)?;
        count.checked_mul(unit.millis).and_then(Self::from_millis).ok_or_else(invalid)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_read_as_people_write_them() {
        for (text, millis) in
            [("10 s", 10_000), ("1 hour", 3_600_000), ("250ms", 250), ("2 weeks", 1_209_600_000)]
        {
            assert_eq!(text.parse::<Span>().unwrap().millis(), millis, "{text}");
        }
        for text in
            ["", "10", "s", "0 s", "-1 s", "1 fortnight", "401 days", "99999999999999999999 s"]
        {
            assert!(text.parse::<Span>().is_err(), "{text}");
        }
    }

    #[test]
    fn spans_are_shown_in_the_largest_whole_unit() {
        for (text, shown) in
            [("90 m", "90 minutes"), ("60 m", "1 hour"), ("1500 ms", "1500 milliseconds")]
        {
            assert_eq!(text.parse::<Span>().unwrap().to_string(), shown);
        }
    }

    #[test]
    fn times_are_shown_in_utc_with_milliseconds() {
        let time: Timestamp = "2026-11-24T05:30:23.12Z".parse().unwrap();
        assert_eq!(time.to_string(), "2026-11-24T05:30:23.120Z");
    }
}

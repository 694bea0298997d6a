//! Points in time as people write and read them.

use std::str::FromStr;

use keystile_core::time::{InvalidSpan, Span, Timestamp};

const MINUTE: i64 = 60;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

/// A time on the command line: a date, a date with time, or how long ago.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// This time.
    At(Timestamp),
    /// So long before now.
    Ago(Span),
}

impl When {
    /// The time that is meant.
    pub fn resolve(self, now: Timestamp) -> Timestamp {
        match self {
            Self::At(time) => time,
            Self::Ago(span) => Timestamp(now.0.saturating_sub(span.millis())),
        }
    }
}

/// The text is not a time.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error(
    "write a time as 2026-11-24T05:30:23Z or 2026-11-24 (UTC), or how long ago, as in \"2h\" or \"1 day\""
)]
pub struct InvalidWhen;

impl FromStr for When {
    type Err = InvalidWhen;

    fn from_str(text: &str) -> Result<Self, InvalidWhen> {
        let text = text.trim();
        let at_midnight = format!("{text}T00:00:00Z");
        if let Ok(time) = text.parse().or_else(|_| at_midnight.parse()) {
            return Ok(Self::At(time));
        }
        let length = text.strip_suffix("ago").unwrap_or(text).trim_end();
        length.parse().map(Self::Ago).map_err(|_| InvalidWhen)
    }
}

/// Reads the grace period of a rolled key in milliseconds; `0` means none.
pub(super) fn parse_grace(text: &str) -> Result<i64, InvalidSpan> {
    if text.trim() == "0" { Ok(0) } else { text.parse::<Span>().map(Span::millis) }
}

/// A time as people say it, seen from now: `3 min ago`, `in 2 h`; the date where it is far.
pub(super) fn relative(time: Timestamp, now: Timestamp) -> String {
    let seconds = now.0.saturating_sub(time.0) / 1000;
    let length = match seconds.saturating_abs() {
        0..5 => return "just now".to_owned(),
        secs @ 5..MINUTE => format!("{secs} s"),
        secs @ MINUTE..HOUR => format!("{} min", secs / MINUTE),
        secs @ HOUR..DAY => format!("{} h", secs / HOUR),
        secs if secs < 31 * DAY => format!("{} d", secs / DAY),
        _ => return date(time),
    };
    if seconds < 0 { format!("in {length}") } else { format!("{length} ago") }
}

fn date(time: Timestamp) -> String {
    let text = time.to_string();
    text.split_once('T').map_or(text.clone(), |(date, _)| date.to_owned())
}

/// A time to the second, in UTC.
pub(super) fn exact(time: Timestamp) -> String {
    let text = time.to_string();
    match text.split_once('.') {
        Some((seconds, _)) => format!("{} UTC", seconds.replace('T', " ")),
        None => text,
    }
}

/// Both: exactly, and seen from now.
pub(super) fn exact_and_relative(time: Timestamp, now: Timestamp) -> String {
    format!("{} ({})", exact(time), relative(time, now))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn times_read_as_people_write_them() {
        let now = at("2026-11-24T12:00:00Z");
        for (text, time) in [
            ("2026-11-24T05:30:23Z", "2026-11-24T05:30:23Z"),
            ("2026-11-24T05:30:23+02:00", "2026-11-24T03:30:23Z"),
            ("2026-11-20", "2026-11-20T00:00:00Z"),
            ("2h", "2026-11-24T10:00:00Z"),
            ("1 day", "2026-11-23T12:00:00Z"),
            ("30 min ago", "2026-11-24T11:30:00Z"),
        ] {
            assert_eq!(text.parse::<When>().unwrap().resolve(now), at(time), "{text}");
        }
        for text in ["", "ago", "yesterday", "2026-13-01", "-2h", "0 s"] {
            assert_eq!(text.parse::<When>(), Err(InvalidWhen), "{text}");
        }
    }

    #[test]
    fn times_are_shown_from_now() {
        let now = at("2026-11-24T12:00:00Z");
        for (time, shown) in [
            ("2026-11-24T11:59:58Z", "just now"),
            ("2026-11-24T11:59:20Z", "40 s ago"),
            ("2026-11-24T11:56:10Z", "3 min ago"),
            ("2026-11-24T14:30:00Z", "in 2 h"),
            ("2026-11-01T12:00:00Z", "23 d ago"),
            ("2026-01-01T12:00:00Z", "2026-01-01"),
        ] {
            assert_eq!(relative(at(time), now), shown);
        }
        assert_eq!(relative(Timestamp(i64::MIN), Timestamp(i64::MAX)), "out of range");
        assert_eq!(exact(at("2026-11-24T11:56:10.9Z")), "2026-11-24 11:56:10 UTC");
    }

    #[test]
    fn a_grace_period_may_be_none() {
        assert_eq!(parse_grace("0"), Ok(0));
        assert_eq!(parse_grace("24 hours"), Ok(86_400_000));
        assert!(parse_grace("soon").is_err());
    }
}

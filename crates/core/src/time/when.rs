//! Points in time as people write and read them, the same on every surface.
//!
//! Times are UTC and say so: owners in several places, the journal, exports and messages name the same moment
//! alike. What a calendar window is, and when it is quiet, follows the policy's time zone.

use std::str::FromStr;

use crate::time::{Span, Timestamp};

const MINUTE: i64 = 60;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

/// A time that somebody asks for: a day, a day with a time, or how long ago.
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
        let at_midnight = || format!("{text}T00:00:00Z").parse();
        let without_zone = || format!("{text}Z").parse();
        if let Ok(time) = text.parse().or_else(|_| at_midnight()).or_else(|_| without_zone()) {
            return Ok(Self::At(time));
        }
        let length = text.strip_suffix("ago").unwrap_or(text).trim_end();
        length.parse().map(Self::Ago).map_err(|_| InvalidWhen)
    }
}

/// A time as people say it, seen from now: `just now`, `3 min ago`, `in 1 h 59 min`, `2 d 4 h ago`. Rounded
/// to the smaller of two units, so that two hours that have just begun are not one.
pub fn relative(time: Timestamp, now: Timestamp) -> String {
    let millis = now.0.saturating_sub(time.0);
    let secs = millis.saturating_abs() / 1000;
    let length = match secs {
        0..5 => return "just now".to_owned(),
        5..MINUTE => format!("{secs} s"),
        _ => match rounded(secs, MINUTE) {
            minutes @ ..60 => format!("{minutes} min"),
            minutes if minutes < DAY / MINUTE => two((minutes / 60, "h"), (minutes % 60, "min")),
            _ => match rounded(secs, HOUR) {
                hours @ ..240 => two((hours / 24, "d"), (hours % 24, "h")),
                _ => format!("{} d", rounded(secs, DAY)),
            },
        },
    };
    if millis < 0 { format!("in {length}") } else { format!("{length} ago") }
}

fn rounded(secs: i64, unit: i64) -> i64 {
    (secs + unit / 2) / unit
}

fn two((more, unit): (i64, &str), (less, smaller): (i64, &str)) -> String {
    match less {
        0 => format!("{more} {unit}"),
        less => format!("{more} {unit} {less} {smaller}"),
    }
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
            ("2026-11-24T05:30", "2026-11-24T05:30:00Z"),
            ("2026-11-24 05:30:23", "2026-11-24T05:30:23Z"),
            ("2026-11-20", "2026-11-20T00:00:00Z"),
            (" 2026-11-20 ", "2026-11-20T00:00:00Z"),
            ("2h", "2026-11-24T10:00:00Z"),
            ("1 day", "2026-11-23T12:00:00Z"),
            ("30 min ago", "2026-11-24T11:30:00Z"),
        ] {
            assert_eq!(text.parse::<When>().unwrap().resolve(now), at(time), "{text}");
        }
        for text in ["", "ago", "yesterday", "2026-13-01", "2026-02-30", "-2h", "0 s"] {
            assert_eq!(text.parse::<When>(), Err(InvalidWhen), "{text}");
        }
    }

    #[test]
    fn a_length_is_rounded_to_two_units_and_never_loses_an_hour() {
        let now = Timestamp(1_000_000_000_000);
        for (secs, shown) in [
            (0, "just now"),
            (4, "just now"),
            (40, "40 s ago"),
            (59, "59 s ago"),
            (61, "1 min ago"),
            (3_570, "1 h ago"),
            (-7_199, "in 2 h"),
            (-7_140, "in 1 h 59 min"),
            (-5_400, "in 1 h 30 min"),
            (86_370, "1 d ago"),
            (-90_000, "in 1 d 1 h"),
            (3 * 86_400 + 4 * 3_600, "3 d 4 h ago"),
            (23 * 86_400 + 3_600, "23 d ago"),
        ] {
            assert_eq!(relative(Timestamp(now.0 - secs * 1_000), now), shown, "{secs}");
        }
        assert!(relative(Timestamp(i64::MIN), Timestamp(i64::MAX)).ends_with(" d ago"));
    }
}

//! Times as a person reads them: how long ago, and exactly in the owner's zone.

use std::fmt::{self, Write};

use askama::filters::HtmlSafe;
use jiff::tz::TimeZone;
use keystile_core::time::Timestamp;

/// The moment that a page is made at, and the zone that it is read in.
#[derive(Clone, Debug)]
pub(crate) struct Clock {
    pub(crate) now: Timestamp,
    pub(crate) zone: TimeZone,
}

/// A time element: relative, with the exact time as its title. Its parts hold nothing that needs escaping.
pub(crate) struct TimeElement(String);

impl fmt::Display for TimeElement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl HtmlSafe for TimeElement {}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    clippy::ref_option,
    reason = "templates lend what they show"
)]
impl Clock {
    pub(crate) fn ago(&self, time: &Timestamp) -> TimeElement {
        let exact = self.exact(time);
        TimeElement(format!(
            "<time datetime=\"{time}\" title=\"{exact}\">{}</time>",
            relative(*time, self.now)
        ))
    }

    /// As [`Self::ago`] where there is a time, and a word where there is none.
    pub(crate) fn ago_or(&self, time: &Option<Timestamp>, otherwise: &str) -> TimeElement {
        if let Some(time) = time {
            return self.ago(time);
        }
        let mut word = String::new();
        // Writing to a String cannot fail.
        let _ = askama::filters::escape(otherwise, askama::filters::Html)
            .map(|escaped| write!(word, "{escaped}"));
        TimeElement(word)
    }

    /// Date and time to the second, with the zone.
    pub(crate) fn exact(&self, time: &Timestamp) -> String {
        match jiff::Timestamp::from_millisecond(time.0) {
            Ok(moment) => moment
                .to_zoned_datetime(self.zone.clone())
                .strftime("%a %Y-%m-%d %H:%M:%S %Z")
                .to_string(),
            Err(_) => time.to_string(),
        }
    }

    /// The hour and minute.
    pub(crate) fn hour(&self, time: Timestamp) -> String {
        match jiff::Timestamp::from_millisecond(time.0) {
            Ok(moment) => moment.to_zoned_datetime(self.zone.clone()).strftime("%H:%M").to_string(),
            Err(_) => String::new(),
        }
    }
}

/// `just now`, `3 min ago`, `in 2 h`.
pub(crate) fn relative(time: Timestamp, now: Timestamp) -> String {
    let millis = now.0.saturating_sub(time.0);
    let seconds = millis.unsigned_abs() / 1000;
    let span = match seconds {
        0..=4 => return "just now".to_owned(),
        5..=59 => format!("{seconds} s"),
        60..=3_599 => format!("{} min", seconds / 60),
        3_600..=86_399 => format!("{} h", seconds / 3_600),
        _ => format!("{} d", seconds / 86_400),
    };
    if millis < 0 { format!("in {span}") } else { format!("{span} ago") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_reads_as_a_person_would_say_it() {
        let now = Timestamp(1_000_000_000_000);
        let shown = |millis: i64| relative(Timestamp(now.0 - millis), now);
        assert_eq!(shown(0), "just now");
        assert_eq!(shown(59_999), "59 s ago");
        assert_eq!(shown(61_000), "1 min ago");
        assert_eq!(shown(7_200_000), "2 h ago");
        assert_eq!(shown(3 * 86_400_000), "3 d ago");
        assert_eq!(shown(-90_000), "in 1 min");
        assert_eq!(relative(Timestamp(i64::MIN), Timestamp(i64::MAX)), "106751991167 d ago");
    }

    #[test]
    fn the_exact_time_is_in_the_owners_zone() {
        let clock = Clock { now: Timestamp(0), zone: TimeZone::fixed(jiff::tz::offset(2)) };
        assert_eq!(clock.exact(&Timestamp(1_795_500_000_000)), "Tue 2026-11-24 08:00:00 +02");
    }
}

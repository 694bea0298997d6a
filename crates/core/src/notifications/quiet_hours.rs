//! Quiet hours: when nothing is told that can wait.

use std::fmt;
use std::str::FromStr;

use jiff::tz::TimeZone;

use crate::time::Timestamp;

/// A part of each day, as in `22:00-07:00`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QuietHours {
    /// Minutes since midnight.
    from: i16,
    to: i16,
}

/// The text does not name a part of the day.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("{0:?} is not a part of the day: write it as in \"22:00-07:00\"")]
pub struct InvalidQuietHours(pub String);

impl FromStr for QuietHours {
    type Err = InvalidQuietHours;

    fn from_str(text: &str) -> Result<Self, InvalidQuietHours> {
        let minutes = |part: &str| {
            let (hour, minute) = part.trim().split_once(':')?;
            let is_number =
                |text: &str| text.len() == 2 && text.bytes().all(|b| b.is_ascii_digit());
            if !is_number(hour) || !is_number(minute) {
                return None;
            }
            let (hour, minute): (i16, i16) = (hour.parse().ok()?, minute.parse().ok()?);
            (hour < 24 && minute < 60).then_some(hour * 60 + minute)
        };
        let parsed = text.split_once('-').and_then(|(from, to)| {
            let (from, to) = (minutes(from)?, minutes(to)?);
            (from != to).then_some(Self { from, to })
        });
        parsed.ok_or_else(|| InvalidQuietHours(text.to_owned()))
    }
}

impl fmt::Display for QuietHours {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { from, to } = self;
        write!(f, "{:02}:{:02}-{:02}:{:02}", from / 60, from % 60, to / 60, to % 60)
    }
}

impl QuietHours {
    /// When the quiet that there is at a time ends; `None` where there is none.
    pub fn quiet_until(self, now: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
        let local = jiff::Timestamp::from_millisecond(now.0).ok()?.to_zoned_datetime(zone.clone());
        let minute = i16::from(local.hour()) * 60 + i16::from(local.minute());
        let is_quiet = if self.from < self.to {
            (self.from..self.to).contains(&minute)
        } else {
            minute >= self.from || minute < self.to
        };
        if !is_quiet {
            return None;
        }
        let (hour, minute) = (i8::try_from(self.to / 60).ok()?, i8::try_from(self.to % 60).ok()?);
        let end_on = |date: jiff::civil::Date| {
            date.at(hour, minute, 0, 0).to_zoned_datetime(zone.clone()).ok()
        };
        let today = end_on(local.date())?;
        let end = if today > local { today } else { end_on(local.date().tomorrow().ok()?)? };
        Some(Timestamp(end.timestamp().as_millisecond()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn quiet_hours_go_over_midnight() {
        let zone = TimeZone::get("Europe/Berlin").unwrap();
        let night: QuietHours = "22:00-07:00".parse().unwrap();
        let until = |time| night.quiet_until(at(time), &zone).map(|end| end.to_string());
        assert_eq!(until("2026-01-10T20:59:59Z"), None);
        assert_eq!(until("2026-01-10T21:00:00Z").as_deref(), Some("2026-01-11T06:00:00.000Z"));
        assert_eq!(until("2026-01-11T05:59:00Z").as_deref(), Some("2026-01-11T06:00:00.000Z"));
        assert_eq!(until("2026-01-11T06:00:00Z"), None);
        let noon: QuietHours = "12:00-13:30".parse().unwrap();
        assert_eq!(noon.quiet_until(at("2026-01-11T12:30:00Z"), &zone), None, "13:30 in Berlin");
        assert!(noon.quiet_until(at("2026-01-11T11:30:00Z"), &zone).is_some());
    }

    #[test]
    fn a_part_of_the_day_has_one_form() {
        for text in ["22:00-07:00", "00:00-23:59"] {
            assert_eq!(text.parse::<QuietHours>().unwrap().to_string(), text);
        }
        for text in
            ["", "22-7", "22:00", "24:00-07:00", "22:60-07:00", "22:00-22:00", "+2:00-07:00"]
        {
            assert!(text.parse::<QuietHours>().is_err(), "{text}");
        }
    }
}

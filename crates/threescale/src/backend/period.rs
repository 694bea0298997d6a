//! The periods of limits: fixed windows of the UTC calendar.
//!
//! They are the reference's. Keystile's own budgets have their periods in an owner's time zone, in
//! `keystile_core::budget`.

use std::fmt;

use keystile_core::time::Timestamp;

/// The period of a limit, shortest first. The reference orders weeks before months.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum Period {
    /// Sixty seconds.
    Minute,
    /// Sixty minutes.
    Hour,
    /// From midnight to midnight.
    Day,
    /// From Monday to Monday.
    Week,
    /// From the first to the first.
    Month,
    /// From the first of January to the next.
    Year,
    /// All time.
    Eternity,
}

/// A stretch of time: its first millisecond, and the first one after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Window {
    /// The first moment of it.
    pub start: Timestamp,
    /// The first moment behind it.
    pub end: Timestamp,
}

/// Where eternity begins: 1970-01-01.
const ETERNITY_START: Timestamp = Timestamp(0);

/// Where it ends: 9999-12-31.
const ETERNITY_END: Timestamp = Timestamp(253_402_214_400_000);

const MINUTE_MILLIS: i64 = 60_000;
const HOUR_MILLIS: i64 = 60 * MINUTE_MILLIS;
const DAY_MILLIS: i64 = 24 * HOUR_MILLIS;
const WEEK_MILLIS: i64 = 7 * DAY_MILLIS;

/// The epoch is a Thursday: from the Monday before it.
const EPOCH_SINCE_MONDAY_MILLIS: i64 = 3 * DAY_MILLIS;

impl Period {
    /// All periods, longest first, as the reference lists them.
    pub const ALL: [Self; 7] =
        [Self::Eternity, Self::Year, Self::Month, Self::Week, Self::Day, Self::Hour, Self::Minute];

    /// The name in bodies and in the internal API, as in `month`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Minute => "minute",
            Self::Hour => "hour",
            Self::Day => "day",
            Self::Week => "week",
            Self::Month => "month",
            Self::Year => "year",
            Self::Eternity => "eternity",
        }
    }

    /// The period of a name, where it is one.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|period| period.name() == name)
    }

    /// The window around a time. Months and years take times before 1970 and after 9999 for the first and the
    /// last ones between: no clock of ours shows them.
    pub fn window(self, at: Timestamp) -> Window {
        match self {
            Self::Minute => even_window(at, MINUTE_MILLIS, 0),
            Self::Hour => even_window(at, HOUR_MILLIS, 0),
            Self::Day => even_window(at, DAY_MILLIS, 0),
            Self::Week => even_window(at, WEEK_MILLIS, EPOCH_SINCE_MONDAY_MILLIS),
            Self::Month => {
                let Date { year, month, .. } = Date::of(at);
                let (next_year, next) = if month < 12 { (year, month + 1) } else { (year + 1, 1) };
                Window { start: midnight(year, month), end: midnight(next_year, next) }
            }
            Self::Year => {
                let year = Date::of(at).year;
                Window { start: midnight(year, 1), end: midnight(year + 1, 1) }
            }
            Self::Eternity => Window { start: ETERNITY_START, end: ETERNITY_END },
        }
    }
}

impl fmt::Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A window of a length that never changes. `offset` is how long the epoch's had lasted at the epoch.
const fn even_window(at: Timestamp, length: i64, offset: i64) -> Window {
    let since_start = at.0.saturating_add(offset).rem_euclid(length);
    let start = at.0.saturating_sub(since_start);
    Window { start: Timestamp(start), end: Timestamp(start.saturating_add(length)) }
}

/// A date of the Gregorian calendar, from 1970 to 9999.
struct Date {
    year: u16,
    month: u16,
    day: u16,
}

impl Date {
    /// The date of a time in UTC, or the nearest that there is.
    ///
    /// Years are taken from March to February, so that the leap day is the last of its year and the lengths of
    /// months follow a rule: five have 153 days. It is a few divisions where the library converts, because an
    /// answer shows many dates.
    fn of(at: Timestamp) -> Self {
        let days = at.0.clamp(0, DATES_END_MILLIS - 1) / DAY_MILLIS + DAYS_BEFORE_EPOCH;
        let (cycle, day_of_cycle) = (days / DAYS_OF_CYCLE, days % DAYS_OF_CYCLE);
        // Of 400 years, less the leap days before.
        let leap_days =
            day_of_cycle / 1460 - day_of_cycle / 36_524 + day_of_cycle / (DAYS_OF_CYCLE - 1);
        let year_of_cycle = (day_of_cycle - leap_days) / 365;
        let day_of_year =
            day_of_cycle - (365 * year_of_cycle + year_of_cycle / 4 - year_of_cycle / 100);
        let month = (5 * day_of_year + 2) / 153;
        let day = day_of_year - (153 * month + 2) / 5 + 1;
        let is_next_year = month >= 10;
        let year = cycle * 400 + year_of_cycle + i64::from(is_next_year);
        let month = if is_next_year { month - 9 } else { month + 3 };
        let small = |number| u16::try_from(number).expect("a date is between 1970 and 9999");
        Self { year: small(year), month: small(month), day: small(day) }
    }
}

/// Days of 400 years, after which the calendar repeats.
const DAYS_OF_CYCLE: i64 = 146_097;

/// From the first of March of the year 0 to the epoch.
const DAYS_BEFORE_EPOCH: i64 = 719_468;

/// The first millisecond of the year 10000.
const DATES_END_MILLIS: i64 = 253_402_300_800_000;

/// When a month begins.
fn midnight(year: u16, month: u16) -> Timestamp {
    let (year, month) = (i64::from(year), i64::from(month));
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let year_of_cycle = year % 400;
    let days = year / 400 * DAYS_OF_CYCLE
        + (365 * year_of_cycle + year_of_cycle / 4 - year_of_cycle / 100)
        + (153 * month + 2) / 5;
    Timestamp((days - DAYS_BEFORE_EPOCH) * DAY_MILLIS)
}

/// Writes a time as bodies show it: `2026-11-24 05:30:23 +0000`.
pub(super) fn push_time(text: &mut String, at: Timestamp) {
    let Date { year, month, day } = Date::of(at);
    let secs = at.0.rem_euclid(DAY_MILLIS) / 1000;
    let small = |number| u16::try_from(number).expect("a day has less than 65536 minutes");
    push_two(text, year / 100);
    push_two(text, year % 100);
    for (separator, number) in [
        ('-', month),
        ('-', day),
        (' ', small(secs / 3600)),
        (':', small(secs / 60 % 60)),
        (':', small(secs % 60)),
    ] {
        text.push(separator);
        push_two(text, number);
    }
    text.push_str(" +0000");
}

fn push_two(text: &mut String, number: u16) {
    for digit in [number / 10 % 10, number % 10] {
        text.push(char::from_digit(u32::from(digit), 10).expect("a remainder of ten is a digit"));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn shown(time: Timestamp) -> String {
        let mut text = String::new();
        push_time(&mut text, time);
        text
    }

    fn window(period: Period, time: &str) -> [String; 2] {
        let Window { start, end } = period.window(at(time));
        [shown(start), shown(end)]
    }

    #[test]
    fn windows_are_those_of_the_calendar() {
        let sunday = "2026-11-29T23:59:59.999Z";
        for (period, start, end) in [
            (Period::Minute, "2026-11-29 23:59:00 +0000", "2026-11-30 00:00:00 +0000"),
            (Period::Hour, "2026-11-29 23:00:00 +0000", "2026-11-30 00:00:00 +0000"),
            (Period::Day, "2026-11-29 00:00:00 +0000", "2026-11-30 00:00:00 +0000"),
            (Period::Week, "2026-11-23 00:00:00 +0000", "2026-11-30 00:00:00 +0000"),
            (Period::Month, "2026-11-01 00:00:00 +0000", "2026-12-01 00:00:00 +0000"),
            (Period::Year, "2026-01-01 00:00:00 +0000", "2027-01-01 00:00:00 +0000"),
            (Period::Eternity, "1970-01-01 00:00:00 +0000", "9999-12-31 00:00:00 +0000"),
        ] {
            assert_eq!(window(period, sunday), [start, end], "{period}");
        }
        assert_eq!(window(Period::Month, "2028-02-29T12:00:00Z")[1], "2028-03-01 00:00:00 +0000");
    }

    #[test]
    fn names_read_back() {
        for period in Period::ALL {
            assert_eq!(Period::named(period.name()), Some(period));
        }
        assert_eq!(Period::named("second"), None);
        assert!(Period::ALL.is_sorted_by(|longer, shorter| longer > shorter));
    }

    proptest! {
        #[test]
        fn windows_of_a_period_divide_time(millis in 0..253_000_000_000_000_i64, which in 0..7_usize) {
            let period = Period::ALL[which];
            let Window { start, end } = period.window(Timestamp(millis));
            prop_assert!(start.0 <= millis && millis < end.0);
            for inside in [start.0, end.0 - 1] {
                prop_assert_eq!(period.window(Timestamp(inside)), Window { start, end });
            }
            if period != Period::Eternity {
                prop_assert_eq!(period.window(end).start, end);
                prop_assert_eq!(start.0 % DAY_MILLIS == 0, period >= Period::Day
                    || start.0.rem_euclid(DAY_MILLIS) == 0);
            }
            let library = jiff::Timestamp::from_millisecond(start.0).unwrap();
            prop_assert_eq!(shown(start), library.strftime("%Y-%m-%d %H:%M:%S +0000").to_string());
        }

        #[test]
        fn no_time_is_too_far_for_a_window(millis: i64, which in 0..7_usize) {
            let Window { start, end } = Period::ALL[which].window(Timestamp(millis));
            prop_assert!(start < end);
            shown(start);
            shown(end);
        }
    }
}

//! Calendar periods: the present minute, hour, day, week, month or year in a time zone.
//!
//! # What this protects
//!
//! The periods of a unit divide time without gap or overlap, whatever a zone does with its clock: a period
//! never ends before the present, so nothing is counted in a period that is already over.
//!
//! Minutes and hours run on the offset that is in force and are cut where it changes. Days and longer
//! units begin when the zone's clock first shows their first midnight or a later time; an hour that the
//! clock shows twice belongs to the day that has begun.

use jiff::civil::Date;
use jiff::tz::{AmbiguousOffset, TimeZone};
use jiff::{SignedDuration, ToSpan};

use super::quota::CalendarUnit;
use crate::time::Timestamp;

impl CalendarUnit {
    /// The period around a time: its first millisecond, and the first one after it.
    pub(super) fn period(self, now: Timestamp, zone: &TimeZone) -> (Timestamp, Timestamp) {
        let bounds = match self {
            Self::Minute => clock_period(now, 60_000, zone),
            Self::Hour => clock_period(now, 3_600_000, zone),
            Self::Day | Self::Week | Self::Month | Self::Year => self.dated_period(now, zone),
        };
        bounds.unwrap_or((now, Timestamp(i64::MAX)))
    }

    fn dated_period(self, now: Timestamp, zone: &TimeZone) -> Option<(Timestamp, Timestamp)> {
        let at = jiff::Timestamp::from_millisecond(now.0).ok()?;
        let mut first = self.first_date(zone.to_datetime(at).date())?;
        loop {
            let next = self.next_date(first)?;
            let end = midnight(next, zone)?;
            // Later where the clock was set back over a midnight that it had shown, or skipped a date.
            if end > now {
                return Some((midnight(first, zone)?, end));
            }
            first = next;
        }
    }

    fn first_date(self, date: Date) -> Option<Date> {
        match self {
            Self::Week => {
                let since_monday = date.weekday().to_monday_zero_offset();
                date.checked_sub(i64::from(since_monday).days()).ok()
            }
            Self::Month => Some(date.first_of_month()),
            Self::Year => Some(date.first_of_year()),
            Self::Day | Self::Hour | Self::Minute => Some(date),
        }
    }

    fn next_date(self, first: Date) -> Option<Date> {
        let unit = match self {
            Self::Week => 1.week(),
            Self::Month => 1.month(),
            Self::Year => 1.year(),
            Self::Day | Self::Hour | Self::Minute => 1.day(),
        };
        first.checked_add(unit).ok()
    }
}

/// A period of so many milliseconds of the zone's clock, cut where that is set.
fn clock_period(now: Timestamp, length: i64, zone: &TimeZone) -> Option<(Timestamp, Timestamp)> {
    let at = jiff::Timestamp::from_millisecond(now.0).ok()?;
    let offset = i64::from(zone.to_offset(at).seconds()).checked_mul(1000)?;
    let past = now.0.checked_add(offset)?.rem_euclid(length);
    let start = now.0.checked_sub(past)?;
    let end = start.checked_add(length)?;
    let last_set = last_set(at, zone).map_or(start, |set| set.max(start));
    let next_set = zone
        .following(at)
        .map(|set| set.timestamp())
        .take_while(|set| set.as_millisecond() < end)
        .find(|set| is_set_at(*set, zone))
        .map_or(end, jiff::Timestamp::as_millisecond);
    Some((Timestamp(last_set), Timestamp(next_set)))
}

/// When the zone's clock was last set, in milliseconds.
fn last_set(at: jiff::Timestamp, zone: &TimeZone) -> Option<i64> {
    let just_after = at.checked_add(SignedDuration::from_nanos(1)).ok()?;
    let mut sets = zone.preceding(just_after).map(|set| set.timestamp());
    Some(sets.find(|set| is_set_at(*set, zone))?.as_millisecond())
}

/// Whether a transition changes the clock, and not only its name.
fn is_set_at(at: jiff::Timestamp, zone: &TimeZone) -> bool {
    at.checked_sub(SignedDuration::from_nanos(1))
        .is_ok_and(|before| zone.to_offset(before) != zone.to_offset(at))
}

/// When the zone's clock first shows a date's midnight or a later time.
fn midnight(date: Date, zone: &TimeZone) -> Option<Timestamp> {
    let civil = date.at(0, 0, 0, 0);
    let shown = match zone.to_ambiguous_timestamp(civil).offset() {
        AmbiguousOffset::Unambiguous { offset } => offset,
        AmbiguousOffset::Fold { before, .. } => before,
        AmbiguousOffset::Gap { before, .. } => {
            // It is skipped: by the old offset it lies after the moment when the clock was set.
            let skipped = before.to_timestamp(civil).ok()?;
            return last_set(skipped, zone).map(Timestamp);
        }
    };
    Some(Timestamp(shown.to_timestamp(civil).ok()?.as_millisecond()))
}

#[cfg(test)]
mod tests {
    #![expect(
        clippy::arithmetic_side_effects,
        reason = "a test that overflows fails, as it should"
    )]

    use super::*;

    const HOUR: i64 = 3_600_000;
    const UNITS: [(CalendarUnit, i64); 6] = [
        (CalendarUnit::Minute, 60_000),
        (CalendarUnit::Hour, HOUR),
        (CalendarUnit::Day, 24 * HOUR),
        (CalendarUnit::Week, 7 * 24 * HOUR),
        (CalendarUnit::Month, 31 * 24 * HOUR),
        (CalendarUnit::Year, 366 * 24 * HOUR),
    ];

    fn moment(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn assert_sound(unit: CalendarUnit, length: i64, now: i64, zone: &TimeZone) {
        let name = zone.iana_name().unwrap_or_default();
        let (start, end) = unit.period(Timestamp(now), zone);
        assert!(start.0 <= now && now < end.0, "{name} {unit:?} {now}: {start} to {end}");
        assert!(end.0 - start.0 <= length + 25 * HOUR, "{name} {unit:?}: {start} to {end}");
        for inside in [start.0, now, end.0 - 1] {
            assert_eq!(unit.period(Timestamp(inside), zone), (start, end), "{name} {unit:?}");
        }
        assert_eq!(unit.period(end, zone).0, end, "{name} {unit:?}: what begins at {end}");
        let before = unit.period(Timestamp(start.0 - 1), zone);
        assert_eq!(before.1, start, "{name} {unit:?}: what ends at {start}");
    }

    #[test]
    fn periods_divide_time_wherever_any_zone_sets_its_clock() {
        let (from, to) = ("2000-01-01T00:00:00Z", "2040-01-01T00:00:00Z");
        let (from, to): (jiff::Timestamp, jiff::Timestamp) =
            (from.parse().unwrap(), to.parse().unwrap());
        let mut zones = 0;
        for name in jiff::tz::db().available() {
            let zone = TimeZone::get(name.as_str()).unwrap();
            zones += 1;
            let sets: Vec<i64> = zone
                .following(from)
                .map(|set| set.timestamp())
                .take_while(|at| *at < to)
                .map(jiff::Timestamp::as_millisecond)
                .collect();
            for at in sets {
                let around = [-25 * HOUR, -3 * HOUR, -HOUR, -HOUR / 4, -1, 0, 1, HOUR / 4, HOUR];
                for (unit, length) in UNITS {
                    for by in around {
                        assert_sound(unit, length, at + by, &zone);
                    }
                }
            }
        }
        assert!(zones > 300, "only {zones} zones are installed");
    }

    #[test]
    fn a_period_never_ends_before_the_present_where_the_clock_goes_back_by_half_an_hour() {
        let zone = TimeZone::get("Australia/Lord_Howe").unwrap();
        let (set_back, hour) = (moment("2026-04-04T15:00:00Z"), CalendarUnit::Hour);
        let bounds = |minutes: i64| {
            let (start, end) = hour.period(Timestamp(set_back.0 + minutes * 60_000), &zone);
            ((start.0 - set_back.0) / 60_000, (end.0 - set_back.0) / 60_000)
        };
        assert_eq!([bounds(-1), bounds(0), bounds(29)], [(-60, 0), (0, 30), (0, 30)]);
        assert_eq!(bounds(30), (30, 90));
    }

    #[test]
    fn a_date_that_a_zone_skips_has_no_period_and_one_that_it_repeats_has_one() {
        let apia = TimeZone::get("Pacific/Apia").unwrap();
        let (start, end) = CalendarUnit::Day.period(moment("2011-12-30T12:00:00Z"), &apia);
        assert_eq!(start, moment("2011-12-30T10:00:00Z"), "the 31st");
        assert_eq!(end, moment("2011-12-31T10:00:00Z"));
        // Set back at 0:01 to 23:01: the day that had begun goes on.
        let zone = TimeZone::get("America/St_Johns").unwrap();
        let (start, end) = CalendarUnit::Day.period(moment("2010-11-07T03:00:00Z"), &zone);
        assert_eq!(start, moment("2010-11-07T02:30:00Z"));
        assert_eq!(end, moment("2010-11-08T03:30:00Z"));
    }

    #[test]
    fn a_calendar_day_begins_at_local_midnight_also_when_clocks_change() {
        let zone = TimeZone::get("Europe/Berlin").unwrap();
        let (start, end) = CalendarUnit::Day.period(moment("2026-10-25T12:00:00Z"), &zone);
        assert_eq!(start.to_string(), "2026-10-24T22:00:00.000Z");
        assert_eq!(end.0 - start.0, 25 * HOUR);
    }

    #[test]
    fn weeks_begin_on_monday_and_years_in_january() {
        let at = moment("2026-11-24T05:30:23Z");
        let start = |unit: CalendarUnit| unit.period(at, &TimeZone::UTC).0.to_string();
        assert_eq!(start(CalendarUnit::Week), "2026-11-23T00:00:00.000Z");
        assert_eq!(start(CalendarUnit::Month), "2026-11-01T00:00:00.000Z");
        assert_eq!(start(CalendarUnit::Year), "2026-01-01T00:00:00.000Z");
        assert_eq!(start(CalendarUnit::Hour), "2026-11-24T05:00:00.000Z");
    }
}

//! When a reported call happened, as clients of all kinds write it.
//!
//! The reference reads whatever Ruby's `Date` makes of a text, and takes the present where that is nothing.
//! The forms that clients send are read here; what is not one of them is the present too.

use std::num::IntErrorKind;

use jiff::civil::{Date, DateTime, Time};
use jiff::fmt::rfc2822;
use jiff::tz::Offset;
use keystile_core::time::Timestamp;

/// Reads a time: Unix seconds, RFC 3339 and what looks like it, or the form of HTTP and of mail. A time
/// without an offset is in UTC.
pub(super) fn parse(text: &str) -> Option<Timestamp> {
    let text = text.trim();
    unix(text).or_else(|| civil(text)).or_else(|| mail(text))
}

fn unix(text: &str) -> Option<Timestamp> {
    let secs = match text.parse::<i64>() {
        Ok(secs) => secs,
        Err(error) => match error.kind() {
            // A time all the same, and far from any that counts.
            IntErrorKind::PosOverflow => i64::MAX,
            IntErrorKind::NegOverflow => i64::MIN,
            _ => return None,
        },
    };
    Some(Timestamp(secs.saturating_mul(1000)))
}

fn mail(text: &str) -> Option<Timestamp> {
    let zoned = rfc2822::DateTimeParser::new().parse_timestamp(text).ok()?;
    Some(Timestamp(zoned.as_millisecond()))
}

/// `2026-11-24`, then perhaps a time, then perhaps an offset, as in `2026/11/24T05:30:23.5 +02:00`.
fn civil(text: &str) -> Option<Timestamp> {
    let (year, rest) = number(text, 4)?;
    let separator = rest.chars().next().filter(|c| matches!(c, '-' | '/'));
    let (month, rest) = number(skip(rest, separator)?, 2)?;
    let (day, rest) = number(skip(rest, separator)?, 2)?;
    let date = Date::new(year, i8::try_from(month).ok()?, i8::try_from(day).ok()?).ok()?;
    let rest = rest.strip_prefix(['T', 't']).unwrap_or(rest).trim_start();
    let (time, rest) = if rest.is_empty() { (Time::midnight(), rest) } else { clock(rest)? };
    let offset = offset(rest.trim_start())?;
    let moment = offset.to_timestamp(DateTime::from_parts(date, time)).ok()?;
    Some(Timestamp(moment.as_millisecond()))
}

fn skip(text: &str, separator: Option<char>) -> Option<&str> {
    separator.map_or(Some(text), |separator| text.strip_prefix(separator))
}

/// A time of the day, with or without colons, seconds and a fraction, and what follows it.
fn clock(text: &str) -> Option<(Time, &str)> {
    let (hour, rest) = number(text, 2)?;
    let colon = rest.starts_with(':').then_some(':');
    let (minute, mut rest) = number(skip(rest, colon)?, 2)?;
    let (mut second, mut nanos) = (0, 0_i32);
    let has_second = if colon.is_some() {
        rest.starts_with(':')
    } else {
        rest.starts_with(|c: char| c.is_ascii_digit())
    };
    if has_second {
        (second, rest) = number(skip(rest, colon)?, 2)?;
        if let Some(fraction) = rest.strip_prefix(['.', ',']) {
            let end = fraction.find(|c: char| !c.is_ascii_digit()).unwrap_or(fraction.len());
            let digits = fraction[..end].get(..9).unwrap_or(&fraction[..end]);
            nanos = format!("{digits:0<9}").parse().ok()?;
            rest = &fraction[end..];
        }
    }
    let small = |number| i8::try_from(number).ok();
    // A leap second counts with the second before it.
    let time = Time::new(small(hour)?, small(minute)?, small(second.min(59))?, nanos).ok()?;
    Some((time, rest))
}

/// Nothing, `Z`, `UTC`, `GMT`, or hours and perhaps minutes with a sign.
fn offset(text: &str) -> Option<Offset> {
    if ["", "Z", "UTC", "GMT"].iter().any(|name| text.eq_ignore_ascii_case(name)) {
        return Some(Offset::UTC);
    }
    let is_west = match text.chars().next()? {
        '+' => false,
        '-' => true,
        _ => return None,
    };
    let (hours, rest) = number(&text[1..], 2)?;
    let rest = rest.strip_prefix(':').unwrap_or(rest);
    let (minutes, rest) = if rest.is_empty() { (0, rest) } else { number(rest, 2)? };
    let secs = i32::from(hours).saturating_mul(60).saturating_add(i32::from(minutes));
    let secs = secs.saturating_mul(60);
    let offset = Offset::from_seconds(if is_west { secs.saturating_neg() } else { secs }).ok()?;
    rest.is_empty().then_some(offset)
}

/// A number of so many digits, and what follows it.
fn number(text: &str, digits: usize) -> Option<(i16, &str)> {
    let (number, rest) = text.split_at_checked(digits)?;
    let is_number = number.bytes().all(|byte| byte.is_ascii_digit());
    Some((is_number.then(|| number.parse().ok())??, rest))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(text: &str) -> Option<String> {
        Some(parse(text)?.to_string())
    }

    #[test]
    fn the_forms_that_clients_send_are_read() {
        for (text, time) in [
            ("1271980765", "2010-04-22T23:59:25.000Z"),
            ("0", "1970-01-01T00:00:00.000Z"),
            ("-1", "1969-12-31T23:59:59.000Z"),
            ("2010-04-22 23:59:30", "2010-04-22T23:59:30.000Z"),
            ("2010-04-22 23:59:25 UTC", "2010-04-22T23:59:25.000Z"),
            ("2010-04-22 23:55:45 +0200", "2010-04-22T21:55:45.000Z"),
            ("2010-04-22 21:00:25 -02:00", "2010-04-22T23:00:25.000Z"),
            ("2010-04-22T23:59:30.1234567891Z", "2010-04-22T23:59:30.123Z"),
            ("2010-04-22t23:59+01", "2010-04-22T22:59:00.000Z"),
            ("20100422T235930Z", "2010-04-22T23:59:30.000Z"),
            ("2012/10/01", "2012-10-01T00:00:00.000Z"),
            ("2010-04-22 23:59:60", "2010-04-22T23:59:59.000Z"),
            ("Thu, 22 Apr 2010 23:59:30 GMT", "2010-04-22T23:59:30.000Z"),
            ("22 Apr 2010 23:59:30 +0200", "2010-04-22T21:59:30.000Z"),
        ] {
            assert_eq!(read(text).as_deref(), Some(time), "{text}");
        }
    }

    #[test]
    fn what_is_no_time_is_nothing() {
        for text in [
            "",
            "now",
            "2012garbage2012",
            "2012-13-01",
            "2012-02-30",
            "2012-10/01",
            "2012-10-01 25:00",
            "2012-10-01 10:00 CET",
            "2012-10-01 10:00 +99:99",
            "2012-10-01 10:00:00 x",
            "é012-10-01",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_a_time_or_nothing(text: String) {
            parse(&text);
        }

        #[test]
        fn a_time_reads_back(millis in 0..4_000_000_000_000_i64) {
            let time = Timestamp(millis);
            prop_assert_eq!(parse(&time.to_string()), Some(time));
        }
    }
}

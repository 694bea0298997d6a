#![expect(clippy::arithmetic_side_effects, reason = "a test that overflows fails, as it should")]

use jiff::tz::TimeZone;
use proptest::prelude::*;

use super::*;
use crate::time::{Span, Timestamp};

fn quota(text: &str) -> Quota {
    text.parse().unwrap()
}

#[test]
fn quotas_read_as_people_write_them() {
    for (text, shown) in [
        ("100 per day", "100 per day"),
        ("20 per 1 minute", "20 per minute"),
        ("1_000 per 2 hours", "1000 per 2 hours"),
        ("5 per month calendar", "5 per month calendar"),
        ("0 per day", "0 per day"),
    ] {
        assert_eq!(quota(text).to_string(), shown);
    }
    for text in [
        "",
        "100",
        "100 per",
        "-1 per day",
        "1 per fortnight",
        "1 per 0 days",
        "1 per 2 days calendar",
        "4294967296 per day",
        "1 per 401 days",
        "1 per 500 ms",
        "1 a day",
        "1 per day calender",
    ] {
        assert!(text.parse::<Quota>().is_err(), "{text}");
    }
}

#[test]
fn a_calendar_counter_is_empty_in_the_next_period() {
    let window = quota("3 per day calendar").window;
    let mut counter = Counter::default();
    let noon: Timestamp = "2026-11-24T12:00:00Z".parse().unwrap();
    counter.add(window, noon, 3, &TimeZone::UTC);
    assert_eq!(
        counter.used(window, "2026-11-24T23:59:59.999Z".parse().unwrap(), &TimeZone::UTC),
        3
    );
    assert_eq!(counter.used(window, "2026-11-25T00:00:00Z".parse().unwrap(), &TimeZone::UTC), 0);
}

/// Admits writes one after the other and checks the promise against a list of all that was admitted.
fn run(quota: Quota, writes: &[(i64, u32)]) {
    let Window::Rolling(span) = quota.window else { unreachable!() };
    let (mut counter, mut admitted, mut now) =
        (Counter::default(), Vec::new(), 1_700_000_000_000_i64);
    for (wait, cost) in writes {
        now += wait;
        let at = Timestamp(now);
        let used = counter.used(quota.window, at, &TimeZone::UTC);
        assert!(counter.len() <= 64);
        let within = |length: i64| -> u64 {
            admitted
                .iter()
                .filter(|(time, _)| *time >= now - length)
                .map(|(_, cost)| u64::from(*cost))
                .sum()
        };
        assert!(used >= within(span.millis()), "over: {used} counted");
        assert!(
            used <= within(span.millis() + span.millis() / 60 + 1),
            "capacity came back too late"
        );
        if used + u64::from(*cost) <= u64::from(quota.amount) {
            counter.add(quota.window, at, *cost, &TimeZone::UTC);
            admitted.push((now, *cost));
        } else if let Some(fits) = counter.fits_at(quota, *cost, at, &TimeZone::UTC) {
            let mut later = counter.clone();
            assert!(
                later.used(quota.window, fits, &TimeZone::UTC) + u64::from(*cost)
                    <= u64::from(quota.amount)
            );
        }
    }
}

proptest! {
    #[test]
    fn a_rolling_window_never_admits_more_and_frees_within_a_sixtieth(
        amount in 1_u32..30,
        seconds in 1_i64..500,
        writes in prop::collection::vec((0_i64..30_000, 1_u32..4), 1..300),
    ) {
        let window = Window::Rolling(Span::from_millis(seconds * 1000).unwrap());
        run(Quota { amount, window }, &writes);
    }

    #[test]
    fn a_release_gives_back_exactly_what_was_counted(
        adds in prop::collection::vec((0_i64..100_000, 1_u32..5), 1..50),
    ) {
        let window = quota("1 per minute").window;
        let mut counter = Counter::default();
        for (at, amount) in &adds {
            counter.add(window, Timestamp(*at), *amount, &TimeZone::UTC);
        }
        for (at, amount) in &adds {
            counter.release(window, Timestamp(*at), *amount, &TimeZone::UTC);
        }
        prop_assert!(counter.is_empty());
        prop_assert_eq!(counter.used(window, Timestamp(0), &TimeZone::UTC), 0);
    }

    #[test]
    fn hostile_quotas_never_panic(text in "\\PC{0,40}") {
        let _ = text.parse::<Quota>();
    }

    #[test]
    fn a_write_counts_from_its_sending_and_before_it_as_if_it_were_sent_now(
        amount in 1_u32..80,
        seconds in 1_i64..100,
        writes in prop::collection::vec((0_i64..3_000, 0_i64..5_000), 1..300),
    ) {
        let window = Window::Rolling(Span::from_millis(seconds * 1000).unwrap());
        let (mut counter, mut sent) = (Counter::default(), Vec::<i64>::new());
        let (mut on_hold, mut now) = (Vec::<i64>::new(), 1_700_000_000_000_i64);
        for (wait, delay) in writes {
            now += wait;
            on_hold.retain(|begins| {
                if *begins <= now {
                    counter.drop_hold(1);
                    counter.add(window, Timestamp(*begins), 1, &TimeZone::UTC);
                    sent.push(*begins);
                }
                *begins > now
            });
            if counter.used(window, Timestamp(now), &TimeZone::UTC) < u64::from(amount) {
                counter.hold(1);
                on_hold.push(now + delay);
            }
            prop_assert!(counter.len() <= 64);
        }
        sent.extend(on_hold);
        sent.sort_unstable();
        for (place, first) in sent.iter().enumerate() {
            let within = sent[place..].iter().take_while(|at| **at <= first + seconds * 1000);
            prop_assert!(within.count() <= amount as usize);
        }
    }
}

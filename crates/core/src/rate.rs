//! Rate limits: how fast a caller may go. They refuse for a moment and never lock.
//!
//! # What this protects
//!
//! In any interval of a window's length at most the amount is admitted, on all cores together. A window is
//! counted in slices, of which a caller's call leaves one only when all of the slice has left the window:
//! capacity comes back at most a twenty-ninth of the window late, and never early.
//!
//! # How
//!
//! All cores share the state without a lock, because it is on the way of every read. One atomic number
//! holds the present slice and how many calls were ever admitted; a call is admitted by a single change
//! of it. How many there had been at the end of each earlier slice is kept in a ring, and what counts now
//! is the difference. An entry is written before the number moves on to a later slice. It may be
//! written again with a greater total, and whoever reads it too early counts too much, never too little.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::budget::Quota;
use crate::policy::RATE_LIMITS_MAX;
use crate::time::{Span, Timestamp};

/// So many slices count: they cover a window and the one that is filling.
const SLICES: u32 = 30;
/// Ends of slices that are kept. A power of two, because slices are numbered modulo 2^32.
const RING: u32 = 32;
/// A slice that lies before another by no more than this is the earlier one; otherwise nobody called
/// for so long that the numbers have come round.
const BEHIND_MAX: u32 = 1 << 20;

/// How much of each rate limit of its plan a caller has used.
#[derive(Debug, Default)]
pub struct RateState {
    limits: [OnceLock<Box<Limit>>; RATE_LIMITS_MAX],
}

/// What was admitted under one limit.
#[derive(Debug)]
struct Limit {
    window: Span,
    /// The present slice, and how many calls were ever admitted; both modulo 2^32.
    present: AtomicU64,
    /// Slices, and how many calls had been admitted at their ends.
    ends: [AtomicU64; RING as usize],
    /// The same for another window, after a change of the plan.
    other: OnceLock<Box<Self>>,
}

impl RateState {
    /// Takes one call from every limit. Fails when one of them has no room, with the seconds to wait; the
    /// call is then not taken from the limits after that one.
    pub fn admit(&self, limits: &[Quota], now: Timestamp) -> Result<(), u64> {
        limits.iter().zip(&self.limits).try_for_each(|(quota, first)| {
            let window = quota.window.span_max();
            Limit::of(first, window, now).admit(quota.amount, now)
        })
    }

    /// Whether a call would be admitted just now. Takes nothing.
    pub fn has_room(&self, limits: &[Quota], now: Timestamp) -> bool {
        limits.iter().zip(&self.limits).all(|(quota, first)| {
            Limit::of(first, quota.window.span_max(), now).has_room(quota.amount, now)
        })
    }
}

const fn packed(slice: u32, total: u32) -> u64 {
    (slice as u64) << 32 | total as u64
}

#[expect(clippy::cast_possible_truncation, reason = "the two halves of a number")]
const fn unpacked(number: u64) -> (u32, u32) {
    ((number >> 32) as u32, number as u32)
}

/// Whether a slice comes after another.
const fn is_after(slice: u32, other: u32) -> bool {
    let ahead = slice.wrapping_sub(other);
    ahead != 0 && ahead < u32::MAX - BEHIND_MAX
}

const fn later(slice: u32, other: u32) -> u32 {
    if is_after(other, slice) { other } else { slice }
}

impl Limit {
    fn new(window: Span, now: Timestamp) -> Self {
        let limit = Self {
            window,
            present: AtomicU64::new(0),
            ends: Default::default(),
            other: OnceLock::new(),
        };
        let (present, _) = limit.slice_at(now);
        limit.present.store(packed(present, 0), Ordering::Relaxed);
        for back in 1..=SLICES {
            let slice = present.wrapping_sub(back);
            limit.end(slice).store(packed(slice, 0), Ordering::Relaxed);
        }
        limit
    }

    fn of(first: &OnceLock<Box<Self>>, window: Span, now: Timestamp) -> &Self {
        let mut limit = first.get_or_init(|| Box::new(Self::new(window, now)));
        while limit.window != window {
            limit = limit.other.get_or_init(|| Box::new(Self::new(window, now)));
        }
        limit
    }

    /// In microseconds. All slices but the one that is filling cover the window and one millisecond, which
    /// is how exactly times are known.
    fn slice_micros(&self) -> i64 {
        (self.window.millis() + 1) * 1000 / i64::from(SLICES - 1) + 1
    }

    /// The slice of a time, and how many microseconds of it have passed.
    #[expect(clippy::cast_sign_loss, clippy::cast_possible_truncation, reason = "modulo 2^32")]
    fn slice_at(&self, now: Timestamp) -> (u32, i64) {
        let micros = now.0.saturating_mul(1000);
        let length = self.slice_micros();
        (micros.div_euclid(length) as u32, micros.rem_euclid(length))
    }

    /// Takes one call, or says how many seconds to wait.
    fn admit(&self, amount: u32, now: Timestamp) -> Result<(), u64> {
        let (arrived, past) = self.slice_at(now);
        let mut slice = arrived;
        let mut present = self.present.load(Ordering::Acquire);
        loop {
            let (last, total) = unpacked(present);
            slice = later(last, slice);
            self.note_ends(last, slice, total);
            let left = slice.wrapping_sub(SLICES);
            let (found, base) = unpacked(self.end(left).load(Ordering::Acquire));
            if is_after(found, left) {
                // Others are so far ahead that this one came to a later slice.
                slice = later(slice, found.wrapping_add(1));
                present = self.present.load(Ordering::Acquire);
                continue;
            }
            if total.wrapping_sub(base) >= amount {
                let ahead = i64::from(slice.wrapping_sub(arrived));
                return Err(self.wait_secs(
                    amount,
                    slice,
                    total,
                    past - ahead * self.slice_micros(),
                ));
            }
            let next = packed(slice, total.wrapping_add(1));
            let admitted =
                self.present.compare_exchange(present, next, Ordering::AcqRel, Ordering::Acquire);
            match admitted {
                Ok(_) => return Ok(()),
                Err(seen) => present = seen,
            }
        }
    }

    /// Whether a call would be admitted.
    fn has_room(&self, amount: u32, now: Timestamp) -> bool {
        let (last, total) = unpacked(self.present.load(Ordering::Acquire));
        let slice = later(last, self.slice_at(now).0);
        self.note_ends(last, slice, total);
        let left = slice.wrapping_sub(SLICES);
        let (found, base) = unpacked(self.end(left).load(Ordering::Acquire));
        found != left || total.wrapping_sub(base) < amount
    }

    fn end(&self, slice: u32) -> &AtomicU64 {
        &self.ends[(slice % RING) as usize]
    }

    /// Writes down how many calls there had been at the ends of slices that are over.
    fn note_ends(&self, last: u32, slice: u32, total: u32) {
        let passed = slice.wrapping_sub(last).min(RING);
        for back in 1..=passed {
            let over = slice.wrapping_sub(back);
            let note = |known| {
                let (tag, noted) = unpacked(known);
                let is_news = is_after(over, tag) || (tag == over && is_after(total, noted));
                is_news.then(|| packed(over, total))
            };
            // An entry that is as new stays.
            let _ = self.end(over).fetch_update(Ordering::AcqRel, Ordering::Acquire, note);
        }
    }

    /// Seconds until enough has left, where so many microseconds of a slice have passed.
    fn wait_secs(&self, amount: u32, slice: u32, total: u32, past_micros: i64) -> u64 {
        let frees = |ahead: &u32| {
            let left = slice.wrapping_sub(SLICES).wrapping_add(*ahead);
            let (found, base) = unpacked(self.end(left).load(Ordering::Acquire));
            found == left && total.wrapping_sub(base) < amount
        };
        let ahead = (1..SLICES).find(frees).unwrap_or(SLICES);
        let micros = i64::from(ahead) * self.slice_micros() - past_micros;
        micros.max(0).unsigned_abs().div_ceil(1_000_000).max(1)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const START: i64 = 1_700_000_000_000;

    fn limit(text: &str) -> [Quota; 1] {
        [text.parse().unwrap()]
    }

    #[test]
    fn two_in_ten_seconds_are_never_three() {
        let (state, limits) = (RateState::default(), limit("2 per 10 seconds"));
        let admits = |millis: i64| state.admit(&limits, Timestamp(START + millis)).is_ok();
        assert!(admits(0) && admits(100));
        assert!(!admits(5_100) && !admits(10_000));
        assert!(admits(10_700) && admits(10_700), "both have left");
        assert!(!admits(10_701) && !admits(20_699));
    }

    #[test]
    fn a_full_quota_may_come_at_once() {
        let (state, limits) = (RateState::default(), limit("5 per second"));
        assert!((0..5).all(|_| state.admit(&limits, Timestamp(START)).is_ok()));
        assert_eq!(state.admit(&limits, Timestamp(START)), Err(2));
        assert_eq!(state.admit(&limits, Timestamp(START + 100)), Err(1));
        assert_eq!(state.admit(&limits, Timestamp(START + 1_040)), Ok(()));
    }

    #[test]
    fn asking_for_room_takes_none_and_says_what_a_call_would_be_told() {
        let (state, limits) = (RateState::default(), limit("2 per 10 seconds"));
        for millis in [0, 1, 2, 3_000, 10_600, 10_700, 10_701, 20_000, 50_000] {
            let now = Timestamp(START + millis);
            let has_room = (0..3).all(|_| state.has_room(&limits, now));
            assert_eq!(has_room, state.admit(&limits, now).is_ok(), "after {millis} ms");
        }
    }

    #[test]
    fn a_limit_of_nothing_admits_nothing() {
        let state = RateState::default();
        assert_eq!(state.admit(&limit("0 per minute"), Timestamp(START)), Err(62));
    }

    #[test]
    fn a_limit_whose_amount_or_window_changes_keeps_what_it_counted_under_the_same_window() {
        let (state, now) = (RateState::default(), Timestamp(START));
        assert!((0..3).all(|_| state.admit(&limit("3 per minute"), now).is_ok()));
        assert!(state.admit(&limit("1 per hour"), now).is_ok());
        assert!(state.admit(&limit("1 per hour"), now).is_err());
        assert!(state.admit(&limit("4 per minute"), now).is_ok());
        assert!(state.admit(&limit("4 per minute"), now).is_err());
    }

    #[test]
    fn a_caller_who_was_away_for_ages_is_admitted_again() {
        let (state, limits) = (RateState::default(), limit("1 per second"));
        let mut now = START;
        for away in [0, 1 << 31, 1 << 34, (1 << 32) * 34, (1 << 33) * 34, (1 << 32) * 35] {
            now += away;
            assert!(state.admit(&limits, Timestamp(now)).is_ok(), "after {away} ms");
            assert!(state.admit(&limits, Timestamp(now)).is_err());
        }
    }

    proptest! {
        #[test]
        fn in_any_interval_of_the_window_at_most_the_amount_is_admitted(
            amount in 1_u32..40,
            window in 1_000_i64..90_000,
            calls in prop::collection::vec(0_i64..4_000, 1..400),
        ) {
            let window_of = Span::from_millis(window).unwrap();
            let limits = [Quota { amount, window: crate::budget::Window::Rolling(window_of) }];
            let (state, mut admitted, mut now) = (RateState::default(), Vec::new(), START);
            for wait in calls {
                now += wait;
                let within = |length: i64| admitted.iter().filter(|at| now - **at <= length).count();
                let (strict, lenient) = (within(window), within(window + window / 29 + 40));
                match state.admit(&limits, Timestamp(now)) {
                    Ok(()) => {
                        prop_assert!(strict < amount as usize, "over");
                        admitted.push(now);
                    }
                    Err(secs) => {
                        prop_assert!(lenient >= amount as usize, "refused without need");
                        let then = Timestamp(now + i64::try_from(secs).unwrap() * 1000);
                        now = then.0;
                        prop_assert!(state.admit(&limits, then).is_ok(), "after {secs} s there is room");
                        admitted.push(now);
                    }
                }
            }
        }
    }
}

//! How long somebody waits who signs in with a password and fails: a growing delay, never a lock-out.
//!
//! # What this protects
//!
//! Guessing a password or a recovery code takes longer with each attempt. Nobody is locked out: the
//! longest wait is short, and who guesses at an owner's name from elsewhere does not slow that owner down
//! at an address where they have signed in before (the caller counts that in another place).

use crate::time::{Span, Timestamp};

/// The longest wait. Long enough that a day has fewer than 300 guesses, short enough that an owner who
/// meets the delays of an attacker gets in at the next try.
pub const DELAY_MAX: Span = Span::from_secs(300);

/// Failures are forgotten when so long nothing was tried.
const FORGOTTEN_AFTER: Span = Span::from_secs(3600);

/// The attempts of one name or one address, counted as failures until one succeeds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Attempts {
    failures: u32,
    last: Timestamp,
}

impl Attempts {
    /// When the next attempt may be made; in the past where it may be made at once.
    fn next_at(self, free: u32, now: Timestamp) -> Timestamp {
        let beyond = self.recent(now).saturating_sub(free);
        if beyond == 0 {
            return now;
        }
        let millis = 1_000_i64.saturating_mul(2_i64.saturating_pow(beyond - 1));
        Timestamp(self.last.0.saturating_add(millis.min(DELAY_MAX.millis())))
    }

    fn recent(self, now: Timestamp) -> u32 {
        if now.millis_since(self.last) >= FORGOTTEN_AFTER.millis() { 0 } else { self.failures }
    }

    /// How many seconds to wait before the next attempt, if any. `free` attempts cost no wait.
    pub fn wait_secs(self, free: u32, now: Timestamp) -> Option<u64> {
        let next = self.next_at(free, now);
        (next > now).then(|| next.seconds_from(now))
    }

    /// Counts an attempt as a failure. It is counted before its password is checked, so that a thousand
    /// at once are not a thousand free ones; see [`Self::take_back`].
    pub fn count(&mut self, now: Timestamp) {
        self.failures = self.recent(now).saturating_add(1);
        self.last = now;
    }

    /// Forgets all failures, because an attempt succeeded.
    pub fn take_back(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wait_doubles_after_the_free_attempts_and_has_an_end() {
        let mut attempts = Attempts::default();
        let mut now = Timestamp(1_000_000_000);
        let mut waits = Vec::new();
        for _ in 0..14 {
            let wait = attempts.wait_secs(3, now);
            waits.push(wait.unwrap_or(0));
            now = Timestamp(now.0 + i64::try_from(wait.unwrap_or(0)).unwrap() * 1000);
            assert_eq!(attempts.wait_secs(3, now), None, "after the wait it goes on");
            attempts.count(now);
        }
        assert_eq!(waits, [0, 0, 0, 0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 300]);
    }

    #[test]
    fn a_success_or_an_hour_forgets_the_failures() {
        let mut attempts = Attempts::default();
        for _ in 0..9 {
            attempts.count(Timestamp(0));
        }
        assert!(attempts.wait_secs(3, Timestamp(1)).is_some());
        assert_eq!(attempts.wait_secs(3, Timestamp(FORGOTTEN_AFTER.millis())), None);
        attempts.take_back();
        assert_eq!(attempts.wait_secs(3, Timestamp(1)), None);
    }
}

//! Rate limits: how fast a caller may go. They refuse for a moment and never lock.
//!
//! Each limit is one number, the theoretical arrival time of the generic cell rate algorithm (ITU-T
//! I.371): a full quota may come at once, and is then filled up evenly over the window. The state
//! is atomic, so that all cores share it without a lock. Rate limits protect an upstream from
//! bursts; what must be exact is a write budget.

use std::sync::atomic::{AtomicI64, Ordering};

use crate::budget::Quota;
use crate::policy::RATE_LIMITS_MAX;
use crate::time::Timestamp;

/// How much of each rate limit of its plan a caller has used.
#[derive(Debug, Default)]
pub struct RateState {
    /// Microseconds on the store's clock at which each limit is wholly free again.
    free_at: [AtomicI64; RATE_LIMITS_MAX],
}

impl RateState {
    /// Takes one call from every limit, or says how many seconds to wait. A call that one limit refuses
    /// is not taken from the limits after it.
    pub fn admit(&self, limits: &[Quota], now: Timestamp) -> Result<(), u64> {
        limits
            .iter()
            .zip(&self.free_at)
            .try_for_each(|(limit, free_at)| admit_one(free_at, *limit, now))
    }
}

fn admit_one(free_at: &AtomicI64, limit: Quota, now: Timestamp) -> Result<(), u64> {
    let now = now.0.saturating_mul(1000);
    let window = limit.window.span_max().millis().saturating_mul(1000);
    let Some(step) = window.checked_div(i64::from(limit.amount)) else {
        return Err(u64::try_from(window / 1_000_000).unwrap_or(1).max(1));
    };
    let admitted = free_at.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |free_at| {
        let next = free_at.max(now) + step;
        (next - now <= window).then_some(next)
    });
    match admitted {
        Ok(_) => Ok(()),
        Err(free_at) => {
            let wait = (free_at + step - window - now).max(0).unsigned_abs();
            Err(wait.div_ceil(1_000_000).max(1))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_quota_may_come_at_once_and_then_fills_up_evenly() {
        let limits = ["5 per second".parse().unwrap()];
        let state = RateState::default();
        let start = Timestamp(1_700_000_000_000);
        assert!((0..5).all(|_| state.admit(&limits, start).is_ok()));
        assert_eq!(state.admit(&limits, start), Err(1));
        assert_eq!(state.admit(&limits, Timestamp(start.0 + 200)), Ok(()));
        assert!(state.admit(&limits, Timestamp(start.0 + 200)).is_err());
    }

    #[test]
    fn a_limit_of_nothing_admits_nothing() {
        assert!(
            RateState::default().admit(&["0 per minute".parse().unwrap()], Timestamp(0)).is_err()
        );
    }
}

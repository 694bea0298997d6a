//! When a write began to leave, which is when it counts in its budgets.
//!
//! Whoever sends the write notes it, on another thread than the ledger's. Until then the write is on hold:
//! it counts as if it left now, so that no delay between a commit and its sending lets more through.

use std::sync::atomic::{AtomicI64, Ordering};

use keystile_core::budget::Departure;
use keystile_core::time::Timestamp;

use crate::clock::StoreClock;

/// A write that was under way at a crash, or whose sending is not on record, has begun at most so long
/// after its reservation.
pub(crate) const BEGINS_WITHIN_MILLIS: i64 = 60_000;

const NOT_YET: i64 = i64::MIN;

/// Whether and when a reserved write began to leave.
#[derive(Debug)]
pub struct WriteDeparture {
    clock: StoreClock,
    began: AtomicI64,
}

impl WriteDeparture {
    pub(crate) fn new(clock: StoreClock) -> Self {
        Self { clock, began: AtomicI64::new(NOT_YET) }
    }

    /// The first byte has left by now. Only the first call counts.
    pub fn note(&self) {
        let now = self.clock.now().0;
        // A later call finds a time, which stays.
        let _ = self.began.compare_exchange(NOT_YET, now, Ordering::Release, Ordering::Relaxed);
    }

    /// How long ago a time was.
    pub fn millis_since(&self, time: Timestamp) -> i64 {
        self.clock.now().millis_since(time)
    }
}

impl Departure for WriteDeparture {
    fn began(&self) -> Option<Timestamp> {
        let began = self.began.load(Ordering::Acquire);
        (began != NOT_YET).then_some(Timestamp(began))
    }
}

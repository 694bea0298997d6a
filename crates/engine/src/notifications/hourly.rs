//! Work that is due about once an hour.

use std::sync::atomic::{AtomicI64, Ordering};

use keystile_core::time::{Span, Timestamp};

const HOUR: Span = Span::from_secs(3_600);

/// When such work was last begun.
#[derive(Debug, Default)]
pub(crate) struct Hourly(AtomicI64);

impl Hourly {
    /// Whether it is due; the hour begins anew then.
    pub(super) fn is_due(&self, now: Timestamp) -> bool {
        let last = self.0.load(Ordering::Relaxed);
        let is_due = now.0.saturating_sub(last) >= HOUR.millis();
        if is_due {
            self.0.store(now.0, Ordering::Relaxed);
        }
        is_due
    }

    /// Some of it is left: it is due at once.
    pub(super) fn is_unfinished(&self) {
        self.0.store(0, Ordering::Relaxed);
    }
}

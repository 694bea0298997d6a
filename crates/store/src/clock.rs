//! The store's clock: it never runs backwards, and wall-clock steps do not move it.
//!
//! # What this protects
//!
//! Budget windows and locks end by this clock. Were it the wall clock, setting that forward by an hour
//! would free an hour of every window and open locks early (promise P1). So it is read from the
//! wall clock once after each boot of the machine, and runs on CLOCK_BOOTTIME from then on, also
//! across restarts of the program: the anchor is kept in the store with the id of the boot. After
//! a boot it begins at the wall clock, or at the last recorded time where that is later.

use std::time::SystemTime;

use keystile_core::time::Timestamp;
use rustix::time::{ClockId, clock_gettime};

/// A clock that all threads share by value.
#[derive(Clone, Copy, Debug)]
pub struct StoreClock {
    /// Milliseconds between this clock and CLOCK_BOOTTIME.
    offset_millis: i64,
}

fn boottime_millis() -> i64 {
    let time = clock_gettime(ClockId::Boottime);
    time.tv_sec * 1000 + time.tv_nsec / 1_000_000
}

/// The wall clock, which may be wrong and may step.
#[expect(clippy::disallowed_methods, reason = "this module is where the wall clock is read")]
pub fn wall_clock() -> Timestamp {
    let since_epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Timestamp(i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX))
}

/// Changes with every boot of the machine; empty where the system does not tell, which is then taken
/// for another boot each time.
fn boot_id() -> String {
    std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default().trim().to_owned()
}

impl StoreClock {
    /// The clock that goes on where an anchor was kept in this boot, or begins anew. `last` is the latest
    /// time on record.
    pub(crate) fn resume(kept: Option<&str>, last: Timestamp) -> Self {
        if let Some(offset_millis) = kept.and_then(|text| anchored(text, &boot_id())) {
            let clock = Self { offset_millis };
            // A machine set back to a snapshot keeps its boot's id, and the data need not go back with it.
            if clock.now() >= last {
                return clock;
            }
        }
        let now = wall_clock().max(last);
        Self { offset_millis: now.0 - boottime_millis() }
    }

    /// What is to be kept for the next start.
    pub(crate) fn anchor(self) -> String {
        format!("{} {}", boot_id(), self.offset_millis)
    }

    /// The time now.
    pub fn now(self) -> Timestamp {
        Timestamp(boottime_millis() + self.offset_millis)
    }
}

fn anchored(anchor: &str, boot: &str) -> Option<i64> {
    let (of_boot, offset) = anchor.split_once(' ')?;
    (!boot.is_empty() && of_boot == boot).then(|| offset.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_anchor_holds_for_its_own_boot_only() {
        assert_eq!(anchored("a -5", "a"), Some(-5));
        assert_eq!(anchored("a 5", "b"), None);
        assert_eq!(anchored(" 5", ""), None);
        assert_eq!(anchored("nonsense", "nonsense"), None);
    }

    #[test]
    fn after_a_boot_the_clock_is_never_behind_what_is_on_record() {
        let ahead = Timestamp(wall_clock().0 + 3_600_000);
        let clock = StoreClock::resume(None, ahead);
        assert!(clock.now() >= ahead);
        // The same boot again: the anchor stays, whatever the wall clock says by now.
        let again = StoreClock::resume(Some(&clock.anchor()), Timestamp(0));
        assert!(again.now() >= ahead);
    }
}

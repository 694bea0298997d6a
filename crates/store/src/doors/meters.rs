//! Meters as the store gives and takes them: durable counters that somebody else decides on, in memory.
//!
//! # What this protects
//!
//! Whoever counts thousands of calls a second keeps the counters in memory, and gives the store their values
//! as they stand. A value that comes late, after a larger one of the same window, changes nothing, so values
//! may arrive in any order and more than once.
//!
//! Not here: what is counted, and what follows from it. A meter is no budget: no record stands behind it, and
//! no transaction checks it.

use std::sync::Arc;

use keystile_core::time::Timestamp;

/// The longest owner and the longest name of a meter, in bytes.
pub const METER_TEXT_BYTES_MAX: usize = 255;
/// The most values that are put at once.
pub const METERS_AT_ONCE_MAX: usize = 10_000;

/// The value of a counter in one window.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MeterValue {
    /// Whose it is, in the words of whoever counts: 1 to 255 bytes.
    pub owner: Arc<str>,
    /// What it counts: 1 to 255 bytes.
    pub name: Arc<str>,
    /// When its window starts. Owner, name and start together are one meter.
    pub starts: Timestamp,
    /// When its window has ended, which stays as it was first put; `None` for one without an end, which is
    /// kept for good.
    pub ends: Option<Timestamp>,
    /// How much was counted, up to `i64::MAX`; what is above is kept as that.
    pub value: u64,
}

//! What the journal counts for owners.

use serde::Serialize;

use crate::time::Timestamp;

/// A key's records by time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Activity {
    /// How many records each slot has, earliest first.
    pub slots: Vec<u64>,
    /// Whether there are more records than were counted, so that the first slots lack some.
    pub is_truncated: bool,
}

/// An address that a key was used from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct AddressUse {
    /// The address.
    pub address: String,
    /// How many requests came from it.
    pub requests: u64,
    /// The last of them.
    pub last: Timestamp,
}

/// What one hour had.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct HourCount {
    /// When it began; whole hours of UTC.
    pub start: Timestamp,
    /// Writes that were let through, whatever became of them.
    pub writes: u64,
    /// Requests that were refused.
    pub refused: u64,
}

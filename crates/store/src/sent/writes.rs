//! Writes that went out, as they are counted from the journal for those who are told of them.

use keystile_core::request::call_method::CallMethod;
use keystile_core::time::Timestamp;
use serde::{Deserialize, Serialize};

/// How far the writes of the journal were counted. Keep it in the transaction that keeps the counts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct JournalPosition {
    /// The last record that was looked at.
    pub(crate) to: i64,
    /// Earlier ones whose writes were under way.
    #[serde(default)]
    pub(crate) late: Vec<i64>,
}

impl JournalPosition {
    /// How many records were looked at since an earlier position.
    pub fn records_since(&self, earlier: &Self) -> u64 {
        self.to.abs_diff(earlier.to)
    }
}

/// How far a page goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageLimits {
    /// So many records are read.
    pub records: u32,
    /// So many counts are made of them.
    pub counts: usize,
}

/// Writes of one application with one method in one hour.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SentWrites {
    /// The id of the application.
    pub application: String,
    /// Their method.
    pub method: CallMethod,
    /// When the first of them was recorded.
    pub first: Timestamp,
    /// When the last of them was recorded; in the same hour of UTC.
    pub last: Timestamp,
    /// Those that went out.
    pub sent: u64,
    /// Those that a crash left open: they may have gone out.
    pub perhaps_sent: u64,
}

/// Writes up to a position.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SentWritesPage {
    /// How far they were counted.
    pub position: JournalPosition,
    /// What was counted.
    pub writes: Vec<SentWrites>,
    /// Whether more records wait.
    pub is_full: bool,
}

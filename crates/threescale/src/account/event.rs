//! What a portal hears of the traffic, and of reports that could not be counted.

use keystile_core::time::Timestamp;
use serde::{Deserialize, Serialize};

/// Something that happened to an application.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// What.
    pub kind: EventKind,
    /// The application's service.
    pub service_id: String,
    /// The application.
    pub application_id: String,
    /// When.
    pub time: Timestamp,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EventKind {
    /// The application called for the first time.
    FirstTraffic,
    /// It called for the first time today, by UTC.
    FirstDailyTraffic,
    /// It has used so much of a limit.
    Alert {
        /// The threshold that was reached, in percent.
        utilization: u16,
        /// The limit, as in `hits per day: 80/100`.
        limit: String,
        /// How much is used of it, in percent.
        percent: u64,
    },
}

/// A report that did not count, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReportError {
    /// The service that it was for.
    pub service_id: String,
    /// The code of the error.
    pub code: String,
    /// What is wrong, in words.
    pub message: String,
    /// When it came.
    pub time: Timestamp,
}

//! The journal: what is on record of every write, and of refusals.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::refusal::Reason;
use crate::time::Timestamp;

pub mod counts;

/// The number of a record: no two have the same. Records are in the order of their times, and those of one
/// time in the order of their numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema), schema(value_type = String, examples("write_41")))]
pub struct RecordId(pub i64);

impl fmt::Display for RecordId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "write_{}", self.0)
    }
}

/// The text does not name a record.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("{0:?} is not the id of a record: it looks like write_123")]
pub struct InvalidRecordId(pub String);

impl FromStr for RecordId {
    type Err = InvalidRecordId;

    fn from_str(text: &str) -> Result<Self, InvalidRecordId> {
        let digits = text.strip_prefix("write_").unwrap_or(text);
        digits
            .parse()
            .ok()
            .filter(|id| *id > 0)
            .map(Self)
            .ok_or_else(|| InvalidRecordId(text.to_owned()))
    }
}

impl Serialize for RecordId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for RecordId {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// What became of a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub enum Outcome {
    /// Its intent is on record and it may be under way.
    Pending,
    /// The upstream answered 2xx or 3xx.
    Applied,
    /// The upstream answered 4xx.
    RefusedByUpstream,
    /// Proven not to have been sent; given back to its budgets.
    NotSent,
    /// Sent, or perhaps sent, and nobody knows what became of it; stays counted.
    Unknown,
    /// Keystile refused it; it was never counted.
    Refused,
    /// Somebody else's gateway was told that it may send it, and did not say what became of it; stays
    /// counted, as if it was applied.
    HandedOver,
}

impl Outcome {
    /// Every outcome, in the order of their codes in the store.
    pub const ALL: [Self; 7] = [
        Self::Pending,
        Self::Applied,
        Self::RefusedByUpstream,
        Self::NotSent,
        Self::Unknown,
        Self::Refused,
        Self::HandedOver,
    ];

    /// What an answer's status says of the write: a 5xx may come before or after the effect.
    pub fn of_status(status: u16) -> Self {
        match status {
            101 | 200..400 => Self::Applied,
            400..500 => Self::RefusedByUpstream,
            _ => Self::Unknown,
        }
    }

    /// The stable name, as in `refused_by_upstream`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Applied => "applied",
            Self::RefusedByUpstream => "refused_by_upstream",
            Self::NotSent => "not_sent",
            Self::Unknown => "unknown",
            Self::Refused => "refused",
            Self::HandedOver => "handed_over",
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The text does not name an outcome.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error(
    "{0:?} is not an outcome: it is pending, applied, refused_by_upstream, not_sent, unknown, refused or handed_over"
)]
pub struct InvalidOutcome(pub String);

impl FromStr for Outcome {
    type Err = InvalidOutcome;

    fn from_str(text: &str) -> Result<Self, InvalidOutcome> {
        Self::ALL
            .into_iter()
            .find(|outcome| outcome.name() == text)
            .ok_or_else(|| InvalidOutcome(text.to_owned()))
    }
}

/// What a request was, for its record. Texts come from outside and are shown as text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestFacts {
    /// The API's name; empty when the request met none.
    pub api: String,
    /// Method and path template, as in `DELETE /bookmarks/{id}`.
    pub operation: String,
    pub method: String,
    /// The canonical path, or for a refused request the path as it came, cut to 1 KiB.
    pub path: String,
    /// The caller's address.
    pub address: IpAddr,
    /// The User-Agent field, cut to 256 bytes.
    pub user_agent: Option<String>,
    /// The body's length where the request stated it.
    pub request_bytes: Option<u64>,
}

/// One line of the journal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct WriteRecord {
    /// Its number.
    pub id: RecordId,
    /// When the intent was recorded.
    pub time: Timestamp,
    /// The key's id; `None` without a key, or with an unknown one.
    pub key: Option<String>,
    /// The application's name.
    pub application: Option<String>,
    /// The plan that applied.
    pub plan: Option<String>,
    /// The API's name.
    pub api: String,
    /// Method and path template.
    pub operation: String,
    /// The method.
    pub method: String,
    /// The path.
    pub path: String,
    /// The caller's address.
    pub address: String,
    /// The User-Agent field.
    pub user_agent: Option<String>,
    /// The request body's length, where known.
    pub request_bytes: Option<u64>,
    /// The answer body's length, where known.
    pub response_bytes: Option<u64>,
    /// The status that the caller got; `None` while pending, or when nobody was left to answer.
    pub status: Option<u16>,
    /// From the record of the intent to the answer's head.
    pub duration_ms: Option<u64>,
    /// What became of it.
    pub outcome: Outcome,
    /// Why it was refused, or, where its API is observed, would have been.
    pub reason: Option<Reason>,
    /// What it took from each budget.
    pub cost: u32,
    /// How many requests the line stands for; more than 1 only for refusals.
    pub count: u32,
}

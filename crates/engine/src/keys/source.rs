//! What is asked of key sources, and what they answer.
//!
//! A key source ([`KeySource`]) is another system that issues keys and stays in charge of them, while Keystile
//! stands in front. What such a system speaks is the affair of the door that knows it. It brings the system's
//! applications and keys over with commands of its own principal ([`Principal::KeySource`]), so the audit says
//! who did what, and keeps them in step. The engine knows its sources only by what owners ask of them.
//!
//! [`KeySource`]: crate::KeySource
//! [`Principal::KeySource`]: keystile_core::owners::principal::Principal::KeySource

use keystile_core::time::Timestamp;
use serde::{Deserialize, Serialize};

use crate::keys::difference::{Difference, Side, TakeableSide};

/// Whether a synchronization changes anything.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub enum SyncMode {
    /// It does.
    #[default]
    Apply,
    /// It only says what it would change.
    DryRun,
}

/// Whether many keys may go at once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub enum Deletions {
    /// Where much is gone at once, it is taken for a fault and nothing is revoked.
    #[default]
    Guarded,
    /// An owner says that it is meant.
    Confirmed,
}

/// How to synchronize.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SyncWanted {
    /// Whether it changes anything.
    #[serde(default)]
    pub mode: SyncMode,
    /// Whether many keys may go at once.
    #[serde(default)]
    pub deletions: Deletions,
}

/// What a synchronization did, or would do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct SyncReport {
    /// The source.
    pub source: String,
    /// Whether it changed anything.
    pub mode: SyncMode,
    /// How many applications the source has.
    pub applications: u64,
    /// How many of them needed nothing.
    pub unchanged: u64,
    /// How many changes there were.
    pub changed: u64,
    /// How many could not be brought over, or only in part.
    pub left: u64,
    /// The changes, each in a sentence; only the first thousand.
    pub changes: Vec<String>,
    /// What could not be brought over and why, each in a sentence; only the first thousand.
    pub problems: Vec<String>,
}

/// How a source stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct KeySourceView {
    /// Its name.
    pub source: String,
    /// Where it is; nothing that is a secret.
    pub place: String,
    /// How many of its applications were brought over.
    pub applications: u64,
    /// When it was last read to the end.
    pub synchronized: Option<Timestamp>,
    /// When it is read next, where a server is running.
    pub next: Option<Timestamp>,
    /// Why the last attempt to read it came to nothing, where it did.
    pub problem: Option<String>,
    /// Since when no attempt came to anything.
    pub failing_since: Option<Timestamp>,
    /// Until when its keys work here, where it cannot be read.
    #[serde(default)]
    pub keys_work_until: Option<Timestamp>,
    /// Whether so much is gone there that an owner has to confirm it before it is followed.
    pub awaits_confirmation: bool,
    /// What was not the same there and here when it was last read, and still is not; only the first hundred.
    pub differences: Vec<Difference>,
    /// How many more differences there were.
    pub more_differences: u64,
    /// Locks that it is asked to follow, and what became of that.
    pub locks: Vec<FollowedLock>,
    /// How far it has been told of the calls of its keys; nothing where it is not told of them.
    #[serde(default)]
    pub usage: Option<UsageStanding>,
    /// How it says that something changed there; nothing where it does not.
    #[serde(default)]
    pub hints: Option<HintView>,
}

/// How far a source has been told of the calls of its keys, counted in calls.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct UsageStanding {
    /// Calls that it is still to be told of.
    pub waiting: u64,
    /// Calls that it was told of, since it is told at all.
    pub reported: u64,
    /// Calls that it may have been told of or not. They are not told again, so none counts twice.
    pub uncertain: u64,
    /// Calls that it was not told of, and will not be.
    pub unreported: u64,
    /// The last two by what they count as there.
    pub missing: Vec<MissingUsage>,
    /// When it last took a report.
    pub last: Option<Timestamp>,
    /// Why the last report was not taken, where it was not.
    pub problem: Option<String>,
}

/// Calls that a source may lack.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct MissingUsage {
    /// What they count as there.
    pub name: String,
    /// Those that it may have been told of or not.
    pub uncertain: u64,
    /// Those that it was not told of.
    pub unreported: u64,
    /// When the first of them was made.
    pub since: Timestamp,
}

/// How a source says that something changed there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct HintView {
    /// The address that it posts to, up to the secret that ends it.
    pub address: String,
    /// Where the secret is.
    pub secret: String,
    /// Why the secret cannot be used, where that is so.
    pub problem: Option<String>,
    /// When the last hint came, since the start.
    pub last: Option<Timestamp>,
}

impl KeySourceView {
    /// How many differences there are, those that are not listed included.
    pub fn difference_count(&self) -> u64 {
        let listed = u64::try_from(self.differences.len()).unwrap_or(u64::MAX);
        listed.saturating_add(self.more_differences)
    }

    /// A side of a difference that is shown, where that can be taken.
    pub fn takeable(&self, difference: &str, side: Side) -> Option<(&Difference, &TakeableSide)> {
        let shown = self.differences.iter().find(|shown| shown.id == difference)?;
        Some((shown, shown.side(side)?))
    }
}

/// A lock here that a source follows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct FollowedLock {
    /// The application's name.
    pub application: String,
    /// How far it is, in words.
    pub state: String,
    /// Since when.
    pub since: Timestamp,
    /// How often it was tried in vain.
    pub attempts: u32,
    /// When it is tried next, where it is.
    pub next: Option<Timestamp>,
}

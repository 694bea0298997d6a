//! What commands take and answer, until each stands in the file of its noun.

use keystile_core::decision::ApplicationState;
use keystile_core::journal::{Outcome, RecordId};
use keystile_core::lock::Lock;
use keystile_core::time::Timestamp;
use serde::{Deserialize, Serialize};

use crate::audit::EventView;

/// What becomes of the budgets of a key that is unlocked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub enum Budgets {
    /// What was counted stays counted: no more is written in a window than the plan says.
    Keep,
    /// They begin anew; the owner answers for what is written beyond the plan.
    Reset,
}

/// Which keys to list.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyFilter {
    /// Only those of this application.
    pub application: Option<String>,
    /// Only those on this plan.
    pub plan: Option<String>,
    /// Only those in this state: `active`, `locked`, `revoked`.
    pub state: Option<String>,
    /// At most so many, after the key with this id.
    pub after: Option<String>,
    /// At most so many.
    pub limit: u32,
}

/// Which records to list.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordFilter {
    /// Only those of this key: its id, prefix or text.
    pub key: Option<String>,
    /// Only those of this application, by name.
    pub application: Option<String>,
    /// Only those of this API.
    pub api: Option<String>,
    /// Only those of this operation, as in `DELETE /bookmarks/{id}`.
    pub operation: Option<String>,
    /// Only those with this method.
    pub method: Option<String>,
    /// Only those from this address.
    pub address: Option<String>,
    /// Only those with this outcome.
    pub outcome: Option<Outcome>,
    /// Only those at or after this time.
    pub since: Option<Timestamp>,
    /// Only those before this time.
    pub until: Option<Timestamp>,
    /// Which end to begin at, and where.
    pub order: Order,
    /// At most so many.
    pub limit: u32,
}

/// The direction of a listing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Order {
    /// Latest first, from the end.
    #[default]
    Latest,
    /// Latest first, only records before this one.
    Before(RecordId),
    /// Earliest first, from the start; for exporting.
    Earliest,
    /// Earliest first, only records after this one; for following and exporting.
    After(RecordId),
    /// Exactly this record.
    Only(RecordId),
}

/// A key that was just issued.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct NewKey {
    /// Its id.
    pub id: String,
    /// The key itself.
    pub key: String,
    /// The application's name.
    pub application: String,
    /// Its plan.
    pub plan: String,
    /// A line for a shell that makes a call with the key, where one is known that would pass; of several
    /// keys that are issued together, only the first has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub example: Option<String>,
}

/// A key as it is listed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct KeyView {
    /// Its id.
    pub id: String,
    /// Its recognizable beginning.
    pub prefix: String,
    /// The application's name.
    pub application: String,
    /// Its plan.
    pub plan: String,
    /// `active`, `locked` or `revoked`.
    pub state: String,
    /// The lock that is on it.
    pub lock: Option<Lock>,
    /// When it was issued.
    pub created: Timestamp,
    /// When a rolled key stops working.
    pub expires: Option<Timestamp>,
    /// Its last write on record.
    pub last_write: Option<Timestamp>,
    /// Its last call of any kind, to the second; not known where it has not called since the server
    /// started, or no server runs.
    pub last_call: Option<Timestamp>,
    /// What an owner noted about it.
    pub note: Option<String>,
}

/// A key with what happened to it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct KeyDetails {
    /// The key.
    #[serde(flatten)]
    pub key: KeyView,
    /// Its write budgets.
    pub budgets: Vec<BudgetView>,
    /// What happened to it, latest first.
    pub events: Vec<EventView>,
}

/// A write budget of a key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct BudgetView {
    /// Its name.
    pub name: String,
    /// As in `100 per day`.
    pub quota: String,
    /// What counts now.
    pub used: u64,
    /// What is left.
    pub remaining: u64,
    /// When the first of what counts leaves the window, if anything does.
    pub frees_at: Option<Timestamp>,
}

/// An application as it is listed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct ApplicationView {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// The plan of its new keys.
    pub plan: String,
    /// Whether it may call.
    pub state: ApplicationState,
    /// When it was created.
    pub created: Timestamp,
    /// How many keys it has that are not revoked.
    pub keys: u32,
    /// What an owner noted about it.
    pub note: Option<String>,
}

/// An application with its keys.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct ApplicationDetails {
    /// The application.
    #[serde(flatten)]
    pub application: ApplicationView,
    /// Its keys.
    pub keys_list: Vec<KeyView>,
}

/// How the server is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct StatusView {
    /// Whether a server answered, or the store was read without one.
    pub running: bool,
    /// Keystile's version.
    pub version: String,
    /// Since when the server runs.
    pub started: Option<Timestamp>,
    /// Where the gate listens.
    pub gate: Vec<String>,
    /// Where health and metrics are.
    pub console: Option<String>,
    /// The data directory.
    #[cfg_attr(feature = "schema", schema(value_type = String))]
    pub data: std::path::PathBuf,
    /// APIs with their mode and upstreams.
    pub apis: Vec<ApiView>,
    /// Names of the plans.
    pub plans: Vec<String>,
    /// When the policy was read, and what came of the last reload.
    pub policy: String,
    /// How many keys there are, by state.
    pub keys: KeyCounts,
    /// How many records the journal has.
    pub records: u64,
    /// Writes on record in the last 24 hours, by the clock's hours; refusals are none.
    pub writes_today: u64,
    /// The store's size on disk.
    pub store_bytes: u64,
    /// Whether writes can be recorded; otherwise why not.
    pub store: String,
}

/// How many keys there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct KeyCounts {
    /// Usable ones.
    pub active: u64,
    /// Locked ones.
    pub locked: u64,
    /// Revoked ones.
    pub revoked: u64,
}

/// An API as the status shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct ApiView {
    /// Its name.
    pub name: String,
    /// `enforce`, `observe` or `off`.
    pub mode: String,
    /// Its upstream origins.
    pub upstream: Vec<String>,
}

/// Something that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Finding {
    /// How it is.
    pub level: FindingLevel,
    /// What was looked at.
    pub subject: String,
    /// What was found.
    pub message: String,
    /// What to do about it.
    pub help: Option<String>,
}

/// How something that was looked at is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub enum FindingLevel {
    /// As it should be.
    Good,
    /// Worth a look.
    Warning,
    /// Wrong.
    Problem,
}

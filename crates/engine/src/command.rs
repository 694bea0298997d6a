//! What an owner can ask for, as data.
//!
//! The command line and, through the control socket, every other door sends a [`Command`] and gets an
//! [`Answer`]. The same value is carried out by a running server or, when none runs, directly on the
//! store, so no command exists in two forms.

use keystile_core::decision::ApplicationState;
use keystile_core::journal::{Outcome, RecordId, WriteRecord};
use keystile_core::key::DeliveryId;
use keystile_core::lock::{Lock, LockLevel};
use keystile_core::owners::scope::Scope;
use keystile_core::time::Timestamp;
use serde::{Deserialize, Serialize};

pub use crate::audit::{AuditFault, AuditReport, EventFilter, EventView};
pub use crate::notifications::delivery::{
    AttemptView, ChannelView, DeliveryDetails, DeliveryFilter, DeliveryView,
};
pub use crate::owners::owner::{ClaimLink, OwnerView};
pub use crate::owners::token::{NewToken, TokenView};

/// What an owner asks for.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "command")]
pub enum Command {
    /// How the server is.
    Status,
    /// Reads the configuration file again and swaps the policy.
    Reload,
    /// Issues keys for an application, which is created when it is new.
    CreateKeys {
        /// The application's name.
        application: String,
        /// The plan of the keys, and of the application when it is new; the application's plan, where `None`.
        plan: Option<String>,
        /// How many.
        count: u32,
    },
    /// Keys, oldest first.
    ListKeys(KeyFilter),
    /// One key with its lock history.
    ShowKey {
        /// Its id, its prefix as listed, or the key itself.
        key: String,
    },
    /// Locks a key.
    LockKey {
        /// Its id, prefix or text.
        key: String,
        /// Which calls to stop.
        level: LockLevel,
        /// Why, for the owner and the audit.
        reason: String,
        /// For how many milliseconds; until unlocked where `None`.
        for_millis: Option<i64>,
    },
    /// Unlocks a key.
    UnlockKey {
        /// Its id, prefix or text.
        key: String,
        /// Whether its budgets begin anew.
        budgets: Budgets,
    },
    /// Issues a successor, after which the key works for a grace period and is then revoked.
    RollKey {
        /// Its id, prefix or text.
        key: String,
        /// For how many milliseconds the old key goes on.
        grace_millis: i64,
    },
    /// Revokes a key for good.
    RevokeKey {
        /// Its id, prefix or text.
        key: String,
    },
    /// Puts a key on another plan. What it wrote before counts in the budgets of that.
    ChangeKeyPlan {
        /// Its id, prefix or text.
        key: String,
        /// The plan.
        plan: String,
    },
    /// Notes something about a key; an empty note removes the one before.
    SetKeyNote {
        /// Its id, prefix or text.
        key: String,
        /// The note.
        note: String,
    },
    /// Puts an application on another plan, and with it those of its keys that are on its present one.
    ChangeApplicationPlan {
        /// Its name or id.
        application: String,
        /// The plan.
        plan: String,
    },
    /// Notes something about an application; an empty note removes the one before.
    SetApplicationNote {
        /// Its name or id.
        application: String,
        /// The note.
        note: String,
    },
    /// Creates an application without a key.
    CreateApplication {
        /// Its name.
        name: String,
        /// Its plan.
        plan: String,
    },
    /// Applications by name.
    ListApplications,
    /// One application with its keys.
    ShowApplication {
        /// Its name or id.
        application: String,
    },
    /// Stops or resumes all calls of an application.
    SetApplicationState {
        /// Its name or id.
        application: String,
        /// The state to bring about.
        state: ApplicationState,
    },
    /// Records of the journal.
    ListRecords(RecordFilter),
    /// What happened, latest first.
    ListEvents(EventFilter),
    /// Looks whether the record of what happened is whole.
    VerifyAudit,
    /// Makes a link with which somebody becomes an owner, once.
    MakeClaimLink,
    /// Owners by name.
    ListOwners,
    /// Removes an owner; never the last one.
    RemoveOwner {
        /// Their name or id.
        owner: String,
    },
    /// Makes a token for the admin API.
    CreateToken {
        /// Its name, by which its acts are known.
        name: String,
        /// What it may do.
        scope: Scope,
        /// For how many milliseconds; until it is revoked where `None`.
        for_millis: Option<i64>,
    },
    /// Tokens, oldest first.
    ListTokens,
    /// Revokes a token for good.
    RevokeToken {
        /// Its name or id.
        token: String,
    },
    /// Sends a real message on a channel, and says what the other side answered.
    TestChannel {
        /// Its name.
        channel: String,
    },
    /// Channels, in the order of the file.
    ListChannels,
    /// Deliveries, latest first.
    ListDeliveries(DeliveryFilter),
    /// One delivery with what was tried.
    ShowDelivery {
        /// Its id.
        delivery: DeliveryId,
    },
    /// Sends a delivery that failed again.
    ResendDelivery {
        /// Its id.
        delivery: DeliveryId,
    },
    /// Lets digests of a channel that were stopped go out again.
    ResumeDigests {
        /// The channel's name.
        channel: String,
    },
    /// Copies the store into a new file and verifies the copy.
    Backup {
        /// The file, which must not exist.
        to: std::path::PathBuf,
    },
    /// Looks for trouble.
    Diagnose,
}

impl Command {
    /// What a token has to be allowed to ask for this.
    pub fn scope(&self) -> Scope {
        match self {
            Self::Status
            | Self::ListKeys(_)
            | Self::ShowKey { .. }
            | Self::ListApplications
            | Self::ShowApplication { .. }
            | Self::ListRecords(_)
            | Self::ListEvents(_)
            | Self::VerifyAudit
            | Self::ListOwners
            | Self::ListTokens
            | Self::ListChannels
            | Self::ListDeliveries(_)
            | Self::ShowDelivery { .. }
            | Self::Diagnose => Scope::Read,
            Self::CreateKeys { .. }
            | Self::LockKey { .. }
            | Self::UnlockKey { .. }
            | Self::RollKey { .. }
            | Self::RevokeKey { .. }
            | Self::ChangeKeyPlan { .. }
            | Self::SetKeyNote { .. }
            | Self::CreateApplication { .. }
            | Self::SetApplicationState { .. }
            | Self::ChangeApplicationPlan { .. }
            | Self::SetApplicationNote { .. }
            | Self::TestChannel { .. }
            | Self::ResendDelivery { .. }
            | Self::ResumeDigests { .. } => Scope::Write,
            Self::Reload
            | Self::MakeClaimLink
            | Self::RemoveOwner { .. }
            | Self::CreateToken { .. }
            | Self::RevokeToken { .. }
            | Self::Backup { .. } => Scope::Admin,
        }
    }
}

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

/// What comes back.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "answer", content = "value")]
pub enum Answer {
    /// It is done; a sentence says what.
    Done(String),
    /// Keys with their texts, which are shown only here.
    NewKeys(Vec<NewKey>),
    /// A list of keys.
    Keys(Vec<KeyView>),
    /// One key.
    Key(Box<KeyDetails>),
    /// A list of applications.
    Applications(Vec<ApplicationView>),
    /// One application with its keys.
    Application(Box<ApplicationDetails>),
    /// Records of the journal.
    Records(Vec<WriteRecord>),
    /// What happened.
    Events(Vec<EventView>),
    /// Whether the record of it is whole.
    Audit(Box<AuditReport>),
    /// A link for a new owner, which is shown only here.
    ClaimLink(Box<ClaimLink>),
    /// A list of owners.
    Owners(Vec<OwnerView>),
    /// A token with its text, which is shown only here.
    NewToken(Box<NewToken>),
    /// A list of tokens.
    Tokens(Vec<TokenView>),
    /// A list of channels.
    Channels(Vec<ChannelView>),
    /// A list of deliveries.
    Deliveries(Vec<DeliveryView>),
    /// One delivery.
    Delivery(Box<DeliveryDetails>),
    /// How the server is.
    Status(Box<StatusView>),
    /// What was looked at.
    Diagnosis(Vec<Finding>),
    /// It could not be done; nothing was changed.
    Failed(Failure),
}

/// The kind of reason for which a command was not carried out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub enum FailureKind {
    /// What was asked for is not something that can be done.
    #[default]
    Invalid,
    /// Something that was named does not exist.
    Missing,
    /// It does not fit the present state: a name is taken, a key is revoked.
    Conflict,
    /// What it was to change is not as the asker last saw it.
    Stale,
    /// The store cannot record anything at the moment.
    Unavailable,
    /// Something broke: the store, its file, or a command on its way.
    Fault,
}

/// Why a command was not carried out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    /// What kind of reason it is, for programs.
    #[serde(default)]
    pub kind: FailureKind,
    /// What happened, in a sentence.
    pub message: String,
    /// What to do about it.
    pub help: Option<String>,
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
    /// Its recognisable beginning.
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

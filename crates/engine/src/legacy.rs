//! Commands that are not types of their own yet, and their answers.

use keystile_core::decision::ApplicationState;
use keystile_core::journal::WriteRecord;
use keystile_core::key::DeliveryId;
use keystile_core::lock::LockLevel;
use keystile_core::owners::scope::Scope;
use serde::{Deserialize, Serialize};

use crate::command::{
    ApplicationDetails, ApplicationView, AuditReport, Budgets, ChannelView, DeliveryDetails,
    DeliveryFilter, DeliveryView, EventFilter, EventView, Failure, Finding, KeyDetails, KeyFilter,
    KeyView, NewKey, RecordFilter, StatusView,
};

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
            Self::Reload | Self::Backup { .. } => Scope::Admin,
        }
    }
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

//! Commands on the control socket: what the command line asks of a running server.

use std::pin::Pin;
use std::sync::Arc;

use keystile_core::owners::principal::Principal;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Command, Failure, FailureKind};
use crate::audit::{ListEvents, VerifyAudit};
use crate::backup::BackUp;
use crate::engine::Engine;
use crate::findings::Diagnose;
use crate::journal::ListRecords;
use crate::keys::account_command::TakeOverAccount;
use crate::keys::application::{CreateApplication, ListApplications, ShowApplicationWithKeys};
use crate::keys::application_edit::{
    ChangeApplicationPlan, SetApplicationNote, SetApplicationState,
};
use crate::keys::application_lock::UnlockApplication;
use crate::keys::create::{CreateKeys, RollKey};
use crate::keys::edit::{ChangeKeyPlan, RevokeKey, SetKeyNote};
use crate::keys::import::ImportKey;
use crate::keys::key::{ListKeys, ShowKey};
use crate::keys::lock::{LockKey, UnlockKey};
use crate::keys::source_command::{CheckKeySources, ListKeySources, SyncKeySources, TakeSide};
use crate::notifications::delivery::{
    ListChannels, ListDeliveries, ResendDelivery, ShowDelivery, TestChannel,
};
use crate::notifications::stop_digests::ResumeDigests;
use crate::owners::claim::MakeClaimLink;
use crate::owners::owner::{ListOwners, RemoveOwner};
use crate::owners::token::{CreateToken, ListTokens, RevokeToken};
use crate::reload::Reload;
use crate::status::ShowStatus;

/// The answer of a command whose type is known to whoever sent it.
pub type WireExecution<'a> = Pin<Box<dyn Future<Output = Result<Value, Failure>> + Send + 'a>>;

macro_rules! wire_commands {
    ($($name:ident),* $(,)?) => {
        /// A command as it crosses the socket, named by its type.
        #[derive(Clone, Debug, Serialize, Deserialize)]
        #[serde(tag = "command", content = "arguments")]
        #[expect(missing_docs, reason = "each variant is the command of its name")]
        pub enum WireCommand {
            $($name($name),)*
        }

        $(impl From<$name> for WireCommand {
            fn from(command: $name) -> Self {
                Self::$name(command)
            }
        })*

        impl Engine {
            /// Carries out a command that came over the socket.
            pub fn execute_wire<'a>(
                self: &'a Arc<Self>,
                principal: &'a Principal,
                command: WireCommand,
            ) -> WireExecution<'a> {
                Box::pin(async move {
                    match command {
                        $(WireCommand::$name(command) => {
                            as_value(self.execute(principal, command).await?)
                        })*
                    }
                })
            }
        }
    };
}

wire_commands! {
    ListKeys,
    ShowKey,
    CreateKeys,
    ImportKey,
    RollKey,
    LockKey,
    UnlockKey,
    RevokeKey,
    ChangeKeyPlan,
    SetKeyNote,
    SyncKeySources,
    CheckKeySources,
    ListKeySources,
    TakeSide,
    TakeOverAccount,
    ListApplications,
    ShowApplicationWithKeys,
    CreateApplication,
    SetApplicationState,
    ChangeApplicationPlan,
    SetApplicationNote,
    UnlockApplication,
    ListRecords,
    ListEvents,
    VerifyAudit,
    ShowStatus,
    Diagnose,
    BackUp,
    Reload,
    CreateToken,
    ListChannels,
    ListDeliveries,
    ListTokens,
    ResendDelivery,
    ResumeDigests,
    RevokeToken,
    MakeClaimLink,
    ListOwners,
    RemoveOwner,
    ShowDelivery,
    TestChannel,
}

/// A command that can cross the socket.
pub trait OverWire:
    Command<Answer: Serialize + for<'de> Deserialize<'de>> + Into<WireCommand>
{
}

impl<C> OverWire for C where
    C: Command<Answer: Serialize + for<'de> Deserialize<'de>> + Into<WireCommand>
{
}

fn as_value(answer: impl Serialize) -> Result<Value, Failure> {
    serde_json::to_value(answer).map_err(|error| Failure {
        kind: FailureKind::Fault,
        message: format!("the answer cannot be written: {error}"),
        help: None,
    })
}

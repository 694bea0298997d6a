//! Why a command was not carried out.

use keystile_store::error::Error;
use serde::{Deserialize, Serialize};

use crate::advice;

/// The kind of reason for which a command was not carried out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub enum FailureKind {
    /// What was asked for is not something that can be done.
    #[default]
    Invalid,
    /// Who asks may not ask for this.
    Forbidden,
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

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let message = match std::error::Error::source(&error) {
            Some(source) => format!("{error}: {source}"),
            None => error.to_string(),
        };
        Self { kind: kind_of(&error), message, help: error.help() }
    }
}

fn kind_of(error: &Error) -> FailureKind {
    match error {
        Error::Missing(_) => FailureKind::Missing,
        Error::Exists(_) | Error::Conflict(_) | Error::LockedApplication(_) => {
            FailureKind::Conflict
        }
        Error::Stale(_) => FailureKind::Stale,
        Error::Unavailable | Error::Unanswered | Error::NoAnswer { .. } => FailureKind::Unavailable,
        Error::Directory { .. }
        | Error::BackupFile { .. }
        | Error::InUse { .. }
        | Error::NetworkFileSystem { .. }
        | Error::NotKeystile
        | Error::Newer { .. }
        | Error::Lost { .. }
        | Error::Gone { .. }
        | Error::Foreign(_)
        | Error::Corrupt(_)
        | Error::NotABackup { .. }
        | Error::Pepper { .. }
        | Error::Sqlite(_) => FailureKind::Fault,
    }
}

/// A failure with advice, because of what was asked for.
pub(crate) fn failure(message: impl Into<String>, help: &str) -> Failure {
    Failure { kind: FailureKind::Invalid, message: message.into(), help: Some(help.to_owned()) }
}

/// A failure with advice, because something does not exist.
pub(crate) fn missing(message: impl Into<String>, help: &str) -> Failure {
    Failure { kind: FailureKind::Missing, ..failure(message, help) }
}

/// Why something could not be done with a key, or with what else was named beside it.
pub(crate) fn key_failure(error: Error) -> Failure {
    match error {
        Error::Missing(what) if what.starts_with("key ") => {
            missing(format!("there is no {what}"), advice::LIST_KEYS)
        }
        other => other.into(),
    }
}

/// Why something could not be done with an application.
pub(crate) fn application_failure(error: Error) -> Failure {
    match error {
        Error::Missing(what) => missing(format!("there is no {what}"), advice::LIST_APPLICATIONS),
        other => other.into(),
    }
}

/// A failure with advice, because of the present state.
pub(crate) fn conflict(message: impl Into<String>, help: &str) -> Failure {
    Failure { kind: FailureKind::Conflict, ..failure(message, help) }
}

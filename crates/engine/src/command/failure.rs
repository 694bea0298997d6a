//! Why a command was not carried out.

use serde::{Deserialize, Serialize};

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

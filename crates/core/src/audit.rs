//! The audit: what happened to what Keystile guards, and who did it.

use serde::{Deserialize, Serialize};

use crate::actor::Actor;
use crate::time::Timestamp;

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct AuditEvent {
    /// Its number.
    pub id: i64,
    /// When.
    pub time: Timestamp,
    /// What, as in `key_locked`.
    pub kind: String,
    /// The id of the key that it concerns.
    pub key: Option<String>,
    /// The name of the application that it concerns.
    pub application: Option<String>,
    /// The name of the owner or token that it concerns.
    pub subject: Option<String>,
    /// Who did it.
    pub actor: Actor,
    /// More about it, in a sentence.
    pub detail: String,
}

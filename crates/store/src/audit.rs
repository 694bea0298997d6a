//! The audit, as it is listed.

use crate::keys::KeyRef;
pub use crate::sqlite::audit::event::{Event, EventKind, EventQuery};
pub use crate::sqlite::audit::{ChainCheck, Fault};

/// Whose events are meant, by names.
#[derive(Clone, Debug, Default)]
pub struct EventOwner {
    /// Only those of this key.
    pub key: Option<KeyRef>,
    /// Only those of this application and its keys: its name or id.
    pub application: Option<String>,
}

//! Keys, as they are known: by their id, and by whether they may be used.

use crate::id::id;
use crate::keys::text::well_formed;
use crate::refusal::LockNotice;

id!(KeyId, "key_", "a key");

/// Whether a key may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyState {
    /// It may.
    Active,
    /// Some or all of its calls are stopped.
    Locked(LockNotice),
    /// It may never be used again.
    Revoked,
}

/// Whose form the text of a key has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyForm {
    /// Keystile's own.
    Own,
    /// Another system's, which may be anything.
    Imported,
}

impl KeyForm {
    /// Whether the text of a key of this form can read so.
    pub fn fits(self, text: &[u8]) -> bool {
        match self {
            Self::Own => well_formed(text),
            Self::Imported => true,
        }
    }
}

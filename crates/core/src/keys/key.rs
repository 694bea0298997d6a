//! Keys, as they are known: by their id, and by whether they may be used.

use crate::id::id;
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

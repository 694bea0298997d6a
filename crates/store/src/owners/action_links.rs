//! Links in messages that act on a key: each acts once.

use keystile_core::keys::key::KeyId;
use keystile_core::owners::secret::SecretHash;
use keystile_core::time::Timestamp;

use crate::keys::KeyRow;

/// What a link can act on.
#[derive(Clone, Debug)]
pub enum LinkTarget {
    /// Its key: as it is now, or as it has just become.
    Key(Box<KeyRow>),
    /// Nothing: it has acted.
    Used,
    /// Nothing: its key is gone or revoked.
    NoKey,
}

/// A link that locks the writes of its key until somebody unlocks it.
#[derive(Clone, Debug)]
pub struct LinkLock {
    /// Under what its use is remembered.
    pub hash: SecretHash,
    /// Until when its use is remembered.
    pub remembered: Timestamp,
    /// The key that it locks.
    pub key: KeyId,
    /// Why, for the owner and the audit.
    pub reason: String,
}

//! What owners sign in with: passkeys, a password, recovery codes.

use keystile_core::owners::passkey::PasskeyId;
use keystile_core::time::Timestamp;

/// A passkey of an owner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PasskeyRow {
    pub id: PasskeyId,
    /// The id that its authenticator gave it.
    pub credential: Vec<u8>,
    /// What its owner calls it.
    pub name: String,
    /// What the console needs to verify it, as JSON.
    pub data: String,
    /// When it was added.
    pub created: Timestamp,
    /// When it last signed its owner in.
    pub used: Option<Timestamp>,
}

//! Owners: who signs in at the console, and how somebody becomes one.

use keystile_core::owners::owner::OwnerId;
use keystile_core::owners::passkey::PasskeyId;
use keystile_core::owners::secret::{PasswordHash, SecretHash};
use keystile_core::time::Timestamp;
use uuid::Uuid;

pub mod action_links;
pub mod credentials;
pub mod devices;
pub mod sessions;
pub mod tokens;

/// An owner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnerRow {
    pub(crate) row: i64,
    /// Their id.
    pub id: OwnerId,
    /// Their name, unique in upper and lower case.
    pub name: String,
    /// What passkeys know them by.
    pub handle: Uuid,
    /// Their password, hashed with argon2id.
    pub password: Option<PasswordHash>,
    /// Since when they are an owner.
    pub created: Timestamp,
    /// How many passkeys they have.
    pub passkeys: u32,
    /// How many recovery codes they have left.
    pub recovery_codes: u32,
}

/// A passkey to add.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewPasskeyRow {
    pub id: PasskeyId,
    /// The id that its authenticator gave it.
    pub credential: Vec<u8>,
    /// What its owner calls it.
    pub name: String,
    /// What the console needs to verify it, as JSON.
    pub data: String,
}

/// What somebody signs in with who becomes an owner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NewCredential {
    /// A passkey.
    Passkey(NewPasskeyRow),
    /// A password, hashed.
    Password(PasswordHash),
}

/// Somebody who becomes an owner.
#[derive(Clone, Debug)]
pub struct NewOwnerRow {
    /// Their id.
    pub id: OwnerId,
    /// Their name.
    pub name: String,
    /// What passkeys know them by.
    pub handle: Uuid,
    /// What they sign in with.
    pub credential: NewCredential,
    /// The hashes of their recovery codes.
    pub recovery_codes: Vec<SecretHash>,
}

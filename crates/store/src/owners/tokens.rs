//! Tokens of the admin API.

use keystile_core::actor::Actor;
use keystile_core::owners::scope::Scope;
use keystile_core::owners::secret::SecretHash;
use keystile_core::owners::token::TokenId;
use keystile_core::time::Timestamp;

/// A token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenRow {
    pub id: TokenId,
    /// Its name, by which its acts are known.
    pub name: String,
    /// What it may do.
    pub scope: Scope,
    /// Who made it.
    pub actor: Actor,
    /// When.
    pub created: Timestamp,
    /// When it stops working.
    pub expires: Option<Timestamp>,
    /// When it was last used, to the minute.
    pub used: Option<Timestamp>,
    /// Since when it is revoked.
    pub revoked: Option<Timestamp>,
}

/// A token to make.
#[derive(Clone, Debug)]
pub struct NewTokenRow {
    pub id: TokenId,
    /// The hash of its text.
    pub hash: SecretHash,
    /// Its name.
    pub name: String,
    /// What it may do.
    pub scope: Scope,
    /// When it stops working.
    pub expires: Option<Timestamp>,
}

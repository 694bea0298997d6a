//! Tokens of the admin API.

use keystile_core::key::TokenId;
use keystile_core::lock::Actor;
use keystile_core::owners::scope::Scope;
use keystile_core::owners::secret::SecretHash;
use keystile_core::time::Timestamp;

use crate::Store;
use crate::error::Result;
use crate::sqlite::owners::token;

/// A token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenRow {
    /// Its id.
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
    /// Its id.
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

impl Store {
    /// Tokens of any state, in the order in which they were made.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn tokens(&self) -> Result<Vec<TokenRow>> {
        self.query(token::list).await
    }

    /// The token with a text's hash, of whatever state.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn token_by_hash(&self, hash: SecretHash) -> Result<Option<TokenRow>> {
        self.query(move |connection| token::find_by_hash(connection, &hash)).await
    }

    /// Makes a token.
    ///
    /// # Errors
    /// `Exists` when a token that is not revoked has the name; when the store cannot commit.
    pub async fn create_token(&self, new: NewTokenRow, actor: Actor) -> Result<TokenRow> {
        self.write(move |tx| token::create(tx, &new, &actor)).await
    }

    /// Notes that a token was used.
    ///
    /// # Errors
    /// When the store cannot commit.
    pub async fn note_token_used(&self, id: TokenId) -> Result<()> {
        self.write(move |tx| token::note_used(tx, id)).await
    }

    /// Revokes a token for good, by its name or id.
    ///
    /// # Errors
    /// `Missing` when no token that works has it; when the store cannot commit.
    pub async fn revoke_token(&self, name_or_id: String, actor: Actor) -> Result<TokenRow> {
        self.write(move |tx| token::revoke(tx, &name_or_id, &actor)).await
    }
}

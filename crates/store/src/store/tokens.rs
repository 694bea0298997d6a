//! Tokens of the admin API.

use keystile_core::actor::Actor;
use keystile_core::owners::secret::SecretHash;
use keystile_core::owners::token::TokenId;

use crate::error::Result;
use crate::owners::tokens::{NewTokenRow, TokenRow};
use crate::sqlite::owners::token;
use crate::store::Store;

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

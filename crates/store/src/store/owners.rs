//! Owners: who signs in at the console, and how somebody becomes one.

use keystile_core::actor::Actor;
use keystile_core::owners::secret::SecretHash;
use keystile_core::time::{Span, Timestamp};

use crate::error::Result;
use crate::owners::{NewOwnerRow, OwnerRow};
use crate::sqlite::owners::{claim, owner};
use crate::store::Store;

impl Store {
    /// Owners by name.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn owners(&self) -> Result<Vec<OwnerRow>> {
        self.query(owner::list).await
    }

    /// Whether there is an owner.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn has_owner(&self) -> Result<bool> {
        self.query(owner::exist).await
    }

    /// The owner with a name, in upper or lower case, or with an id.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn owner(&self, name_or_id: String) -> Result<Option<OwnerRow>> {
        self.query(move |connection| owner::find_any(connection, &name_or_id)).await
    }

    /// Makes a link with which somebody becomes an owner, in the place of one that was not used. Says
    /// when it ends.
    ///
    /// # Errors
    /// When the store cannot commit.
    pub async fn create_claim(
        &self,
        hash: SecretHash,
        works_for: Span,
        actor: Actor,
    ) -> Result<Timestamp> {
        self.write(move |tx| claim::create(tx, &hash, works_for, &actor)).await
    }

    /// Whether somebody can become an owner with a claim link.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn claim_is_open(&self, hash: SecretHash) -> Result<bool> {
        let now = self.now();
        self.query(move |connection| claim::is_open(connection, &hash, now)).await
    }

    /// Makes somebody an owner by a claim link, which is used up with it: all of it or nothing. Of
    /// several who use one link at once, one becomes an owner.
    ///
    /// # Errors
    /// `Conflict` when the link was used or has ended, `Exists` when the name or the passkey is taken;
    /// when the store cannot commit. The link then still works, if it did before.
    pub async fn claim(&self, hash: SecretHash, new: NewOwnerRow) -> Result<OwnerRow> {
        self.write(move |tx| claim::claim(tx, &hash, &new)).await
    }

    /// Removes an owner with all they sign in with, their sessions, their devices, and links that were
    /// not yet used.
    ///
    /// # Errors
    /// `Missing` when no owner has the name or id, `Conflict` when it is the last one; when the store
    /// cannot commit.
    pub async fn remove_owner(&self, name_or_id: String, actor: Actor) -> Result<OwnerRow> {
        self.write(move |tx| owner::remove(tx, &name_or_id, &actor)).await
    }
}

//! What owners sign in with: passkeys, a password, recovery codes.

use keystile_core::actor::Actor;
use keystile_core::owners::owner::OwnerId;
use keystile_core::owners::passkey::PasskeyId;
use keystile_core::owners::secret::{PasswordHash, SecretHash};
use uuid::Uuid;

use crate::error::Result;
use crate::owners::credentials::PasskeyRow;
use crate::owners::sessions::SessionsToEnd;
use crate::owners::{NewPasskeyRow, OwnerRow};
use crate::sqlite::owners::{passkey, password, recovery};
use crate::store::Store;

impl Store {
    /// The passkeys of an owner, oldest first.
    ///
    /// # Errors
    /// `Missing` when there is no such owner; when the store cannot be read.
    pub async fn passkeys(&self, owner: OwnerId) -> Result<Vec<PasskeyRow>> {
        self.query(move |connection| passkey::list(connection, owner)).await
    }

    /// The owner whom passkeys know by a handle, with the one of their passkeys that has a credential's
    /// id.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn passkey(
        &self,
        handle: Uuid,
        credential: Vec<u8>,
    ) -> Result<Option<(OwnerRow, PasskeyRow)>> {
        self.query(move |connection| passkey::find(connection, handle, &credential)).await
    }

    /// Gives an owner another passkey.
    ///
    /// # Errors
    /// `Missing` when there is no such owner, `Exists` when somebody has the passkey already; when the
    /// store cannot commit.
    pub async fn add_passkey(
        &self,
        owner: OwnerId,
        new: NewPasskeyRow,
        actor: Actor,
    ) -> Result<()> {
        self.write(move |tx| passkey::add(tx, owner, &new, &actor)).await
    }

    /// Takes a passkey from an owner.
    ///
    /// # Errors
    /// `Missing` when it is not theirs, `Conflict` when they could not sign in without it; when the
    /// store cannot commit.
    pub async fn remove_passkey(
        &self,
        owner: OwnerId,
        passkey: PasskeyId,
        actor: Actor,
    ) -> Result<()> {
        self.write(move |tx| passkey::remove(tx, owner, passkey, &actor)).await
    }

    /// Keeps what a passkey became when it signed its owner in, such as its counter.
    ///
    /// # Errors
    /// `Missing` when there is no such passkey any more; when the store cannot commit.
    pub async fn update_passkey(&self, credential: Vec<u8>, data: String) -> Result<()> {
        self.write(move |tx| passkey::update(tx, &credential, &data)).await
    }

    /// Gives an owner a password, in the place of one before, and ends some of their sessions.
    ///
    /// # Errors
    /// `Missing` when there is no such owner; when the store cannot commit.
    pub async fn set_password(
        &self,
        owner: OwnerId,
        password: PasswordHash,
        ended: SessionsToEnd,
        actor: Actor,
    ) -> Result<()> {
        self.write(move |tx| password::set(tx, owner, &password, &ended, &actor)).await
    }

    /// Gives an owner recovery codes; those before them are void.
    ///
    /// # Errors
    /// `Missing` when there is no such owner; when the store cannot commit.
    pub async fn make_recovery_codes(
        &self,
        owner: OwnerId,
        hashes: Vec<SecretHash>,
        actor: Actor,
    ) -> Result<()> {
        self.write(move |tx| recovery::make(tx, owner, &hashes, &actor)).await
    }

    /// Uses up a recovery code of the owner with a name; `None` where it is not theirs or was used.
    ///
    /// # Errors
    /// When the store cannot commit.
    pub async fn use_recovery_code(
        &self,
        owner_name: String,
        hash: SecretHash,
    ) -> Result<Option<OwnerRow>> {
        self.write(move |tx| recovery::use_up(tx, &owner_name, &hash)).await
    }
}

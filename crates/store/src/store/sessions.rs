//! Sessions of owners at the console.

use keystile_core::actor::Actor;
use keystile_core::owners::owner::OwnerId;
use keystile_core::owners::secret::SecretHash;
use keystile_core::time::Timestamp;

use crate::error::Result;
use crate::owners::OwnerRow;
use crate::owners::sessions::{NewSessionRow, SessionRow, SessionsToEnd};
use crate::sqlite::owners::session;
use crate::store::Store;

impl Store {
    /// The session with a secret, of whatever age, and its owner.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn session(&self, hash: SecretHash) -> Result<Option<(SessionRow, OwnerRow)>> {
        self.query(move |connection| session::find(connection, &hash)).await
    }

    /// An owner and their sessions, of whatever age, latest first.
    ///
    /// # Errors
    /// `Missing` when there is no such owner; when the store cannot be read.
    pub async fn sessions(&self, owner: OwnerId) -> Result<(OwnerRow, Vec<SessionRow>)> {
        self.query(move |connection| session::list(connection, owner)).await
    }

    /// Where the sessions of the owner with a name began; none where nobody has it.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn session_addresses(&self, owner_name: String) -> Result<Vec<String>> {
        self.query(move |connection| session::addresses(connection, &owner_name)).await
    }

    /// Begins a session of an owner who has just authenticated; says who it is.
    ///
    /// # Errors
    /// `Missing` when there is no such owner; when the store cannot commit.
    pub async fn begin_session(&self, new: NewSessionRow) -> Result<OwnerRow> {
        self.write(move |tx| session::begin(tx, &new)).await
    }

    /// Notes that a session was seen.
    ///
    /// # Errors
    /// When the store cannot commit.
    pub async fn touch_session(&self, hash: SecretHash) -> Result<()> {
        self.write(move |tx| session::touch(tx, &hash)).await
    }

    /// Notes that a session's owner has just authenticated again.
    ///
    /// # Errors
    /// `Missing` when there is no such session; when the store cannot commit.
    pub async fn confirm_session(&self, hash: SecretHash) -> Result<()> {
        self.write(move |tx| session::confirm(tx, &hash)).await
    }

    /// Ends a session because its owner signs out. One that is over already is no mistake.
    ///
    /// # Errors
    /// When the store cannot commit.
    pub async fn sign_out(&self, hash: SecretHash) -> Result<()> {
        self.write(move |tx| session::sign_out(tx, &hash)).await
    }

    /// Ends some sessions of an owner; says how many.
    ///
    /// # Errors
    /// `Missing` when there is no such owner; when the store cannot commit.
    pub async fn end_sessions(
        &self,
        owner: OwnerId,
        ended: SessionsToEnd,
        actor: Actor,
    ) -> Result<usize> {
        self.write(move |tx| session::end_some(tx, owner, &ended, &actor)).await
    }

    /// Deletes sessions that began or were last seen before these times, and claim links whose time is
    /// over. Commits nothing where there are none.
    ///
    /// # Errors
    /// When the store cannot be read or cannot commit.
    pub async fn delete_sessions_over(&self, created: Timestamp, seen: Timestamp) -> Result<()> {
        let now = self.now();
        if self.query(move |read| session::has_over(read, created, seen, now)).await? {
            self.write(move |tx| session::delete_over(tx, created, seen)).await?;
        }
        Ok(())
    }
}

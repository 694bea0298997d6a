//! Passwords of owners, which are kept only as the console hashed them.

use std::sync::Arc;

use keystile_core::owners::scope::Scope;
use keystile_core::owners::secret::PasswordHash;
use keystile_store::owners::sessions::SessionsToEnd;

use crate::command::failure::failure;
use crate::command::{Authorized, Command, Failure, Running};
use crate::engine::Engine;
use crate::owners::owner::OwnerView;

/// Gives the owner who asks a password, in the place of one before, and ends their other sessions: whoever
/// knew the old one may be signed in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetPassword {
    /// The password, hashed with argon2id.
    pub password: PasswordHash,
    /// The id of the session that goes on.
    pub kept_session: String,
}

impl Command for SetPassword {
    type Answer = ();
    const SCOPE: Scope = Scope::Admin;

    fn run<'a>(self, engine: &'a Arc<Engine>, by: &'a Authorized) -> Running<'a, ()> {
        Box::pin(async move {
            let owner = by.owner()?;
            let password = checked_password(self.password)?;
            let ended = SessionsToEnd::AllBut(self.kept_session);
            Ok(engine.store.set_password(owner, password, ended, by.actor().clone()).await?)
        })
    }
}

impl Engine {
    /// The owner with a name who has a password, with its hash to verify what was typed; for signing in.
    /// Ask [`Engine::admit_sign_in`] first.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn owner_with_password(
        &self,
        name: &str,
    ) -> Result<Option<(OwnerView, PasswordHash)>, Failure> {
        let found = self.store.owner(name.to_owned()).await?;
        Ok(found.and_then(|owner| {
            let password = owner.password.clone()?;
            Some((OwnerView::from(owner), password))
        }))
    }
}

/// A password as it is kept.
pub(crate) fn checked_password(password: PasswordHash) -> Result<PasswordHash, Failure> {
    if password.expose().starts_with("$argon2id$") {
        return Ok(password);
    }
    Err(failure("a password is only kept as its argon2id hash", "hash it before it is handed over"))
}

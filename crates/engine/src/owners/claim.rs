//! Claim links: how somebody becomes an owner.
//!
//! # What this protects
//!
//! Nobody becomes an owner without a link that somebody with the command line or an owner made: it works
//! once and for half an hour.

use std::sync::Arc;

use keystile_core::owners::owner::OwnerId;
use keystile_core::owners::scope::Scope;
use keystile_core::owners::secret::{PasswordHash, Secret, SecretKind};
use keystile_core::time::{Span, Timestamp};
use keystile_store::error::Error;
use keystile_store::owners::{NewCredential, NewOwnerRow};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::advice;
use crate::command::failure::{conflict, failure};
use crate::command::{Authorized, Command, Failure, Running};
use crate::engine::Engine;
use crate::owners::owner::{OwnerView, check_owner_name};
use crate::owners::passkey::{NewPasskey, checked_passkey};
use crate::owners::password::checked_password;
use crate::owners::recovery::new_recovery_codes;

/// A claim link works for so long: enough to open it on another machine, too short to be found in an old
/// log and used.
pub const CLAIM_MAX: Span = Span::from_secs(30 * 60);

const CLAIM_HELP: &str = advice::NEW_LINK;

/// A link with which somebody becomes an owner, once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct ClaimLink {
    /// The link's secret part.
    pub secret: Secret,
    /// The whole link.
    pub url: String,
    /// Until when it works.
    pub expires: Timestamp,
    /// The file that it was written to.
    #[cfg_attr(feature = "schema", schema(value_type = String))]
    pub file: std::path::PathBuf,
    /// Whether a server runs that answers it.
    pub running: bool,
}

/// What somebody signs in with who becomes an owner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OwnerCredential {
    /// A passkey, as the console made it.
    Passkey(NewPasskey),
    /// A password, as the console hashed it.
    Password(PasswordHash),
}

/// Somebody who becomes an owner.
#[derive(Clone, Debug)]
pub struct NewOwner {
    /// Their name.
    pub name: String,
    /// What their passkey was registered under; any fresh one where they have none.
    pub handle: Uuid,
    /// What they sign in with.
    pub credential: OwnerCredential,
}

/// An owner who has just become one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claimed {
    /// The owner.
    pub owner: OwnerView,
    /// Their recovery codes, which are shown only now.
    pub recovery_codes: Vec<Secret>,
}

/// Makes a link with which somebody becomes an owner, in the place of one that was not used; it is also
/// written to a file in the data directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MakeClaimLink;

impl Command for MakeClaimLink {
    type Answer = ClaimLink;
    const SCOPE: Scope = Scope::Admin;

    fn run<'a>(self, engine: &'a Arc<Engine>, by: &'a Authorized) -> Running<'a, ClaimLink> {
        Box::pin(async move {
            let secret = Engine::secret(SecretKind::Claim);
            let hash = secret.hash(SecretKind::Claim, engine.store.pepper());
            let _held = engine.owner_link.lock().await;
            let expires = engine.store.create_claim(hash, CLAIM_MAX, by.actor().clone()).await?;
            let url = format!("{}/claim/{}", engine.console_url(), secret.expose());
            engine.store.directory().write_owner_link(&url)?;
            let file = engine.store.directory().owner_link_file();
            let running = engine.server.get().is_some();
            Ok(ClaimLink { secret, url, expires, file, running })
        })
    }
}

impl Engine {
    /// Whether somebody can become an owner with a claim link.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn claim_is_open(&self, secret: &str) -> Result<bool, Failure> {
        match self.secret_hash(SecretKind::Claim, secret) {
            Some(hash) => Ok(self.store.claim_is_open(hash).await?),
            None => Ok(false),
        }
    }

    /// Removes the file with the latest link where that no longer works.
    ///
    /// # Errors
    /// When the store cannot be read, or the file cannot be read or removed.
    pub async fn remove_used_link(&self) -> Result<(), Failure> {
        let _held = self.owner_link.lock().await;
        let directory = self.store.directory();
        let Some(link) = directory.owner_link()? else { return Ok(()) };
        let secret = link.rsplit('/').next().unwrap_or_default();
        if !self.claim_is_open(secret).await? {
            directory.remove_owner_link()?;
        }
        Ok(())
    }

    /// Makes somebody an owner by a claim link. Of several who use one link at once, one becomes an owner;
    /// a link whose use failed, because the name is taken, still works.
    ///
    /// # Errors
    /// `Invalid` when the link, the name or the credential is none, `Conflict` when the link was used or
    /// has ended or the name is taken; when the store cannot commit.
    pub async fn claim(&self, secret: &str, new: NewOwner) -> Result<Claimed, Failure> {
        let Some(hash) = self.secret_hash(SecretKind::Claim, secret) else {
            return Err(failure("this is not a link for owners", CLAIM_HELP));
        };
        check_owner_name(&new.name)?;
        let recovery_codes = new_recovery_codes();
        let row = NewOwnerRow {
            id: OwnerId::new(Uuid::now_v7()),
            name: new.name,
            handle: new.handle,
            credential: match new.credential {
                OwnerCredential::Passkey(passkey) => {
                    NewCredential::Passkey(checked_passkey(passkey)?)
                }
                OwnerCredential::Password(password) => {
                    NewCredential::Password(checked_password(password)?)
                }
            },
            recovery_codes: self.recovery_hashes(&recovery_codes),
        };
        let claimed = self.store.claim(hash, row).await;
        let owner = claimed.map_err(|error| match error {
            Error::Conflict(message) => conflict(message, CLAIM_HELP),
            Error::Exists(what) => {
                conflict(format!("there is already {what}"), "take another name")
            }
            other => other.into(),
        })?;
        // Best effort: the link in it no longer works.
        if let Err(error) = self.remove_used_link().await {
            tracing::warn!(%error, "the file with the used link stays");
        }
        Ok(Claimed { owner: owner.into(), recovery_codes })
    }
}

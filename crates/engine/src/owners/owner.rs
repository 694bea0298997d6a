//! Owners: how somebody becomes one, what they sign in with, and how they stop being one.
//!
//! # What this protects
//!
//! Nobody becomes an owner without a link that somebody with the command line or an owner made: it works
//! once and for half an hour. No owner can shut out everybody: the last owner stays, and so does the
//! last thing that an owner signs in with.

use keystile_core::key::{OwnerId, PasskeyId};
use keystile_core::label::{NAME_CHARS_MAX, SHORT_NAME_CHARS_MAX};
use keystile_core::lock::Actor;
use keystile_core::owners::secret::{PasswordHash, Secret, SecretHash, SecretKind};
use keystile_core::time::{Span, Timestamp};
use keystile_store::error::Error;
use keystile_store::sqlite::owners::owner::{self, NewCredential, NewOwnerRow, OwnerRow};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::Engine;
use crate::advice;
use crate::command::Failure;
use crate::execute::{check_name_of, conflict, failure, missing};
use crate::legacy::Answer;

/// A claim link works for so long: enough to open it on another machine, too short to be found in an old
/// log and used.
pub const CLAIM_MAX: Span = Span::from_secs(30 * 60);

/// So many recovery codes an owner gets at once: they fit on one slip of paper.
pub const RECOVERY_CODES: usize = 10;

/// The largest text that a passkey may be; those of real authenticators have less than 2 KiB.
const PASSKEY_BYTES_MAX: usize = 16 * 1024;

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

/// A passkey to add.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewPasskey {
    /// The id that its authenticator gave it.
    pub credential: Vec<u8>,
    /// What the console needs to check it, as JSON.
    pub data: String,
    /// What its owner calls it.
    pub name: String,
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

/// An owner as they are listed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct OwnerView {
    /// Their id.
    pub id: OwnerId,
    /// Their name.
    pub name: String,
    /// What passkeys know them by.
    #[cfg_attr(feature = "schema", schema(value_type = String))]
    pub handle: Uuid,
    /// Whether they can sign in with a password.
    pub has_password: bool,
    /// How many passkeys they have.
    pub passkeys: u32,
    /// How many recovery codes they have left.
    pub recovery_codes: u32,
    /// Since when they are an owner.
    pub created: Timestamp,
}

impl From<OwnerRow> for OwnerView {
    fn from(row: OwnerRow) -> Self {
        Self {
            id: row.id,
            name: row.name,
            handle: row.handle,
            has_password: row.password.is_some(),
            passkeys: row.passkeys,
            recovery_codes: row.recovery_codes,
            created: row.created,
        }
    }
}

/// A passkey as its owner sees it, with what the console needs to check it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PasskeyView {
    /// Its id.
    pub id: PasskeyId,
    /// The id that its authenticator gave it.
    pub credential: Vec<u8>,
    /// What its owner calls it.
    pub name: String,
    /// What the console needs to check it, as JSON.
    pub data: String,
    /// When it was added.
    pub created: Timestamp,
    /// When it last signed its owner in.
    pub used: Option<Timestamp>,
}

impl Engine {
    pub(crate) fn secret(kind: SecretKind) -> Secret {
        Secret::from_random(kind, keystile_store::random())
    }

    pub(crate) fn secret_hash(&self, kind: SecretKind, text: &str) -> Option<SecretHash> {
        SecretHash::of(kind, text, self.store.pepper())
    }

    /// Makes a link with which somebody becomes an owner, in the place of one that was not used; it is
    /// also written to a file in the data directory.
    pub async fn make_claim_link(&self, actor: Actor) -> Result<ClaimLink, Failure> {
        let secret = Self::secret(SecretKind::Claim);
        let hash = secret.hash(SecretKind::Claim, self.store.pepper());
        let expires = self
            .store
            .change(move |work| {
                let expires = work.now().plus(CLAIM_MAX);
                work.create_claim(&hash, expires, &actor)?;
                Ok(expires)
            })
            .await?;
        let url = format!("{}/claim/{}", self.console_url(), secret.expose());
        self.store.directory().write_owner_link(&url)?;
        let (file, running) =
            (self.store.directory().owner_link_file(), self.server.get().is_some());
        Ok(ClaimLink { secret, url, expires, file, running })
    }

    /// Where owners open the console, without a slash at the end.
    pub fn console_url(&self) -> String {
        match self.server.get() {
            Some(server) => server.console_url.clone(),
            None => self.settings.load().console_url.clone(),
        }
    }

    /// Whether somebody can become an owner with a claim link.
    pub fn claim_is_open(&self, secret: &str) -> Result<bool, Failure> {
        let Some(hash) = self.secret_hash(SecretKind::Claim, secret) else {
            return Ok(false);
        };
        let now = self.store.now();
        Ok(self.store.read(|read| owner::claim_ends(read, &hash, now))?.is_some())
    }

    /// Makes somebody an owner by a claim link. Of several who use one link at once, one becomes an owner;
    /// a link whose use failed, because the name is taken, still works.
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
            credential: checked(new.credential)?,
            recovery_codes: self.recovery_hashes(&recovery_codes),
        };
        let claimed = self.store.change(move |work| work.claim(&hash, &row)).await;
        let owner = claimed.map_err(|error| match error {
            Error::Conflict(message) => conflict(message, CLAIM_HELP),
            Error::Exists(what) => {
                conflict(format!("there is already {what}"), "take another name")
            }
            other => other.into(),
        })?;
        // Best effort: the link in it no longer works.
        if let Err(error) = self.store.directory().remove_owner_link() {
            tracing::warn!(%error, "the file with the used link stays");
        }
        Ok(Claimed { owner: owner.into(), recovery_codes })
    }

    /// Whether there is an owner.
    pub fn has_owner(&self) -> Result<bool, Failure> {
        Ok(self.store.read(owner::exist)?)
    }

    /// Owners by name.
    pub fn owners(&self) -> Result<Vec<OwnerView>, Failure> {
        Ok(self.store.read(owner::list)?.into_iter().map(OwnerView::from).collect())
    }

    /// The owner with a name, in upper or lower case.
    pub fn owner_by_name(&self, name: &str) -> Result<Option<OwnerView>, Failure> {
        self.owner_row(name).map(|found| found.map(OwnerView::from))
    }

    /// The hash of an owner's password, to check one with that was typed.
    pub fn password_of(&self, name: &str) -> Result<Option<PasswordHash>, Failure> {
        self.owner_row(name).map(|found| found.and_then(|owner| owner.password))
    }

    fn owner_row(&self, name: &str) -> Result<Option<OwnerRow>, Failure> {
        match self.store.read(|read| owner::find(read, name)) {
            Ok(row) => Ok(Some(row)),
            Err(Error::Missing(_)) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// The owner whose passkey has a credential's id.
    pub fn owner_by_credential(&self, credential: &[u8]) -> Result<Option<OwnerView>, Failure> {
        let found = self.store.read(|read| owner::find_by_credential(read, credential))?;
        Ok(found.map(OwnerView::from))
    }

    /// The owner whom passkeys know by a handle.
    pub fn owner_by_handle(&self, handle: Uuid) -> Result<Option<OwnerView>, Failure> {
        let found = self.store.read(|read| owner::find_by_handle(read, handle))?;
        Ok(found.map(OwnerView::from))
    }

    /// The passkeys of an owner, oldest first.
    pub fn passkeys_of(&self, owner: OwnerId) -> Result<Vec<PasskeyView>, Failure> {
        let rows = self.store.read(|read| {
            let owner = owner::find(read, &owner.to_string())?;
            owner::passkeys(read, owner.row)
        })?;
        Ok(rows
            .into_iter()
            .map(|row| PasskeyView {
                id: row.id,
                credential: row.credential,
                name: row.name,
                data: row.data,
                created: row.created,
                used: row.used,
            })
            .collect())
    }

    /// Gives an owner another passkey.
    pub async fn add_passkey(
        &self,
        owner: OwnerId,
        passkey: NewPasskey,
        actor: Actor,
    ) -> Result<(), Failure> {
        let new = checked(OwnerCredential::Passkey(passkey))?;
        Ok(self.store.change(move |work| work.add_credential(owner, &new, &actor)).await?)
    }

    /// Takes a passkey from an owner; never what they last sign in with.
    pub async fn remove_passkey(
        &self,
        owner: OwnerId,
        passkey: PasskeyId,
        actor: Actor,
    ) -> Result<(), Failure> {
        let removed =
            self.store.change(move |work| work.remove_passkey(owner, passkey, &actor)).await;
        removed.map_err(|error| match error {
            Error::Conflict(message) => conflict(message, "add another passkey first"),
            other => other.into(),
        })
    }

    /// Keeps what a passkey became when it signed its owner in, such as its counter.
    pub async fn update_passkey(&self, credential: &[u8], data: String) -> Result<(), Failure> {
        let credential = credential.to_vec();
        Ok(self.store.change(move |work| work.update_passkey(&credential, &data)).await?)
    }

    /// Gives an owner a password, in the place of one before.
    pub async fn set_password(
        &self,
        owner: OwnerId,
        password: PasswordHash,
        actor: Actor,
    ) -> Result<(), Failure> {
        let new = checked(OwnerCredential::Password(password))?;
        Ok(self.store.change(move |work| work.add_credential(owner, &new, &actor)).await?)
    }

    /// Removes an owner with all they sign in with, their sessions, and links that were not yet used;
    /// never the last one. Tokens that they made go on.
    pub async fn remove_owner(&self, name: &str, actor: Actor) -> Result<OwnerView, Failure> {
        let name = name.to_owned();
        let removed = self.store.change(move |work| work.remove_owner(&name, &actor)).await;
        removed.map(OwnerView::from).map_err(|error| match error {
            Error::Missing(what) => missing(format!("there is no {what}"), advice::LIST_OWNERS),
            Error::Conflict(message) => conflict(message, advice::OTHER_OWNER),
            other => other.into(),
        })
    }

    pub(crate) async fn say_removed(&self, name: &str, actor: Actor) -> Result<Answer, Failure> {
        let removed = self.remove_owner(name, actor).await?;
        Ok(Answer::Done(format!(
            "Removed {}: their sessions have ended. Tokens that they made go on.",
            removed.name
        )))
    }

    /// Gives an owner recovery codes, which are shown only now; those before them are void.
    pub async fn make_recovery_codes(
        &self,
        owner: OwnerId,
        actor: Actor,
    ) -> Result<Vec<Secret>, Failure> {
        let codes = new_recovery_codes();
        let hashes = self.recovery_hashes(&codes);
        self.store.change(move |work| work.make_recovery_codes(owner, &hashes, &actor)).await?;
        Ok(codes)
    }

    fn recovery_hashes(&self, codes: &[Secret]) -> Vec<SecretHash> {
        let pepper = self.store.pepper();
        codes.iter().map(|code| code.hash(SecretKind::RecoveryCode, pepper)).collect()
    }

    /// Uses up a recovery code of an owner; `None` where it is not theirs or was used. Ask
    /// [`Engine::admit_sign_in`] first.
    pub async fn use_recovery_code(
        &self,
        name: &str,
        code: &str,
    ) -> Result<Option<OwnerView>, Failure> {
        let Some(hash) = self.secret_hash(SecretKind::RecoveryCode, code) else {
            return Ok(None);
        };
        let name = name.to_owned();
        let used = self.store.change(move |work| work.use_recovery_code(&name, &hash)).await?;
        Ok(used.map(OwnerView::from))
    }
}

const CLAIM_HELP: &str = advice::NEW_LINK;

/// Whether an owner may be called so.
pub fn check_owner_name(name: &str) -> Result<(), Failure> {
    check_name_of("an owner", "owner_", name, NAME_CHARS_MAX)
}

fn new_recovery_codes() -> Vec<Secret> {
    (0..RECOVERY_CODES).map(|_| Engine::secret(SecretKind::RecoveryCode)).collect()
}

fn checked(credential: OwnerCredential) -> Result<NewCredential, Failure> {
    match credential {
        OwnerCredential::Password(password) => {
            if !password.expose().starts_with("$argon2id$") {
                return Err(failure(
                    "a password is only kept as its argon2id hash",
                    "hash it before it is handed over",
                ));
            }
            Ok(NewCredential::Password(password))
        }
        OwnerCredential::Passkey(NewPasskey { credential, data, name }) => {
            check_name_of("a passkey", "passkey_", &name, SHORT_NAME_CHARS_MAX)?;
            let is_fine = !credential.is_empty()
                && credential.len() <= 1023
                && (1..=PASSKEY_BYTES_MAX).contains(&data.len());
            if !is_fine {
                return Err(failure("this passkey is not of a usual size", "try another one"));
            }
            let id = PasskeyId::new(Uuid::now_v7());
            Ok(NewCredential::Passkey { id, credential, name, data })
        }
    }
}

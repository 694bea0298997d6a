//! Sessions of owners at the console.

use std::net::IpAddr;

use keystile_core::key::OwnerId;
use keystile_core::lock::Actor;
use keystile_core::owners::secret::{Secret, SecretHash, SecretKind};
use keystile_core::owners::session::{SESSION_IDLE_MAX, SESSION_MAX};
use keystile_core::time::Timestamp;
use keystile_store::sqlite::audit::event::EventKind;
use keystile_store::sqlite::owners::owner::{self, OwnerRow};
use keystile_store::sqlite::owners::session::{self, NewSessionRow, SessionRow};
use serde::{Deserialize, Serialize};

use crate::Engine;
use crate::command::Failure;
use crate::execute::{failure, missing};
use crate::owners::owner::OwnerView;

/// A browser may call itself whatever it likes; so many characters of that are kept.
const AGENT_CHARS_MAX: usize = 200;

/// How an owner proved who they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignInMethod {
    /// With a passkey.
    Passkey,
    /// With a password.
    Password,
    /// With a recovery code.
    RecoveryCode,
    /// By having become an owner just now.
    Claim,
}

impl SignInMethod {
    fn words(self) -> &'static str {
        match self {
            Self::Passkey => "with a passkey",
            Self::Password => "with a password",
            Self::RecoveryCode => "with a recovery code",
            Self::Claim => "by a claim link",
        }
    }
}

/// Who asks for something in a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Looks {
    /// Its owner.
    Owner,
    /// A page that is left open and freshens itself: that must not keep the session for ever.
    Page,
}

/// A session to begin.
#[derive(Clone, Debug)]
pub struct NewSession {
    /// Whose it is.
    pub owner: OwnerId,
    /// How they proved who they are.
    pub method: SignInMethod,
    /// Where they are.
    pub address: IpAddr,
    /// What their browser calls itself.
    pub agent: String,
}

/// A session as its owner sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionView {
    /// Its id, which opens nothing.
    pub id: String,
    /// Whose it is.
    pub owner: OwnerView,
    /// When it began.
    pub created: Timestamp,
    /// When it was last used, to the minute.
    pub seen: Timestamp,
    /// When its owner last proved who they are.
    pub proved: Timestamp,
    /// When it ends if it is not used again.
    pub ends: Timestamp,
    /// Whether the proof is fresh enough for what cannot easily be undone.
    pub fresh: bool,
    /// Where it began.
    pub address: String,
    /// What its browser calls itself.
    pub agent: String,
}

impl SessionView {
    /// Who acts in this session.
    pub fn actor(&self) -> Actor {
        Actor::Owner(self.owner.name.clone())
    }
}

/// Eight of 32 bytes tell sessions apart and say nothing of the secret, which cannot be found from its
/// hash at all.
fn public_id(hash: &SecretHash) -> String {
    let digits: String = hash.as_bytes().iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    format!("session_{digits}")
}

fn view(row: SessionRow, owner: OwnerRow, now: Timestamp) -> SessionView {
    SessionView {
        id: public_id(&row.hash),
        owner: owner.into(),
        created: row.times.created,
        seen: row.times.seen,
        proved: row.times.proved,
        ends: row.times.ends(),
        fresh: row.times.is_fresh(now),
        address: row.address,
        agent: row.agent,
    }
}

impl Engine {
    /// Begins a session of an owner who has just proved who they are.
    pub async fn begin_session(&self, new: NewSession) -> Result<Secret, Failure> {
        let secret = Self::secret(SecretKind::Session);
        let row = NewSessionRow {
            hash: secret.hash(SecretKind::Session, self.store.pepper()),
            owner: new.owner,
            address: new.address.to_string(),
            agent: new.agent.chars().take(AGENT_CHARS_MAX).collect(),
        };
        let detail = format!("{}, from {}", new.method.words(), new.address);
        let name = self
            .store
            .change(move |work| {
                let owner = work.insert_session(&row)?;
                let actor = Actor::Owner(owner.name.clone());
                work.tell_of(EventKind::SignedIn, Some(&owner.name), &actor, &detail)?;
                Ok(owner.name)
            })
            .await?;
        self.sign_ins.succeeded(&name, new.address);
        Ok(secret)
    }

    /// The session with a secret, while it holds. Notes about once a minute that it was seen, where its
    /// owner looks.
    pub async fn session(&self, secret: &str, who: Looks) -> Result<Option<SessionView>, Failure> {
        let Some(hash) = self.secret_hash(SecretKind::Session, secret) else {
            return Ok(None);
        };
        let now = self.store.now();
        let found = self.store.read(|read| session::find(read, &hash))?;
        let Some((row, owner)) = found.filter(|(row, _)| row.times.holds_at(now)) else {
            return Ok(None);
        };
        if who == Looks::Owner && row.times.wants_touch(now) {
            // Best effort: an owner who looks while the disk is full stays signed in.
            let touched = self.store.change(move |work| work.touch_session(&hash)).await;
            if let Err(error) = touched {
                tracing::debug!(%error, "that a session was seen could not be written");
            }
        }
        Ok(Some(view(row, owner, now)))
    }

    /// Notes that the owner of a session has just proved again who they are.
    pub async fn prove_session(&self, secret: &str) -> Result<(), Failure> {
        let hash = self.held_session(secret)?;
        Ok(self.store.change(move |work| work.prove_session(&hash)).await?)
    }

    fn held_session(&self, secret: &str) -> Result<SecretHash, Failure> {
        let over = || failure("this session is over", "sign in again");
        let hash = self.secret_hash(SecretKind::Session, secret).ok_or_else(over)?;
        let now = self.store.now();
        let found = self.store.read(|read| session::find(read, &hash))?;
        found.filter(|(row, _)| row.times.holds_at(now)).map(|_| hash).ok_or_else(over)
    }

    /// Ends a session because its owner signs out. One that is over already is no mistake.
    pub async fn end_session(&self, secret: &str) -> Result<(), Failure> {
        let Some(hash) = self.secret_hash(SecretKind::Session, secret) else {
            return Ok(());
        };
        self.store
            .change(move |work| {
                if let Some(name) = work.delete_session(&hash)? {
                    let actor = Actor::Owner(name.clone());
                    work.tell_of(EventKind::SignedOut, Some(&name), &actor, "")?;
                }
                Ok(())
            })
            .await?;
        Ok(())
    }

    /// The sessions of an owner that hold, latest first.
    pub fn sessions_of(&self, owner: OwnerId) -> Result<Vec<SessionView>, Failure> {
        let now = self.store.now();
        let (rows, owner) = self.store.read(|read| {
            Ok((session::list(read, owner)?, owner::find(read, &owner.to_string())?))
        })?;
        let held = rows.into_iter().filter(|row| row.times.holds_at(now));
        Ok(held.map(|row| view(row, owner.clone(), now)).collect())
    }

    /// Ends a session of an owner, by the id that [`SessionView`] shows.
    pub async fn end_session_by_id(
        &self,
        owner: OwnerId,
        id: &str,
        actor: Actor,
    ) -> Result<(), Failure> {
        let id = id.to_owned();
        let ended = self.end_sessions(owner, actor, move |hash| public_id(hash) == id).await?;
        if ended == 0 {
            return Err(missing("there is no such session", "it may be over already"));
        }
        Ok(())
    }

    /// Ends all sessions of an owner but the one with a secret. Says how many.
    pub async fn end_other_sessions(&self, secret: &str) -> Result<usize, Failure> {
        let kept = self.held_session(secret)?;
        let found = self.store.read(|read| session::find(read, &kept))?;
        let Some((_, owner)) = found else { return Ok(0) };
        let actor = Actor::Owner(owner.name.clone());
        self.end_sessions(owner.id, actor, move |hash| *hash != kept).await
    }

    async fn end_sessions(
        &self,
        owner: OwnerId,
        actor: Actor,
        is_meant: impl Fn(&SecretHash) -> bool + Send + 'static,
    ) -> Result<usize, Failure> {
        let ended = self.store.change(move |work| {
            let owner = owner::find(work.connection(), &owner.to_string())?;
            let rows = session::list(work.connection(), owner.id)?;
            let meant: Vec<_> = rows.into_iter().filter(|row| is_meant(&row.hash)).collect();
            for row in &meant {
                work.delete_session(&row.hash)?;
            }
            if !meant.is_empty() {
                let addresses: Vec<_> =
                    meant.iter().take(5).map(|row| row.address.as_str()).collect();
                let detail = format!("{} of them, from {}", meant.len(), addresses.join(", "));
                work.tell_of(EventKind::SessionEnded, Some(&owner.name), &actor, &detail)?;
            }
            Ok(meant.len())
        });
        Ok(ended.await?)
    }

    /// Deletes sessions and claim links whose time is over.
    pub(crate) async fn forget_sessions(&self) {
        let now = self.store.now();
        let created = Timestamp(now.0.saturating_sub(SESSION_MAX.millis()));
        let seen = Timestamp(now.0.saturating_sub(SESSION_IDLE_MAX.millis()));
        let has_over = self.store.read(|read| session::has_over(read, created, seen, now));
        if has_over.unwrap_or(false)
            && let Err(error) = self.store.change(move |work| work.delete_over(created, seen)).await
        {
            tracing::warn!(%error, "sessions that are over could not be deleted");
        }
    }
}

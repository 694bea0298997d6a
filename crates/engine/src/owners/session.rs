//! Sessions of owners at the console.

use std::net::IpAddr;
use std::sync::Arc;

use keystile_core::owners::owner::OwnerId;
use keystile_core::owners::scope::Scope;
use keystile_core::owners::secret::{Secret, SecretHash, SecretKind};
use keystile_core::owners::session::{SESSION_IDLE_MAX, SESSION_MAX};
use keystile_core::time::Timestamp;
use keystile_store::owners::OwnerRow;
use keystile_store::owners::sessions::{NewSessionRow, SessionRow, SessionsToEnd};
use serde::{Deserialize, Serialize};

use crate::command::failure::{failure, missing};
use crate::command::{Authorized, Command, Failure, Running};
use crate::engine::Engine;
use crate::owners::owner::OwnerView;

/// A browser may call itself whatever it likes; so many characters of that are kept.
const AGENT_CHARS_MAX: usize = 200;

/// How an owner authenticated.
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
    /// How they authenticated.
    pub method: SignInMethod,
    /// Where they are.
    pub address: IpAddr,
    /// What their browser calls itself.
    pub agent: String,
}

/// A session as its owner sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionView {
    /// Its public id, which opens nothing.
    pub id: String,
    /// Whose it is.
    pub owner: OwnerView,
    /// When it began.
    pub created: Timestamp,
    /// When it was last used, to the minute.
    pub seen: Timestamp,
    /// When its owner last authenticated.
    pub authenticated: Timestamp,
    /// When it ends if it is not used again.
    pub ends: Timestamp,
    /// Whether that is recent enough for what cannot easily be undone.
    pub is_recently_authenticated: bool,
    /// Where it began.
    pub address: String,
    /// What its browser calls itself.
    pub agent: String,
}

fn view(row: SessionRow, owner: OwnerRow, now: Timestamp) -> SessionView {
    SessionView {
        id: row.id(),
        owner: owner.into(),
        created: row.times.created,
        seen: row.times.seen,
        authenticated: row.times.authenticated,
        ends: row.times.ends(),
        is_recently_authenticated: row.times.is_recently_authenticated(now),
        address: row.address,
        agent: row.agent,
    }
}

/// Lists the sessions of the owner who asks that hold, latest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListSessions;

/// Ends a session of the owner who asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndSession {
    /// Its id, as [`SessionView`] shows it.
    pub session: String,
}

/// Ends all sessions of the owner who asks but one. Says how many.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndOtherSessions {
    /// The id of the session that goes on.
    pub kept_session: String,
}

impl Command for ListSessions {
    type Answer = Vec<SessionView>;
    const SCOPE: Scope = Scope::Read;

    fn run<'a>(self, engine: &'a Arc<Engine>, by: &'a Authorized) -> Running<'a, Vec<SessionView>> {
        Box::pin(async move { engine.sessions_of(by.owner()?).await })
    }
}

impl Command for EndSession {
    type Answer = ();
    const SCOPE: Scope = Scope::Write;

    fn run<'a>(self, engine: &'a Arc<Engine>, by: &'a Authorized) -> Running<'a, ()> {
        Box::pin(async move {
            let ended = SessionsToEnd::One(self.session);
            if engine.store.end_sessions(by.owner()?, ended, by.actor().clone()).await? == 0 {
                return Err(missing("there is no such session", "it may be over already"));
            }
            Ok(())
        })
    }
}

impl Command for EndOtherSessions {
    type Answer = usize;
    const SCOPE: Scope = Scope::Write;

    fn run<'a>(self, engine: &'a Arc<Engine>, by: &'a Authorized) -> Running<'a, usize> {
        Box::pin(async move {
            let ended = SessionsToEnd::AllBut(self.kept_session);
            Ok(engine.store.end_sessions(by.owner()?, ended, by.actor().clone()).await?)
        })
    }
}

impl Engine {
    /// Begins a session of an owner who has just authenticated.
    ///
    /// # Errors
    /// `Missing` when there is no such owner any more; when the store cannot commit.
    pub async fn begin_session(&self, new: NewSession) -> Result<Secret, Failure> {
        let secret = Self::secret(SecretKind::Session);
        let row = NewSessionRow {
            hash: secret.hash(SecretKind::Session, self.store.pepper()),
            owner: new.owner,
            signed_in: new.method.words(),
            address: new.address.to_string(),
            agent: new.agent.chars().take(AGENT_CHARS_MAX).collect(),
        };
        let owner = self.store.begin_session(row).await?;
        self.sign_ins.succeeded(&owner.name, new.address);
        Ok(secret)
    }

    /// The session with a secret, while it holds. Notes about once a minute that it was seen, where its
    /// owner looks.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn session(&self, secret: &str, who: Looks) -> Result<Option<SessionView>, Failure> {
        let Some((hash, row, owner)) = self.held_session(secret).await? else {
            return Ok(None);
        };
        let now = self.store.now();
        if who == Looks::Owner && row.times.wants_touch(now) {
            // Best effort: an owner who looks while the disk is full stays signed in.
            if let Err(error) = self.store.touch_session(hash).await {
                tracing::debug!(%error, "that a session was seen could not be written");
            }
        }
        Ok(Some(view(row, owner, now)))
    }

    async fn held_session(
        &self,
        secret: &str,
    ) -> Result<Option<(SecretHash, SessionRow, OwnerRow)>, Failure> {
        let Some(hash) = self.secret_hash(SecretKind::Session, secret) else {
            return Ok(None);
        };
        let now = self.store.now();
        let found = self.store.session(hash).await?;
        let held = found.filter(|(row, _)| row.times.holds_at(now));
        Ok(held.map(|(row, owner)| (hash, row, owner)))
    }

    /// Notes that the owner of a session has just confirmed who they are.
    ///
    /// # Errors
    /// `Invalid` when the session is over; when the store cannot commit.
    pub async fn confirm_identity(&self, secret: &str) -> Result<(), Failure> {
        let held = self.held_session(secret).await?;
        let (hash, _, _) = held.ok_or_else(|| failure("this session is over", "sign in again"))?;
        Ok(self.store.confirm_session(hash).await?)
    }

    /// Ends a session because its owner signs out. One that is over already is no mistake.
    ///
    /// # Errors
    /// When the store cannot commit.
    pub async fn sign_out(&self, secret: &str) -> Result<(), Failure> {
        match self.secret_hash(SecretKind::Session, secret) {
            Some(hash) => Ok(self.store.sign_out(hash).await?),
            None => Ok(()),
        }
    }

    /// Whether a session of an owner still holds. Its owner is not seen by this.
    ///
    /// # Errors
    /// When the store cannot be read, and when there is no such owner any more.
    pub async fn session_holds(&self, owner: OwnerId, id: &str) -> Result<bool, Failure> {
        Ok(self.sessions_of(owner).await?.iter().any(|session| session.id == id))
    }

    async fn sessions_of(&self, owner: OwnerId) -> Result<Vec<SessionView>, Failure> {
        let now = self.store.now();
        let (owner, rows) = self.store.sessions(owner).await?;
        let held = rows.into_iter().filter(|row| row.times.holds_at(now));
        Ok(held.map(|row| view(row, owner.clone(), now)).collect())
    }

    /// Deletes sessions and claim links whose time is over.
    pub(crate) async fn forget_sessions(&self) {
        let now = self.store.now();
        let created = Timestamp(now.0.saturating_sub(SESSION_MAX.millis()));
        let seen = Timestamp(now.0.saturating_sub(SESSION_IDLE_MAX.millis()));
        if let Err(error) = self.store.delete_sessions_over(created, seen).await {
            tracing::warn!(%error, "sessions that are over could not be deleted");
        }
    }
}

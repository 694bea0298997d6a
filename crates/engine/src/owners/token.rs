//! Tokens of the admin API.

use std::net::IpAddr;
use std::sync::Arc;

use keystile_core::actor::Actor;
use keystile_core::label::NAME_CHARS_MAX;
use keystile_core::owners::scope::Scope;
use keystile_core::owners::secret::{Secret, SecretKind};
use keystile_core::owners::token::TokenId;
use keystile_core::time::{Span, Timestamp};
use keystile_store::error::Error;
use keystile_store::owners::tokens::{NewTokenRow, TokenRow};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::advice;
use crate::command::failure::{conflict, failure, missing};
use crate::command::input::{check_name_of, checked_span};
use crate::command::{Authorized, Command, Failure, Running};
use crate::engine::Engine;

/// That a token was used is written at most so often.
const USED_EVERY: Span = Span::from_secs(60);

/// A token as it is listed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct TokenView {
    pub id: TokenId,
    /// Its name, by which its acts are known.
    pub name: String,
    /// What it may do.
    pub scope: Scope,
    /// `active`, `expired` or `revoked`.
    pub state: String,
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

/// Why a token is not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenRefusal {
    /// There is no such token, or it works no longer.
    Unknown,
    /// The same, and so many came from the address that it has to wait.
    Wait {
        /// For so many seconds.
        seconds: u64,
    },
}

/// A token that has just been made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct NewToken {
    /// The token itself, which is shown only now.
    pub token: Secret,
    /// What is listed of it.
    #[serde(flatten)]
    pub view: TokenView,
}

fn view(row: TokenRow, now: Timestamp) -> TokenView {
    let is_over = row.expires.is_some_and(|expires| expires <= now);
    let state = match (row.revoked, is_over) {
        (Some(_), _) => "revoked",
        (None, true) => "expired",
        (None, false) => "active",
    };
    TokenView {
        id: row.id,
        name: row.name,
        scope: row.scope,
        state: state.to_owned(),
        actor: row.actor,
        created: row.created,
        expires: row.expires,
        used: row.used,
        revoked: row.revoked,
    }
}

/// Makes a token for the admin API.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CreateToken {
    /// Its name, by which its acts are known.
    pub name: String,
    /// What it may do.
    pub scope: Scope,
    /// For how many milliseconds; until it is revoked where `None`.
    pub for_millis: Option<i64>,
}

/// Lists tokens of any state, in the order in which they were made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListTokens;

/// Revokes a token for good. Revoking one again changes nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RevokeToken {
    /// Its name or id.
    pub token: String,
}

impl Command for CreateToken {
    type Answer = NewToken;
    const SCOPE: Scope = Scope::Admin;

    fn run<'a>(self, engine: &'a Arc<Engine>, by: &'a Authorized) -> Running<'a, NewToken> {
        Box::pin(async move {
            check_name_of("a token", "token_", &self.name, NAME_CHARS_MAX)?;
            let now = engine.store.now();
            let expires = checked_span(self.for_millis)?.map(|span| now.plus(span));
            if expires.is_some_and(|expires| expires <= now) {
                return Err(failure("a token cannot end in the past", "give a later time"));
            }
            let token = Engine::secret(SecretKind::Token);
            let row = NewTokenRow {
                id: TokenId::new(Uuid::now_v7()),
                hash: token.hash(SecretKind::Token, engine.store.pepper()),
                name: self.name,
                scope: self.scope,
                expires,
            };
            let created = engine.store.create_token(row, by.actor().clone()).await;
            let created = created.map_err(|error| match error {
                Error::Exists(what) => {
                    conflict(format!("there is already {what}"), advice::OTHER_TOKEN)
                }
                other => other.into(),
            })?;
            Ok(NewToken { token, view: view(created, now) })
        })
    }
}

impl Command for ListTokens {
    type Answer = Vec<TokenView>;
    const SCOPE: Scope = Scope::Read;

    fn run<'a>(self, engine: &'a Arc<Engine>, _: &'a Authorized) -> Running<'a, Vec<TokenView>> {
        Box::pin(async move {
            let now = engine.store.now();
            Ok(engine.store.tokens().await?.into_iter().map(|row| view(row, now)).collect())
        })
    }
}

impl Command for RevokeToken {
    type Answer = TokenView;
    const SCOPE: Scope = Scope::Admin;

    fn run<'a>(self, engine: &'a Arc<Engine>, by: &'a Authorized) -> Running<'a, TokenView> {
        Box::pin(async move {
            let revoked = engine.store.revoke_token(self.token, by.actor().clone()).await;
            let row = revoked.map_err(|error| match error {
                Error::Missing(what) => missing(format!("there is no {what}"), advice::LIST_TOKENS),
                other => other.into(),
            })?;
            Ok(view(row, engine.store.now()))
        })
    }
}

impl Engine {
    /// The token with a text, while it works. Notes about once a minute that it was used.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn token(&self, text: &str) -> Result<Option<TokenView>, Failure> {
        let Some(hash) = self.secret_hash(SecretKind::Token, text) else {
            return Ok(None);
        };
        let now = self.store.now();
        let found = self.store.token_by_hash(hash).await?;
        let Some(token) = found.map(|row| view(row, now)).filter(|token| token.state == "active")
        else {
            return Ok(None);
        };
        if token.used.is_none_or(|used| used.plus(USED_EVERY) <= now)
            // Best effort: what it asks for may still be answered while the disk is full.
            && let Err(error) = self.store.note_token_used(token.id).await
        {
            tracing::debug!(%error, "that a token was used could not be written");
        }
        Ok(Some(token))
    }

    /// The token with a text that came from an address, while it works. Texts that are no token count
    /// against the address together with unknown keys; whoever shows one that works never waits.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn admit_token(
        &self,
        text: &str,
        address: IpAddr,
    ) -> Result<Result<TokenView, TokenRefusal>, Failure> {
        if let Some(token) = self.token(text).await? {
            return Ok(Ok(token));
        }
        Ok(Err(match self.count_guess(address) {
            Ok(()) => TokenRefusal::Unknown,
            Err(seconds) => TokenRefusal::Wait { seconds },
        }))
    }
}

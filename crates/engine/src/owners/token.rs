//! Tokens of the admin API.

use std::net::IpAddr;

use keystile_core::key::TokenId;
use keystile_core::label::NAME_CHARS_MAX;
use keystile_core::lock::Actor;
use keystile_core::owners::scope::Scope;
use keystile_core::owners::secret::{Secret, SecretKind};
use keystile_core::time::{Span, Timestamp};
use keystile_store::error::Error;
use keystile_store::sqlite::owners::token::{self, NewTokenRow, TokenRow};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::Engine;
use crate::advice;
use crate::command::{Answer, Failure};
use crate::execute::{check_name_of, conflict, failure, missing};
use crate::keys::key::too_long;

/// That a token was used is written at most so often.
const USED_EVERY: Span = Span::from_secs(60);

/// A token as it is listed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct TokenView {
    /// Its id.
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

impl Engine {
    /// Makes a token for the admin API.
    pub async fn create_token(
        &self,
        name: &str,
        scope: Scope,
        expires: Option<Timestamp>,
        actor: Actor,
    ) -> Result<NewToken, Failure> {
        check_name_of("a token", "token_", name, NAME_CHARS_MAX)?;
        if expires.is_some_and(|expires| expires <= self.store.now()) {
            return Err(failure("a token cannot end in the past", "give a later time"));
        }
        let text = Self::secret(SecretKind::Token);
        let row = NewTokenRow {
            id: TokenId::new(Uuid::now_v7()),
            hash: text.hash(SecretKind::Token, self.store.pepper()),
            name: name.to_owned(),
            scope,
            expires,
        };
        let id = row.id.to_string();
        let created = self.store.change(move |work| work.create_token(&row, &actor)).await;
        created.map_err(|error| match error {
            Error::Exists(what) => {
                conflict(format!("there is already {what}"), advice::OTHER_TOKEN)
            }
            other => other.into(),
        })?;
        let made = self.store.read(|read| token::find(read, &id))?;
        Ok(NewToken { token: text, view: view(made, self.store.now()) })
    }

    /// The token with a text, while it works. Notes about once a minute that it was used.
    pub async fn token(&self, text: &str) -> Result<Option<TokenView>, Failure> {
        let Some(hash) = self.secret_hash(SecretKind::Token, text) else {
            return Ok(None);
        };
        let now = self.store.now();
        let found = self.store.read(|read| token::find_by_hash(read, &hash))?;
        let Some(token) = found.map(|row| view(row, now)).filter(|token| token.state == "active")
        else {
            return Ok(None);
        };
        if token.used.is_none_or(|used| used.plus(USED_EVERY) <= now) {
            let id = token.id;
            // Best effort: what it asks for may still be answered while the disk is full.
            if let Err(error) = self.store.change(move |work| work.touch_token(id)).await {
                tracing::debug!(%error, "that a token was used could not be written");
            }
        }
        Ok(Some(token))
    }

    /// The token with a text that came from an address, while it works. Texts that are no token count
    /// against the address together with unknown keys; whoever shows one that works never waits.
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

    /// Tokens of any state, in the order in which they were made.
    pub fn tokens(&self) -> Result<Vec<TokenView>, Failure> {
        let now = self.store.now();
        Ok(self.store.read(token::list)?.into_iter().map(|row| view(row, now)).collect())
    }

    /// Revokes a token for good, by its name or id.
    pub async fn revoke_token(&self, name_or_id: &str, actor: Actor) -> Result<TokenView, Failure> {
        let name = name_or_id.to_owned();
        let revoked = self.store.change(move |work| work.revoke_token(&name, &actor)).await;
        let row = revoked.map_err(|error| match error {
            Error::Missing(what) => missing(format!("there is no {what}"), advice::LIST_TOKENS),
            other => other.into(),
        })?;
        Ok(view(row, self.store.now()))
    }

    pub(crate) async fn create_token_for(
        &self,
        name: &str,
        scope: Scope,
        for_millis: Option<i64>,
        actor: Actor,
    ) -> Result<Answer, Failure> {
        let span = for_millis.map(|millis| Span::from_millis(millis).ok_or_else(too_long));
        let expires = span.transpose()?.map(|span| self.store.now().plus(span));
        let made = self.create_token(name, scope, expires, actor).await?;
        Ok(Answer::NewToken(Box::new(made)))
    }

    pub(crate) async fn say_revoked(&self, token: &str, actor: Actor) -> Result<Answer, Failure> {
        let token = self.revoke_token(token, actor).await?;
        Ok(Answer::Done(format!("Revoked the token {} for good.", token.name)))
    }
}

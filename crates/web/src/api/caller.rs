//! Who asks: a program with a token, or an owner in a browser.
//!
//! # What this protects
//!
//! A handler that takes a [`Caller`] cannot be reached without, and its type says the scope that it needs;
//! what the caller asks the engine for is held to that scope once more. A token that is shown counts alone:
//! the cookie of a browser that sends both opens nothing, so a program never acts as an owner by mistake.
//! A signed-in owner has every scope, but for what needs `admin` they must have signed in, or confirmed
//! their identity, a short while ago, as on the pages.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use axum::extract::FromRequestParts;
use http::HeaderMap;
use http::header::AUTHORIZATION;
use http::request::Parts;
use keystile_core::owners::owner::OwnerId;
use keystile_core::owners::principal::Principal;
use keystile_core::owners::scope::Scope;
use keystile_engine::command::Failure;
use keystile_engine::owners::token::TokenRefusal;

use super::problem::{Kind, Problem};
use crate::peer::Peer;
use crate::sign_in::session;
use crate::web::Web;

/// A scope as a type.
pub(crate) trait Needs: Send + Sync + 'static {
    const SCOPE: Scope;
}

/// Needs `read`.
#[derive(Debug)]
pub(crate) struct Read;
/// Needs `write`.
#[derive(Debug)]
pub(crate) struct Write;
/// Needs `admin`.
#[derive(Debug)]
pub(crate) struct Admin;

impl Needs for Read {
    const SCOPE: Scope = Scope::Read;
}
impl Needs for Write {
    const SCOPE: Scope = Scope::Write;
}
impl Needs for Admin {
    const SCOPE: Scope = Scope::Admin;
}

/// What a caller showed.
enum Credential {
    Token(String),
    Session { owner: OwnerId, id: String },
}

/// Somebody who may do what needs a scope.
pub(crate) struct Caller<N> {
    pub(crate) principal: Principal,
    credential: Credential,
    is_recently_authenticated: bool,
    needs: PhantomData<N>,
}

impl<N: Needs> fmt::Debug for Caller<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Caller").field("principal", &self.principal).finish_non_exhaustive()
    }
}

/// The text of a bearer token; `None` where no credentials are stated at all.
fn bearer(headers: &HeaderMap) -> Option<Result<&str, Problem>> {
    let mut stated = headers.get_all(AUTHORIZATION).iter();
    let first = stated.next()?;
    let wrong = || {
        Problem::unknown(
            "Authorization must be stated once, as Bearer and a token",
            ", error=\"invalid_request\"",
        )
    };
    let token = first.to_str().ok().and_then(|text| text.split_once(' '));
    let token = token.filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
    Some(match (token, stated.next()) {
        (Some((_, token)), None) => Ok(token.trim()),
        (Some(_) | None, _) => Err(wrong()),
    })
}

async fn with_token<N: Needs>(web: &Web, token: &str, peer: Peer) -> Result<Caller<N>, Problem> {
    match web.engine.admit_token(token, peer.0.ip()).await? {
        Ok(found) if !found.scope.allows(N::SCOPE) => {
            Err(Problem::scope_too_small(found.scope, N::SCOPE))
        }
        Ok(found) => Ok(Caller {
            principal: Principal::Token { name: found.name, scope: found.scope },
            credential: Credential::Token(token.to_owned()),
            is_recently_authenticated: true,
            needs: PhantomData,
        }),
        Err(TokenRefusal::Unknown) => Err(Problem::unknown(
            "this token does not work: it never did, it has ended, or it was revoked",
            ", error=\"invalid_token\"",
        )),
        Err(TokenRefusal::Wait { seconds }) => {
            let detail = "too many tokens that do not work came from this address";
            Err(Problem::new(Kind::TooManyGuesses, detail).retry_after_secs(seconds))
        }
    }
}

impl<N: Needs> FromRequestParts<Arc<Web>> for Caller<N> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, web: &Arc<Web>) -> Result<Self, Problem> {
        if let Some(token) = bearer(&parts.headers) {
            let peer = parts.extensions.get::<Peer>().copied().ok_or_else(Problem::odd_answer)?;
            return with_token(web, token?, peer).await;
        }
        let Some(owner) = session::find(web, &parts.headers).await? else {
            return Err(Problem::unknown("this needs a token, or an owner who is signed in", ""));
        };
        let caller = Self {
            principal: owner.principal(),
            credential: Credential::Session {
                owner: owner.owner().id,
                id: owner.session().to_owned(),
            },
            is_recently_authenticated: owner.is_recently_authenticated(),
            needs: PhantomData,
        };
        if N::SCOPE == Scope::Admin {
            caller.check_recent_authentication()?;
        }
        Ok(caller)
    }
}

impl<N: Needs> Caller<N> {
    /// Refuses an owner who did not authenticate recently, for what cannot easily be undone.
    pub(crate) fn check_recent_authentication(&self) -> Result<(), Problem> {
        if self.is_recently_authenticated {
            return Ok(());
        }
        let detail = "this needs an owner who confirmed their identity a few minutes ago";
        Err(Problem::new(Kind::NotRecentlyAuthenticated, detail)
            .with_help("confirm your identity at /prove, and ask again within a few minutes"))
    }

    /// Carries out a command in the caller's name.
    pub(crate) async fn execute<C: keystile_engine::command::Command>(
        &self,
        web: &Web,
        command: C,
    ) -> Result<C::Answer, Problem> {
        Ok(web.engine.execute(&self.principal, command).await?)
    }

    /// Whether what the caller showed still opens anything; for answers that go on for long.
    pub(crate) async fn still_holds(&self, web: &Web) -> Result<bool, Failure> {
        match &self.credential {
            Credential::Token(text) => {
                Ok(web.engine.token(text).await?.is_some_and(|token| token.scope.allows(N::SCOPE)))
            }
            // Not by its secret: that would count as having been seen, and a tab that is left open would
            // keep its session for ever.
            Credential::Session { owner, id } => web.engine.session_holds(*owner, id).await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_stated_once_and_as_a_bearer_token() {
        let read = |values: &[&'static str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(AUTHORIZATION, http::HeaderValue::from_static(value));
            }
            bearer(&headers).map(|found| found.map(str::to_owned).ok())
        };
        assert_eq!(read(&[]), None);
        assert_eq!(read(&["Bearer kst_x"]), Some(Some("kst_x".to_owned())));
        assert_eq!(read(&["bearer  kst_x "]), Some(Some("kst_x".to_owned())));
        for wrong in [&["kst_x"][..], &["Basic a:b"], &["Bearer"], &["Bearer a", "Bearer a"]] {
            assert_eq!(read(wrong), Some(None), "{wrong:?}");
        }
    }
}

//! Who is signed in: the cookie, and the extractors that handlers take.

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::response::{IntoResponse, Redirect, Response};
use http::header::{COOKIE, HeaderName, HeaderValue, SET_COOKIE, USER_AGENT};
use http::request::Parts;
use http::{HeaderMap, Method, StatusCode};
use keystile_core::owners::principal::Principal;
use keystile_engine::command::{Failure, FailureKind};
use keystile_engine::owners::owner::OwnerView;
use keystile_engine::owners::session::{Looks, NewSession, SessionView, SignInMethod};

use crate::web::Web;

/// What the console's script says when it freshens a page that is left open.
const REFRESH: HeaderName = HeaderName::from_static("keystile-refresh");

/// An owner who is signed in.
#[derive(Debug)]
pub(crate) struct SignedIn {
    secret: String,
    view: SessionView,
}

impl SignedIn {
    pub(crate) fn name(&self) -> &str {
        &self.view.owner.name
    }

    pub(crate) fn owner(&self) -> &OwnerView {
        &self.view.owner
    }

    /// The session's public id.
    pub(crate) fn session(&self) -> &str {
        &self.view.id
    }

    /// What the cookie holds.
    pub(crate) fn secret(&self) -> &str {
        &self.secret
    }

    /// Who asks for commands.
    pub(crate) fn principal(&self) -> Principal {
        self.view.owner.principal()
    }

    /// Whether the owner signed in, or confirmed their identity, a short while ago.
    pub(crate) fn is_recently_authenticated(&self) -> bool {
        self.view.is_recently_authenticated
    }
}

/// An owner who authenticated a short while ago; others are asked to confirm their identity, and come back.
#[derive(Debug)]
pub(crate) struct RecentlyAuthenticated(pub(crate) SignedIn);

impl FromRequestParts<Arc<Web>> for SignedIn {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, web: &Arc<Web>) -> Result<Self, Response> {
        let found = find(web, &parts.headers).await;
        found.map_err(|failure| failed(&failure))?.ok_or_else(|| to_sign_in(parts))
    }
}

impl FromRequestParts<Arc<Web>> for RecentlyAuthenticated {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, web: &Arc<Web>) -> Result<Self, Response> {
        let owner = SignedIn::from_request_parts(parts, web).await?;
        if owner.is_recently_authenticated() {
            return Ok(Self(owner));
        }
        // Whatever needs it has a page of the same address that says what will happen.
        let next = crate::form::path_segment(&target(parts));
        Err(Redirect::to(&format!("/prove?next={next}")).into_response())
    }
}

fn failed(failure: &Failure) -> Response {
    (StatusCode::SERVICE_UNAVAILABLE, format!("{failure}\n")).into_response()
}

fn target(parts: &Parts) -> String {
    parts.uri.path_and_query().map_or("/", |target| target.as_str()).to_owned()
}

fn to_sign_in(parts: &Parts) -> Response {
    match parts.method {
        Method::GET | Method::HEAD => {
            let next = crate::form::path_segment(&target(parts));
            Redirect::to(&format!("/sign-in?next={next}")).into_response()
        }
        // The form is gone with the session: nothing is done that was asked before signing in.
        _ => Redirect::to("/sign-in").into_response(),
    }
}

/// The session that a request's cookie names.
pub(crate) async fn find(web: &Web, headers: &HeaderMap) -> Result<Option<SignedIn>, Failure> {
    let Some(secret) = cookie(web, headers) else {
        return Ok(None);
    };
    let who = if headers.contains_key(REFRESH) { Looks::Page } else { Looks::Owner };
    let view = web.engine.session(&secret, who).await?;
    Ok(view.map(|view| SignedIn { secret, view }))
}

fn cookie(web: &Web, headers: &HeaderMap) -> Option<String> {
    let name = web.session_cookie();
    let mut found = headers
        .get_all(COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .filter(|(known, _)| *known == name);
    let (_, value) = found.next()?;
    // Two of one name: somebody tries to put theirs in front.
    found.next().is_none().then(|| value.to_owned())
}

/// The header that gives a browser its cookie.
pub(crate) type SessionCookie = [(HeaderName, HeaderValue); 1];

/// Begins a session and gives the browser its cookie; one that it had is ended, so that nobody signs in
/// into a session that somebody else knows.
pub(crate) async fn enter(
    web: &Web,
    headers: &HeaderMap,
    peer: IpAddr,
    owner: &OwnerView,
    method: SignInMethod,
) -> Result<(SessionCookie, SessionView), Failure> {
    if let Some(old) = cookie(web, headers) {
        web.engine.sign_out(&old).await?;
    }
    let agent = headers.get(USER_AGENT).and_then(|agent| agent.to_str().ok());
    let new = NewSession {
        owner: owner.id,
        method,
        address: peer,
        agent: agent.unwrap_or_default().to_owned(),
    };
    let secret = web.engine.begin_session(new).await?;
    let view = web.engine.session(secret.expose(), Looks::Owner).await?.ok_or_else(|| Failure {
        kind: FailureKind::Fault,
        message: "the session ended at once".to_owned(),
        help: Some("try again".to_owned()),
    })?;
    Ok(([(SET_COOKIE, set_cookie(web, secret.expose()))], view))
}

fn secure(web: &Web) -> &'static str {
    if web.settings.is_secure { "; Secure" } else { "" }
}

fn set_cookie(web: &Web, value: &str) -> HeaderValue {
    let (name, secure) = (web.session_cookie(), secure(web));
    // Lax, not Strict: a link in a mail must find its reader signed in. What acts is guarded by origin.
    let text = format!("{name}={value}; Path=/; HttpOnly; SameSite=Lax{secure}");
    HeaderValue::from_str(&text).expect("secrets are letters, digits and underscores")
}

/// Ends the session of a request.
pub(crate) async fn end(web: &Web, headers: &HeaderMap) -> Response {
    if let Some(secret) = cookie(web, headers)
        && let Err(failure) = web.engine.sign_out(&secret).await
    {
        return failed(&failure);
    }
    let (name, secure) = (web.session_cookie(), secure(web));
    let gone = format!("{name}=; Path=/; HttpOnly; SameSite=Lax; Max-Age=0{secure}");
    ([(SET_COOKIE, gone)], Redirect::to("/sign-in")).into_response()
}

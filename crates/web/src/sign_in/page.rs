//! The page on which owners sign in, and on which they confirm their identity.

use std::sync::Arc;

use askama::Template;
use axum::extract::{Query, State};
use axum::response::Response;
use http::{HeaderMap, StatusCode};
use serde::Deserialize;

use crate::format::filters;
use crate::page::{Frame, Screen, local, page_with, redirect};
use crate::sign_in::session::{self, SignedIn};
use crate::sign_in::webauthn;
use crate::web::Web;

/// Where to go afterwards.
#[derive(Debug, Deserialize)]
pub(crate) struct NextQuery {
    pub(crate) next: Option<String>,
}

#[derive(Template)]
#[template(path = "sign_in.html")]
struct SignInPage {
    frame: Frame,
    heading: &'static str,
    lead: Option<&'static str>,
    action: &'static str,
    passkey_path: &'static str,
    next: String,
    name: Option<String>,
    /// The name that was typed before, where it did not work.
    typed: String,
    is_recovering: bool,
    has_owner: bool,
    passkeys: Passkeys,
    mistake: Option<String>,
}

/// How signing in did not work, and what was typed but for the secret.
pub(super) struct Failed {
    pub(super) mistake: String,
    pub(super) name: String,
    /// Which of the page's forms it was.
    pub(super) form: SignInForm,
}

/// A form of the page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SignInForm {
    Password,
    RecoveryCode,
}

/// Whether passkeys work here.
pub(super) enum Passkeys {
    Usable,
    /// At another address.
    At(String),
    Unusable,
}

pub(super) fn passkeys(web: &Web, headers: &HeaderMap) -> Passkeys {
    let Some(origin) = webauthn::origin(&web.settings).filter(|_| web.passkeys.are_usable()) else {
        return Passkeys::Unusable;
    };
    let host = crate::guard::host(headers);
    match (origin.host_str(), host) {
        (Some(known), Some(host)) if host.host().eq_ignore_ascii_case(known) => Passkeys::Usable,
        _ => Passkeys::At(origin.to_string()),
    }
}

pub(super) async fn sign_in_page(
    web: &Web,
    headers: &HeaderMap,
    next: &str,
    failed: Option<Failed>,
) -> Response {
    let status = if failed.is_some() { StatusCode::UNAUTHORIZED } else { StatusCode::OK };
    let shown = SignInPage {
        frame: Frame::bare(Screen::Other, "Sign in"),
        heading: "Sign in",
        lead: None,
        action: "/sign-in",
        passkey_path: "/sign-in/passkey",
        next: local(next).to_owned(),
        name: None,
        // Where the store cannot be read, signing in will say so.
        has_owner: web.engine.has_owner().await.unwrap_or(true),
        passkeys: passkeys(web, headers),
        is_recovering: failed.as_ref().is_some_and(|it| it.form == SignInForm::RecoveryCode),
        typed: failed.as_ref().map(|failed| failed.name.clone()).unwrap_or_default(),
        mistake: failed.map(|failed| failed.mistake),
    };
    page_with(status, &shown)
}

pub(super) fn confirm_page(
    web: &Web,
    headers: &HeaderMap,
    owner: &SignedIn,
    next: &str,
    mistake: Option<String>,
) -> Response {
    let status = if mistake.is_some() { StatusCode::UNAUTHORIZED } else { StatusCode::OK };
    let shown = SignInPage {
        frame: Frame::of(web, owner, Screen::Other, "Confirm your identity"),
        heading: "Confirm your identity",
        lead: Some(
            "What you are about to do cannot easily be undone. Confirm that it is you; you will then return to it.",
        ),
        action: "/prove",
        passkey_path: "/prove/passkey",
        next: local(next).to_owned(),
        name: Some(owner.name().to_owned()),
        typed: String::new(),
        is_recovering: false,
        has_owner: true,
        passkeys: passkeys(web, headers),
        mistake,
    };
    page_with(status, &shown)
}

pub(crate) async fn sign_in(
    State(web): State<Arc<Web>>,
    headers: HeaderMap,
    Query(query): Query<NextQuery>,
) -> Response {
    let next = query.next.unwrap_or_else(|| "/".to_owned());
    match session::find(&web, &headers).await {
        Ok(Some(_)) => redirect(&next),
        Ok(None) | Err(_) => sign_in_page(&web, &headers, &next, None).await,
    }
}

pub(crate) async fn sign_out(State(web): State<Arc<Web>>, headers: HeaderMap) -> Response {
    session::end(&web, &headers).await
}

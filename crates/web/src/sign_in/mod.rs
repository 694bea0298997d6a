//! Signing in, proving again, recovering, and becoming an owner by a claim link.

use std::sync::Arc;

use askama::Template;
use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse, Response};
use axum::{Form, Json};
use http::header::SET_COOKIE;
use http::{HeaderMap, StatusCode};
use keystile_core::owners::secret::Secret;
use keystile_engine::command::{Failure, FailureKind};
use keystile_engine::owners::owner::{
    Claimed, NewOwner, OwnerCredential, OwnerView, check_owner_name,
};
use keystile_engine::owners::session::SignInMethod;
use serde::{Deserialize, Serialize};
use uuid::Uuid;
use webauthn_rs::prelude::{PublicKeyCredential, RegisterPublicKeyCredential};

use crate::flash::{Flash, Secret as Shown};
use crate::format::filters;
use crate::guard::Peer;
use crate::page::{Frame, Screen, local, page, page_with, redirect};
use crate::sign_in::passkey::{Purpose, finish_assertion};
use crate::sign_in::session::{RecentlyAuthenticated, SignedIn};
use crate::web::Web;

pub(crate) mod passkey;
pub(crate) mod password;
pub(crate) mod session;

/// Where to go afterwards.
#[derive(Debug, Deserialize)]
pub(crate) struct Next {
    next: Option<String>,
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
struct Failed {
    mistake: String,
    name: String,
    is_recovering: bool,
}

/// Whether passkeys work here.
enum Passkeys {
    Usable,
    /// At another address.
    At(String),
    Unusable,
}

fn passkeys(web: &Web, headers: &HeaderMap) -> Passkeys {
    let Some(origin) = passkey::origin(&web.settings).filter(|_| web.passkeys.are_usable()) else {
        return Passkeys::Unusable;
    };
    let host = crate::guard::host(headers);
    match (origin.host_str(), host) {
        (Some(known), Some(host)) if host.host().eq_ignore_ascii_case(known) => Passkeys::Usable,
        _ => Passkeys::At(origin.to_string()),
    }
}

fn sign_in_page(web: &Web, headers: &HeaderMap, next: &str, failed: Option<Failed>) -> Response {
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
        has_owner: web.engine.has_owner().unwrap_or(true),
        passkeys: passkeys(web, headers),
        is_recovering: failed.as_ref().is_some_and(|failed| failed.is_recovering),
        typed: failed.as_ref().map(|failed| failed.name.clone()).unwrap_or_default(),
        mistake: failed.map(|failed| failed.mistake),
    };
    page_with(status, &shown)
}

pub(crate) async fn sign_in(
    State(web): State<Arc<Web>>,
    headers: HeaderMap,
    Query(asked): Query<Next>,
) -> Response {
    let next = asked.next.unwrap_or_else(|| "/".to_owned());
    match session::find(&web, &headers).await {
        Ok(Some(_)) => redirect(&next),
        Ok(None) | Err(_) => sign_in_page(&web, &headers, &next, None),
    }
}

#[derive(Deserialize)]
pub(crate) struct PasswordForm {
    name: String,
    password: String,
    next: Option<String>,
}

pub(crate) async fn with_password(
    State(web): State<Arc<Web>>,
    Peer(peer): Peer,
    headers: HeaderMap,
    Form(form): Form<PasswordForm>,
) -> Response {
    let next = form.next.unwrap_or_else(|| "/".to_owned());
    let name = form.name.trim();
    let mistake = match check_password(&web, peer.ip(), name, form.password).await {
        Ok(owner) => {
            return match enter(&web, &headers, peer.ip(), &owner, SignInMethod::Password).await {
                Ok(cookie) => (cookie, redirect(&next)).into_response(),
                Err(failure) => {
                    sign_in_page(&web, &headers, &next, Some(failed(failure.message, name)))
                }
            };
        }
        Err(failure) => failure.message,
    };
    sign_in_page(&web, &headers, &next, Some(failed(mistake, name)))
}

fn failed(mistake: String, name: &str) -> Failed {
    Failed { mistake, name: name.to_owned(), is_recovering: false }
}

/// The owner whose password it is. The answer does not tell whether it was the name or the password.
async fn check_password(
    web: &Web,
    peer: std::net::IpAddr,
    name: &str,
    typed: String,
) -> Result<OwnerView, Failure> {
    web.engine.admit_sign_in(name, peer).map_err(|wait| Failure {
        kind: FailureKind::Invalid,
        message: format!("Too many attempts. Try again in {} s, or use a passkey.", wait.seconds),
        help: None,
    })?;
    let known = web.engine.password_of(name)?;
    let is_right = password::verify(typed, known).await?;
    let owner = web.engine.owner_by_name(name)?.filter(|_| is_right);
    owner.ok_or_else(|| {
        web.engine.note_failed_sign_in(name, peer);
        Failure {
            kind: FailureKind::Invalid,
            message: "That name and password do not belong together.".to_owned(),
            help: None,
        }
    })
}

async fn enter(
    web: &Web,
    headers: &HeaderMap,
    peer: std::net::IpAddr,
    owner: &OwnerView,
    method: SignInMethod,
) -> Result<[(http::HeaderName, http::HeaderValue); 1], Failure> {
    let (cookie, _) = session::begin(web, headers, peer, owner, method).await?;
    Ok([(SET_COOKIE, cookie)])
}

pub(crate) async fn sign_out(State(web): State<Arc<Web>>, headers: HeaderMap) -> Response {
    session::end(&web, &headers).await
}

/// What a script gets to begin a ceremony with.
#[derive(Serialize)]
struct Begun<T> {
    ceremony: String,
    options: T,
}

/// Where the script goes, or what went wrong.
#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
enum Ended {
    To(String),
    Problem(String),
}

fn ended(failure: &Failure) -> Response {
    let text = match &failure.help {
        Some(help) => format!("{}: {help}.", crate::format::capital(&failure.message)),
        None => failure.message.clone(),
    };
    (StatusCode::BAD_REQUEST, Json(Ended::Problem(text))).into_response()
}

fn begun<T: Serialize>(begun: Result<(String, T), Failure>) -> Response {
    match begun {
        Ok((ceremony, options)) => Json(Begun { ceremony, options }).into_response(),
        Err(failure) => ended(&failure),
    }
}

pub(crate) async fn begin_passkey(State(web): State<Arc<Web>>) -> Response {
    begun(web.passkeys.begin_assertion())
}

#[derive(Deserialize)]
pub(crate) struct ShownPasskey {
    ceremony: String,
    credential: PublicKeyCredential,
    next: Option<String>,
}

pub(crate) async fn with_passkey(
    State(web): State<Arc<Web>>,
    Peer(peer): Peer,
    headers: HeaderMap,
    Json(shown): Json<ShownPasskey>,
) -> Response {
    let entered = async {
        let owner = finish_assertion(&web, &shown.ceremony, &shown.credential).await?;
        enter(&web, &headers, peer.ip(), &owner, SignInMethod::Passkey).await
    };
    let next = shown.next.as_deref().unwrap_or("/");
    match entered.await {
        Ok(cookie) => (cookie, Json(Ended::To(local(next).to_owned()))).into_response(),
        Err(failure) => ended(&failure),
    }
}

#[derive(Deserialize)]
pub(crate) struct RecoveryForm {
    name: String,
    code: String,
}

/// Signs an owner in who has lost their passkeys, and leads them to where they make a new one.
pub(crate) async fn with_recovery_code(
    State(web): State<Arc<Web>>,
    Peer(peer): Peer,
    headers: HeaderMap,
    Form(form): Form<RecoveryForm>,
) -> Response {
    let name = form.name.trim();
    let entered = async {
        web.engine.admit_sign_in(name, peer.ip()).map_err(|wait| Failure {
            kind: FailureKind::Invalid,
            message: format!("Too many attempts. Try again in {} s.", wait.seconds),
            help: None,
        })?;
        let Some(owner) = web.engine.use_recovery_code(name, form.code.trim()).await? else {
            web.engine.note_failed_sign_in(name, peer.ip());
            return Err(Failure {
                kind: FailureKind::Invalid,
                message:
                    "That name and recovery code do not belong together, or the code was used."
                        .to_owned(),
                help: None,
            });
        };
        session::begin(&web, &headers, peer.ip(), &owner, SignInMethod::RecoveryCode).await
    };
    match entered.await {
        Ok((cookie, view)) => {
            let text = "Signed in with a recovery code, which is used up. Add a passkey now.";
            web.flashes.put(&view.id, Flash::done(text));
            ([(SET_COOKIE, cookie)], redirect("/settings")).into_response()
        }
        Err(failure) => {
            let failed = Failed { is_recovering: true, ..failed(failure.message, name) };
            sign_in_page(&web, &headers, "/", Some(failed))
        }
    }
}

pub(crate) async fn prove(
    State(web): State<Arc<Web>>,
    headers: HeaderMap,
    owner: SignedIn,
    Query(asked): Query<Next>,
) -> Response {
    prove_page(&web, &headers, &owner, asked.next.as_deref().unwrap_or("/"), None)
}

fn prove_page(
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
            "What you are about to do cannot easily be taken back, so prove that it is you. You then come back to it.",
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

pub(crate) async fn prove_with_password(
    State(web): State<Arc<Web>>,
    Peer(peer): Peer,
    headers: HeaderMap,
    owner: SignedIn,
    Form(form): Form<PasswordForm>,
) -> Response {
    let next = form.next.unwrap_or_else(|| "/".to_owned());
    let proved = async {
        check_password(&web, peer.ip(), owner.name(), form.password).await?;
        web.engine.prove_session(owner.secret()).await
    };
    match proved.await {
        Ok(()) => redirect(&next),
        Err(failure) => prove_page(&web, &headers, &owner, &next, Some(failure.message)),
    }
}

pub(crate) async fn prove_with_passkey(
    State(web): State<Arc<Web>>,
    owner: SignedIn,
    Json(shown): Json<ShownPasskey>,
) -> Response {
    let proved = async {
        let proved = finish_assertion(&web, &shown.ceremony, &shown.credential).await?;
        if proved.id != owner.owner().id {
            return Err(Failure {
                kind: FailureKind::Invalid,
                message: "this passkey belongs to another owner".to_owned(),
                help: Some("use one of yours".to_owned()),
            });
        }
        web.engine.prove_session(owner.secret()).await
    };
    match proved.await {
        Ok(()) => {
            let next = shown.next.as_deref().unwrap_or("/");
            Json(Ended::To(local(next).to_owned())).into_response()
        }
        Err(failure) => ended(&failure),
    }
}

#[derive(Template)]
#[template(path = "claim.html")]
struct ClaimPage {
    frame: Frame,
    secret: String,
    is_open: bool,
    passkeys: Passkeys,
    password_min: usize,
    name: String,
    mistake: Option<String>,
}

fn claim_page(
    web: &Web,
    headers: &HeaderMap,
    secret: &str,
    name: &str,
    mistake: Option<String>,
) -> Response {
    page(&ClaimPage {
        frame: Frame::bare(Screen::Other, "Become an owner"),
        is_open: web.engine.claim_is_open(secret).unwrap_or(false),
        secret: crate::form::path_segment(secret),
        passkeys: passkeys(web, headers),
        password_min: password::CHARS_MIN,
        name: name.to_owned(),
        mistake,
    })
}

pub(crate) async fn claim(
    State(web): State<Arc<Web>>,
    headers: HeaderMap,
    Path(secret): Path<String>,
) -> Response {
    claim_page(&web, &headers, &secret, "", None)
}

#[derive(Deserialize)]
pub(crate) struct ClaimForm {
    name: String,
    password: String,
}

pub(crate) async fn claim_with_password(
    State(web): State<Arc<Web>>,
    Peer(peer): Peer,
    headers: HeaderMap,
    Path(secret): Path<String>,
    Form(form): Form<ClaimForm>,
) -> Response {
    let name = form.name.trim().to_owned();
    let claimed = async {
        let credential = OwnerCredential::Password(password::hash(form.password).await?);
        let new = NewOwner { name: name.clone(), handle: Uuid::new_v4(), credential };
        let claimed = web.engine.claim(&secret, new).await?;
        welcome(&web, &headers, peer.ip(), claimed, SignInMethod::Password).await
    };
    match claimed.await {
        Ok(cookie) => (cookie, redirect("/settings")).into_response(),
        Err(failure) => claim_page(&web, &headers, &secret, &name, Some(failure.message)),
    }
}

#[derive(Deserialize)]
pub(crate) struct NameForm {
    name: String,
}

pub(crate) async fn begin_claim(
    State(web): State<Arc<Web>>,
    Path(secret): Path<String>,
    Json(form): Json<NameForm>,
) -> Response {
    let name = form.name.trim().to_owned();
    let is_open = web.engine.claim_is_open(&secret).unwrap_or(false);
    if name.is_empty() || !is_open {
        let message =
            if is_open { "say your name first" } else { "this link was used or is too old" };
        return ended(&Failure {
            kind: FailureKind::Invalid,
            message: message.to_owned(),
            help: None,
        });
    }
    if let Err(failure) = check_owner_name(&name) {
        return ended(&failure);
    }
    let purpose = Purpose::Claim { secret, name: name.clone() };
    begun(web.passkeys.begin_registration(purpose, Uuid::new_v4(), &name, Vec::new()))
}

#[derive(Deserialize)]
pub(crate) struct MadePasskey {
    ceremony: String,
    credential: RegisterPublicKeyCredential,
    name: Option<String>,
}

impl MadePasskey {
    /// What its owner calls it.
    fn label(&self) -> String {
        let name = self.name.as_deref().map(str::trim).filter(|name| !name.is_empty());
        name.unwrap_or("passkey").to_owned()
    }
}

pub(crate) async fn claim_with_passkey(
    State(web): State<Arc<Web>>,
    Peer(peer): Peer,
    headers: HeaderMap,
    Path(secret): Path<String>,
    Json(made): Json<MadePasskey>,
) -> Response {
    let claimed = async {
        let label = made.label();
        let made = web.passkeys.finish_registration(&made.ceremony, &made.credential, &label)?;
        let Purpose::Claim { secret: begun_by, name } = made.purpose else {
            return Err(Failure {
                kind: FailureKind::Invalid,
                message: "this passkey was made for something else".to_owned(),
                help: None,
            });
        };
        if begun_by != secret {
            return Err(Failure {
                kind: FailureKind::Invalid,
                message: "this passkey was made for another link".to_owned(),
                help: None,
            });
        }
        let new = NewOwner {
            name,
            handle: made.handle,
            credential: OwnerCredential::Passkey(made.passkey),
        };
        let claimed = web.engine.claim(&secret, new).await?;
        welcome(&web, &headers, peer.ip(), claimed, SignInMethod::Passkey).await
    };
    match claimed.await {
        Ok(cookie) => (cookie, Json(Ended::To("/settings".to_owned()))).into_response(),
        Err(failure) => ended(&failure),
    }
}

/// Signs a new owner in and shows them their recovery codes, once.
async fn welcome(
    web: &Web,
    headers: &HeaderMap,
    peer: std::net::IpAddr,
    claimed: Claimed,
    method: SignInMethod,
) -> Result<[(http::HeaderName, http::HeaderValue); 1], Failure> {
    let (cookie, view) = session::begin(web, headers, peer, &claimed.owner, method).await?;
    let flash = Flash {
        secrets: vec![codes(&claimed.recovery_codes)],
        ..Flash::done(format!("Welcome, {}. You are an owner now.", claimed.owner.name))
    };
    web.flashes.put(&view.id, flash);
    Ok([(SET_COOKIE, cookie)])
}

/// Recovery codes as they are shown.
pub(crate) fn codes(codes: &[Secret]) -> Shown {
    let lines: Vec<_> = codes.iter().map(Secret::expose).collect();
    Shown {
        label: "Your recovery codes, shown only now. Each signs you in once if you lose your passkeys: print them, or keep them in a safe place.".to_owned(),
        text: lines.join("\n"),
        example: None,
    }
}

pub(crate) async fn begin_adding(
    State(web): State<Arc<Web>>,
    RecentlyAuthenticated(owner): RecentlyAuthenticated,
) -> Response {
    let known = match web.engine.passkeys_of(owner.owner().id) {
        Ok(known) => known.into_iter().map(|passkey| passkey.credential).collect(),
        Err(failure) => return ended(&failure),
    };
    let purpose = Purpose::Add { owner: owner.owner().id.to_string() };
    begun(web.passkeys.begin_registration(purpose, owner.owner().handle, owner.name(), known))
}

pub(crate) async fn add_passkey(
    State(web): State<Arc<Web>>,
    RecentlyAuthenticated(owner): RecentlyAuthenticated,
    Json(made): Json<MadePasskey>,
) -> Response {
    let added = async {
        let label = made.label();
        let made = web.passkeys.finish_registration(&made.ceremony, &made.credential, &label)?;
        if made.purpose != (Purpose::Add { owner: owner.owner().id.to_string() }) {
            return Err(Failure {
                kind: FailureKind::Invalid,
                message: "this passkey was made for something else".to_owned(),
                help: None,
            });
        }
        web.engine.add_passkey(owner.owner().id, made.passkey, owner.actor()).await
    };
    match added.await {
        Ok(()) => {
            web.flashes.put(owner.session(), Flash::done("Added a passkey."));
            Json(Ended::To("/settings".to_owned())).into_response()
        }
        Err(failure) => ended(&failure),
    }
}

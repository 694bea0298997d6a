//! Becoming an owner by a claim link, with a passkey or a password.

use std::net::IpAddr;
use std::sync::Arc;

use askama::Template;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use axum::{Form, Json};
use http::HeaderMap;
use keystile_engine::command::{Failure, FailureKind};
use keystile_engine::owners::claim::{Claimed, NewOwner, OwnerCredential};
use keystile_engine::owners::owner::check_owner_name;
use keystile_engine::owners::session::SignInMethod;
use serde::Deserialize;
use uuid::Uuid;

use crate::flash::Flash;
use crate::format::filters;
use crate::page::{Frame, Screen, page, redirect};
use crate::peer::Peer;
use crate::sign_in::page::{Passkeys, passkeys};
use crate::sign_in::password_hash;
use crate::sign_in::recover::shown_codes;
use crate::sign_in::script::{self, MadePasskey};
use crate::sign_in::session::{self, SessionCookie};
use crate::sign_in::webauthn::Purpose;
use crate::web::Web;

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

fn failed(message: &str) -> Failure {
    Failure { kind: FailureKind::Invalid, message: message.to_owned(), help: None }
}

async fn claim_page(
    web: &Web,
    headers: &HeaderMap,
    secret: &str,
    name: &str,
    mistake: Option<String>,
) -> Response {
    page(&ClaimPage {
        frame: Frame::bare(Screen::Other, "Become an owner"),
        is_open: web.engine.claim_is_open(secret).await.unwrap_or(false),
        secret: crate::form::path_segment(secret),
        passkeys: passkeys(web, headers),
        password_min: password_hash::CHARS_MIN,
        name: name.to_owned(),
        mistake,
    })
}

pub(crate) async fn claim(
    State(web): State<Arc<Web>>,
    headers: HeaderMap,
    Path(secret): Path<String>,
) -> Response {
    claim_page(&web, &headers, &secret, "", None).await
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
        let credential = OwnerCredential::Password(password_hash::hash(form.password).await?);
        let new = NewOwner { name: name.clone(), handle: Uuid::new_v4(), credential };
        let claimed = web.engine.claim(&secret, new).await?;
        welcome(&web, &headers, peer.ip(), claimed, SignInMethod::Password).await
    };
    match claimed.await {
        Ok(cookie) => (cookie, redirect("/settings")).into_response(),
        Err(failure) => claim_page(&web, &headers, &secret, &name, Some(failure.message)).await,
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
    let checked = async {
        if !web.engine.claim_is_open(&secret).await.unwrap_or(false) {
            return Err(failed("this link was used or is too old"));
        }
        if name.is_empty() {
            return Err(failed("say your name first"));
        }
        check_owner_name(&name)
    };
    if let Err(failure) = checked.await {
        return script::failed(&failure);
    }
    let purpose = Purpose::Claim { secret, name: name.clone() };
    script::begun(web.passkeys.begin_registration(purpose, Uuid::new_v4(), &name, Vec::new()))
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
            return Err(failed("this passkey was made for something else"));
        };
        if begun_by != secret {
            return Err(failed("this passkey was made for another link"));
        }
        let credential = OwnerCredential::Passkey(made.passkey);
        let new = NewOwner { name, handle: made.handle, credential };
        let claimed = web.engine.claim(&secret, new).await?;
        welcome(&web, &headers, peer.ip(), claimed, SignInMethod::Passkey).await
    };
    match claimed.await {
        Ok(cookie) => (cookie, script::to("/settings")).into_response(),
        Err(failure) => script::failed(&failure),
    }
}

/// Signs a new owner in and shows them their recovery codes, once.
async fn welcome(
    web: &Web,
    headers: &HeaderMap,
    peer: IpAddr,
    claimed: Claimed,
    method: SignInMethod,
) -> Result<SessionCookie, Failure> {
    let (cookie, view) = session::enter(web, headers, peer, &claimed.owner, method).await?;
    let flash = Flash {
        secrets: vec![shown_codes(&claimed.recovery_codes)],
        ..Flash::done(format!("Welcome, {}. You are an owner now.", claimed.owner.name))
    };
    web.flashes.put(&view.id, flash);
    Ok(cookie)
}

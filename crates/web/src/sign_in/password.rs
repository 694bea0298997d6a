//! Signing in with a password.

use std::net::IpAddr;
use std::sync::Arc;

use axum::Form;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::HeaderMap;
use keystile_engine::command::{Failure, FailureKind};
use keystile_engine::owners::owner::OwnerView;
use keystile_engine::owners::session::SignInMethod;
use serde::Deserialize;

use crate::page::redirect;
use crate::peer::Peer;
use crate::sign_in::page::{Failed, SignInForm, sign_in_page};
use crate::sign_in::{password_hash, session};
use crate::web::Web;

#[derive(Deserialize)]
pub(crate) struct PasswordForm {
    name: String,
    pub(super) password: String,
    pub(super) next: Option<String>,
}

pub(crate) async fn with_password(
    State(web): State<Arc<Web>>,
    Peer(peer): Peer,
    headers: HeaderMap,
    Form(form): Form<PasswordForm>,
) -> Response {
    let next = form.next.unwrap_or_else(|| "/".to_owned());
    let name = form.name.trim();
    let entered = async {
        let owner = check_password(&web, peer.ip(), name, form.password).await?;
        session::enter(&web, &headers, peer.ip(), &owner, SignInMethod::Password).await
    };
    match entered.await {
        Ok((cookie, _)) => (cookie, redirect(&next)).into_response(),
        Err(Failure { message, .. }) => {
            let name = name.to_owned();
            let failed = Failed { mistake: message, name, form: SignInForm::Password };
            sign_in_page(&web, &headers, &next, Some(failed)).await
        }
    }
}

/// The owner whose password it is. The answer does not tell whether it was the name or the password.
pub(super) async fn check_password(
    web: &Web,
    peer: IpAddr,
    name: &str,
    typed: String,
) -> Result<OwnerView, Failure> {
    let refused = |message| Failure { kind: FailureKind::Invalid, message, help: None };
    web.engine.admit_sign_in(name, peer).await.map_err(|wait| {
        refused(format!("Too many attempts. Try again in {} s, or use a passkey.", wait.seconds))
    })?;
    let (owner, known) = web.engine.owner_with_password(name).await?.unzip();
    let is_right = password_hash::verify(typed, known).await?;
    let Some(owner) = owner.filter(|_| is_right) else {
        web.engine.note_failed_sign_in(name, peer).await;
        return Err(refused("That name and password do not belong together.".to_owned()));
    };
    Ok(owner)
}

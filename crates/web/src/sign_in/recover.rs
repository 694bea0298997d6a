//! Signing in with a recovery code.

use std::sync::Arc;

use axum::Form;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::HeaderMap;
use keystile_core::owners::secret::Secret;
use keystile_engine::command::{Failure, FailureKind};
use keystile_engine::owners::session::SignInMethod;
use serde::Deserialize;

use crate::flash::{Flash, Secret as Shown};
use crate::page::redirect;
use crate::peer::Peer;
use crate::sign_in::page::{Failed, SignInForm, sign_in_page};
use crate::sign_in::session;
use crate::web::Web;

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
    let refused = |message| Failure { kind: FailureKind::Invalid, message, help: None };
    let entered = async {
        web.engine.admit_sign_in(name, peer.ip()).await.map_err(|wait| {
            refused(format!("Too many attempts. Try again in {} s.", wait.seconds))
        })?;
        let Some(owner) = web.engine.use_recovery_code(name, form.code.trim()).await? else {
            web.engine.note_failed_sign_in(name, peer.ip()).await;
            let text = "That name and recovery code do not belong together, or the code was used.";
            return Err(refused(text.to_owned()));
        };
        session::enter(&web, &headers, peer.ip(), &owner, SignInMethod::RecoveryCode).await
    };
    match entered.await {
        Ok((cookie, view)) => {
            let text = "Signed in with a recovery code, which is used up. Add a passkey now.";
            web.flashes.put(&view.id, Flash::done(text));
            (cookie, redirect("/settings")).into_response()
        }
        Err(Failure { message, .. }) => {
            let name = name.to_owned();
            let failed = Failed { mistake: message, name, form: SignInForm::RecoveryCode };
            sign_in_page(&web, &headers, "/", Some(failed)).await
        }
    }
}

/// Recovery codes as they are shown.
pub(crate) fn shown_codes(codes: &[Secret]) -> Shown {
    let lines: Vec<_> = codes.iter().map(Secret::expose).collect();
    Shown {
        label: "Your recovery codes, shown only now. Each signs you in once if you lose your passkeys: print them, or keep them in a safe place.".to_owned(),
        text: lines.join("\n"),
        example: None,
    }
}

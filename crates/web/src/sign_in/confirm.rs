//! Confirming one's identity again, before something that cannot easily be undone.

use std::sync::Arc;

use axum::extract::{Query, State};
use axum::response::Response;
use axum::{Form, Json};
use http::HeaderMap;
use keystile_engine::command::{Failure, FailureKind};

use crate::page::{local, redirect};
use crate::peer::Peer;
use crate::sign_in::page::{NextQuery, confirm_page};
use crate::sign_in::password::{PasswordForm, check_password};
use crate::sign_in::script::{self, ShownPasskey};
use crate::sign_in::session::SignedIn;
use crate::web::Web;

pub(crate) async fn prove(
    State(web): State<Arc<Web>>,
    headers: HeaderMap,
    owner: SignedIn,
    Query(query): Query<NextQuery>,
) -> Response {
    confirm_page(&web, &headers, &owner, query.next.as_deref().unwrap_or("/"), None)
}

pub(crate) async fn prove_with_password(
    State(web): State<Arc<Web>>,
    Peer(peer): Peer,
    headers: HeaderMap,
    owner: SignedIn,
    Form(form): Form<PasswordForm>,
) -> Response {
    let next = form.next.unwrap_or_else(|| "/".to_owned());
    let confirmed = async {
        check_password(&web, peer.ip(), owner.name(), form.password).await?;
        web.engine.confirm_identity(owner.secret()).await
    };
    match confirmed.await {
        Ok(()) => redirect(&next),
        Err(failure) => confirm_page(&web, &headers, &owner, &next, Some(failure.message)),
    }
}

pub(crate) async fn prove_with_passkey(
    State(web): State<Arc<Web>>,
    owner: SignedIn,
    Json(shown): Json<ShownPasskey>,
) -> Response {
    let confirmed = async {
        let found =
            web.passkeys.finish_assertion(&web.engine, &shown.ceremony, &shown.credential).await?;
        if found.id != owner.owner().id {
            return Err(Failure {
                kind: FailureKind::Invalid,
                message: "this passkey belongs to another owner".to_owned(),
                help: Some("use one of yours".to_owned()),
            });
        }
        web.engine.confirm_identity(owner.secret()).await
    };
    match confirmed.await {
        Ok(()) => script::to(local(shown.next.as_deref().unwrap_or("/"))),
        Err(failure) => script::failed(&failure),
    }
}

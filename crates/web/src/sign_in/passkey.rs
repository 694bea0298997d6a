//! Signing in with a passkey, and adding one.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::HeaderMap;
use keystile_engine::command::{Failure, FailureKind};
use keystile_engine::owners::passkey::{AddPasskey, ListPasskeys};
use keystile_engine::owners::session::SignInMethod;

use crate::flash::Flash;
use crate::page::local;
use crate::peer::Peer;
use crate::sign_in::script::{self, MadePasskey, ShownPasskey};
use crate::sign_in::session::{self, RecentlyAuthenticated};
use crate::sign_in::webauthn::Purpose;
use crate::web::Web;

pub(crate) async fn begin_passkey(State(web): State<Arc<Web>>) -> Response {
    script::begun(web.passkeys.begin_assertion())
}

pub(crate) async fn with_passkey(
    State(web): State<Arc<Web>>,
    Peer(peer): Peer,
    headers: HeaderMap,
    Json(shown): Json<ShownPasskey>,
) -> Response {
    let entered = async {
        let owner =
            web.passkeys.finish_assertion(&web.engine, &shown.ceremony, &shown.credential).await?;
        session::enter(&web, &headers, peer.ip(), &owner, SignInMethod::Passkey).await
    };
    match entered.await {
        Ok((cookie, _)) => {
            let next = shown.next.as_deref().unwrap_or("/");
            (cookie, script::to(local(next))).into_response()
        }
        Err(failure) => script::failed(&failure),
    }
}

pub(crate) async fn begin_adding(
    State(web): State<Arc<Web>>,
    RecentlyAuthenticated(owner): RecentlyAuthenticated,
) -> Response {
    let known = match web.engine.execute(&owner.principal(), ListPasskeys).await {
        Ok(known) => known.into_iter().map(|passkey| passkey.credential).collect(),
        Err(failure) => return script::failed(&failure),
    };
    let purpose = Purpose::Add { owner: owner.owner().id.to_string() };
    let handle = owner.owner().handle;
    script::begun(web.passkeys.begin_registration(purpose, handle, owner.name(), known))
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
        web.engine.execute(&owner.principal(), AddPasskey { passkey: made.passkey }).await
    };
    match added.await {
        Ok(()) => {
            web.flashes.put(owner.session(), Flash::done("Added a passkey."));
            script::to("/settings")
        }
        Err(failure) => script::failed(&failure),
    }
}

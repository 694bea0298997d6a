//! Hints of systems that issue keys: they post to an address with a secret in it.
//!
//! # What this protects
//! The secret is all that a caller shows, so no session and no guard stands before this, and the path is written
//! down nowhere. A body is bounded, and one that is cut or too long is a hint like any other.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::RETRY_AFTER;
use keystile_engine::keys::hint::HintRefusal;

use crate::peer::Peer;
use crate::web::Web;

/// The longest body that is looked at.
const BODY_BYTES_MAX: usize = 1024 * 1024;

pub(crate) async fn take(
    State(web): State<Arc<Web>>,
    Peer(peer): Peer,
    Path(secret): Path<String>,
    body: Body,
) -> Response {
    match web.engine.hinted_sources(&secret, peer.ip()) {
        Ok(sources) => {
            let body = axum::body::to_bytes(body, BODY_BYTES_MAX).await.unwrap_or_default();
            for source in sources {
                source.take_hint(&web.engine, &body);
            }
            StatusCode::ACCEPTED.into_response()
        }
        Err(HintRefusal::Unknown) => StatusCode::NOT_FOUND.into_response(),
        Err(HintRefusal::Wait { seconds }) => {
            (StatusCode::TOO_MANY_REQUESTS, [(RETRY_AFTER, seconds.to_string())]).into_response()
        }
    }
}

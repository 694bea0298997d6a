//! Where a request came from.

use std::net::SocketAddr;

use axum::extract::FromRequestParts;
use http::StatusCode;
use http::request::Parts;

/// The other end of a connection to the console; the server adds it to every request. Behind a proxy every
/// owner has the proxy's.
#[derive(Clone, Copy, Debug)]
pub struct Peer(pub SocketAddr);

impl<S: Sync> FromRequestParts<S> for Peer {
    type Rejection = StatusCode;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, StatusCode> {
        parts.extensions.get::<Self>().copied().ok_or(StatusCode::INTERNAL_SERVER_ERROR)
    }
}

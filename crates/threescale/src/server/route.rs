//! Which of the APIs a request is for.

use std::net::IpAddr;

use http::Request;
use hyper::body::Incoming;

use super::gateways::route as gateways;
use super::internal::route as internal;
use super::respond::Reply;
use super::served::Served;
use super::transactions;

/// Answers a request.
pub(super) async fn answer(served: &Served, request: Request<Incoming>, address: IpAddr) -> Reply {
    let Served { account, internal, gateways, .. } = served;
    if internal::behind_root(request.uri().path()).is_some() {
        let (parts, body) = request.into_parts();
        return internal::answer(account, internal.as_ref(), (&parts, address), body).await;
    }
    if gateways::is_portal(request.uri().path()) {
        return gateways::answer(account, gateways.as_ref(), &request.into_parts().0);
    }
    transactions::answer(served, request, address).await
}

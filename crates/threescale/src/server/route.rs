//! Which of the APIs a request is for.

use std::net::IpAddr;
use std::sync::Arc;

use http::Request;
use hyper::body::Incoming;

use super::gateways::access::Access as GatewayAccess;
use super::gateways::route as gateways;
use super::internal::access::Access;
use super::internal::route as internal;
use super::respond::Reply;
use super::transactions;
use crate::account::Account;

/// What connections serve.
#[derive(Debug)]
pub(super) struct Served {
    pub(super) account: Arc<Account>,
    /// Who may use the internal API; nobody where `None`.
    pub(super) internal: Option<Access>,
    /// Which gateways may read what they are told; none where `None`.
    pub(super) gateways: Option<GatewayAccess>,
}

/// Answers a request.
pub(super) async fn answer(served: &Served, request: Request<Incoming>, address: IpAddr) -> Reply {
    let Served { account, internal, gateways } = served;
    if internal::behind_root(request.uri().path()).is_some() {
        let (parts, body) = request.into_parts();
        return internal::answer(account, internal.as_ref(), &parts, body).await;
    }
    if gateways::is_portal(request.uri().path()) {
        return gateways::answer(account, gateways.as_ref(), &request.into_parts().0);
    }
    transactions::answer(account, request, address).await
}

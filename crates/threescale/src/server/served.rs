//! What all connections share.

use std::sync::Arc;

use super::body::BodyRoom;
use super::gateways::access::Access as GatewayAccess;
use super::internal::access::Access;
use crate::account::Account;

/// What connections serve.
#[derive(Debug)]
pub(super) struct Served {
    pub(super) account: Arc<Account>,
    /// Who may use the internal API; nobody where `None`.
    pub(super) internal: Option<Access>,
    /// Which gateways may read what they are told; none where `None`.
    pub(super) gateways: Option<GatewayAccess>,
    /// Room for the bodies of reports.
    pub(super) room: BodyRoom,
}

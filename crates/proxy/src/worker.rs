//! What the requests of one core share, and what those of one connection do.

use std::net::IpAddr;
use std::sync::Arc;

use http::HeaderValue;
use keystile_engine::Engine;
use keystile_engine::admission::caller::{Caller, DoorRules, Transport};
use keystile_store::completion_queue::CompletionQueue;

use crate::buffer::Buffers;
use crate::caller::connection::Progress;
use crate::deadline::Deadlines;
use crate::settings::GateSettings;
use crate::upstream::identity::IdentityCache;
use crate::upstream::pool::UpstreamRegistry;

/// What the requests of one core share.
pub(crate) struct Worker {
    pub(crate) engine: Arc<Engine>,
    pub(crate) settings: Arc<GateSettings>,
    pub(crate) rules: DoorRules,
    pub(crate) deadlines: Arc<Deadlines>,
    pub(crate) pool: UpstreamRegistry,
    pub(crate) buffers: Arc<Buffers>,
    pub(crate) identities: IdentityCache,
    /// Where the answers of the store arrive.
    pub(crate) completions: Arc<CompletionQueue>,
}

/// The other end of a connection.
pub(crate) struct Peer {
    pub(crate) address: IpAddr,
    pub(crate) transport: Transport,
    pub(crate) is_trusted: bool,
    /// The address as the upstream is told it.
    pub(crate) address_text: HeaderValue,
    pub(crate) progress: Arc<Progress>,
}

impl Peer {
    /// The caller as the engine asks about it.
    pub(crate) fn caller<'a>(&self, worker: &'a Worker) -> Caller<'a> {
        Caller { peer: self.address, transport: self.transport, rules: &worker.rules }
    }

    /// The address that a request came from, as the upstream is told it.
    pub(crate) fn forwarded_for(&self, address: IpAddr) -> HeaderValue {
        if address == self.address { self.address_text.clone() } else { address_text(address) }
    }
}

/// An address as a header value.
pub(crate) fn address_text(address: IpAddr) -> HeaderValue {
    HeaderValue::from_str(&address.to_string()).expect("an address is visible ASCII")
}

//! A request's head as the engine reads it, and what forwarding it needs besides.

use http::HeaderValue;
use http::header::HOST;
use http::request::Parts;
use keystile_core::refusal::Refusal;
use keystile_core::request::head::{Fields, RequestHead, Target, fields_of};
use keystile_engine::admission::permit::{BodyPermit, WritePermit};
use keystile_engine::{Admission, AdmittedRequest, Engine, LookedUp, Refused};

use crate::worker::{Peer, Worker};

/// A request that is to be forwarded.
pub(crate) struct Forwarding {
    pub(crate) request: AdmittedRequest,
    /// The host that it is for, as it was sent.
    pub(crate) host: HeaderValue,
}

impl Forwarding {
    /// Scheme and authority that it was sent to.
    pub(crate) fn base(&self) -> String {
        format!("{}://{}", self.request.scheme, self.host.to_str().unwrap_or_default())
    }
}

/// A request that writes, or may write.
pub(crate) struct PendingWrite {
    pub(crate) permit: PendingPermit,
    pub(crate) host: HeaderValue,
}

pub(crate) enum PendingPermit {
    Write(WritePermit),
    /// Its body tells.
    Counted(BodyPermit),
}

impl PendingPermit {
    pub(crate) fn refuse(self, engine: &Engine, refusal: Refusal) -> Refused {
        match self {
            Self::Write(permit) => permit.refuse(engine, refusal),
            Self::Counted(permit) => permit.refuse(engine, refusal),
        }
    }
}

/// Hands a head to `read` in the form in which the engine takes it.
fn with_head<T>(parts: &Parts, read: impl FnOnce(&RequestHead<'_>) -> T) -> T {
    let fields = fields_of(&parts.headers);
    read(&RequestHead {
        method: parts.method.as_str(),
        target: Target::from(&parts.uri),
        version: parts.version.into(),
        fields: Fields(&fields),
    })
}

/// Decides on a head; `fault` is what the parser had to repair in it.
pub(crate) fn admit(
    worker: &Worker,
    peer: &Peer,
    parts: &Parts,
    fault: Option<Refusal>,
) -> Admission {
    let caller = peer.caller(worker);
    with_head(parts, |head| match fault {
        Some(fault) => Admission::Refused(worker.engine.refuse_head(head, &caller, fault)),
        None => worker.engine.admit(head, &caller),
    })
}

/// Decides on a head whose key was looked up.
pub(crate) fn admit_looked_up(
    worker: &Worker,
    peer: &Peer,
    parts: &Parts,
    looked_up: LookedUp,
) -> Admission {
    let caller = peer.caller(worker);
    with_head(parts, |head| worker.engine.admit_looked_up(head, &caller, looked_up))
}

/// The host that an admitted request is for.
pub(crate) fn host_of(parts: &Parts) -> HeaderValue {
    if let Some(host) = parts.headers.get(HOST) {
        return host.clone();
    }
    let authority = parts.uri.authority().map_or("", http::uri::Authority::as_str);
    HeaderValue::from_str(authority).expect("the grammar accepts only visible hosts")
}

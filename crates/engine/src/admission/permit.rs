//! What a request that may pass is given, and what may send it.
//!
//! # What this protects
//!
//! Only [`Engine::admit`] makes a permit, of what `decide` in core permitted. What sends a request takes a
//! [`SendGrant`], and only a [`ReadPermit`] or a [`Reservation`] gives one. So a door that forgets a check, or
//! sends a write that is not on record, does not compile. A permit carries all that the next step needs to
//! know: nothing is passed beside it that could be another request's.
//!
//! Three sentences, each held by programs in `tests/compile_fail` that must not compile: no send without a
//! grant, no grant without a permit or a reservation, no permit but from `decide`. That a door has no other
//! way out is for the lints to say: the functions that send are disallowed, and one place may use them.
//!
//! [`Engine::admit`]: crate::Engine::admit
//! [`Reservation`]: crate::Reservation

use std::net::IpAddr;
use std::sync::Arc;

use keystile_core::cost::head::CountedHead;
use keystile_core::decision::{Permit, PermittedBody, PermittedRead, PermittedWrite};
use keystile_core::journal::RequestFacts;
use keystile_core::policy::api::Api;
use keystile_core::policy::{Plan, Policy};
use keystile_core::refusal::Refusal;
use keystile_core::request::credential::{self, CredentialPlace, CredentialRule};
use keystile_core::request::head::RequestHead;
use keystile_store::departure::WriteDeparture;

use crate::admission::identity::{Identity, OpenCall};
use crate::admission::refused::Refused;
use crate::engine::Engine;

/// A request that may pass, as far as forwarding it needs to know.
#[derive(Debug)]
#[non_exhaustive]
pub struct AdmittedRequest {
    /// The API that it is for.
    pub api: Arc<Api>,
    /// Who calls.
    pub identity: Identity,
    /// The plan that permits it, once there is a grant to send it.
    pub plan: Option<Arc<Plan>>,
    /// Where it came from.
    pub address: IpAddr,
    /// What it was sent with: `http` or `https`.
    pub scheme: &'static str,
    /// What the upstream is asked for.
    pub target: ForwardedTarget,
    /// Where its key stands, which is taken out before it goes on.
    pub credential: Option<CredentialPlace>,
    /// Whether it asks for a WebSocket.
    pub is_upgrade: bool,
}

/// Path and query that are forwarded: the canonical path, and the query without the key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ForwardedTarget {
    /// Just as they were sent.
    AsSent,
    /// Rewritten to this.
    Rewritten(String),
}

impl ForwardedTarget {
    pub(super) fn of(
        head: &RequestHead<'_>,
        path: &str,
        place: Option<CredentialPlace>,
        rule: &CredentialRule,
    ) -> Self {
        let strips_query = place.is_some_and(credential::may_stand_in_query);
        if !strips_query && head.raw_path() == path {
            return Self::AsSent;
        }
        let query = match (head.query(), strips_query) {
            (Some(query), true) => credential::strip_query(query, rule),
            (query, _) => query.map(Into::into),
        };
        Self::Rewritten(match query {
            Some(query) => format!("{path}?{query}"),
            None => path.to_owned(),
        })
    }

    /// The query that is forwarded, of the head that this was made of.
    pub(super) fn query<'t>(&'t self, head: &RequestHead<'t>) -> Option<&'t str> {
        match self {
            Self::AsSent => head.query(),
            Self::Rewritten(target) => target.split_once('?').map(|(_, query)| query),
        }
    }
}

/// What is known of a request that writes, or may write, besides what it is permitted.
#[derive(Debug)]
pub(super) struct Attempt {
    pub(super) request: AdmittedRequest,
    pub(super) policy: Arc<Policy>,
    pub(super) facts: Arc<RequestFacts>,
    /// Scheme and authority that it was sent to.
    pub(super) base: String,
}

impl Attempt {
    fn refuse(self, engine: &Engine, refusal: Refusal) -> Refused {
        let facts = Arc::unwrap_or_clone(self.facts);
        engine.note_refused(&self.request.identity, refusal.reason, facts);
        Refused::new(refusal, &self.base)
    }
}

/// That a request may be sent as it is.
#[derive(Debug)]
#[must_use = "a permit that is not used means that a permitted request was dropped"]
pub struct ReadPermit {
    pub(super) request: AdmittedRequest,
    pub(super) permit: PermittedRead,
}

/// That a write may be reserved.
#[derive(Debug)]
#[must_use = "a permit that is not used means that a permitted request was dropped"]
pub struct WritePermit {
    pub(super) attempt: Attempt,
    pub(super) permit: PermittedWrite,
}

/// That a request may pass once its body is counted.
#[derive(Debug)]
#[must_use = "a permit that is not used means that a permitted request was dropped"]
pub struct BodyPermit {
    pub(super) attempt: Attempt,
    pub(super) head: CountedHead,
    pub(super) permit: PermittedBody,
}

/// What a request whose body was counted does.
#[derive(Debug)]
pub enum CountedPermit {
    /// It only reads.
    Read(ReadPermit),
    /// It writes.
    Write(WritePermit),
}

/// The right to send one request, once.
#[derive(Debug)]
#[must_use = "a grant that is not used means that a permitted request was dropped"]
pub struct SendGrant {
    call: OpenCall,
    /// `None` for a read, and for a write at an observed API that could not be recorded.
    departure: Option<Arc<WriteDeparture>>,
}

impl SendGrant {
    pub(super) fn of_write(departure: Option<Arc<WriteDeparture>>) -> Self {
        Self { call: OpenCall::Writes, departure }
    }

    /// Whether it is a read or a write that is sent.
    pub fn call(&self) -> OpenCall {
        self.call
    }

    /// Where it is noted that the first byte of a write has left, which is when it counts.
    pub fn departure(&self) -> Option<&Arc<WriteDeparture>> {
        self.departure.as_ref()
    }
}

impl ReadPermit {
    /// What is permitted.
    pub fn request(&self) -> &AdmittedRequest {
        &self.request
    }

    /// The right to send it.
    pub fn grant(self) -> (SendGrant, AdmittedRequest) {
        let Self { request, permit } = self;
        let grant = SendGrant { call: OpenCall::Reads, departure: None };
        (grant, AdmittedRequest { plan: permit.into_plan(), ..request })
    }
}

impl WritePermit {
    /// What is permitted.
    pub fn request(&self) -> &AdmittedRequest {
        &self.attempt.request
    }

    /// Refuses the request after all, and puts that on record.
    pub fn refuse(self, engine: &Engine, refusal: Refusal) -> Refused {
        self.attempt.refuse(engine, refusal)
    }
}

impl BodyPermit {
    /// What is permitted.
    pub fn request(&self) -> &AdmittedRequest {
        &self.attempt.request
    }

    /// The largest body that is read to be counted.
    pub fn body_bytes_max(&self) -> usize {
        self.attempt.request.api.spec().count_bytes_max
    }

    /// Counts the body, which must be complete: it reads, or it writes.
    ///
    /// # Errors
    /// When the body cannot be counted; that is put on record.
    pub fn count(self, engine: &Engine, body: &[u8]) -> Result<CountedPermit, Refused> {
        let Self { attempt, head, permit } = self;
        match head.with_body(body, |call| permit.count(call)) {
            Ok(Permit::Read(permit)) => {
                Ok(CountedPermit::Read(ReadPermit { request: attempt.request, permit }))
            }
            Ok(Permit::Write(permit)) => Ok(CountedPermit::Write(WritePermit { attempt, permit })),
            // Counting gives one of the two; were it otherwise, nothing passes uncounted.
            Ok(Permit::Body(_)) => {
                let refusal = keystile_core::refusal::Reason::BodyUncountable.into();
                Err(attempt.refuse(engine, refusal))
            }
            Err(refusal) => Err(attempt.refuse(engine, refusal)),
        }
    }

    /// Refuses the request after all, and puts that on record.
    pub fn refuse(self, engine: &Engine, refusal: Refusal) -> Refused {
        self.attempt.refuse(engine, refusal)
    }
}

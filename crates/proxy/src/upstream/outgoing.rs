//! Making the request that goes out: the head as the upstream gets it, and the body with its pace.

use std::rc::Rc;
use std::sync::Arc;

use http::header::{CONNECTION, COOKIE, EXPECT, HOST, HeaderName, UPGRADE};
use http::request::Parts;
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderValue, Request, Uri, Version};
use http_body::Body;
use hyper::upgrade::OnUpgrade;
use keystile_core::policy::Plan;
use keystile_core::policy::api::Mode;
use keystile_core::policy::operation::is_safe;
use keystile_core::request::credential;
use keystile_core::request::grammar::{address_fields, strip_untrusted};
use keystile_engine::admission::permit::ForwardedTarget;
use keystile_engine::{OpenCall, SendGrant};
use smallvec::SmallVec;

use crate::body::request::{BodyProgress, Pace, RequestBody, StreamedBody};
use crate::buffer::Held;
use crate::caller::caller_body::CallerBody;
use crate::deadline::Deadline;
use crate::request::Forwarding;
use crate::upstream::Reuse;
use crate::upstream::http2_sharing::Kind;
use crate::worker::{Peer, Worker};

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// A request's body: still coming, or in memory because it was counted.
pub(crate) enum InboundBody {
    Streaming(CallerBody),
    Held(Held),
}

impl InboundBody {
    /// Whether nothing of it is still to come.
    pub(crate) fn is_whole(&self) -> bool {
        match self {
            Self::Streaming(body) => body.is_end_stream(),
            Self::Held(_) => true,
        }
    }
}

/// A request that is ready to go out, with its grant.
pub(crate) struct Outgoing {
    pub(crate) grant: SendGrant,
    pub(crate) request: Request<RequestBody>,
    pub(crate) want: Reuse,
    /// With whom it may share a connection.
    pub(crate) kind: Kind,
    /// Whether Host stays as the caller sent it.
    pub(crate) keep_host: bool,
    /// How far the body has come; `None` when there is none to wait for.
    pub(crate) progress: Option<Rc<BodyProgress>>,
    pub(crate) deadline: Arc<Deadline>,
    /// When the answer must have come to its end, on the core's clock.
    pub(crate) total_end: Option<u64>,
    pub(crate) upgrade: Option<OnUpgrade>,
}

impl Outgoing {
    /// Makes the request that goes out.
    pub(crate) fn of(
        worker: &Worker,
        peer: &Peer,
        grant: SendGrant,
        forwarding: &Forwarding,
        mut parts: Parts,
        body: InboundBody,
    ) -> Self {
        let request = &forwarding.request;
        let rule = &request.api.spec().upstream;
        let upgrade = request.is_upgrade.then(|| parts.extensions.remove::<OnUpgrade>()).flatten();
        rewrite_head(worker, peer, forwarding, &mut parts);
        if upgrade.is_some() {
            parts.headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
            parts.headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
        }
        let deadline = peer.progress.exchange_deadline();
        let now = worker.deadlines.now();
        let total_end = rule.total_timeout.map(|span| now + span.millis().unsigned_abs());
        let (body, progress) = paced(worker, peer, forwarding, (&deadline, total_end), body);
        let kind = match grant.call() {
            OpenCall::Reads => Kind::Reads,
            OpenCall::Writes => Kind::Writes,
        };
        let want = match (&upgrade, &body, kind) {
            (Some(_), _, _) => Reuse::Http1,
            // Only a read without a body can be repeated on another connection.
            (None, RequestBody::Empty, Kind::Reads) if is_safe(&parts.method) => Reuse::Any,
            (None, _, _) => Reuse::Fresh,
        };
        let request = Request::from_parts(parts, body);
        let keep_host = rule.keep_host;
        Self { grant, request, want, kind, keep_host, progress, deadline, total_end, upgrade }
    }
}

fn rewrite_head(worker: &Worker, peer: &Peer, forwarding: &Forwarding, parts: &mut Parts) {
    let Forwarding { request, host } = forwarding;
    let spec = request.api.spec();
    let headers = &mut parts.headers;
    let named = if peer.is_trusted { address_fields(headers) } else { SmallVec::new() };
    strip_untrusted(headers);
    headers.remove(EXPECT);
    if let Some(place) = request.credential {
        credential::strip(headers, place, &spec.credential);
    }
    if parts.version == Version::HTTP_2 {
        headers.insert(HOST, host.clone());
        join_cookies(headers);
    }
    let address = peer.forwarded_for(request.address);
    for name in named {
        headers.insert(name, address.clone());
    }
    headers.insert(X_FORWARDED_FOR, address);
    headers.insert(X_FORWARDED_HOST, host.clone());
    headers.insert(X_FORWARDED_PROTO, HeaderValue::from_static(request.scheme));
    let plan = request.plan.as_deref().map(Plan::name);
    worker.identities.set_headers(headers, &request.identity, plan);
    if let Some(target) = forwarded_target(&request.target, &parts.uri) {
        parts.uri = Uri::from(target);
    }
}

/// Path and query that go out, where they differ from the request's own URI.
fn forwarded_target(target: &ForwardedTarget, uri: &Uri) -> Option<PathAndQuery> {
    match target {
        ForwardedTarget::AsSent => uri.authority().and_then(|_| uri.path_and_query().cloned()),
        ForwardedTarget::Rewritten(text) => {
            Some(text.parse().expect("the grammar accepts only what a target may hold"))
        }
    }
}

fn paced(
    worker: &Worker,
    peer: &Peer,
    forwarding: &Forwarding,
    (deadline, total_end): (&Arc<Deadline>, Option<u64>),
    body: InboundBody,
) -> (RequestBody, Option<Rc<BodyProgress>>) {
    let spec = forwarding.request.api.spec();
    let pace = Pace {
        bytes_max: spec.body_bytes_max.filter(|_| spec.mode == Mode::Enforce),
        idle_timeout: worker.settings.idle_timeout,
        rate_min: worker.settings.body_rate_min,
        first_byte_timeout: spec.upstream.first_byte_timeout,
        total_end,
    };
    let incoming = match body {
        InboundBody::Streaming(incoming) if !incoming.is_end_stream() => incoming,
        InboundBody::Streaming(_) => {
            pace.await_answer(&worker.deadlines, deadline);
            return (RequestBody::Empty, None);
        }
        InboundBody::Held(held) => {
            pace.await_answer(&worker.deadlines, deadline);
            let progress = Rc::new(BodyProgress::whole(held.len() as u64));
            return (RequestBody::Held(Some(held)), Some(progress));
        }
    };
    deadline.set(&worker.deadlines, pace.idle_timeout);
    let progress = Rc::new(BodyProgress::default());
    let streamed = StreamedBody {
        incoming,
        connection: peer.progress.clone(),
        progress: progress.clone(),
        deadlines: worker.deadlines.clone(),
        deadline: deadline.clone(),
        pace,
        began: worker.deadlines.now(),
    };
    (RequestBody::Streamed(Box::new(streamed)), Some(progress))
}

/// HTTP/2 may split cookies over fields that HTTP/1 joins (RFC 9113 section 8.2.3).
fn join_cookies(headers: &mut HeaderMap) {
    let cookies: Vec<_> =
        headers.get_all(COOKIE).iter().map(|value| value.as_bytes().to_vec()).collect();
    if cookies.len() > 1
        && let Ok(joined) = HeaderValue::from_bytes(&cookies.join(&b"; "[..]))
    {
        headers.insert(COOKIE, joined);
    }
}

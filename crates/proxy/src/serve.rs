//! Serving one request, from its head to the head of its answer.
//!
//! ```text
//! head ── admit ──┬── a page of Keystile's own
//!                 ├── refused ── problem document
//!                 ├── read ────────────────────── exchange ── answer
//!                 ├── write ───── reserve ─────── exchange ── settle ── answer
//!                 └── counted ─── hold, count ─── as one of the two
//! ```
//!
//! The future of a read is kept small, because hyper moves it: what is rare is boxed.

use std::convert::Infallible;
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{CONNECTION, UPGRADE};
use http::request::Parts;
use http::{HeaderName, HeaderValue, Request, Response, StatusCode, Version};
use http_body::Body;
use hyper::body::Incoming;
use keystile_core::problem::Problem;
use keystile_core::refusal::{Reason, Refusal};
use keystile_engine::admission::caller::{Caller, DoorRules, Transport};
use keystile_engine::admission::refused::{NextRequest, count_refusal};
use keystile_engine::admission::reserve::Sent;
use keystile_engine::{Admission, Engine, Refused, SendGrant};
use keystile_store::completion_queue::CompletionQueue;
use tokio::sync::oneshot;

use crate::body::AnswerBody;
use crate::buffer::Buffers;
use crate::caller::caller_body::CallerBody;
use crate::caller::connection::{Progress, UnderWay};
use crate::deadline::Deadlines;
use crate::request::{self, Forwarding, PendingPermit, PendingWrite, host_of};
use crate::response::{self, Connection};
use crate::settings::GateSettings;
use crate::upstream::Lease;
use crate::upstream::forward::{self, Failure};
use crate::upstream::identity::IdentityCache;
use crate::upstream::outgoing::{InboundBody, Outgoing};
use crate::upstream::pool::UpstreamRegistry;
use crate::websocket::Switch;
use crate::write::begin_write;

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
    pub(crate) fn caller<'a>(&self, core: &'a Worker) -> Caller<'a> {
        Caller { peer: self.address, transport: self.transport, rules: &core.rules }
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

/// Runs hyper's tasks on the core that they belong to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LocalExecutor;

impl<F: Future + 'static> hyper::rt::Executor<F> for LocalExecutor {
    fn execute(&self, future: F) {
        tokio::task::spawn_local(async move {
            future.await;
        });
    }
}

pub(crate) type Answer = Response<AnswerBody>;

/// A read that may be sent.
pub(crate) type Granted = (SendGrant, Box<Forwarding>);

/// How far a request has come when its head has been read.
enum Begun {
    Answered(Answer),
    Read(Granted, Parts, CallerBody, UnderWay),
    Write(oneshot::Receiver<Answer>),
}

/// Serves a request. Its head is read, and a write begun, before the future is polled: hyper may find
/// that the caller has hung up, and drop the future, before that.
pub(crate) fn serve(
    core: Rc<Worker>,
    peer: Rc<Peer>,
    request: Request<Incoming>,
) -> impl Future<Output = Result<Answer, Infallible>> {
    let begun = begin(&core, &peer, request);
    async move {
        Ok(match begun {
            Begun::Answered(answer) => answer,
            Begun::Read(granted, parts, body, under_way) => {
                answer_read(&core, &peer, granted, parts, InboundBody::Streaming(body), under_way)
                    .await
            }
            Begun::Write(answer) => {
                answer.await.unwrap_or_else(|_| plain(StatusCode::INTERNAL_SERVER_ERROR))
            }
        })
    }
}

/// The same for a stream of HTTP/2, which needs a place. What comes after that is boxed, so that many
/// that wait take little memory.
pub(crate) fn serve_stream(
    core: Rc<Worker>,
    peer: Rc<Peer>,
    request: Request<Incoming>,
) -> impl Future<Output = Result<Answer, Infallible>> {
    let begun = begin(&core, &peer, request);
    async move {
        Ok(match begun {
            Begun::Answered(answer) => answer,
            Begun::Read(granted, parts, body, mut under_way) => {
                if let Err(refusal) = under_way.enter(&parts).await {
                    return Ok(declined(&granted.1, refusal).map(|body| body.of(under_way)));
                }
                if body.may_belie_its_length(&parts) {
                    let read = read_without_body(&core, &peer, granted, parts, body, under_way);
                    return Ok(Box::pin(read).await);
                }
                let body = InboundBody::Streaming(body);
                Box::pin(answer_read(&core, &peer, granted, parts, body, under_way)).await
            }
            Begun::Write(answer) => {
                answer.await.unwrap_or_else(|_| plain(StatusCode::INTERNAL_SERVER_ERROR))
            }
        })
    }
}

fn begin(core: &Rc<Worker>, peer: &Rc<Peer>, request: Request<Incoming>) -> Begun {
    let under_way = peer.progress.begin_request();
    let is_http1 = request.version() != Version::HTTP_2;
    let fault = if is_http1 { peer.progress.head_fault() } else { None };
    let (parts, body) = request.into_parts();
    let body = CallerBody::new(body, parts.version);
    if body.is_end_stream() {
        peer.progress.end_body();
    }
    let pending = |permit, parts: Parts, body, under_way| {
        let write = Box::new(PendingWrite { permit, host: host_of(&parts) });
        Begun::Write(begin_write(core.clone(), peer.clone(), write, parts, body, under_way))
    };
    match request::admit(core, peer, &parts, fault) {
        Admission::Page(page) => {
            let page = response::page(page);
            Begun::Answered(page.map(|page| AnswerBody::held(page).of(under_way)))
        }
        Admission::Refused(refused) => {
            let answer = refuse(&refused, parts.version, &body);
            Begun::Answered(answer.map(|body| body.of(under_way)))
        }
        Admission::Read(permit) => {
            let host = host_of(&parts);
            let (grant, request) = permit.grant();
            let forwarding = Box::new(Forwarding { request, host });
            Begun::Read((grant, forwarding), parts, body, under_way)
        }
        Admission::Write(permit) => pending(PendingPermit::Write(permit), parts, body, under_way),
        Admission::Counted(permit) => {
            pending(PendingPermit::Counted(permit), parts, body, under_way)
        }
    }
}

fn refuse(refused: &Refused, version: Version, body: &CallerBody) -> Answer {
    // A body that nobody will read: the next request cannot be told from it.
    let is_last = refused.next == NextRequest::CannotBeTold || !body.is_end_stream();
    let connection = Connection::ending_if(is_last && version != Version::HTTP_2);
    response::refused(refused, connection).map(AnswerBody::held)
}

/// Forwards a read that states an empty body, once it is seen to be empty.
async fn read_without_body(
    core: &Rc<Worker>,
    peer: &Peer,
    granted: Granted,
    parts: Parts,
    body: CallerBody,
    under_way: UnderWay,
) -> Answer {
    match body.hold_to_nothing(core.settings.idle_timeout).await {
        Ok(body) => {
            answer_read(core, peer, granted, parts, InboundBody::Streaming(body), under_way).await
        }
        Err(reason) => {
            count_refusal(granted.1.request.api.name(), reason);
            let problem = Problem::new(reason.into(), "");
            response::problem(&problem, Connection::Stays)
                .map(|body| AnswerBody::held(body).of(under_way))
        }
    }
}

/// An answer without a body.
pub(crate) fn plain(status: StatusCode) -> Answer {
    let mut answer = Response::new(AnswerBody::held(Bytes::new()));
    *answer.status_mut() = status;
    answer
}

/// Forwards a read.
pub(crate) async fn answer_read(
    core: &Rc<Worker>,
    peer: &Peer,
    granted: Granted,
    parts: Parts,
    body: InboundBody,
    under_way: UnderWay,
) -> Answer {
    let (grant, forwarding) = granted;
    let call = grant.call();
    let mut outgoing = Outgoing::of(core, peer, grant, &forwarding, parts, body);
    let switch = |caller| Switch::new(caller, core, &forwarding.request, call);
    let upgrade = outgoing.upgrade.take().map(switch);
    let exchanged = match core.pool.target(&forwarding.request.api, &core.deadlines) {
        Ok(target) => {
            target.meter.reads.increment(1);
            forward::exchange(&target.upstream, outgoing).await
        }
        Err(refusal) => Err(Failure { refusal, sent: Sent::No }),
    };
    match exchanged {
        Ok((response, lease)) => deliver(response, lease, upgrade, Some(under_way)),
        Err(failure) => declined(&forwarding, failure.refusal).map(|body| body.of(under_way)),
    }
}

/// The answer to a read that was permitted and is not forwarded, or not answered.
fn declined(forwarding: &Forwarding, refusal: Refusal) -> Answer {
    count_refusal(forwarding.request.api.name(), refusal.reason);
    let problem = Problem::new(refusal, &forwarding.base());
    response::problem(&problem, Connection::Stays).map(AnswerBody::held)
}

const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");

/// Makes the answer that the caller gets of the upstream's.
pub(crate) fn deliver(
    mut response: Response<Incoming>,
    lease: Lease,
    upgrade: Option<Switch>,
    under_way: Option<UnderWay>,
) -> Answer {
    if response.status() == StatusCode::SWITCHING_PROTOCOLS {
        let Some(switch) = upgrade else {
            let problem = Problem::new(Reason::UpstreamFailed.into(), "");
            return response::problem(&problem, Connection::Stays).map(AnswerBody::held);
        };
        let upstream = hyper::upgrade::on(&mut response);
        tokio::task::spawn_local(switch.run(upstream, under_way));
        let (parts, _) = response.into_parts();
        return Response::from_parts(parts, AnswerBody::held(Bytes::new()));
    }
    let headers = response.headers_mut();
    for name in [CONNECTION, KEEP_ALIVE, PROXY_CONNECTION, UPGRADE] {
        headers.remove(name);
    }
    *response.version_mut() = Version::HTTP_11;
    response.map(|incoming| {
        let body = AnswerBody::upstream(incoming, Some(lease));
        match under_way {
            Some(under_way) => body.of(under_way),
            None => body,
        }
    })
}

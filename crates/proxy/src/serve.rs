//! Serving one request, from its head to the head of its answer.
//!
//! ```text
//! head ── admit ──┬── a page of Keystile's own
//!                 ├── refused ── problem document
//!                 ├── unknown ─── look up ─────── admit once more
//!                 ├── read ────────────────────── exchange ── answer
//!                 ├── write ───── reserve ─────── exchange ── settle ── answer
//!                 └── counted ─── hold, count ─── as one of the two
//! ```
//!
//! The future of a read is kept small, because hyper moves it: what is rare is boxed.

use std::convert::Infallible;
use std::pin::Pin;
use std::rc::Rc;

use bytes::Bytes;
use http::request::Parts;
use http::{Request, Response, StatusCode, Version};
use http_body::Body;
use hyper::body::Incoming;
use keystile_core::problem::Problem;
use keystile_engine::admission::refused::{NextRequest, count_refusal};
use keystile_engine::{Admission, Refused, UnknownKey};
use tokio::sync::oneshot;

use crate::body::answer::AnswerBody;
use crate::caller::caller_body::CallerBody;
use crate::caller::connection::UnderWay;
use crate::forward_read::{Granted, answer_read, declined, read_without_body};
use crate::forward_write::begin_write;
use crate::own_answer::{self, Connection};
use crate::relay::Answer;
use crate::request::{self, Forwarding, PendingPermit, PendingWrite, host_of};
use crate::upstream::outgoing::InboundBody;
use crate::worker::{Peer, Worker};

/// How far a request has come when its head has been read.
enum Begun {
    Answered(Answer),
    Read(Granted, Parts, CallerBody, UnderWay),
    Write(oneshot::Receiver<Answer>),
    UnknownKey(Box<WaitsForKey>),
}

/// A request that waits for its key to be looked up. Nothing of it was sent, so its caller may leave.
struct WaitsForKey {
    key: UnknownKey,
    parts: Parts,
    body: CallerBody,
    under_way: UnderWay,
}

/// Serves a request. Its head is read, and a write begun, before the future is polled: hyper may find
/// that the caller has hung up, and drop the future, before that.
pub(crate) fn serve(
    worker: Rc<Worker>,
    peer: Rc<Peer>,
    request: Request<Incoming>,
) -> impl Future<Output = Result<Answer, Infallible>> {
    let begun = begin(&worker, &peer, request);
    async move {
        Ok(match begun {
            Begun::Answered(answer) => answer,
            Begun::Read(granted, parts, body, under_way) => {
                answer_read(&worker, &peer, granted, parts, InboundBody::Streaming(body), under_way)
                    .await
            }
            Begun::Write(answer) => {
                answer.await.unwrap_or_else(|_| plain(StatusCode::INTERNAL_SERVER_ERROR))
            }
            Begun::UnknownKey(waits) => serve_looked_up(&worker, &peer, waits).await,
        })
    }
}

/// The same for a stream of HTTP/2, which needs a place.
pub(crate) fn serve_stream(
    worker: Rc<Worker>,
    peer: Rc<Peer>,
    request: Request<Incoming>,
) -> impl Future<Output = Result<Answer, Infallible>> {
    let begun = begin(&worker, &peer, request);
    answer_begun(worker, peer, begun)
}

/// The answer to a request that has begun, with a place where it needs one. What comes after that is boxed, so
/// that many that wait take little memory; so does that no other future holds this one.
#[expect(clippy::manual_async_fn, reason = "an async fn keeps what it is given twice")]
fn answer_begun(
    worker: Rc<Worker>,
    peer: Rc<Peer>,
    begun: Begun,
) -> impl Future<Output = Result<Answer, Infallible>> {
    async move {
        Ok(match begun {
            Begun::Answered(answer) => answer,
            Begun::Read(granted, parts, body, mut under_way) => {
                if let Err(refusal) = under_way.enter(&parts).await {
                    return Ok(declined(&granted.1, refusal).map(|body| body.of(under_way)));
                }
                if body.may_belie_its_length(&parts) {
                    let read = read_without_body(&worker, &peer, granted, parts, body, under_way);
                    return Ok(Box::pin(read).await);
                }
                let body = InboundBody::Streaming(body);
                Box::pin(answer_read(&worker, &peer, granted, parts, body, under_way)).await
            }
            Begun::Write(answer) => {
                answer.await.unwrap_or_else(|_| plain(StatusCode::INTERNAL_SERVER_ERROR))
            }
            Begun::UnknownKey(waits) => serve_looked_up(&worker, &peer, waits).await,
        })
    }
}

/// Has a key looked up, and serves its request by what came of it.
fn serve_looked_up<'a>(
    worker: &'a Rc<Worker>,
    peer: &'a Rc<Peer>,
    waits: Box<WaitsForKey>,
) -> Pin<Box<dyn Future<Output = Answer> + 'a>> {
    Box::pin(async move {
        let WaitsForKey { key, parts, body, mut under_way } = *waits;
        // Over HTTP/2 it holds its place while it waits, like one that is under way.
        if let Err(refusal) = under_way.enter(&parts).await {
            count_refusal("", refusal.reason);
            let answer = own_answer::problem(&Problem::new(refusal, ""), Connection::Stays);
            return answer.map(|body| AnswerBody::held(body).of(under_way));
        }
        let looked_up = worker.engine.look_up_key(key).await;
        let admission = request::admit_looked_up(worker, peer, &parts, looked_up);
        let begun = proceed(worker, peer, admission, parts, body, under_way);
        let Ok(answer) = answer_begun(worker.clone(), peer.clone(), begun).await;
        answer
    })
}

fn begin(worker: &Rc<Worker>, peer: &Rc<Peer>, request: Request<Incoming>) -> Begun {
    let under_way = peer.progress.begin_request();
    let is_http1 = request.version() != Version::HTTP_2;
    let fault = if is_http1 { peer.progress.head_fault() } else { None };
    let (parts, body) = request.into_parts();
    let body = CallerBody::new(body, parts.version);
    if body.is_end_stream() {
        peer.progress.end_body();
    }
    let admission = request::admit(worker, peer, &parts, fault);
    proceed(worker, peer, admission, parts, body, under_way)
}

/// Begins what was decided on a request.
fn proceed(
    worker: &Rc<Worker>,
    peer: &Rc<Peer>,
    admission: Admission,
    parts: Parts,
    body: CallerBody,
    under_way: UnderWay,
) -> Begun {
    let pending = |permit, parts: Parts, body, under_way| {
        let write = Box::new(PendingWrite { permit, host: host_of(&parts) });
        Begun::Write(begin_write(worker.clone(), peer.clone(), write, parts, body, under_way))
    };
    match admission {
        Admission::Page(page) => {
            let page = own_answer::page(page);
            Begun::Answered(page.map(|page| AnswerBody::held(page).of(under_way)))
        }
        Admission::Refused(refused) => {
            let answer = refuse(&refused, parts.version, &body);
            Begun::Answered(answer.map(|body| body.of(under_way)))
        }
        Admission::UnknownKey(key) => {
            Begun::UnknownKey(Box::new(WaitsForKey { key, parts, body, under_way }))
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
    own_answer::refused(refused, connection).map(AnswerBody::held)
}

/// An answer without a body.
fn plain(status: StatusCode) -> Answer {
    let mut answer = Response::new(AnswerBody::held(Bytes::new()));
    *answer.status_mut() = status;
    answer
}

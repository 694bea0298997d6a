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
use std::rc::Rc;

use bytes::Bytes;
use http::request::Parts;
use http::{Request, Response, StatusCode, Version};
use http_body::Body;
use hyper::body::Incoming;
use keystile_engine::admission::refused::NextRequest;
use keystile_engine::{Admission, Refused};
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
        })
    }
}

/// The same for a stream of HTTP/2, which needs a place. What comes after that is boxed, so that many
/// that wait take little memory.
pub(crate) fn serve_stream(
    worker: Rc<Worker>,
    peer: Rc<Peer>,
    request: Request<Incoming>,
) -> impl Future<Output = Result<Answer, Infallible>> {
    let begun = begin(&worker, &peer, request);
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
        })
    }
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
    let pending = |permit, parts: Parts, body, under_way| {
        let write = Box::new(PendingWrite { permit, host: host_of(&parts) });
        Begun::Write(begin_write(worker.clone(), peer.clone(), write, parts, body, under_way))
    };
    match request::admit(worker, peer, &parts, fault) {
        Admission::Page(page) => {
            let page = own_answer::page(page);
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
    own_answer::refused(refused, connection).map(AnswerBody::held)
}

/// An answer without a body.
fn plain(status: StatusCode) -> Answer {
    let mut answer = Response::new(AnswerBody::held(Bytes::new()));
    *answer.status_mut() = status;
    answer
}

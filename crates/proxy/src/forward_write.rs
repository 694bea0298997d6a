//! A write: reserved, sent once, settled. It runs in a task of its own, to its end, whether or not its
//! caller stays.

use std::rc::Rc;
use std::time::Instant;

use http::request::Parts;
use http::{HeaderValue, Version};
use http_body::Body;
use keystile_core::journal::Outcome;
use keystile_core::refusal::Reason;
use keystile_engine::admission::permit::{CountedPermit, WritePermit};
use keystile_engine::admission::settle::{ExchangeStats, Sent};
use keystile_engine::{OpenWrite, Refused};
use keystile_store::reservation::Settlement;
use tokio::sync::oneshot;

use crate::body::answer::{AnswerBody, AtEnd};
use crate::body::whole::read_whole;
use crate::caller::caller_body::CallerBody;
use crate::caller::connection::UnderWay;
use crate::forward_read::answer_read;
use crate::own_answer::{self, Connection};
use crate::relay::{Answer, deliver};
use crate::request::{Forwarding, PendingPermit, PendingWrite};
use crate::upstream::forward::{self, Failure};
use crate::upstream::outgoing::{InboundBody, Outgoing};
use crate::websocket::Switch;
use crate::worker::{Peer, Worker};

/// Begins to forward a call that writes, or may write, as its body will tell.
pub(crate) fn begin_write(
    worker: Rc<Worker>,
    peer: Rc<Peer>,
    write: Box<PendingWrite>,
    parts: Parts,
    body: CallerBody,
    mut under_way: UnderWay,
) -> oneshot::Receiver<Answer> {
    let (sender, answer) = oneshot::channel();
    tokio::task::spawn_local(async move {
        let answer = match under_way.enter(&parts).await {
            Ok(()) => Box::pin(serve_write(&worker, &peer, write, parts, body, under_way)).await,
            Err(refusal) => {
                let refused = write.permit.refuse(&worker.engine, refusal);
                refuse(&refused, parts.version).map(|body| body.of(under_way))
            }
        };
        // When nobody waits any more the caller has gone, and the journal knows.
        let _ = sender.send(answer);
    });
    answer
}

async fn serve_write(
    worker: &Rc<Worker>,
    peer: &Peer,
    write: Box<PendingWrite>,
    parts: Parts,
    body: CallerBody,
    under_way: UnderWay,
) -> Answer {
    let PendingWrite { permit, host } = *write;
    let body = if body.may_belie_its_length(&parts) {
        match body.hold_to_nothing(worker.settings.idle_timeout).await {
            Ok(body) => body,
            Err(reason) => {
                let refused = permit.refuse(&worker.engine, reason.into());
                return refuse(&refused, parts.version).map(|body| body.of(under_way));
            }
        }
    } else {
        body
    };
    let answer = match count(worker, peer, permit, body).await {
        Ok((CountedPermit::Read(permit), body)) => {
            let (grant, request) = permit.grant();
            let forwarding = Box::new(Forwarding { request, host });
            return answer_read(worker, peer, (grant, forwarding), parts, body, under_way).await;
        }
        Ok((CountedPermit::Write(permit), body)) => {
            send(worker, peer, permit, host, (parts, body)).await
        }
        Err(refused) => refuse(&refused, parts.version),
    };
    answer.map(|body| body.of(under_way))
}

/// What a call does, as its head or its body says.
async fn count(
    worker: &Worker,
    peer: &Peer,
    permit: PendingPermit,
    body: CallerBody,
) -> Result<(CountedPermit, InboundBody), Refused> {
    let permit = match permit {
        PendingPermit::Write(permit) => {
            return Ok((CountedPermit::Write(permit), InboundBody::Streaming(body)));
        }
        PendingPermit::Counted(permit) => permit,
    };
    let held = match read_whole(worker, peer, &permit, body).await {
        Ok(held) => held,
        Err(refusal) => return Err(permit.refuse(&worker.engine, refusal)),
    };
    peer.progress.end_body();
    let counted = permit.count(&worker.engine, &held)?;
    Ok((counted, InboundBody::Held(held)))
}

/// The answer to a call that is refused before anything is sent, of whose body some may be left.
fn refuse(refused: &Refused, version: Version) -> Answer {
    let connection = Connection::ending_if(version != Version::HTTP_2);
    own_answer::refused(refused, connection).map(AnswerBody::held)
}

async fn send(
    worker: &Rc<Worker>,
    peer: &Peer,
    permit: WritePermit,
    host: HeaderValue,
    (parts, body): (Parts, InboundBody),
) -> Answer {
    let began = Instant::now();
    let reservation = match worker.engine.reserve(permit, &worker.completions).await {
        Ok(reservation) => reservation,
        Err(refused) => {
            let is_last = parts.version != Version::HTTP_2 && !body.is_whole();
            let answer = own_answer::refused(&refused, Connection::ending_if(is_last));
            return answer.map(AnswerBody::held);
        }
    };
    let (grant, request, write) = reservation.grant();
    let call = grant.call();
    let forwarding = Forwarding { request, host };
    let mut outgoing = Outgoing::of(worker, peer, grant, &forwarding, parts, body);
    let switch = |caller| Switch::new(caller, worker, &forwarding.request, call);
    let upgrade = outgoing.upgrade.take().map(switch);
    let progress = outgoing.progress.clone();
    let exchanged = match worker.pool.target(&forwarding.request.api, &worker.deadlines) {
        Ok(target) => {
            target.meter.writes.increment(1);
            forward::exchange(&target.upstream, outgoing).await
        }
        Err(refusal) => Err(Failure { refusal, sent: Sent::No }),
    };
    let exchange = ExchangeStats {
        duration_ms: u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX),
        request_bytes: progress.map(|progress| progress.bytes.get()),
    };
    match exchanged {
        Ok((response, lease)) => {
            let answer = deliver(response, lease, upgrade, None);
            settled(worker, write, answer, exchange)
        }
        Err(failure) => failed(write, failure, exchange),
    }
}

fn settled(
    worker: &Rc<Worker>,
    write: OpenWrite,
    mut answer: Answer,
    exchange: ExchangeStats,
) -> Answer {
    let status = answer.status().as_u16();
    let response_bytes = answer.body().size_hint().exact();
    if let Some(fields) = write.budget_fields() {
        own_answer::set_fields(answer.headers_mut(), &fields);
    }
    if let Some(id) = write.id() {
        own_answer::name_write(answer.headers_mut(), id);
        if response_bytes.is_none() {
            let store = worker.engine.store().clone();
            let at_end = AtEnd::new(move |bytes| store.set_response_bytes(id, bytes));
            answer = answer.map(|body| body.then(at_end));
        }
    }
    write.settle(Settlement {
        outcome: Outcome::of_status(status),
        status: Some(status),
        duration_ms: exchange.duration_ms,
        request_bytes: exchange.request_bytes,
        response_bytes,
    });
    answer
}

fn failed(write: OpenWrite, failure: Failure, exchange: ExchangeStats) -> Answer {
    let Failure { refusal, sent } = failure;
    let is_last = matches!(
        refusal.reason,
        Reason::FramingInvalid | Reason::RequestTimeout | Reason::BodyTooLarge
    );
    let problem = write.fail(refusal, sent, exchange);
    own_answer::problem(&problem, Connection::ending_if(is_last)).map(AnswerBody::held)
}

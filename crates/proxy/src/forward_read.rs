//! A read: sent at once, and given up with its caller.

use std::rc::Rc;

use http::request::Parts;
use keystile_core::problem::Problem;
use keystile_core::refusal::Refusal;
use keystile_engine::SendGrant;
use keystile_engine::admission::refused::count_refusal;
use keystile_engine::admission::settle::Sent;

use crate::body::answer::AnswerBody;
use crate::caller::caller_body::CallerBody;
use crate::caller::connection::UnderWay;
use crate::own_answer::{self, Connection};
use crate::relay::{Answer, deliver};
use crate::request::Forwarding;
use crate::upstream::forward::{self, Failure};
use crate::upstream::outgoing::{InboundBody, Outgoing};
use crate::websocket::Switch;
use crate::worker::{Peer, Worker};

/// A read that may be sent.
pub(crate) type Granted = (SendGrant, Box<Forwarding>);

/// Forwards a read.
pub(crate) async fn answer_read(
    worker: &Rc<Worker>,
    peer: &Peer,
    granted: Granted,
    parts: Parts,
    body: InboundBody,
    under_way: UnderWay,
) -> Answer {
    let (grant, forwarding) = granted;
    let call = grant.call();
    // Before its parts are gone. A caller who leaves meanwhile drops it, and the read counts.
    let sent = worker.engine.count_when_sent(&forwarding.request.identity, &parts.method);
    let mut outgoing = Outgoing::of(worker, peer, grant, &forwarding, parts, body);
    let switch = |caller| Switch::new(caller, worker, &forwarding.request, call);
    let upgrade = outgoing.upgrade.take().map(switch);
    let exchanged = match worker.pool.target(&forwarding.request.api, &worker.deadlines) {
        Ok(target) => {
            target.meter.reads.increment(1);
            forward::exchange(&target.upstream, outgoing).await
        }
        Err(refusal) => Err(Failure { refusal, sent: Sent::No }),
    };
    match exchanged {
        Ok((response, lease)) => deliver(response, lease, upgrade, Some(under_way)),
        Err(failure) => {
            if failure.sent == Sent::No {
                sent.was_not();
            }
            declined(&forwarding, failure.refusal).map(|body| body.of(under_way))
        }
    }
}

/// The answer to a read that was permitted and is not forwarded, or not answered.
pub(crate) fn declined(forwarding: &Forwarding, refusal: Refusal) -> Answer {
    count_refusal(forwarding.request.api.name(), refusal.reason);
    let problem = Problem::new(refusal, &forwarding.base());
    own_answer::problem(&problem, Connection::Stays).map(AnswerBody::held)
}

/// Forwards a read that states an empty body, once it is seen to be empty.
pub(crate) async fn read_without_body(
    worker: &Rc<Worker>,
    peer: &Peer,
    granted: Granted,
    parts: Parts,
    body: CallerBody,
    under_way: UnderWay,
) -> Answer {
    match body.hold_to_nothing(worker.settings.idle_timeout).await {
        Ok(body) => {
            answer_read(worker, peer, granted, parts, InboundBody::Streaming(body), under_way).await
        }
        Err(reason) => {
            count_refusal(granted.1.request.api.name(), reason);
            let problem = Problem::new(reason.into(), "");
            own_answer::problem(&problem, Connection::Stays)
                .map(|body| AnswerBody::held(body).of(under_way))
        }
    }
}

//! A write: reserved, sent once, settled. It runs in a task of its own, to its end, whether or not its
//! caller stays.

use std::rc::Rc;
use std::time::Instant;

use http::Version;
use http::request::Parts;
use http_body::Body;
use keystile_core::cost::{CountedCall, cost_of};
use keystile_core::decision::Permit;
use keystile_core::journal::{Outcome, RequestFacts};
use keystile_core::policy::api::{Charge, Mode};
use keystile_core::refusal::{Reason, Refusal};
use keystile_engine::OpenCall;
use keystile_engine::Refused;
use keystile_engine::Reservation;
use keystile_store::sqlite::journal::Settlement;
use tokio::sync::oneshot;

use crate::answer::{self, RefusalContext};
use crate::body::{AnswerBody, AtEnd};
use crate::caller::caller_body::CallerBody;
use crate::caller::connection::UnderWay;
use crate::collect::collect;
use crate::head::AdmittedRequest;
use crate::meter::Meter;
use crate::serve::{Answer, Peer, Worker, answer_read, deliver};
use crate::upstream::forward::{self, Failure};
use crate::upstream::outgoing::{InboundBody, Outgoing};
use crate::upstream::shared::Kind;
use crate::websocket::Switch;

/// What a call takes from its budgets, as its head or its body says.
struct Costed {
    permit: Permit,
    cost: u32,
    body: InboundBody,
}

/// Begins to forward a call that writes, or may write, as its body will tell.
pub(crate) fn begin_write(
    core: Rc<Worker>,
    peer: Rc<Peer>,
    job: Box<AdmittedRequest>,
    parts: Parts,
    body: CallerBody,
    mut under_way: UnderWay,
) -> oneshot::Receiver<Answer> {
    let (sender, answer) = oneshot::channel();
    tokio::task::spawn_local(async move {
        let answer = match under_way.enter(&parts).await {
            Ok(()) => Box::pin(serve_write(&core, &peer, job, parts, body, under_way)).await,
            Err(refusal) => {
                refuse(&core, &job, &refusal, parts.version).map(|body| body.of(under_way))
            }
        };
        // When nobody waits any more the caller has gone, and the journal knows.
        let _ = sender.send(answer);
    });
    answer
}

async fn serve_write(
    core: &Rc<Worker>,
    peer: &Peer,
    mut job: Box<AdmittedRequest>,
    parts: Parts,
    body: CallerBody,
    under_way: UnderWay,
) -> Answer {
    let permit = job.permit.take().expect("a call that may write has a permit");
    let body = if body.may_belie_its_length(&parts) {
        match body.hold_to_nothing(core.settings.idle_timeout).await {
            Ok(body) => body,
            Err(reason) => {
                let answer = refuse(core, &job, &reason.into(), parts.version);
                return answer.map(|body| body.of(under_way));
            }
        }
    } else {
        body
    };
    let answer = match costed(core, peer, &job, permit, &parts, body).await {
        Ok(costed) if costed.cost == 0 => {
            job.permit = Some(costed.permit);
            return answer_read(core, peer, job, parts, costed.body, under_way).await;
        }
        Ok(costed) => write(core, peer, job, costed, parts).await,
        Err(refusal) => refuse(core, &job, &refusal, parts.version),
    };
    answer.map(|body| body.of(under_way))
}

async fn costed(
    core: &Worker,
    peer: &Peer,
    job: &AdmittedRequest,
    permit: Permit,
    parts: &Parts,
    body: CallerBody,
) -> Result<Costed, Refusal> {
    let charge = match permit.charge() {
        Charge::Nothing => {
            return Ok(Costed { permit, cost: 0, body: InboundBody::Streaming(body) });
        }
        Charge::Writes(cost) => {
            let cost = *cost;
            return Ok(Costed { permit, cost, body: InboundBody::Streaming(body) });
        }
        Charge::ByBody(charge) => charge,
    };
    let held = collect(core, peer, body, job.api.spec().count_bytes_max).await?;
    peer.progress.end_body();
    let query = match &job.target {
        Some(target) => target.query(),
        None => parts.uri.query(),
    };
    let call = CountedCall {
        method: &parts.method,
        headers: &parts.headers,
        query: query.unwrap_or_default(),
        body: &held,
    };
    let cost = cost_of(charge, &call)?;
    Ok(Costed { permit: permit.with_cost(cost), cost, body: InboundBody::Held(held) })
}

fn refuse(core: &Worker, job: &AdmittedRequest, refusal: &Refusal, version: Version) -> Answer {
    Meter::refused(job.api.name(), refusal.reason);
    if let Some(facts) = job.facts.clone() {
        core.engine.note_refused(&job.identity, refusal.reason, facts);
    }
    let is_last = version != Version::HTTP_2;
    answer::refusal(refusal, RefusalContext { base: &job.base, unknown: None, is_last })
        .map(AnswerBody::held)
}

async fn write(
    core: &Rc<Worker>,
    peer: &Peer,
    mut job: Box<AdmittedRequest>,
    costed: Costed,
    parts: Parts,
) -> Answer {
    let Costed { permit, cost, body } = costed;
    let facts = job.facts.take().expect("the head of a call that may write has facts");
    let plan = permit.plan().cloned();
    let kept = (job.api.spec().mode == Mode::Enforce).then(|| facts.clone());
    let began = Instant::now();
    let reserved = core
        .engine
        .reserve(&job.policy, &job.identity, permit, cost, facts, &core.completions)
        .await;
    let reservation = match reserved {
        Ok(reservation) => reservation,
        Err(refused) => {
            let is_last = parts.version != Version::HTTP_2 && !body.is_whole();
            return over_budget(core, &job, refused, kept, is_last);
        }
    };
    let plan = plan.as_deref().map(keystile_core::policy::Plan::name);
    let mut outgoing = Outgoing::of(core, peer, &job, plan, parts, body);
    outgoing.kind = Kind::Writes;
    let switch = |caller| Switch::new(caller, core, &job, OpenCall::Writes);
    let upgrade = outgoing.upgrade.take().map(switch);
    let progress = outgoing.progress.clone();
    let exchanged = match core.pool.target(&job.api, &core.deadlines) {
        Ok(target) => {
            target.meter.writes.increment(1);
            forward::exchange(&target.upstream, outgoing, reservation.sending()).await
        }
        Err(refusal) => Err(Failure { refusal, is_sent: false }),
    };
    let known = ExchangeStats {
        duration_ms: u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX),
        request_bytes: progress.map(|progress| progress.bytes.get()),
    };
    match exchanged {
        Ok((response, lease)) => {
            let answer = deliver(response, lease, upgrade, None);
            settled(core, reservation, answer, known)
        }
        Err(failure) => failed(reservation, &job, &failure, known),
    }
}

/// What is known of a write when its answer's head has come, or will not come.
#[derive(Clone, Copy)]
struct ExchangeStats {
    duration_ms: u64,
    request_bytes: Option<u64>,
}

fn over_budget(
    core: &Worker,
    job: &AdmittedRequest,
    refused: Refused,
    facts: Option<RequestFacts>,
    is_last: bool,
) -> Answer {
    let Refused { refusal, plan, standings, is_recorded } = refused;
    Meter::refused(job.api.name(), refusal.reason);
    if let Some(facts) = facts.filter(|_| !is_recorded) {
        core.engine.note_refused(&job.identity, refusal.reason, facts);
    }
    let occasion = RefusalContext { base: &job.base, unknown: None, is_last };
    let mut answer = answer::refusal(&refusal, occasion);
    if let Some(plan) = plan {
        answer::note_budgets(answer.headers_mut(), &plan, &standings);
    }
    answer.map(AnswerBody::held)
}

fn settled(
    core: &Rc<Worker>,
    reservation: Reservation,
    mut answer: Answer,
    known: ExchangeStats,
) -> Answer {
    let status = answer.status().as_u16();
    let response_bytes = answer.body().size_hint().exact();
    if let Some((plan, standings)) = reservation.standings() {
        answer::note_budgets(answer.headers_mut(), plan, standings);
    }
    if let Some(id) = reservation.id() {
        answer::note_write(answer.headers_mut(), id);
        if response_bytes.is_none() {
            let store = core.engine.store().clone();
            let at_end = AtEnd::new(move |bytes| store.set_response_bytes(id, bytes));
            answer = answer.map(|body| body.then(at_end));
        }
    }
    reservation.settle(Settlement {
        outcome: Outcome::of_status(status),
        status: Some(status),
        duration_ms: known.duration_ms,
        request_bytes: known.request_bytes,
        response_bytes,
    });
    answer
}

fn failed(
    reservation: Reservation,
    job: &AdmittedRequest,
    failure: &Failure,
    known: ExchangeStats,
) -> Answer {
    let reason = failure.refusal.reason;
    Meter::refused(job.api.name(), reason);
    let unknown = reservation.id().filter(|_| failure.is_sent);
    let is_last =
        matches!(reason, Reason::FramingInvalid | Reason::RequestTimeout | Reason::BodyTooLarge);
    let occasion = RefusalContext { base: &job.base, unknown, is_last };
    let answer = answer::refusal(&failure.refusal, occasion);
    reservation.settle(Settlement {
        outcome: if failure.is_sent { Outcome::Unknown } else { Outcome::NotSent },
        status: Some(reason.status()),
        duration_ms: known.duration_ms,
        request_bytes: known.request_bytes,
        response_bytes: None,
    });
    answer.map(AnswerBody::held)
}

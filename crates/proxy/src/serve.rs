//! Serving one request, from its head to the head of its answer.
//!
//! ```text
//! head ── read ──┬── a page of Keystile's own
//!                ├── refused ── problem details, journal line
//!                └── permitted ─┬─ reads ─────────────────────────── exchange ── answer
//!                               ├─ writes ──── reserve ── exchange ── settle ── answer
//!                               └─ by body ─── hold, count ──┴ as one of the two
//! ```
//!
//! A write runs in a task of its own: when its caller hangs up, its outcome is still learned.

use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use http::header::{CONNECTION, COOKIE, EXPECT, HOST, UPGRADE};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode, Uri, Version};
use http_body::Body;
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use keystile_core::api::{Charge, Mode};
use keystile_core::cost::{CallText, cost_of};
use keystile_core::credential;
use keystile_core::grammar::{GrammarRules, strip_untrusted};
use keystile_core::journal::Outcome;
use keystile_core::refusal::{Reason, Refusal};
use keystile_engine::{Engine, Refused, Reservation};
use keystile_store::journal::Settlement;
use tokio::sync::oneshot;

use crate::answer::{self, Occasion};
use crate::body::{AnswerBody, AtEnd, BodyProgress, Pace, RequestBody, StreamedBody};
use crate::connection::{Progress, UnderWay};
use crate::deadline::{Deadline, Deadlines};
use crate::forward::{self, Failure, Origins, Outgoing};
use crate::head::{self, Job, RefusedHead, Verdict};
use crate::meter::Meter;
use crate::pool::Pool;
use crate::settings::GateSettings;
use crate::upstream::{Lease, Want};

/// What the requests of one core share.
pub(crate) struct Core {
    pub(crate) engine: Arc<Engine>,
    pub(crate) settings: Arc<GateSettings>,
    pub(crate) grammar: GrammarRules,
    pub(crate) deadlines: Arc<Deadlines>,
    pub(crate) pool: Pool,
}

/// The other end of a connection.
pub(crate) struct Peer {
    pub(crate) address: IpAddr,
    pub(crate) is_tls: bool,
    pub(crate) is_trusted: bool,
    pub(crate) progress: Arc<Progress>,
}

impl Peer {
    /// The scheme that the caller used; a trusted proxy says what that was.
    pub(crate) fn scheme(&self, headers: &HeaderMap) -> &'static str {
        let forwarded = headers.get("x-forwarded-proto").filter(|_| self.is_trusted);
        match (self.is_tls, forwarded.map(HeaderValue::as_bytes)) {
            (true, _) | (false, Some(b"https")) => "https",
            (false, _) => "http",
        }
    }
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

type Answer = Response<AnswerBody>;

/// Serves a request.
pub(crate) async fn serve(core: Rc<Core>, peer: Rc<Peer>, request: Request<Incoming>) -> Answer {
    let under_way = peer.progress.begin_request();
    let is_faulty = request.version() != Version::HTTP_2 && peer.progress.had_faulty_head();
    let (parts, body) = request.into_parts();
    if body.is_end_stream() {
        peer.progress.end_body();
    }
    match head::read(&core, &peer, &parts, is_faulty) {
        Verdict::Page(page) => page.map(|page| AnswerBody::held(page).of(under_way)),
        Verdict::Refused(refused) => {
            let RefusedHead {
                refusal,
                identity,
                facts,
                base,
                is_last,
            } = *refused;
            Meter::refused(&facts.api, refusal.reason);
            core.engine.note_refused(&identity, refusal.reason, facts);
            // A body that nobody will read: the next request cannot be told from it.
            let is_last = (is_last || !body.is_end_stream()) && parts.version != Version::HTTP_2;
            let answer = answer::refusal(
                &refusal,
                Occasion {
                    base: &base,
                    unknown: None,
                    is_last,
                },
            );
            answer.map(|body| AnswerBody::held(body).of(under_way))
        }
        Verdict::Forward(job) => forward_job(core, peer, *job, parts, body, under_way).await,
    }
}

async fn forward_job(
    core: Rc<Core>,
    peer: Rc<Peer>,
    mut job: Job,
    parts: Parts,
    body: Incoming,
    under_way: UnderWay,
) -> Answer {
    let permit = job.permit.take();
    let charge = permit
        .as_ref()
        .map_or(&Charge::Nothing, |permit| permit.charge());
    let (permit, cost, body) = match charge {
        Charge::Nothing => (permit, 0, Arrived::Streaming(body)),
        Charge::Writes(cost) => {
            let cost = *cost;
            (permit, cost, Arrived::Streaming(body))
        }
        Charge::ByBody { rule, cost_min } => {
            let counted = hold(&core, &job, body).await.and_then(|held| {
                let text = match parts.uri.query().filter(|_| held.is_empty()) {
                    Some(query) => CallText::Query(query),
                    None => CallText::Body(&held),
                };
                cost_of(rule, *cost_min, text).map(|cost| (cost, held.clone()))
            });
            match counted {
                Ok((cost, held)) => {
                    peer.progress.end_body();
                    (
                        permit.map(|permit| permit.with_cost(cost)),
                        cost,
                        Arrived::Held(held),
                    )
                }
                Err(refusal) => {
                    return refuse(
                        &core,
                        job,
                        &refusal,
                        Version::HTTP_2 != parts.version,
                        under_way,
                    );
                }
            }
        }
    };
    match permit {
        Some(permit) if cost > 0 => {
            let (sender, answer) = oneshot::channel();
            tokio::task::spawn_local(async move {
                let answer = write(&core, &peer, job, permit, cost, parts, body).await;
                // Nobody waits any more: the caller has gone, and the journal knows.
                let _ = sender.send(answer);
            });
            match answer.await {
                Ok(answer) => answer.map(|body| body.of(under_way)),
                Err(_) => plain(StatusCode::INTERNAL_SERVER_ERROR).map(|body| body.of(under_way)),
            }
        }
        permit => {
            read(
                &core,
                &peer,
                &job,
                permit
                    .as_ref()
                    .and_then(|permit| permit.plan())
                    .map(|plan| plan.name()),
                parts,
                body,
                under_way,
            )
            .await
        }
    }
}

/// A request's body: still coming, or in memory because it was counted.
enum Arrived {
    Streaming(Incoming),
    Held(Bytes),
}

async fn hold(core: &Core, job: &Job, body: Incoming) -> Result<Bytes, Refusal> {
    let limited = Limited::new(body, job.api.spec().count_bytes_max);
    match tokio::time::timeout(core.settings.idle_timeout.duration(), limited.collect()).await {
        Ok(Ok(collected)) => Ok(collected.to_bytes()),
        Ok(Err(error)) if error.is::<http_body_util::LengthLimitError>() => {
            Err(Reason::BodyTooLarge.into())
        }
        Ok(Err(_)) | Err(_) => Err(Reason::RequestTimeout.into()),
    }
}

fn refuse(core: &Core, job: Job, refusal: &Refusal, is_http1: bool, under_way: UnderWay) -> Answer {
    Meter::refused(job.api.name(), refusal.reason);
    if let Some(facts) = job.facts {
        core.engine
            .note_refused(&job.identity, refusal.reason, facts);
    }
    let occasion = Occasion {
        base: &job.base,
        unknown: None,
        is_last: is_http1,
    };
    answer::refusal(refusal, occasion).map(|body| AnswerBody::held(body).of(under_way))
}

fn plain(status: StatusCode) -> Answer {
    let mut answer = Response::new(AnswerBody::held(Bytes::new()));
    *answer.status_mut() = status;
    answer
}

async fn read(
    core: &Rc<Core>,
    peer: &Peer,
    job: &Job,
    plan: Option<&str>,
    parts: Parts,
    body: Arrived,
    under_way: UnderWay,
) -> Answer {
    let meter = core.pool.meter(&job.api);
    meter.reads.increment(1);
    let (outgoing, upgrade) = outgoing(core, peer, job, plan, parts, body);
    let upstream = match core.pool.upstream(&job.api, &core.deadlines) {
        Ok(upstream) => upstream,
        Err(refusal) => {
            return answer::refusal(&refusal, Occasion::default())
                .map(|body| AnswerBody::held(body).of(under_way));
        }
    };
    match forward::exchange(&upstream, outgoing).await {
        Ok((response, lease)) => deliver(response, lease, upgrade, Some(under_way)),
        Err(failure) => {
            Meter::refused(job.api.name(), failure.refusal.reason);
            let base = format!(
                "{}://{}",
                peer.scheme(&HeaderMap::new()),
                job.host.to_str().unwrap_or_default()
            );
            let occasion = Occasion {
                base: &base,
                ..Occasion::default()
            };
            answer::refusal(&failure.refusal, occasion)
                .map(|body| AnswerBody::held(body).of(under_way))
        }
    }
}

/// A write: reserved, sent once, settled. Runs to its end whether or not its caller stays.
async fn write(
    core: &Rc<Core>,
    peer: &Peer,
    mut job: Job,
    permit: keystile_core::decision::Permit,
    cost: u32,
    parts: Parts,
    body: Arrived,
) -> Answer {
    let is_http1 = parts.version != Version::HTTP_2;
    let meter = core.pool.meter(&job.api);
    let facts = job
        .facts
        .take()
        .expect("the head of every call that may write has facts");
    let plan = permit.plan().map(|plan| plan.name().to_owned());
    let kept = (job.api.spec().mode == Mode::Enforce).then(|| facts.clone());
    let began = Instant::now();
    let reservation = match core
        .engine
        .reserve(&job.policy, &job.identity, permit, cost, facts)
        .await
    {
        Ok(reservation) => reservation,
        Err(refused) => {
            let Refused {
                refusal,
                plan,
                standings,
                is_recorded,
            } = refused;
            Meter::refused(job.api.name(), refusal.reason);
            if let Some(facts) = kept.filter(|_| !is_recorded) {
                core.engine
                    .note_refused(&job.identity, refusal.reason, facts);
            }
            let is_last =
                is_http1 && matches!(&body, Arrived::Streaming(body) if !body.is_end_stream());
            let mut answer = answer::refusal(
                &refusal,
                Occasion {
                    base: &job.base,
                    unknown: None,
                    is_last,
                },
            );
            if let Some(plan) = plan {
                answer::note_budgets(answer.headers_mut(), &plan, &standings);
            }
            return answer.map(AnswerBody::held);
        }
    };
    meter.writes.increment(1);
    let (outgoing, upgrade) = outgoing(core, peer, &job, plan.as_deref(), parts, body);
    let progress = outgoing.progress.clone();
    let exchanged = match core.pool.upstream(&job.api, &core.deadlines) {
        Ok(upstream) => forward::exchange(&upstream, outgoing).await,
        Err(refusal) => Err(Failure {
            refusal,
            is_sent: false,
        }),
    };
    let duration_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
    let sent_bytes = Some(progress.bytes.get()).filter(|bytes| *bytes > 0);
    match exchanged {
        Ok((response, lease)) => settled(
            core,
            reservation,
            response,
            lease,
            upgrade,
            duration_ms,
            sent_bytes,
        ),
        Err(failure) => failed(reservation, &job, &failure, duration_ms, sent_bytes),
    }
}

fn settled(
    core: &Rc<Core>,
    reservation: Reservation,
    response: Response<Incoming>,
    lease: Lease,
    upgrade: Option<OnUpgrade>,
    duration_ms: u64,
    request_bytes: Option<u64>,
) -> Answer {
    let status = response.status().as_u16();
    let response_bytes = response.body().size_hint().exact();
    let mut answer = deliver(response, lease, upgrade, None);
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
    let outcome = Outcome::of_status(status);
    let settlement = Settlement {
        outcome,
        status: Some(status),
        duration_ms,
        request_bytes,
        response_bytes,
    };
    reservation.settle(settlement);
    answer
}

fn failed(
    reservation: Reservation,
    job: &Job,
    failure: &Failure,
    duration_ms: u64,
    request_bytes: Option<u64>,
) -> Answer {
    let reason = failure.refusal.reason;
    Meter::refused(job.api.name(), reason);
    let unknown = reservation.id().filter(|_| failure.is_sent);
    let occasion = Occasion {
        base: &job.base,
        unknown,
        is_last: reason == Reason::RequestTimeout,
    };
    let answer = answer::refusal(&failure.refusal, occasion);
    reservation.settle(Settlement {
        outcome: if failure.is_sent {
            Outcome::Unknown
        } else {
            Outcome::NotSent
        },
        status: Some(reason.status()),
        duration_ms,
        request_bytes,
        response_bytes: None,
    });
    answer.map(AnswerBody::held)
}

/// Makes the request that goes out.
fn outgoing(
    core: &Core,
    peer: &Peer,
    job: &Job,
    plan: Option<&str>,
    mut parts: Parts,
    body: Arrived,
) -> (Outgoing, Option<OnUpgrade>) {
    let spec = job.api.spec();
    let rule = &spec.upstream;
    let scheme = peer.scheme(&parts.headers);
    let upgrade = job
        .is_upgrade
        .then(|| parts.extensions.remove::<OnUpgrade>())
        .flatten();
    strip_untrusted(&mut parts.headers);
    parts.headers.remove(EXPECT);
    if let Some(place) = job.place {
        credential::strip(&mut parts.headers, place, &spec.credential);
    }
    if parts.version == Version::HTTP_2 {
        parts.headers.insert(HOST, job.host.clone());
        join_cookies(&mut parts.headers);
    }
    forward::tell_origins(
        &mut parts.headers,
        &Origins {
            address: job.address,
            host: &job.host,
            scheme,
        },
    );
    forward::tell_identity(&mut parts.headers, &job.identity, plan);
    if upgrade.is_some() {
        parts
            .headers
            .insert(CONNECTION, HeaderValue::from_static("upgrade"));
        parts
            .headers
            .insert(UPGRADE, HeaderValue::from_static("websocket"));
    }
    parts.uri = Uri::from(job.target.clone());
    let progress = Rc::new(BodyProgress::default());
    let deadline = core.deadlines.watch();
    let pace = Pace {
        bytes_max: spec.body_bytes_max,
        idle_timeout: core.settings.idle_timeout,
        rate_min: core.settings.body_rate_min,
        first_byte_timeout: rule.first_byte_timeout,
        total_end: rule
            .total_timeout
            .map(|span| core.deadlines.now() + span.millis().unsigned_abs()),
    };
    let is_read_without_body;
    let body = match body {
        Arrived::Streaming(incoming) if !incoming.is_end_stream() => {
            is_read_without_body = false;
            deadline.set(&core.deadlines, pace.idle_timeout);
            RequestBody::Streamed(Box::new(StreamedBody {
                incoming,
                connection: peer.progress.clone(),
                progress: progress.clone(),
                deadlines: core.deadlines.clone(),
                deadline: deadline.clone(),
                pace,
                began: core.deadlines.now(),
            }))
        }
        arrived => {
            is_read_without_body = keystile_core::operation::is_safe(&parts.method);
            progress.has_ended.set(true);
            pace.await_answer(&core.deadlines, &deadline);
            match arrived {
                Arrived::Held(held) if !held.is_empty() => {
                    progress.bytes.set(held.len() as u64);
                    RequestBody::Held(Some(held))
                }
                Arrived::Held(_) | Arrived::Streaming(_) => RequestBody::Empty,
            }
        }
    };
    let want = match (
        upgrade.is_some(),
        is_read_without_body && matches!(body, RequestBody::Empty) && job.facts.is_none(),
    ) {
        (true, _) => Want::Http1,
        (false, true) => Want::Any,
        (false, false) => Want::Fresh,
    };
    let request = Request::from_parts(parts, body);
    (
        Outgoing {
            request,
            want,
            keep_host: rule.keep_host,
            progress,
            deadline,
        },
        upgrade,
    )
}

/// HTTP/2 may split cookies over fields that HTTP/1 joins (RFC 9113 section 8.2.3).
fn join_cookies(headers: &mut HeaderMap) {
    let cookies: Vec<_> = headers
        .get_all(COOKIE)
        .iter()
        .map(|value| value.as_bytes().to_vec())
        .collect();
    if cookies.len() > 1
        && let Ok(joined) = HeaderValue::from_bytes(&cookies.join(&b"; "[..]))
    {
        headers.insert(COOKIE, joined);
    }
}

const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");

/// Makes the answer that the caller gets of the upstream's.
fn deliver(
    mut response: Response<Incoming>,
    lease: Lease,
    upgrade: Option<OnUpgrade>,
    under_way: Option<UnderWay>,
) -> Answer {
    if response.status() == StatusCode::SWITCHING_PROTOCOLS {
        return match upgrade {
            Some(caller) => switch_protocols(response, caller, under_way),
            None => plain(StatusCode::BAD_GATEWAY),
        };
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

fn switch_protocols(
    mut response: Response<Incoming>,
    caller: OnUpgrade,
    under_way: Option<UnderWay>,
) -> Answer {
    let upstream = hyper::upgrade::on(&mut response);
    tokio::task::spawn_local(async move {
        let (caller, upstream) = match tokio::try_join!(caller, upstream) {
            Ok(ends) => ends,
            Err(error) => return tracing::debug!(%error, "an upgrade was not completed"),
        };
        let _ =
            tokio::io::copy_bidirectional(&mut TokioIo::new(caller), &mut TokioIo::new(upstream))
                .await;
        drop(under_way);
    });
    let (parts, _) = response.into_parts();
    Response::from_parts(parts, AnswerBody::held(Bytes::new()))
}

/// Waits for a deadline that may never come.
pub(crate) async fn or_passed<T>(
    deadline: &Deadline,
    future: impl Future<Output = T>,
) -> Option<T> {
    tokio::select! {
        done = future => Some(done),
        () = deadline.passed() => None,
    }
}

//! Upstream connections: each core has its own, and no two requests share one at a time over HTTP/1.

use std::cell::{Cell, RefCell};
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Context;
use std::time::Duration;

use http::uri::{Authority, Scheme};
use http::{HeaderValue, Request, Response, Uri};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::TokioIo;
use keystile_core::policy::api::UpstreamRule;
use keystile_core::time::Span;
use keystile_engine::SendGrant;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::task::AbortHandle;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use crate::body::request::{BodyProgress, RequestBody};
use crate::caller::coalescing::CoalescingWriter;
use crate::deadline::{Deadline, Deadlines};
use crate::executor::LocalExecutor;
use crate::tls;
use crate::upstream::first_byte::{FirstByte, Noting};
use crate::upstream::http2_sharing::{Connections, Kind, Share};

pub(crate) mod first_byte;
pub(crate) mod forward;
pub(crate) mod http2_sharing;
pub(crate) mod identity;
pub(crate) mod outgoing;
pub(crate) mod pool;

/// Idle connections kept to one origin by one core.
const IDLE_MAX: usize = 256;
/// Idle connections older than this are closed.
const IDLE_MILLIS_MAX: u64 = 60_000;
/// What a connection reads at a time, which bounds the head of an answer too.
const BUFFER_BYTES: usize = 32 * 1024;
/// What one answer over HTTP/2 may send ahead of its caller, and all of a connection: far more, so that
/// callers who do not read do not stop the others.
const ANSWER_WINDOW_BYTES: u32 = 64 * 1024;
const WINDOW_BYTES: u32 = 16 * 1024 * 1024;
/// A connection that was idle for longer may be closing at the other end just now, so nothing is sent
/// on it that could not be sent again.
const FRESH_MILLIS: u64 = 500;
/// How long a request's body may take to end once its answer has: an upstream that answers early does not
/// wait for the rest.
const BODY_AFTER_ANSWER: Duration = Duration::from_secs(1);
/// An origin that refused a connection is asked again after this long, unless all others refuse too.
const DOWN_MILLIS: u64 = 5_000;

/// The upstream of one API, as one core sees it.
pub(crate) struct Upstream {
    origins: Vec<Rc<Origin>>,
    next: Cell<usize>,
    connect_timeout: Span,
    deadlines: Arc<Deadlines>,
}

struct Origin {
    authority: Authority,
    port: u16,
    tls: Option<(ServerName<'static>, TlsConnector)>,
    speaks_http2: Cell<bool>,
    idle: RefCell<Vec<Idle>>,
    reads: Connections,
    writes: Connections,
    down_until: Cell<u64>,
}

struct Idle {
    connection: Http1,
    since: u64,
}

/// An HTTP/1 connection: what sends on it, and what ends it.
struct Http1 {
    sender: http1::SendRequest<RequestBody>,
    task: AbortHandle,
    first_byte: Arc<FirstByte>,
}

/// Which connections will do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reuse {
    /// Any, because the request may be sent again.
    Any,
    /// One that is surely open, as far as that can be known: the request is sent once.
    Fresh,
    /// An HTTP/1 connection, for an upgrade.
    Http1,
}

/// A connection for one request.
pub(crate) struct Lease {
    origin: Rc<Origin>,
    sender: Sender,
    was_idle_long: bool,
    deadlines: Arc<Deadlines>,
    /// When the answer must have come to its end.
    answer_end: Option<Arc<Deadline>>,
    /// The body of the request that was sent, where it has one.
    body: Option<Rc<BodyProgress>>,
}

enum Sender {
    Http1(Http1),
    Http2(Share),
}

/// Why a request has no answer.
#[derive(Debug)]
pub(crate) enum SendFailure {
    /// Not a byte of it was sent; here it is again.
    Untouched(Box<Request<RequestBody>>),
    /// The upstream says that it did not look at it.
    Declined(hyper::Error),
    /// Some of it may have been sent.
    Unknown(hyper::Error),
}

/// No connection could be had.
#[derive(Debug, thiserror::Error)]
#[error("no connection to {origin}")]
pub(crate) struct Unreachable {
    origin: Authority,
    #[source]
    source: io::Error,
}

impl Upstream {
    pub(crate) fn new(
        rule: &UpstreamRule,
        deadlines: Arc<Deadlines>,
    ) -> Result<Self, tls::TlsError> {
        let client = Arc::new(tls::client_config(rule.trusted_certificates.as_deref())?);
        let origins = rule.origins.iter().map(|uri| origin(uri, rule, &client)).collect();
        Ok(Self { origins, next: Cell::new(0), connect_timeout: rule.connect_timeout, deadlines })
    }

    /// How many origins there are.
    pub(crate) fn len(&self) -> usize {
        self.origins.len()
    }

    /// A connection that is open already, where there is one to the origin whose turn it is.
    pub(crate) fn checkout_idle(&self, want: Reuse, kind: Kind) -> Option<Lease> {
        let now = self.deadlines.now();
        let turn = self.next.get();
        let origin = &self.origins[turn % self.origins.len()];
        let (sender, was_idle_long) = origin.checkout_idle(want, kind, now)?;
        self.next.set(turn.wrapping_add(1));
        Some(Lease {
            origin: origin.clone(),
            sender,
            was_idle_long,
            deadlines: self.deadlines.clone(),
            answer_end: None,
            body: None,
        })
    }

    /// A connection: an idle one, or a new one to the first origin in turn that accepts it.
    pub(crate) async fn connect(&self, want: Reuse, kind: Kind) -> Result<Lease, Unreachable> {
        let now = self.deadlines.now();
        let first = self.next.get();
        self.next.set(first.wrapping_add(1));
        let in_turn =
            |offset: usize| &self.origins[first.wrapping_add(offset) % self.origins.len()];
        let (up, down): (Vec<_>, Vec<_>) = match self.origins.as_slice() {
            [only] => (vec![only], Vec::new()),
            _ => (0..self.origins.len())
                .map(in_turn)
                .partition(|origin| origin.down_until.get() <= now),
        };
        let mut refused = None;
        for origin in up.into_iter().chain(down) {
            match self.connect_to(origin, want, kind).await {
                Ok((sender, was_idle_long)) => {
                    origin.down_until.set(0);
                    let (origin, deadlines) = (origin.clone(), self.deadlines.clone());
                    return Ok(Lease {
                        origin,
                        sender,
                        was_idle_long,
                        deadlines,
                        answer_end: None,
                        body: None,
                    });
                }
                Err(source) => {
                    origin.down_until.set(now + DOWN_MILLIS);
                    tracing::warn!(upstream.origin = %origin.authority, error = %source, "an upstream cannot be reached");
                    refused = Some(Unreachable { origin: origin.authority.clone(), source });
                }
            }
        }
        Err(refused.expect("an upstream has at least one origin"))
    }

    async fn connect_to(
        &self,
        origin: &Rc<Origin>,
        want: Reuse,
        kind: Kind,
    ) -> io::Result<(Sender, bool)> {
        let connecting = async {
            let shares = origin.speaks_http2.get() && want != Reuse::Http1;
            let _making = if shares { Some(origin.shared(kind).making.lock().await) } else { None };
            if let Some(found) = origin.checkout_idle(want, kind, self.deadlines.now()) {
                return Ok(found);
            }
            origin.dial(want, kind).await.map(|sender| (sender, false))
        };
        match timeout(self.connect_timeout.duration(), connecting).await {
            Ok(connected) => connected,
            Err(_) => Err(io::Error::new(io::ErrorKind::TimedOut, "it did not accept in time")),
        }
    }
}

fn origin(uri: &Uri, rule: &UpstreamRule, client: &Arc<rustls::ClientConfig>) -> Rc<Origin> {
    let authority = uri.authority().expect("origins are checked with the configuration").clone();
    let is_tls = uri.scheme() == Some(&Scheme::HTTPS);
    let name = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
    let tls = is_tls
        .then(|| ServerName::try_from(name).ok())
        .flatten()
        .map(|name| (name, TlsConnector::from(client.clone())));
    Rc::new(Origin {
        port: authority.port_u16().unwrap_or(if is_tls { 443 } else { 80 }),
        authority,
        tls,
        speaks_http2: Cell::new(rule.http2_prior_knowledge),
        idle: RefCell::default(),
        reads: Connections::default(),
        writes: Connections::default(),
        down_until: Cell::new(0),
    })
}

impl Origin {
    fn shared(&self, kind: Kind) -> &Connections {
        match kind {
            Kind::Reads => &self.reads,
            Kind::Writes => &self.writes,
        }
    }

    fn checkout_idle(&self, want: Reuse, kind: Kind, now: u64) -> Option<(Sender, bool)> {
        if want != Reuse::Http1
            && let Some(share) = self.shared(kind).checkout_idle()
        {
            return Some((Sender::Http2(share), false));
        }
        let idle = self.idle_http1(want, now)?;
        Some((Sender::Http1(idle.connection), now.saturating_sub(idle.since) > FRESH_MILLIS))
    }

    /// The connection that was used last, because it is the least likely to be closing.
    fn idle_http1(&self, want: Reuse, now: u64) -> Option<Idle> {
        let mut idle = self.idle.borrow_mut();
        while let Some(candidate) = idle.pop() {
            let age = now.saturating_sub(candidate.since);
            let is_useful = match want {
                Reuse::Any | Reuse::Http1 => age <= IDLE_MILLIS_MAX,
                Reuse::Fresh => age <= FRESH_MILLIS,
            };
            if !is_useful {
                // Those below are older still: leave them to reads, unless they are too old for those too.
                if age <= IDLE_MILLIS_MAX {
                    idle.push(candidate);
                } else {
                    idle.clear();
                }
                return None;
            }
            if candidate.connection.sender.is_ready() {
                return Some(candidate);
            }
        }
        None
    }

    async fn dial(self: &Rc<Self>, want: Reuse, kind: Kind) -> io::Result<Sender> {
        let host = self.authority.host().trim_start_matches('[').trim_end_matches(']');
        let stream = TcpStream::connect((host, self.port)).await?;
        stream.set_nodelay(true)?;
        let first_byte = Arc::<FirstByte>::default();
        let stream = Noting { stream, first_byte: first_byte.clone() };
        let Some((name, connector)) = &self.tls else {
            return self
                .shake_hands(stream, (want, kind), self.speaks_http2.get(), first_byte)
                .await;
        };
        let stream = connector.connect(name.clone(), stream).await?;
        let speaks_http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
        self.speaks_http2.set(speaks_http2);
        self.shake_hands(stream, (want, kind), speaks_http2, first_byte).await
    }

    async fn shake_hands<S>(
        self: &Rc<Self>,
        stream: S,
        (want, kind): (Reuse, Kind),
        speaks_http2: bool,
        first_byte: Arc<FirstByte>,
    ) -> io::Result<Sender>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let io = TokioIo::new(CoalescingWriter(stream));
        if speaks_http2 && want != Reuse::Http1 {
            let (sender, connection) = http2::Builder::new(LocalExecutor)
                .initial_stream_window_size(ANSWER_WINDOW_BYTES)
                .initial_connection_window_size(WINDOW_BYTES)
                .max_send_buf_size(BUFFER_BYTES)
                .handshake(io)
                .await
                .map_err(io::Error::other)?;
            tokio::task::spawn_local(log_end(connection));
            return Ok(Sender::Http2(self.shared(kind).add(sender)));
        }
        let (sender, connection) = http1::Builder::new()
            .max_buf_size(BUFFER_BYTES)
            .handshake(io)
            .await
            .map_err(io::Error::other)?;
        let task = tokio::task::spawn_local(log_end(connection.with_upgrades())).abort_handle();
        Ok(Sender::Http1(Http1 { sender, task, first_byte }))
    }

    /// Keeps a connection that is ready for the next request.
    fn keep(&self, connection: Http1, now: u64) {
        let mut idle = self.idle.borrow_mut();
        if connection.sender.is_ready() && idle.len() < IDLE_MAX {
            idle.push(Idle { connection, since: now });
        }
    }
}

async fn log_end(connection: impl Future<Output = hyper::Result<()>>) {
    if let Err(error) = connection.await {
        tracing::debug!(%error, "an upstream connection ended");
    }
}

impl Lease {
    /// Whether the connection may be closing at the other end just now.
    pub(crate) fn was_idle_long(&self) -> bool {
        self.was_idle_long
    }

    /// Bounds the answer whose head has come, by the deadline that bounded its head.
    pub(crate) fn end_answer_at(&mut self, deadline: &Arc<Deadline>, end: u64) {
        deadline.renew();
        deadline.set_earlier_at(end);
        self.answer_end = Some(deadline.clone());
    }

    /// Whether the answer should have come to its end by now.
    pub(crate) fn is_too_late(&self, context: &Context<'_>) -> bool {
        self.answer_end.as_ref().is_some_and(|end| end.poll_passed(context).is_ready())
    }

    /// The Host that the upstream goes by.
    pub(crate) fn host(&self) -> Option<HeaderValue> {
        HeaderValue::from_str(self.origin.authority.as_str()).ok()
    }

    /// Whether the connection speaks HTTP/2, and whether to an https origin.
    pub(crate) fn speaks_http2(&self) -> Option<Scheme> {
        match (&self.sender, &self.origin.tls) {
            (Sender::Http1(_), _) => None,
            (Sender::Http2(_), Some(_)) => Some(Scheme::HTTPS),
            (Sender::Http2(_), None) => Some(Scheme::HTTP),
        }
    }

    /// Sends a request that has a grant, and waits for the head of its answer. Over HTTP/1 it is noted when
    /// the first byte leaves; over HTTP/2, where requests share a connection and may have to wait in it,
    /// nobody can tell before there is an answer.
    #[expect(clippy::disallowed_methods, reason = "the one place that sends, by a grant")]
    pub(crate) async fn send(
        &mut self,
        request: Request<RequestBody>,
        grant: &SendGrant,
    ) -> Result<Response<Incoming>, SendFailure> {
        let sent = match &mut self.sender {
            Sender::Http1(Http1 { sender, first_byte, .. }) => {
                if !sender.is_ready() && sender.ready().await.is_err() {
                    return Err(SendFailure::Untouched(Box::new(request)));
                }
                first_byte.await_next(grant.departure().cloned());
                sender.try_send_request(request).await
            }
            Sender::Http2(share) => {
                if share.sender.ready().await.is_err() {
                    return Err(SendFailure::Untouched(Box::new(request)));
                }
                share.sender.try_send_request(request).await
            }
        };
        sent.map_err(|mut failed| {
            if let Some(request) = failed.take_message() {
                SendFailure::Untouched(Box::new(request))
            } else {
                let error = failed.into_error();
                if is_declined(&error) {
                    SendFailure::Declined(error)
                } else {
                    SendFailure::Unknown(error)
                }
            }
        })
    }

    /// The request that goes out has a body.
    pub(crate) fn follow(&mut self, body: Option<Rc<BodyProgress>>) {
        self.body = body;
    }

    /// Keeps the connection for the next request, once it is ready for one. An answer can end before
    /// the request that it answers, whose body may then never end.
    pub(crate) fn give_back(self) {
        let Self { origin, sender, deadlines, body, .. } = self;
        match sender {
            Sender::Http1(connection) if connection.sender.is_ready() => {
                origin.keep(connection, deadlines.now());
            }
            Sender::Http1(connection) if connection.sender.is_closed() => {}
            Sender::Http1(mut connection) => {
                tokio::task::spawn_local(async move {
                    if let Ok(Ok(())) = timeout(BODY_AFTER_ANSWER, connection.sender.ready()).await
                    {
                        origin.keep(connection, deadlines.now());
                    } else {
                        connection.task.abort();
                    }
                });
            }
            Sender::Http2(share) => {
                share.end();
                if let Some(body) = body.filter(|body| !body.has_ended.get()) {
                    tokio::task::spawn_local(async move {
                        tokio::time::sleep(BODY_AFTER_ANSWER).await;
                        body.give_up();
                    });
                }
            }
        }
    }
}

/// Whether the upstream proved that it did not process the request: `REFUSED_STREAM` (RFC 9113 section
/// 8.7), or a graceful GOAWAY that names an earlier stream as the last (section 6.8).
fn is_declined(error: &hyper::Error) -> bool {
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        if let Some(error) = cause.downcast_ref::<h2::Error>() {
            let reason = error.reason();
            return (error.is_reset()
                && error.is_remote()
                && reason == Some(h2::Reason::REFUSED_STREAM))
                || (error.is_go_away()
                    && error.is_remote()
                    && reason == Some(h2::Reason::NO_ERROR));
        }
        source = cause.source();
    }
    false
}

//! Listening: sockets for each core, connections up to the caps, and an orderly end.

use std::cell::RefCell;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use keystile_core::refusal::{Reason, Refusal};
use keystile_core::request::grammar::{FIELDS_MAX, GrammarRules, HEAD_BYTES_MAX};
use keystile_engine::Engine;
use keystile_engine::admission::caller::{DoorRules, Transport};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::io::{AsyncWriteExt, Interest};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use crate::buffer::{Buffers, SEND_BUFFER_BYTES};
use crate::caller::coalescing::CoalescingWriter;
use crate::caller::connection::{InspectedIo, Progress};
use crate::caller::connection_limiter::{ConnectionLimiter, ConnectionPermit};
use crate::caller::linger::{self, Rest, Returned, Returning, Stream};
use crate::deadline::Deadlines;
use crate::executor::LocalExecutor;
use crate::own_answer;
use crate::serve::{serve, serve_stream};
use crate::settings::GateSettings;
use crate::tls::{self, Certificates};
use crate::upstream::identity::IdentityCache;
use crate::upstream::pool::UpstreamRegistry;
use crate::worker::{Peer, Worker, address_text};

/// The head buffer of the parser: the largest head, and the body bytes that come with it.
const READ_BUFFER_BYTES: usize = HEAD_BYTES_MAX + 8 * 1024;
/// Callers over the caps who are told so at one time, by one socket. What more come are cut.
const TURNED_AWAY_MAX: usize = 256;
/// Waiting connections of one socket.
const BACKLOG: i32 = 4096;

/// Sockets are shared by port: each core has its own, and the kernel spreads connections over them.
pub(crate) fn bind(address: SocketAddr) -> io::Result<std::net::TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// What a core is started with.
pub(crate) struct WorkerStart {
    pub(crate) engine: Arc<Engine>,
    pub(crate) settings: Arc<GateSettings>,
    pub(crate) listeners: Vec<std::net::TcpListener>,
    pub(crate) certificates: Option<Arc<Certificates>>,
    pub(crate) limiter: Arc<ConnectionLimiter>,
    pub(crate) buffers: Arc<Buffers>,
    /// Turns true when no more connections are to be taken.
    pub(crate) drain: watch::Receiver<bool>,
}

/// Serves on one core until it is drained.
pub(crate) async fn run_core(start: WorkerStart) -> io::Result<()> {
    let deadlines = Deadlines::new(start.buffers.places.clone());
    let ticking = deadlines.clone();
    // What a core cannot be without.
    let mut parts = JoinSet::new();
    parts.spawn_local(async move { ticking.run().await });
    let worker = Rc::new(Worker {
        engine: start.engine,
        rules: DoorRules {
            grammar: GrammarRules { extra_methods: start.settings.methods.clone() },
            trusted_proxies: start.settings.trusted_proxies.clone(),
        },
        settings: start.settings,
        deadlines,
        pool: UpstreamRegistry::default(),
        buffers: start.buffers,
        identities: IdentityCache::default(),
        completions: Arc::default(),
    });
    tokio::task::spawn_local(give_back());
    let handing_out = worker.clone();
    parts.spawn_local(async move {
        handing_out.engine.store().drain_completions(&handing_out.completions).await;
    });
    let acceptor = start
        .certificates
        .map(|certificates| TlsAcceptor::from(Arc::new(tls::server_config(certificates))));
    let connections = Rc::new(RefCell::new(JoinSet::new()));
    let mut accepting = JoinSet::new();
    for listener in start.listeners {
        let door = Door {
            worker: worker.clone(),
            acceptor: acceptor.clone(),
            limiter: start.limiter.clone(),
            drain: start.drain.clone(),
            connections: connections.clone(),
            turned_away: JoinSet::new(),
        };
        accepting.spawn_local(door.accept(TcpListener::from_std(listener)?));
    }
    loop {
        let ended = tokio::select! {
            ended = accepting.join_next() => ended,
            _ = parts.join_next() => return Err(io::Error::other("a task of it ended")),
        };
        match ended {
            Some(ended) => ended.map_err(io::Error::other)?,
            None => break,
        }
    }
    let mut open = connections.take();
    let drained = async {
        while open.join_next().await.is_some() {}
        // A write whose caller has gone, or a WebSocket, stays counted.
        while start.limiter.open() > 0 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    if tokio::time::timeout(worker.settings.drain_timeout.duration(), drained).await.is_err() {
        tracing::warn!(
            connections = start.limiter.open(),
            "connections were cut because they did not finish in time"
        );
    }
    Ok(())
}

/// Has the allocator give back what a burst took. It looks for that when a large block is freed, and on a
/// core that has become quiet nothing else would.
async fn give_back() {
    const BLOCK_BYTES: usize = 1 << 20;
    let mut ticks = tokio::time::interval(Duration::from_secs(1));
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        drop(std::hint::black_box(Vec::<u8>::with_capacity(BLOCK_BYTES)));
    }
}

/// One listening socket of one core.
struct Door {
    worker: Rc<Worker>,
    acceptor: Option<TlsAcceptor>,
    limiter: Arc<ConnectionLimiter>,
    drain: watch::Receiver<bool>,
    connections: Rc<RefCell<JoinSet<()>>>,
    turned_away: JoinSet<()>,
}

impl Door {
    async fn accept(mut self, listener: TcpListener) {
        let mut draining = self.drain.clone();
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                _ = draining.wait_for(|drain| *drain) => return,
            };
            match accepted {
                Ok((stream, peer)) => self.admit(stream, peer.ip()),
                Err(error) => {
                    // Out of descriptors, most likely: some will be free in a moment.
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
    }

    fn admit(&mut self, stream: TcpStream, address: IpAddr) {
        let mut connections = self.connections.borrow_mut();
        while connections.try_join_next().is_some() {}
        let address = address.to_canonical();
        match self.limiter.admit(address, &self.worker.settings) {
            Some(counted) => {
                let (worker, acceptor, drain) =
                    (self.worker.clone(), self.acceptor.clone(), self.drain.clone());
                connections.spawn_local(connection(worker, acceptor, drain, stream, counted));
            }
            None if self.acceptor.is_none() => {
                while self.turned_away.try_join_next().is_some() {}
                if self.turned_away.len() < TURNED_AWAY_MAX {
                    self.turned_away.spawn_local(turn_away(stream));
                }
            }
            None => {}
        }
    }
}

/// How long a caller over the caps may take to hear of it, and what it may send
/// meanwhile.
const TURNING_AWAY: Duration = Duration::from_secs(1);
const TURNED_AWAY_BYTES_MAX: u64 = 64 << 20;

/// Tells a caller over the caps why, without reading what it wants.
async fn turn_away(mut stream: TcpStream) {
    let refusal = Refusal::new(Reason::ConnectionsExceeded).retry_after_secs(1);
    let answer = own_answer::as_bytes(&refusal);
    let telling = async {
        if stream.write_all(&answer).await.is_ok() {
            let rest = Rest { bytes_max: TURNED_AWAY_BYTES_MAX, pause: TURNING_AWAY };
            linger::close(Box::new(stream), rest).await;
        }
    };
    let _ = tokio::time::timeout(TURNING_AWAY, telling).await;
}

async fn connection(
    worker: Rc<Worker>,
    acceptor: Option<TlsAcceptor>,
    mut drain: watch::Receiver<bool>,
    stream: TcpStream,
    counted: ConnectionPermit,
) {
    // Answers are small and written whole.
    let _ = stream.set_nodelay(true);
    let settings = &worker.settings;
    let address = counted.peer;
    let progress = Progress::new(worker.deadlines.clone(), settings, counted, &worker.buffers);
    let peer = Rc::new(Peer {
        address,
        transport: if acceptor.is_some() { Transport::Tls } else { Transport::Plain },
        is_trusted: worker.rules.trusts(address),
        address_text: address_text(address),
        progress: progress.clone(),
    });
    let noting = worker.clone();
    let returned = Returned::default();
    let returning = returned.returning();
    let served = async {
        match acceptor {
            None => {
                let Some(speaks_http2) = unless_drained(&mut drain, speaks_http2(&stream)).await
                else {
                    return Ok(());
                };
                if speaks_http2? {
                    serve_http2(worker, peer.clone(), drain, stream, returning).await
                } else {
                    serve_http1(worker, peer.clone(), drain, stream, returning).await
                }
            }
            Some(acceptor) => {
                let Some(accepted) = unless_drained(&mut drain, acceptor.accept(stream)).await
                else {
                    return Ok(());
                };
                let stream = accepted?;
                if stream.get_ref().1.alpn_protocol() == Some(b"h2") {
                    serve_http2(worker, peer.clone(), drain, stream, returning).await
                } else {
                    serve_http1(worker, peer.clone(), drain, stream, returning).await
                }
            }
        }
    };
    match progress.deadline.bound(served).await {
        Some(Ok(())) => {}
        Some(Err(error)) => {
            if let Some(error) = error.downcast_ref::<hyper::Error>() {
                note_unreadable(&noting, &progress, address, error);
            }
            tracing::debug!(peer.address = %address, %error, "a connection broke off");
        }
        None => return tracing::debug!(peer.address = %address, "a connection was too slow"),
    }
    if let Some(stream) = returned.take() {
        linger::close(stream, progress.rest()).await;
    }
}

/// What the parser itself refuses stands in the journal too, as far as anybody could read it.
fn note_unreadable(worker: &Worker, progress: &Progress, address: IpAddr, error: &hyper::Error) {
    if !error.is_parse() {
        return;
    }
    let reason = if error.is_parse_too_large() {
        Reason::HeadTooLarge
    } else {
        progress.unread_fault().reason
    };
    worker.engine.note_unreadable(address, reason);
}

type Served = Result<(), Box<dyn std::error::Error>>;

/// Waits for what a connection begins with; `None` when no more connections are served.
async fn unless_drained<T>(
    drain: &mut watch::Receiver<bool>,
    beginning: impl Future<Output = T>,
) -> Option<T> {
    tokio::select! {
        biased;
        begun = beginning => Some(begun),
        _ = drain.wait_for(|drain| *drain) => None,
    }
}

/// Whether a plain connection begins with the HTTP/2 preface (RFC 9113 section 3.4). No HTTP/1 request
/// that could pass begins with `PRI`.
async fn speaks_http2(stream: &TcpStream) -> io::Result<bool> {
    const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    let mut start = [0; PREFACE.len()];
    loop {
        let length = stream.peek(&mut start).await?;
        if length == 0 || start[..length] != PREFACE[..length] {
            return Ok(false);
        }
        if length == PREFACE.len() {
            return Ok(true);
        }
        // Some of the preface. Nothing more comes of a caller that has ended its side.
        if stream.ready(Interest::READABLE).await?.is_read_closed() {
            return Ok(false);
        }
        // There is no event for more bytes than were peeked at.
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

async fn serve_http1<S>(
    worker: Rc<Worker>,
    peer: Rc<Peer>,
    mut drain: watch::Receiver<bool>,
    stream: S,
    returning: Returning,
) -> Served
where
    S: Stream + 'static,
{
    let io =
        TokioIo::new(InspectedIo::new(CoalescingWriter(stream), peer.progress.clone(), returning));
    let service = service_fn(move |request| serve(worker.clone(), peer.clone(), request));
    let connection = http1::Builder::new()
        .max_buf_size(READ_BUFFER_BYTES)
        .max_headers(FIELDS_MAX + 1)
        .auto_date_header(true)
        .serve_connection(io, service)
        .with_upgrades();
    let mut connection = std::pin::pin!(connection);
    tokio::select! {
        served = connection.as_mut() => return Ok(served?),
        _ = drain.wait_for(|drain| *drain) => {}
    }
    connection.as_mut().graceful_shutdown();
    Ok(connection.await?)
}

async fn serve_http2<S>(
    worker: Rc<Worker>,
    peer: Rc<Peer>,
    mut drain: watch::Receiver<bool>,
    stream: S,
    returning: Returning,
) -> Served
where
    S: Stream + 'static,
{
    let share = peer.progress.set_opaque();
    let io =
        TokioIo::new(InspectedIo::new(CoalescingWriter(stream), peer.progress.clone(), returning));
    let service = service_fn(move |request| serve_stream(worker.clone(), peer.clone(), request));
    let connection = http2::Builder::new(LocalExecutor)
        .timer(TokioTimer::new())
        .max_concurrent_streams(share.streams)
        .max_send_buf_size(SEND_BUFFER_BYTES)
        .initial_stream_window_size(share.window / 2)
        .initial_connection_window_size(share.window)
        .max_header_list_size(u32::try_from(HEAD_BYTES_MAX).unwrap_or(u32::MAX))
        .serve_connection(io, service);
    let mut connection = std::pin::pin!(connection);
    tokio::select! {
        served = connection.as_mut() => return Ok(served?),
        _ = drain.wait_for(|drain| *drain) => {}
    }
    connection.as_mut().graceful_shutdown();
    Ok(connection.await?)
}

//! The console's listener: connections with or without TLS, served by the router of `keystile-web`.

mod inspected_io;
mod limiter;

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use http::HeaderValue;
use http::header::CONTENT_TYPE;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use keystile_engine::Engine;
use keystile_proxy::tls::{Certificates, server_config};
use keystile_web::Peer;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tower::ServiceExt;

use self::inspected_io::{AnswerBody, InspectedIo, RequestBody};
use self::limiter::{Activity, ConnectionLimiter, ConnectionPermit, HEAD_TIMEOUT};
use crate::config::ConsoleSettings;

/// What a connection buffers of a head, and of an answer.
const BUFFER_BYTES: usize = 64 * 1024;
/// Requests at a time in one HTTP/2 connection.
const STREAMS_MAX: u32 = 32;
/// How often it is looked for connections that keep the console waiting.
const LOOK_EVERY: std::time::Duration = std::time::Duration::from_secs(1);

/// The protocol that a connection speaks.
#[derive(Clone, Copy)]
enum Protocol {
    Http1,
    Http2,
}

/// Serves the console for ever.
pub(crate) async fn serve(
    listener: TcpListener,
    router: Router,
    certificates: Option<Arc<Certificates>>,
    settings: ConsoleSettings,
) {
    let acceptor =
        certificates.map(|certificates| TlsAcceptor::from(Arc::new(server_config(certificates))));
    let limiter = ConnectionLimiter::new(settings.behind_proxy);
    let mut looks = tokio::time::interval(LOOK_EVERY);
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = looks.tick() => {
                limiter.end_overdue();
                continue;
            }
        };
        match accepted {
            Ok((stream, peer)) => {
                if let Some(permit) = limiter.admit(peer.ip()) {
                    let (router, acceptor) = (router.clone(), acceptor.clone());
                    tokio::spawn(async move {
                        tokio::select! {
                            () = accept(stream, peer, router, acceptor, &permit) => {}
                            () = permit.activity.ended() => {
                                tracing::debug!(%peer, "a console connection was too slow");
                            }
                        }
                    });
                }
            }
            Err(error) => {
                tracing::warn!(%error, "a console connection could not be accepted");
                tokio::time::sleep(std::time::Duration::from_millis(100)).await;
            }
        }
    }
}

async fn accept(
    stream: TcpStream,
    peer: SocketAddr,
    router: Router,
    acceptor: Option<TlsAcceptor>,
    permit: &ConnectionPermit,
) {
    let Some(acceptor) = acceptor else {
        return connection(stream, peer, router, Protocol::Http1, &permit.activity).await;
    };
    match acceptor.accept(stream).await {
        Ok(stream) => {
            let is_http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
            let protocol = if is_http2 { Protocol::Http2 } else { Protocol::Http1 };
            connection(stream, peer, router, protocol, &permit.activity).await;
        }
        Err(error) => tracing::debug!(%error, "a console connection broke off"),
    }
}

async fn connection<S>(
    stream: S,
    peer: SocketAddr,
    router: Router,
    protocol: Protocol,
    activity: &Arc<Activity>,
) where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let noting = activity.clone();
    let service = service_fn(move |request: http::Request<hyper::body::Incoming>| {
        let mut guard = noting.begin_request();
        let activity = noting.clone();
        let mut request = request.map(|body| RequestBody::new(body, &activity));
        request.extensions_mut().insert(Peer(peer));
        let answer = router.clone().oneshot(request);
        async move {
            let answer = answer.await?;
            let kind = answer.headers().get(CONTENT_TYPE).map(HeaderValue::as_bytes);
            if kind == Some(b"text/event-stream") {
                guard.set_stream();
            }
            Ok::<_, Infallible>(answer.map(|body| AnswerBody::new(body, &activity, guard)))
        }
    });
    let io = TokioIo::new(InspectedIo { stream, activity: activity.clone() });
    let served = match protocol {
        Protocol::Http1 => {
            let mut builder = http1::Builder::new();
            builder.timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT);
            builder.max_buf_size(BUFFER_BYTES).serve_connection(io, service).await
        }
        Protocol::Http2 => {
            let mut builder = http2::Builder::new(TokioExecutor::new());
            builder.timer(TokioTimer::new()).max_concurrent_streams(STREAMS_MAX);
            builder.max_send_buf_size(BUFFER_BYTES).serve_connection(io, service).await
        }
    };
    if let Err(error) = served {
        tracing::debug!(%error, "a console connection broke off");
    }
}

/// Measures what is not counted as it happens.
pub(crate) fn note_state(engine: &Engine) {
    let is_well = if engine.store().fault().is_none() { 1.0 } else { 0.0 };
    metrics::gauge!("keystile_store_writable").set(is_well);
    let is_behind = if engine.store().warning().is_some() { 1.0 } else { 0.0 };
    metrics::gauge!("keystile_store_log_behind").set(is_behind);
    #[expect(clippy::cast_precision_loss, reason = "nobody has 2^52 keys")]
    metrics::gauge!("keystile_keys").set(engine.store().keys().len() as f64);
}

/// Describes the metrics that the console adds.
pub(crate) fn describe_metrics() {
    metrics::describe_gauge!(
        "keystile_store_writable",
        "1 while writes can be recorded, otherwise 0."
    );
    metrics::describe_gauge!(
        "keystile_store_log_behind",
        "1 while the store's log cannot be brought into its database, otherwise 0."
    );
    metrics::describe_gauge!("keystile_keys", "Keys of any state.");
}

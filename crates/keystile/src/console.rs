//! The console's listener: connections with or without TLS, served by the router of `keystile-web`.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use keystile_engine::Engine;
use keystile_proxy::tls::{Certificates, server_config};
use keystile_web::Peer;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;
use tower::ServiceExt;

/// A caller has this long to send a head, or to shake hands.
const HEAD_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(10);
/// Owners and their programs need no more connections than this; what comes beyond waits.
const CONNECTIONS_MAX: usize = 512;

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
) {
    let acceptor =
        certificates.map(|certificates| TlsAcceptor::from(Arc::new(server_config(certificates))));
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let place = places.clone().acquire_owned().await;
        let (stream, peer) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "a console connection could not be accepted");
                tokio::time::sleep(std::time::Duration::from_millis(100)).await;
                continue;
            }
        };
        let (router, acceptor) = (router.clone(), acceptor.clone());
        tokio::spawn(async move {
            let _place = place;
            let Some(acceptor) = acceptor else {
                return connection(stream, peer, router, Protocol::Http1).await;
            };
            match tokio::time::timeout(HEAD_TIMEOUT, acceptor.accept(stream)).await {
                Ok(Ok(stream)) => {
                    let is_http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
                    let protocol = if is_http2 { Protocol::Http2 } else { Protocol::Http1 };
                    connection(stream, peer, router, protocol).await;
                }
                Ok(Err(error)) => tracing::debug!(%error, "a console connection broke off"),
                Err(_) => tracing::debug!("a console connection was too slow"),
            }
        });
    }
}

async fn connection<S>(stream: S, peer: SocketAddr, router: Router, protocol: Protocol)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = service_fn(move |mut request: http::Request<hyper::body::Incoming>| {
        request.extensions_mut().insert(Peer(peer));
        router.clone().oneshot(request)
    });
    let io = TokioIo::new(stream);
    let served = match protocol {
        Protocol::Http1 => {
            let mut builder = http1::Builder::new();
            builder.timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT);
            builder.serve_connection(io, service).await
        }
        Protocol::Http2 => {
            let mut builder = http2::Builder::new(TokioExecutor::new());
            builder.timer(TokioTimer::new()).serve_connection(io, service).await
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
    #[expect(clippy::cast_precision_loss, reason = "nobody has 2^52 keys")]
    metrics::gauge!("keystile_keys").set(engine.store().keys().len() as f64);
}

/// Describes the metrics that the console adds.
pub(crate) fn describe_metrics() {
    metrics::describe_gauge!(
        "keystile_store_writable",
        "1 while writes can be recorded, otherwise 0."
    );
    metrics::describe_gauge!("keystile_keys", "Keys of any state.");
}

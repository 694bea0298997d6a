//! Health and metrics over HTTP, on an address of their own.

use std::convert::Infallible;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderValue};
use http::{Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use keystile_engine::Engine;
use keystile_proxy::tls::{Certificates, server_config};
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

/// A caller has this long to send a head.
const HEAD_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(10);

/// What the pages show.
#[derive(Debug)]
pub(crate) struct Console {
    /// Whose state it is.
    pub(crate) engine: Arc<Engine>,
    /// Where metrics are gathered.
    pub(crate) metrics: PrometheusHandle,
}

/// Serves the pages for ever.
pub(crate) async fn serve(
    listener: TcpListener,
    console: Arc<Console>,
    certificates: Option<Arc<Certificates>>,
) {
    let acceptor =
        certificates.map(|certificates| TlsAcceptor::from(Arc::new(server_config(certificates))));
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "a console connection could not be accepted");
                tokio::time::sleep(std::time::Duration::from_millis(100)).await;
                continue;
            }
        };
        let (console, acceptor) = (console.clone(), acceptor.clone());
        tokio::spawn(async move {
            match acceptor {
                None => connection(stream, console).await,
                Some(acceptor) => match acceptor.accept(stream).await {
                    Ok(stream) => connection(stream, console).await,
                    Err(error) => tracing::debug!(%error, "a console connection broke off"),
                },
            }
        });
    }
}

async fn connection<S: AsyncRead + AsyncWrite + Unpin>(stream: S, console: Arc<Console>) {
    let service = service_fn(|request| {
        let answer = answer(&console, &request);
        async move { Ok::<_, Infallible>(answer) }
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .serve_connection(TokioIo::new(stream), service)
        .await;
    if let Err(error) = served {
        tracing::debug!(%error, "a console connection broke off");
    }
}

fn answer(console: &Console, request: &Request<Incoming>) -> Response<Full<Bytes>> {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return text(StatusCode::METHOD_NOT_ALLOWED, "Only GET and HEAD.\n");
    }
    match request.uri().path() {
        "/" => text(
            StatusCode::OK,
            "Keystile runs.\n\n/healthz  the process answers\n/readyz   writes can be recorded\n/metrics  for Prometheus\n\nKeys, locks and the journal: keystile status, keystile key list, keystile journal follow\n",
        ),
        "/healthz" => text(StatusCode::OK, "ok\n"),
        "/readyz" => match console.engine.store().fault() {
            None => text(StatusCode::OK, "ready\n"),
            Some(fault) => text(
                StatusCode::SERVICE_UNAVAILABLE,
                &format!("writes cannot be recorded: {fault}\n"),
            ),
        },
        "/metrics" => {
            let is_well = if console.engine.store().fault().is_none() { 1.0 } else { 0.0 };
            metrics::gauge!("keystile_store_writable").set(is_well);
            #[expect(clippy::cast_precision_loss, reason = "nobody has 2^52 keys")]
            metrics::gauge!("keystile_keys").set(console.engine.store().keys().len() as f64);
            text(StatusCode::OK, &console.metrics.render())
        }
        _ => text(StatusCode::NOT_FOUND, "There is /healthz, /readyz and /metrics.\n"),
    }
}

fn text(status: StatusCode, body: &str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::copy_from_slice(body.as_bytes())));
    *response.status_mut() = status;
    let plain = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(CONTENT_TYPE, plain);
    response
}

/// Describes the metrics that the console adds.
pub(crate) fn describe_metrics() {
    metrics::describe_gauge!(
        "keystile_store_writable",
        "1 while writes can be recorded, otherwise 0."
    );
    metrics::describe_gauge!("keystile_keys", "Keys of any state.");
}

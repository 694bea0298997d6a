//! Connections of one thread, side by side.

use std::convert::Infallible;
use std::io;
use std::net::{IpAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::{Semaphore, watch};
use tokio::task::LocalSet;
use tokio_rustls::TlsAcceptor;

use super::route;
use super::served::Served;

/// How long a head may take, and the beginning of TLS.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// So many connections a thread has at once; more wait to be accepted.
const CONNECTIONS_MAX: usize = 4_096;
/// The longest head, so that many of them together have a bound too.
const HEAD_BYTES_MAX: usize = 64 * 1024;
/// How long calls under way may take when the backend is stopped.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(5);
/// How long to wait where accepting fails, as without file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Serves until it is to stop.
pub(super) async fn serve(
    listener: TcpListener,
    served: Arc<Served>,
    acceptor: Option<TlsAcceptor>,
    mut stop: watch::Receiver<bool>,
) -> io::Result<()> {
    let listener = tokio::net::TcpListener::from_std(listener)?;
    let room = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let connections = LocalSet::new();
    let accepting = async {
        loop {
            let place = room.clone().acquire_owned().await.expect("it is never closed");
            match listener.accept().await {
                Ok((stream, peer)) => {
                    let (served, stop) = (served.clone(), stop.clone());
                    let acceptor = acceptor.clone();
                    tokio::task::spawn_local(async move {
                        accepted(stream, acceptor, served, stop, peer.ip()).await;
                        drop(place);
                    });
                }
                Err(error) => {
                    tracing::debug!(%error, "a connection could not be accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    };
    let mut stopping = stop.clone();
    connections
        .run_until(async {
            tokio::select! {
                () = accepting => {}
                _ = stopping.wait_for(|stops| *stops) => {}
            }
        })
        .await;
    let _ = stop.wait_for(|stops| *stops).await;
    // Connections see the same signal; those that do not end in time are cut.
    let _ = tokio::time::timeout(DRAIN_TIMEOUT, connections).await;
    Ok(())
}

async fn accepted(
    stream: TcpStream,
    acceptor: Option<TlsAcceptor>,
    served: Arc<Served>,
    stop: watch::Receiver<bool>,
    address: IpAddr,
) {
    // Answers are small, and whoever waits for one has nothing else to send.
    let _ = stream.set_nodelay(true);
    let Some(acceptor) = acceptor else {
        return connection(stream, served, stop, address).await;
    };
    match tokio::time::timeout(HEAD_TIMEOUT, acceptor.accept(stream)).await {
        Ok(Ok(stream)) => connection(stream, served, stop, address).await,
        Ok(Err(error)) => tracing::debug!(%error, "a connection did not come to TLS"),
        Err(_) => tracing::debug!("a connection did not come to TLS in time"),
    }
}

async fn connection(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    served: Arc<Served>,
    mut stop: watch::Receiver<bool>,
    address: IpAddr,
) {
    let service = service_fn(move |request: Request<Incoming>| {
        let served = served.clone();
        async move { Ok::<_, Infallible>(route::answer(&served, request, address).await) }
    });
    let serving = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(HEAD_BYTES_MAX)
        .serve_connection(TokioIo::new(stream), service);
    let mut serving = std::pin::pin!(serving);
    let ended = tokio::select! {
        ended = &mut serving => ended,
        _ = stop.wait_for(|stops| *stops) => {
            serving.as_mut().graceful_shutdown();
            serving.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection ended early");
    }
}

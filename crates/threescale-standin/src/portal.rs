//! The portal on a socket of this machine.

use std::collections::VecDeque;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use http::{Request, Response};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};
use tokio_rustls::TlsAcceptor;

use crate::fault::{AnswerBody, Fault};
use crate::request::ApiRequest;
use crate::route::{Answer, answer};
use crate::tenant::Tenant;

/// A request that came in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Received {
    /// Its method.
    pub method: String,
    /// Its path and query, as they were written.
    pub target: String,
    /// Its body.
    pub body: String,
}

/// A running portal. It ends when it is dropped, with all its connections.
#[derive(Debug)]
pub struct Portal {
    address: SocketAddr,
    certificate: Option<String>,
    shared: Arc<Shared>,
    accepting: JoinHandle<()>,
}

#[derive(Debug, Default)]
struct Shared {
    tenant: Mutex<Tenant>,
    /// The faults to come, each with the part of a target that it waits for.
    faults: Mutex<VecDeque<(String, Fault)>>,
    received: Mutex<Vec<Received>>,
}

impl Portal {
    /// A portal that speaks TLS with a certificate of its own making for `localhost`.
    pub async fn start(tenant: Tenant) -> Self {
        let CertifiedKey { cert, signing_key } =
            generate_simple_self_signed(["localhost".to_owned()])
                .expect("a name makes a certificate");
        let key = PrivateKeyDer::Pkcs8(signing_key.serialize_der().into());
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("ring has the cipher suites of both protocol versions")
            .with_no_client_auth()
            .with_single_cert(vec![cert.der().clone()], key)
            .expect("the key is the certificate's");
        let acceptor = TlsAcceptor::from(Arc::new(config));
        Self::serve(tenant, Some(acceptor), Some(cert.pem())).await
    }

    /// A portal that speaks plain HTTP.
    pub async fn start_plain(tenant: Tenant) -> Self {
        Self::serve(tenant, None, None).await
    }

    async fn serve(tenant: Tenant, tls: Option<TlsAcceptor>, certificate: Option<String>) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await;
        let listener = listener.expect("a test may listen on this machine");
        let address = listener.local_addr().expect("a listening socket has an address");
        let shared = Arc::new(Shared { tenant: Mutex::new(tenant), ..Shared::default() });
        let accepting = tokio::spawn(accept(listener, tls, Arc::clone(&shared)));
        Self { address, certificate, shared, accepting }
    }

    /// Its address, as an owner would write it.
    pub fn address(&self) -> String {
        match self.certificate {
            Some(_) => format!("https://localhost:{}", self.address.port()),
            None => format!("http://{}", self.address),
        }
    }

    /// The certificate to trust, in PEM; nothing where it speaks plain HTTP.
    pub fn certificate_pem(&self) -> Option<&str> {
        self.certificate.as_deref()
    }

    /// What the tenant has. No request is answered while this is held.
    pub fn tenant(&self) -> MutexGuard<'_, Tenant> {
        lock(&self.shared.tenant)
    }

    /// Lets the next request fail.
    pub fn fail(&self, fault: Fault) {
        self.fail_on("", fault);
    }

    /// Lets the next request fail that has this in its path or query.
    pub fn fail_on(&self, part: &str, fault: Fault) {
        lock(&self.shared.faults).push_back((part.to_owned(), fault));
    }

    /// What came in since the start or the last call of this.
    pub fn take_received(&self) -> Vec<Received> {
        std::mem::take(&mut lock(&self.shared.received))
    }
}

impl Drop for Portal {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// A test that panicked while it held something has failed; the others go on.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn accept(listener: TcpListener, tls: Option<TlsAcceptor>, shared: Arc<Shared>) {
    // Dropped with this task, and the connections with it.
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        connections.spawn(connected(stream, tls.clone(), Arc::clone(&shared)));
        while connections.try_join_next().is_some() {}
    }
}

async fn connected(stream: TcpStream, tls: Option<TlsAcceptor>, shared: Arc<Shared>) {
    match tls {
        None => exchange(stream, shared).await,
        Some(tls) => {
            // Who does not trust the certificate hangs up here.
            if let Ok(stream) = tls.accept(stream).await {
                exchange(stream, shared).await;
            }
        }
    }
}

async fn exchange(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    shared: Arc<Shared>,
) {
    let service = service_fn(|request| respond(request, Arc::clone(&shared)));
    // An error is a peer that left, or a fault that was wanted.
    drop(http1::Builder::new().serve_connection(TokioIo::new(stream), service).await);
}

/// Nothing comes back where the connection is to end without an answer.
#[derive(Debug)]
struct HungUp;

impl std::fmt::Display for HungUp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the portal hangs up")
    }
}

impl std::error::Error for HungUp {}

async fn respond(
    request: Request<Incoming>,
    shared: Arc<Shared>,
) -> Result<Response<AnswerBody>, HungUp> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.map_err(|_| HungUp)?.to_bytes();
    let target = head.uri.path_and_query().map(ToString::to_string).unwrap_or_default();
    lock(&shared.received).push(Received {
        method: head.method.to_string(),
        target: target.clone(),
        body: String::from_utf8_lossy(&body).into_owned(),
    });
    let fault = next_fault(&shared, &target);
    if let Some(Fault::Slow(pause)) = &fault {
        tokio::time::sleep(*pause).await;
    }
    let request = ApiRequest::read(&head, &body);
    let answer = || answer(&mut lock(&shared.tenant), &request);
    match fault {
        None | Some(Fault::Slow(_)) => Ok(written(answer())),
        Some(Fault::Stale(pause)) => {
            let answer = answer();
            tokio::time::sleep(pause).await;
            Ok(written(answer))
        }
        Some(Fault::CutHead) => {
            answer();
            Err(HungUp)
        }
        Some(Fault::CutBody) => Ok(written(answer()).map(|body| match body {
            AnswerBody::Whole(Some(body)) => {
                AnswerBody::Cut(Some(body.slice(..body.len().div_euclid(2))))
            }
            other => other,
        })),
        Some(Fault::EndlessBody) => {
            let whole =
                Answer { status: 200, content_type: "application/json", body: String::new() };
            Ok(written(whole).map(|_| AnswerBody::endless()))
        }
        Some(Fault::Answer { status, fields, body }) => {
            let built = Response::builder().status(status);
            let built =
                fields.iter().fold(built, |built, (name, value)| built.header(*name, value));
            Ok(built.body(AnswerBody::whole(body)).expect("a test writes statuses and fields"))
        }
    }
}

fn written(answer: Answer) -> Response<AnswerBody> {
    let built = Response::builder().status(answer.status);
    let built = built.header("content-type", answer.content_type);
    built.body(AnswerBody::whole(answer.body)).expect("statuses and types are constants")
}

fn next_fault(shared: &Shared, target: &str) -> Option<Fault> {
    let mut faults = lock(&shared.faults);
    let found = faults.iter().position(|(part, _)| target.contains(part.as_str()))?;
    faults.remove(found).map(|(_, fault)| fault)
}

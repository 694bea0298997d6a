//! One request to 3scale, within its bounds.
//!
//! A connection for each call: calls are few, and a connection that is kept may be dead just when a change
//! is sent on it. Nothing is read beyond [`ANSWER_BYTES_MAX`], and nothing takes longer than the settings
//! allow.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{
    ACCEPT, AUTHORIZATION, CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, HOST, USER_AGENT,
};
use http::{HeaderMap, HeaderValue, Request};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, lookup_host};
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::address::PortalAddress;
use super::answer::Answer;
use super::error::PortalError;
use super::place::Place;
use super::quote::Quoter;
use super::settings::{PortalSettings, SettingsError};
use super::token::Token;

/// A page of 500 applications has less than one mebibyte; configurations may have a few.
pub(super) const ANSWER_BYTES_MAX: usize = 8 * 1024 * 1024;
/// As much of a refusal as is read.
const REFUSAL_BYTES_MAX: usize = 64 * 1024;
const HEAD_BYTES_MAX: usize = 64 * 1024;

/// What is sent.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) place: Place,
    pub(super) path: String,
    /// Encoded, or empty.
    pub(super) query: String,
    /// The form of a change, encoded.
    pub(super) form: Option<String>,
    pub(super) quoter: Quoter,
}

/// As much of a body that only says more of its status as is waited for.
const START_PATIENCE: Duration = Duration::from_secs(1);

/// What is wanted of an answer's body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// All of it, where the status is a success.
    Whole,
    /// What comes of it soon: the status says what there is to know.
    Start,
}

/// Sends requests to one host.
pub(crate) struct Transport {
    address: PortalAddress,
    connect_timeout: Duration,
    total_timeout: Duration,
    tls: TlsConnector,
}

impl Transport {
    pub(crate) fn new(settings: &PortalSettings) -> Result<Self, SettingsError> {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        if let Some(path) = &settings.ca_file {
            trust(&mut roots, path)?;
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("ring has the cipher suites of both protocol versions");
        let mut config = config.with_root_certificates(roots).with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self {
            address: settings.address.clone(),
            connect_timeout: settings.connect_timeout,
            total_timeout: settings.total_timeout,
            tls: TlsConnector::from(Arc::new(config)),
        })
    }

    /// Sends a call and reads its whole answer.
    pub(super) async fn send(&self, call: Call, token: &Token) -> Result<Answer, PortalError> {
        let request = request(&self.address, &call, token);
        match self.exchange(request, Wanted::Whole).await {
            Ok((head, body)) => Ok(Answer {
                status: head.0,
                headers: head.1,
                body,
                place: call.place,
                quoter: call.quoter,
            }),
            Err(fault) => Err(fault.at(call)),
        }
    }

    /// Sends a request and reads its answer. What fails before there is a connection, or an encrypted one, is
    /// `Unreachable` or `Untrusted`: nothing of the request was sent then.
    pub(crate) async fn exchange(
        &self,
        request: Request<Full<Bytes>>,
        wanted: Wanted,
    ) -> Result<(Head, Bytes), Fault> {
        let deadline = Instant::now() + self.total_timeout;
        let connection = timeout_at(deadline, self.connection()).await;
        let connection =
            connection.map_err(|_| Fault::Unreachable(io::ErrorKind::TimedOut.into()))??;
        let answer = async {
            match connection {
                Stream::Plain(stream) => exchange(TokioIo::new(stream), request, wanted).await,
                Stream::Encrypted(stream) => exchange(TokioIo::new(*stream), request, wanted).await,
            }
        };
        timeout_at(deadline, answer).await.unwrap_or(Err(Fault::TimedOut(self.total_timeout)))
    }

    async fn connection(&self) -> Result<Stream, Fault> {
        let stream = self.connect().await?;
        if !self.address.is_encrypted() {
            return Ok(Stream::Plain(stream));
        }
        let host = self.address.host().to_owned();
        let name = ServerName::try_from(host)
            .map_err(|error| Fault::Unreachable(io::Error::other(error)))?;
        let handshake = timeout(self.connect_timeout, self.tls.connect(name, stream)).await;
        let stream = handshake.map_err(|_| Fault::Unreachable(io::ErrorKind::TimedOut.into()))?;
        stream.map(|stream| Stream::Encrypted(Box::new(stream))).map_err(untrusted)
    }

    /// A connection to the first address of the host that answers.
    async fn connect(&self) -> Result<TcpStream, Fault> {
        let host = (self.address.host(), self.address.port());
        let addresses = lookup_host(host).await.map_err(Fault::Unreachable)?;
        let mut fault = io::Error::other("its name has no address");
        for address in addresses {
            match timeout(self.connect_timeout, TcpStream::connect(address)).await {
                Ok(Ok(stream)) => return Ok(stream),
                Ok(Err(error)) => fault = error,
                Err(_) => fault = io::ErrorKind::TimedOut.into(),
            }
        }
        Err(Fault::Unreachable(fault))
    }
}

fn trust(roots: &mut RootCertStore, path: &Path) -> Result<(), SettingsError> {
    let fault = |fault: String| SettingsError::CaFile { path: path.to_owned(), fault };
    let found = CertificateDer::pem_file_iter(path).map_err(|error| fault(error.to_string()))?;
    let mut count = 0_usize;
    for certificate in found {
        let certificate = certificate.map_err(|error| fault(error.to_string()))?;
        roots.add(certificate).map_err(|error| fault(error.to_string()))?;
        count = count.saturating_add(1);
    }
    if count == 0 { Err(fault("there is none in it".to_owned())) } else { Ok(()) }
}

fn request(address: &PortalAddress, call: &Call, token: &Token) -> Request<Full<Bytes>> {
    let mut target = call.path.clone();
    if !call.query.is_empty() {
        target.push('?');
        target.push_str(&call.query);
    }
    let mut built = Request::builder()
        .method(call.place.method().clone())
        .uri(target)
        .header(HOST, address.authority())
        .header(ACCEPT, "application/json")
        .header(USER_AGENT, concat!("Keystile/", env!("CARGO_PKG_VERSION")))
        .header(CONNECTION, "close")
        .header(AUTHORIZATION, token.basic());
    let form = call.form.clone().unwrap_or_default();
    if call.place.writes() {
        let form_type = HeaderValue::from_static("application/x-www-form-urlencoded");
        built = built.header(CONTENT_TYPE, form_type).header(CONTENT_LENGTH, form.len());
    }
    let built = built.body(Full::new(Bytes::from(form)));
    built.expect("paths are constants and numbers, queries are encoded")
}

/// What a request is sent on.
enum Stream {
    Plain(TcpStream),
    Encrypted(Box<TlsStream<TcpStream>>),
}

/// Status and fields.
pub(crate) type Head = (http::StatusCode, HeaderMap);

/// Why there is no answer, before it is known what for.
#[derive(Debug)]
pub(crate) enum Fault {
    Unreachable(io::Error),
    Untrusted(io::Error),
    Cut(hyper::Error),
    TooLarge,
    TimedOut(Duration),
}

impl Fault {
    fn at(self, call: Call) -> PortalError {
        let (place, quoter) = (call.place, call.quoter);
        match self {
            Self::Unreachable(error) => {
                PortalError::Unreachable { place, fault: quoter.quote(&error.to_string()) }
            }
            Self::Untrusted(error) => {
                PortalError::Untrusted { place, fault: quoter.quote(&error.to_string()) }
            }
            Self::Cut(error) => PortalError::Cut { place, fault: quoter.quote(&error.to_string()) },
            Self::TimedOut(limit) => PortalError::TimedOut { place, limit },
            Self::TooLarge => PortalError::TooLarge { place, bytes_max: ANSWER_BYTES_MAX },
        }
    }
}

/// A handshake that failed for the certificate, or for the network.
fn untrusted(error: io::Error) -> Fault {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    match inner {
        Some(rustls::Error::InvalidCertificate(_)) => Fault::Untrusted(error),
        _ => Fault::Unreachable(error),
    }
}

/// The task that drives a connection, which ends with the call, whatever the portal does.
struct Connection(JoinHandle<()>);

impl Drop for Connection {
    fn drop(&mut self) {
        self.0.abort();
    }
}

#[expect(clippy::disallowed_methods, reason = "the portal is no upstream")]
async fn exchange<S>(
    stream: TokioIo<S>,
    request: Request<Full<Bytes>>,
    wanted: Wanted,
) -> Result<(Head, Bytes), Fault>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let builder = http1::Builder::new().max_buf_size(HEAD_BYTES_MAX).clone();
    let (mut sender, connection) = builder.handshake(stream).await.map_err(Fault::Cut)?;
    let _connection = Connection(tokio::spawn(async move { drop(connection.await) }));
    let answer = sender.send_request(request).await.map_err(Fault::Cut)?;
    let (head, body) = answer.into_parts();
    let is_result = head.status.is_success() && wanted == Wanted::Whole;
    let body = if is_result {
        read_whole(body).await?
    } else {
        let mut start = Vec::new();
        // The status has said it all, whether or not there is more.
        drop(timeout(START_PATIENCE, read_start(body, &mut start)).await);
        start.into()
    };
    Ok(((head.status, head.headers), body))
}

async fn read_whole(mut body: Incoming) -> Result<Bytes, Fault> {
    let mut bytes = Vec::new();
    while let Some(frame) = body.frame().await {
        let data = frame.map_err(Fault::Cut)?.into_data().unwrap_or_default();
        if data.len() > ANSWER_BYTES_MAX.saturating_sub(bytes.len()) {
            return Err(Fault::TooLarge);
        }
        bytes.extend_from_slice(&data);
    }
    Ok(bytes.into())
}

async fn read_start(mut body: Incoming, start: &mut Vec<u8>) {
    while let Some(Ok(frame)) = body.frame().await {
        let data = frame.into_data().unwrap_or_default();
        if data.len() > REFUSAL_BYTES_MAX.saturating_sub(start.len()) {
            return;
        }
        start.extend_from_slice(&data);
    }
}

//! One HTTP request to an address that was checked.
//!
//! A connection for each message, HTTP/1.1 over TLS: messages are few, and a connection that is kept
//! would have to be checked again. No redirect is followed, since it would lead where nothing was
//! checked; nothing is read beyond [`ANSWER_BYTES_MAX`].

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use ::http::header::{AUTHORIZATION, CONTENT_LENGTH, HOST, LOCATION, RETRY_AFTER, USER_AGENT};
use ::http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use keystile_core::notifications::delivery::AttemptOutcome;
use keystile_core::time::{Span, Timestamp};
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_rustls::TlsConnector;
use url::Url;

use super::answer::{later, never, said_by};
use crate::address::{AddressError, AddressGuard};

/// As much of an answer as is read; the rest is left on the wire.
const ANSWER_BYTES_MAX: usize = 64 * 1024;
const HEAD_BYTES_MAX: usize = 64 * 1024;
/// An address that does not answer leaves this much of the time to the next one of the same name.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// A peer that asks for a longer pause is tried again after a day.
const RETRY_AFTER_MAX: Span = Span::from_secs(86_400);
const SECRET_BYTES_MIN: usize = 4;

/// How the answers of a kind of receiver are understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Peer {
    /// A program of the owner's: whatever it refuses now it may take when it is repaired, and 410 says
    /// that it wants no more (Standard Webhooks, "Delivery").
    Webhook,
    /// A service with an address for each receiver: 410 says that the receiver is removed.
    Hook,
    /// A push service: 404 and 410 say that the subscription has ended (RFC 8030, section 7.3).
    Push,
    /// A service with one address for all.
    Service,
}

/// A request to be sent. Its address, fields and body may hold secrets, so it prints none of them.
pub(crate) struct HttpRequest {
    pub(crate) peer: Peer,
    pub(crate) method: Method,
    pub(crate) url: Url,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
    /// What is taken out of the answer should the peer repeat it.
    pub(crate) secrets: Vec<String>,
}

impl std::fmt::Debug for HttpRequest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "HttpRequest({} {:?})", self.method, self.peer)
    }
}

impl HttpRequest {
    /// A POST of a JSON document.
    pub(crate) fn json(peer: Peer, url: Url, document: &serde_json::Value) -> Self {
        let json = HeaderValue::from_static("application/json");
        Self {
            peer,
            method: Method::POST,
            url,
            headers: HeaderMap::from_iter([(::http::header::CONTENT_TYPE, json)]),
            body: document.to_string().into_bytes(),
            secrets: Vec::new(),
        }
    }

    /// The same with a field; one that cannot be a field's value is left out, and the peer says what it
    /// misses.
    pub(crate) fn with(mut self, name: HeaderName, value: &str) -> Self {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.headers.insert(name, value);
        }
        self
    }

    /// The same with a text that must not come back in what the peer is quoted with.
    pub(crate) fn hiding(mut self, secret: &str) -> Self {
        // A short text, as the path `/`, is no secret and would be found everywhere.
        if secret.len() >= SECRET_BYTES_MIN {
            self.secrets.push(secret.to_owned());
        }
        self
    }

    /// The same with a token by which the peer knows us.
    pub(crate) fn bearer(self, token: &str) -> Self {
        self.with(AUTHORIZATION, &format!("Bearer {token}")).hiding(token)
    }

    /// The same with its own address hidden: who knows that of a hook may post to it.
    pub(crate) fn hiding_address(self) -> Self {
        let url = self.url.clone();
        self.hiding(url.path()).hiding(url.query().unwrap_or_default())
    }

    fn redacted(&self, text: &str) -> String {
        let hide = |text: String, secret: &String| text.replace(secret.as_str(), "[redacted]");
        self.secrets.iter().fold(text.to_owned(), hide)
    }
}

/// Sends requests to checked addresses.
pub(super) struct HttpClient {
    guard: AddressGuard,
    limit: Duration,
    tls: TlsConnector,
}

impl std::fmt::Debug for HttpClient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HttpClient").field("guard", &self.guard).finish_non_exhaustive()
    }
}

impl HttpClient {
    /// Trusts the system's certificates and the extra ones.
    pub(super) fn new(
        guard: AddressGuard,
        limit: Duration,
        extra: &[CertificateDer<'static>],
    ) -> Self {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        roots.add_parsable_certificates(extra.iter().cloned());
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("ring has the cipher suites of both protocol versions");
        let mut config = config.with_root_certificates(roots).with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Self { guard, limit, tls: TlsConnector::from(Arc::new(config)) }
    }

    /// Sends the request and says what the answer means.
    pub(super) async fn send(&self, request: HttpRequest, now: Timestamp) -> AttemptOutcome {
        let deadline = Instant::now() + self.limit;
        let (answer, _connection) = match timeout_at(deadline, self.answer(&request)).await {
            Ok(Ok(answered)) => answered,
            Ok(Err(outcome)) => return outcome,
            Err(_) => {
                let (host, limit) = (request.url.host_str().unwrap_or_default(), self.limit);
                return later(&format!("{host} did not answer within {limit:?}"));
            }
        };
        let (head, body) = answer.into_parts();
        // The head decides. A body that never ends takes nothing back.
        let text = request.redacted(&read(body, deadline).await);
        outcome(request.peer, head.status, &head.headers, &text, now)
    }

    async fn answer(
        &self,
        request: &HttpRequest,
    ) -> Result<(Response<Incoming>, Connection), AttemptOutcome> {
        let url = &request.url;
        let addresses = self.guard.resolve(url).await.map_err(|error| match &error {
            AddressError::Unresolved { .. } => later(&error.to_string()),
            AddressError::Inside { .. } | AddressError::Plain { .. } => never(&error.to_string()),
        })?;
        let host = url.host_str().unwrap_or_default();
        let failed = |error: &dyn std::fmt::Display| {
            later(&format!("{host} cannot be connected to: {error}"))
        };
        // The very addresses that were checked; the name is not looked up again.
        let stream = connect(&addresses).await.map_err(|e| failed(&e))?;
        if url.scheme() != "https" {
            return exchange(TokioIo::new(stream), request).await;
        }
        let bare = host.trim_matches(['[', ']']).to_owned();
        let name = ServerName::try_from(bare).map_err(|e| failed(&e))?;
        let stream = self.tls.connect(name, stream).await.map_err(|e| failed(&e))?;
        exchange(TokioIo::new(stream), request).await
    }
}

/// A connection to the first of the addresses that answers.
async fn connect(addresses: &[SocketAddr]) -> std::io::Result<TcpStream> {
    let mut fault = std::io::ErrorKind::TimedOut.into();
    for address in addresses {
        match timeout(CONNECT_TIMEOUT, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) => fault = error,
            Err(_) => {}
        }
    }
    Err(fault)
}

/// The task that drives a connection, which ends with the attempt, whatever the peer does.
struct Connection(JoinHandle<()>);

impl Drop for Connection {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Sends the request over a connection of its own and waits for the answer's head.
#[expect(clippy::disallowed_methods, reason = "what an owner is told goes to no upstream")]
async fn exchange<S>(
    stream: TokioIo<S>,
    request: &HttpRequest,
) -> Result<(Response<Incoming>, Connection), AttemptOutcome>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let broken =
        |error: hyper::Error| later(&format!("the connection ended before an answer: {error}"));
    let builder = http1::Builder::new().max_buf_size(HEAD_BYTES_MAX).clone();
    let (mut sender, connection) = builder.handshake(stream).await.map_err(broken)?;
    let connection = Connection(tokio::spawn(async move { drop(connection.await) }));
    let url = &request.url;
    let target = match url.query() {
        Some(query) => format!("{}?{query}", url.path()),
        None => url.path().to_owned(),
    };
    let authority = match (url.host_str().unwrap_or_default(), url.port()) {
        (host, Some(port)) => format!("{host}:{port}"),
        (host, None) => host.to_owned(),
    };
    let built = Request::builder().method(request.method.clone()).uri(target);
    let built = built.header(HOST, authority).header(CONTENT_LENGTH, request.body.len());
    let built = built.header(USER_AGENT, concat!("Keystile/", env!("CARGO_PKG_VERSION")));
    let mut built = built
        .body(Full::new(Bytes::from(request.body.clone())))
        .map_err(|error| never(&format!("no request can be made of it: {error}")))?;
    built.headers_mut().extend(request.headers.clone());
    let answer = sender.send_request(built).await.map_err(broken)?;
    Ok((answer, connection))
}

/// The start of the answer's text, as far as it comes in time.
async fn read(mut body: Incoming, deadline: Instant) -> String {
    let mut bytes = Vec::new();
    while bytes.len() < ANSWER_BYTES_MAX {
        let Ok(Some(Ok(frame))) = timeout_at(deadline, body.frame()).await else {
            break;
        };
        if let Ok(data) = frame.into_data() {
            let room = ANSWER_BYTES_MAX - bytes.len();
            bytes.extend_from_slice(&data[..data.len().min(room)]);
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// What an answer means for the delivery.
fn outcome(
    peer: Peer,
    status: StatusCode,
    headers: &HeaderMap,
    text: &str,
    now: Timestamp,
) -> AttemptOutcome {
    let said = said_by(&format!("{status} {text}"));
    match status.as_u16() {
        200..300 => AttemptOutcome::Sent { said },
        300..400 => {
            let to = redirected_to(headers);
            never(&format!(
                "{status}: it sends us on to {to}, and redirects are not followed; \
                 if that is where it belongs, write the new address into the channel"
            ))
        }
        410 if peer != Peer::Service => AttemptOutcome::Gone { said },
        404 if peer == Peer::Push => AttemptOutcome::Gone { said },
        408 | 425 | 429 | 500.. => {
            AttemptOutcome::Later { said, retry_after: retry_after(headers, text, now) }
        }
        _ if peer == Peer::Webhook => AttemptOutcome::Later { said, retry_after: None },
        _ => AttemptOutcome::Never { said },
    }
}

/// Where a redirect leads, without its path: that is often the secret one of the hook itself.
fn redirected_to(headers: &HeaderMap) -> String {
    let to = headers.get(LOCATION).and_then(|to| Url::parse(to.to_str().ok()?).ok());
    to.map_or_else(|| "another path".to_owned(), |to| to.origin().ascii_serialization())
}

/// How long the peer asks to be left alone: Retry-After in seconds or as a date, or the member that
/// Telegram, Discord (seconds) and Matrix (milliseconds) put into the answer.
fn retry_after(headers: &HeaderMap, text: &str, now: Timestamp) -> Option<Span> {
    let field = headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok()).map(str::trim);
    let millis =
        field.and_then(|field| field_millis(field, now)).or_else(|| member_millis(text))?;
    Span::from_millis(millis.clamp(1, RETRY_AFTER_MAX.millis()))
}

fn field_millis(field: &str, now: Timestamp) -> Option<i64> {
    if let Ok(secs) = field.parse::<u32>() {
        return Some(i64::from(secs) * 1000);
    }
    let time = jiff::fmt::rfc2822::parse(field).ok()?.timestamp();
    Some(time.as_millisecond().saturating_sub(now.0))
}

fn member_millis(text: &str) -> Option<i64> {
    let document: serde_json::Value = serde_json::from_str(text).ok()?;
    if let Some(millis) = document["retry_after_ms"].as_i64() {
        return Some(millis);
    }
    let secs = [&document["parameters"]["retry_after"], &document["retry_after"]];
    let secs = secs.into_iter().find_map(serde_json::Value::as_f64)?;
    let duration = Duration::try_from_secs_f64(secs).ok()?;
    i64::try_from(duration.as_millis()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1_795_500_000_000);

    fn answered(
        peer: Peer,
        status: u16,
        field: Option<&'static str>,
        text: &str,
    ) -> AttemptOutcome {
        let mut headers = HeaderMap::new();
        if let Some(field) = field {
            headers.insert(RETRY_AFTER, HeaderValue::from_static(field));
        }
        outcome(peer, StatusCode::from_u16(status).unwrap(), &headers, text, NOW)
    }

    #[test]
    fn each_status_means_one_thing_for_each_peer() {
        let name_of = |peer, status| answered(peer, status, None, "").name();
        for (status, webhook, hook, push, service) in [
            (200, "sent", "sent", "sent", "sent"),
            (201, "sent", "sent", "sent", "sent"),
            (204, "sent", "sent", "sent", "sent"),
            (301, "never", "never", "never", "never"),
            (307, "never", "never", "never", "never"),
            (400, "later", "never", "never", "never"),
            (401, "later", "never", "never", "never"),
            (403, "later", "never", "never", "never"),
            (404, "later", "never", "gone", "never"),
            (408, "later", "later", "later", "later"),
            (410, "gone", "gone", "gone", "never"),
            (413, "later", "never", "never", "never"),
            (429, "later", "later", "later", "later"),
            (500, "later", "later", "later", "later"),
            (503, "later", "later", "later", "later"),
        ] {
            let peers = [Peer::Webhook, Peer::Hook, Peer::Push, Peer::Service];
            let names = peers.map(|peer| name_of(peer, status));
            assert_eq!(names, [webhook, hook, push, service], "{status}");
        }
    }

    #[test]
    fn a_redirect_is_shown_without_the_path_of_the_hook() {
        for (to, shown) in [
            ("https://new.example/services/SECRET", "on to https://new.example, and"),
            ("/services/SECRET", "on to another path, and"),
            ("javascript:alert(1)", "on to null, and"),
        ] {
            let headers = HeaderMap::from_iter([(LOCATION, HeaderValue::from_static(to))]);
            let outcome = outcome(Peer::Hook, StatusCode::FOUND, &headers, "", NOW);
            let said = outcome.said();
            assert!(said.contains(shown) && !said.contains("SECRET"), "{said}");
        }
    }

    #[test]
    fn a_pause_is_taken_as_it_is_asked_for_up_to_a_day() {
        let secs = |field, text| match answered(Peer::Service, 429, field, text) {
            AttemptOutcome::Later { retry_after, .. } => retry_after.map(Span::millis),
            other => panic!("{other:?}"),
        };
        // NOW is 2026-11-24T06:00:00Z.
        assert_eq!(secs(Some("Tue, 24 Nov 2026 06:00:30 GMT"), ""), Some(30_000));
        assert_eq!(secs(Some("Sun, 06 Nov 1994 08:49:37 GMT"), ""), Some(1));
        assert_eq!(secs(Some("120"), ""), Some(120_000));
        assert_eq!(secs(Some("0"), ""), Some(1));
        assert_eq!(secs(Some("4000000000"), ""), Some(86_400_000));
        assert_eq!(secs(Some("soon"), ""), None);
        assert_eq!(secs(None, r#"{"ok":false,"parameters":{"retry_after":7}}"#), Some(7000));
        assert_eq!(secs(None, r#"{"retry_after":0.65}"#), Some(650));
        assert_eq!(secs(None, r#"{"retry_after_ms":2000}"#), Some(2000));
        assert_eq!(secs(None, r#"{"retry_after":-1}"#), None);
        assert_eq!(secs(None, r#"{"retry_after":1e300}"#), None);
    }
}

//! Forwarding a request: the head as the upstream gets it, the exchange, and what its end means.

use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;

use http::header::{HOST, HeaderName};
use http::uri::{PathAndQuery, Scheme};
use http::{HeaderMap, HeaderValue, Request, Response, Uri, Version};
use hyper::body::Incoming;
use keystile_core::credential::{self, CredentialPlace};
use keystile_core::refusal::{Reason, Refusal};
use keystile_engine::Identity;
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

use crate::body::{BodyProgress, RequestBody};
use crate::deadline::Deadline;
use crate::upstream::{Lease, SendFailure, Upstream, Want};

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const X_KEYSTILE_APPLICATION: HeaderName = HeaderName::from_static("x-keystile-application");
const X_KEYSTILE_KEY: HeaderName = HeaderName::from_static("x-keystile-key");
const X_KEYSTILE_PLAN: HeaderName = HeaderName::from_static("x-keystile-plan");

/// Names are written as visible ASCII; `%` itself is escaped too, so that each has one spelling.
const NOT_VISIBLE: &AsciiSet = &CONTROLS.add(b'%');

/// What the upstream is told about the way of a request.
pub(crate) struct Origins<'a> {
    pub(crate) address: IpAddr,
    pub(crate) host: &'a HeaderValue,
    pub(crate) scheme: &'static str,
}

/// Makes the head that the upstream gets; the caller's own claims about all this are stripped before.
pub(crate) fn tell_origins(headers: &mut HeaderMap, origins: &Origins<'_>) {
    if let Ok(address) = HeaderValue::from_str(&origins.address.to_string()) {
        headers.insert(X_FORWARDED_FOR, address);
    }
    headers.insert(X_FORWARDED_HOST, origins.host.clone());
    headers.insert(X_FORWARDED_PROTO, HeaderValue::from_static(origins.scheme));
}

/// Tells the upstream who calls.
pub(crate) fn tell_identity(headers: &mut HeaderMap, identity: &Identity, plan: Option<&str>) {
    let value = |text: &str| {
        let written: std::borrow::Cow<'_, str> = utf8_percent_encode(text, NOT_VISIBLE).into();
        HeaderValue::from_str(&written).ok()
    };
    if let Identity::Key(key) = identity {
        if let Some(application) = value(&key.application.name) {
            headers.insert(X_KEYSTILE_APPLICATION, application);
        }
        if let Some(id) = value(&key.id.to_string()) {
            headers.insert(X_KEYSTILE_KEY, id);
        }
    }
    if let Some(plan) = plan.and_then(value) {
        headers.insert(X_KEYSTILE_PLAN, plan);
    }
}

/// The target that is forwarded: the canonical path, and the query without the key.
pub(crate) fn target(
    uri: &Uri,
    path: &str,
    place: Option<CredentialPlace>,
    rule: &credential::CredentialRule,
) -> PathAndQuery {
    let strips_query = place == Some(CredentialPlace::Query);
    if let (Some(known), false) = (uri.path_and_query(), strips_query)
        && known.path() == path
    {
        return known.clone();
    }
    let query = match (uri.query(), strips_query) {
        (Some(query), true) => credential::strip_query(query, rule),
        (query, _) => query.map(Into::into),
    };
    let text = match query {
        Some(query) => format!("{path}?{query}"),
        None => path.to_owned(),
    };
    text.parse()
        .expect("the grammar accepts only what a target may hold")
}

/// Why an exchange has no answer, and whether the request may have been sent.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) refusal: Refusal,
    pub(crate) is_sent: bool,
}

impl Failure {
    fn before(reason: Reason) -> Self {
        Self {
            refusal: reason.into(),
            is_sent: false,
        }
    }

    fn after(reason: Reason) -> Self {
        Self {
            refusal: reason.into(),
            is_sent: true,
        }
    }
}

/// A request that is ready to go out.
pub(crate) struct Outgoing {
    pub(crate) request: Request<RequestBody>,
    pub(crate) want: Want,
    /// Whether Host stays as the caller sent it.
    pub(crate) keep_host: bool,
    pub(crate) progress: Rc<BodyProgress>,
    pub(crate) deadline: Arc<Deadline>,
}

/// Sends a request, once. Another connection or origin is tried only while not a byte has gone out.
pub(crate) async fn exchange(
    upstream: &Upstream,
    outgoing: Outgoing,
) -> Result<(Response<Incoming>, Lease), Failure> {
    let Outgoing {
        mut request,
        mut want,
        keep_host,
        progress,
        deadline,
    } = outgoing;
    for _ in 0..=upstream.len() {
        let connected = tokio::select! {
            connected = upstream.connect(want) => connected,
            () = deadline.passed() => return Err(Failure::before(Reason::UpstreamTimeout)),
        };
        let Ok(mut lease) = connected else {
            return Err(Failure::before(Reason::UpstreamUnreachable));
        };
        adapt(&mut request, &lease, keep_host);
        // A connection that was idle for long may be closing. A read can be repeated on another.
        let again = (want == Want::Any && lease.was_idle_long()).then(|| copy(&request));
        let sent = tokio::select! {
            sent = lease.send(request) => sent,
            () = deadline.passed() => return Err(Failure::after(late(&progress))),
        };
        match sent {
            Ok(response) => return Ok((response, lease)),
            Err(SendFailure::Untouched(untouched)) => {
                request = *untouched;
                want = if want == Want::Any { Want::Fresh } else { want };
            }
            Err(SendFailure::Declined(error)) => {
                tracing::debug!(%error, "the upstream declined a request");
                return Err(Failure::before(Reason::UpstreamUnreachable));
            }
            Err(SendFailure::Unknown(error)) => match again {
                Some(copy) => {
                    request = copy;
                    want = Want::Fresh;
                }
                None => return Err(Failure::after(broken_off(&progress, &error))),
            },
        }
    }
    Err(Failure::before(Reason::UpstreamUnreachable))
}

/// Whose fault it is that the answer did not come in time.
fn late(progress: &BodyProgress) -> Reason {
    match (progress.refused.get(), progress.has_ended.get()) {
        (Some(reason), _) => reason,
        (None, true) => Reason::UpstreamTimeout,
        (None, false) => Reason::RequestTimeout,
    }
}

fn broken_off(progress: &BodyProgress, error: &hyper::Error) -> Reason {
    tracing::debug!(%error, "an exchange broke off");
    progress.refused.get().unwrap_or(Reason::UpstreamFailed)
}

fn copy(request: &Request<RequestBody>) -> Request<RequestBody> {
    let mut copy = Request::new(RequestBody::Empty);
    *copy.method_mut() = request.method().clone();
    *copy.uri_mut() = request.uri().clone();
    *copy.headers_mut() = request.headers().clone();
    copy
}

/// HTTP/1 wants Host and the path, HTTP/2 a whole URI (RFC 9113 section 8.3.1).
fn adapt(request: &mut Request<RequestBody>, lease: &Lease, keep_host: bool) {
    if !keep_host && let Some(host) = lease.host() {
        request.headers_mut().insert(HOST, host);
    }
    let Some(scheme) = lease.speaks_http2() else {
        *request.version_mut() = Version::HTTP_11;
        return;
    };
    *request.version_mut() = Version::HTTP_2;
    let host = request.headers_mut().remove(HOST);
    let authority = host.as_ref().and_then(|host| host.to_str().ok());
    let target = request
        .uri()
        .path_and_query()
        .cloned()
        .unwrap_or(PathAndQuery::from_static("/"));
    let scheme = if scheme == Scheme::HTTPS {
        "https"
    } else {
        "http"
    };
    if let Some(authority) = authority
        && let Ok(uri) = Uri::builder()
            .scheme(scheme)
            .authority(authority)
            .path_and_query(target)
            .build()
    {
        *request.uri_mut() = uri;
    }
}

//! The exchange with the upstream: sent once, and what it means when it fails.

use std::rc::Rc;

use http::header::{HOST, HeaderValue, TRANSFER_ENCODING};
use http::uri::{PathAndQuery, Scheme};
use http::{Request, Response, Uri, Version};
use http_body::Body;
use hyper::body::Incoming;
use keystile_core::refusal::{Reason, Refusal};
use keystile_engine::admission::settle::Sent;

use crate::body::request::{BodyProgress, RequestBody};
use crate::upstream::outgoing::Outgoing;
use crate::upstream::{Lease, Reuse, SendFailure, Upstream};

/// Why an exchange has no answer, and whether the request may have been sent.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) refusal: Refusal,
    pub(crate) sent: Sent,
}

impl Failure {
    pub(crate) fn before(reason: Reason) -> Self {
        Self { refusal: reason.into(), sent: Sent::No }
    }

    fn after(reason: Reason) -> Self {
        Self { refusal: reason.into(), sent: Sent::Perhaps }
    }
}

/// Sends a request, once, by its grant. Another connection or origin is tried only while not a byte has gone out;
/// a read without a body also when its connection was idle for so long that it may have been closing.
pub(crate) async fn exchange(
    upstream: &Rc<Upstream>,
    outgoing: Outgoing,
) -> Result<(Response<Incoming>, Lease), Failure> {
    let Outgoing {
        grant,
        mut request,
        mut want,
        kind,
        keep_host,
        progress,
        deadline,
        total_end,
        ..
    } = outgoing;
    for _ in 0..=upstream.len() {
        let mut lease = match upstream.checkout_idle(want, kind) {
            Some(lease) => lease,
            // Rare, and large: not part of every request's future.
            None => match Box::pin(upstream.connect(want, kind)).await {
                Ok(lease) => lease,
                Err(_) => return Err(Failure::before(Reason::UpstreamUnreachable)),
            },
        };
        adapt(&mut request, &lease, keep_host);
        let again = (want == Reuse::Any && lease.was_idle_long()).then(|| copy(&request));
        let Some(sent) = deadline.bound(lease.send(request, &grant)).await else {
            let reason = late(progress.as_deref());
            if reason == Reason::UpstreamTimeout {
                note_failure(&lease, "its answer did not begin in time");
            }
            return Err(Failure::after(reason));
        };
        match (sent, again) {
            (Ok(response), _) => {
                if let Some(end) = total_end {
                    lease.end_answer_at(&deadline, end);
                }
                lease.follow(progress);
                return Ok((response, lease));
            }
            (Err(SendFailure::Untouched(untouched)), _) => {
                request = *untouched;
                want = if want == Reuse::Any { Reuse::Fresh } else { want };
            }
            (Err(SendFailure::Declined(error)), _) => {
                note_failure(&lease, &format!("it declined the request: {}", cause(&error)));
                return Err(Failure::before(Reason::UpstreamUnreachable));
            }
            (Err(SendFailure::Unknown(_)), Some(copy)) => {
                request = *copy;
                want = Reuse::Fresh;
            }
            (Err(SendFailure::Unknown(error)), None) => {
                let refused = progress.and_then(|progress| progress.refused.get());
                match refused {
                    Some(_) => tracing::debug!(%error, "a caller's body broke off"),
                    None => note_failure(&lease, &cause(&error)),
                }
                return Err(Failure::after(refused.unwrap_or(Reason::UpstreamFailed)));
            }
        }
    }
    Err(Failure::before(Reason::UpstreamUnreachable))
}

/// Says why a caller got an answer of ours in the place of the upstream's.
fn note_failure(lease: &Lease, problem: &str) {
    let origin = lease.host();
    let origin = origin.as_ref().and_then(|host| host.to_str().ok()).unwrap_or_default();
    tracing::warn!(upstream.origin = origin, problem, "an upstream did not answer a request");
}

/// What went wrong, down to its cause.
fn cause(error: &hyper::Error) -> String {
    if error.is_parse_too_large() {
        return "the head of its answer is over the limit of 100 fields and 400 KiB".to_owned();
    }
    let causes =
        std::iter::successors(Some(error as &dyn std::error::Error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

/// Whose fault it is that the answer did not come in time.
fn late(progress: Option<&BodyProgress>) -> Reason {
    match progress {
        Some(progress) if !progress.has_ended.get() => {
            progress.refused.get().unwrap_or(Reason::RequestTimeout)
        }
        Some(_) | None => Reason::UpstreamTimeout,
    }
}

fn copy(request: &Request<RequestBody>) -> Box<Request<RequestBody>> {
    let mut copy = Request::new(RequestBody::Empty);
    *copy.method_mut() = request.method().clone();
    *copy.uri_mut() = request.uri().clone();
    *copy.headers_mut() = request.headers().clone();
    Box::new(copy)
}

/// HTTP/1 wants Host and the path, HTTP/2 a whole URI (RFC 9113 section 8.3.1).
fn adapt(request: &mut Request<RequestBody>, lease: &Lease, keep_host: bool) {
    if !keep_host && let Some(host) = lease.host() {
        request.headers_mut().insert(HOST, host);
    }
    let Some(scheme) = lease.speaks_http2() else {
        *request.version_mut() = Version::HTTP_11;
        // Without this the client sends no body of unknown length with GET and HEAD.
        if request.body().size_hint().exact().is_none() {
            request.headers_mut().insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
        }
        return;
    };
    *request.version_mut() = Version::HTTP_2;
    request.headers_mut().remove(TRANSFER_ENCODING);
    let host = request.headers_mut().remove(HOST);
    let authority = host.as_ref().and_then(|host| host.to_str().ok());
    let target = request.uri().path_and_query().cloned().unwrap_or(PathAndQuery::from_static("/"));
    let scheme = if scheme == Scheme::HTTPS { "https" } else { "http" };
    if let Some(authority) = authority
        && let Ok(uri) =
            Uri::builder().scheme(scheme).authority(authority).path_and_query(target).build()
    {
        *request.uri_mut() = uri;
    }
}

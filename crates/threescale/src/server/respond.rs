//! Answers as HTTP, with the fields of the reference.

use bytes::Bytes;
use http::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderName, HeaderValue, Response, StatusCode};
use http_body_util::Full;

use crate::backend::answer::{self, Answer};

/// An answer whose body is in memory.
pub(super) type Reply = Response<Full<Bytes>>;

/// How long whoever calls is asked to wait while usage cannot be recorded.
pub(super) const RETRY_SECS: &str = "5";

/// An answer with a body of a type.
pub(super) fn reply(status: StatusCode, media_type: &'static str, body: impl Into<Bytes>) -> Reply {
    let mut reply = Response::new(Full::new(body.into()));
    *reply.status_mut() = status;
    reply.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    reply
}

/// An answer to an authorization or a report.
pub(super) fn of_answer(answer: Answer) -> Reply {
    let status = StatusCode::from_u16(answer.status).expect("the table has valid statuses");
    let mut reply = reply(status, answer::CONTENT_TYPE, answer.body);
    let headers = reply.headers_mut();
    // Errors have it not, as in the reference.
    if matches!(answer.status, 200 | 409) {
        headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static("default-src 'self'"));
    }
    if let Some(code) = answer.rejection_reason {
        let name = HeaderName::from_static(answer::REJECTION_REASON);
        headers.insert(name, HeaderValue::from_static(code));
    }
    for (name, value) in answer
        .limits
        .into_iter()
        .flat_map(super::super::backend::limit_headers::LimitHeaders::fields)
    {
        if let Ok(value) = HeaderValue::from_str(&value) {
            headers.insert(HeaderName::from_static(name), value);
        }
    }
    reply
}

/// Usage cannot be recorded: gateways take it for a backend that is not there.
pub(super) fn unavailable() -> Reply {
    let mut reply = reply(StatusCode::SERVICE_UNAVAILABLE, answer::CONTENT_TYPE, Bytes::new());
    reply.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static(RETRY_SECS));
    reply
}

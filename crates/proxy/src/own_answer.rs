//! Answers that Keystile gives itself, as HTTP: problem documents, and the pages that explain them.

use bytes::Bytes;
use http::header::CONNECTION;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};
use keystile_core::journal::RecordId;
use keystile_core::problem::{AnswerField, Page, Problem, WRITE_FIELD};
use keystile_core::refusal::{Reason, Refusal};
use keystile_engine::Refused;

/// What becomes of the caller's connection after an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Connection {
    Stays,
    Ends,
}

impl Connection {
    /// Ends it where something is so that no other request can follow.
    pub(crate) fn ending_if(is_last: bool) -> Self {
        if is_last { Self::Ends } else { Self::Stays }
    }
}

/// A problem document as an answer.
pub(crate) fn problem(problem: &Problem, connection: Connection) -> Response<Bytes> {
    let mut response = Response::new(Bytes::from(problem.document()));
    *response.status_mut() =
        StatusCode::from_u16(problem.status()).expect("reasons have valid statuses");
    let headers = response.headers_mut();
    set_fields(headers, &problem.fields());
    if connection == Connection::Ends {
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

/// The answer to a request that was refused.
pub(crate) fn refused(refused: &Refused, connection: Connection) -> Response<Bytes> {
    let mut response = problem(&refused.problem, connection);
    if let Some(fields) = &refused.budgets {
        set_fields(response.headers_mut(), fields);
    }
    response
}

/// Sets fields of an answer.
pub(crate) fn set_fields(headers: &mut HeaderMap, fields: &[AnswerField]) {
    for (name, value) in fields {
        if let Ok(value) = HeaderValue::from_str(value) {
            headers.insert(HeaderName::from_static(name), value);
        }
    }
}

/// One of Keystile's own pages.
pub(crate) fn page(page: Page) -> Response<Bytes> {
    let mut response = Response::new(Bytes::from(page.html));
    for (name, value) in Page::FIELDS {
        let (name, value) = (HeaderName::from_static(name), HeaderValue::from_static(value));
        response.headers_mut().insert(name, value);
    }
    response
}

/// A refusal as the bytes of an answer that ends its connection, where no HTTP machinery writes them.
pub(crate) fn as_bytes(refusal: &Refusal) -> Bytes {
    let answer = problem(&Problem::new(refusal.clone(), ""), Connection::Ends);
    let (head, body) = answer.into_parts();
    let mut bytes = format!("HTTP/1.1 {}\r\n", head.status).into_bytes();
    for (name, value) in &head.headers {
        bytes.extend_from_slice(name.as_str().as_bytes());
        bytes.extend_from_slice(b": ");
        bytes.extend_from_slice(value.as_bytes());
        bytes.extend_from_slice(b"\r\n");
    }
    bytes.extend_from_slice(format!("content-length: {}\r\n\r\n", body.len()).as_bytes());
    bytes.extend_from_slice(&body);
    bytes.into()
}

/// Why the parser refused a head, where these bytes are just the answer that it gives by itself: a
/// status, the connection's end, no length and perhaps the date.
pub(crate) fn bare_refusal(bytes: &[u8]) -> Option<Reason> {
    const FIELDS: [&str; 3] = ["connection: close", "content-length: 0", "date: "];
    let head = std::str::from_utf8(bytes).ok()?.strip_suffix("\r\n\r\n")?;
    let mut lines = head.split("\r\n");
    let status = lines.next()?.strip_prefix("HTTP/1.1 ")?.get(..3)?;
    let is_bare = lines.all(|line| FIELDS.iter().any(|field| line.starts_with(field)));
    match status {
        "400" if is_bare => Some(Reason::FramingInvalid),
        "414" | "431" if is_bare => Some(Reason::HeadTooLarge),
        _ => None,
    }
}

/// Names a write's record, so that caller and owner can speak of it.
pub(crate) fn name_write(headers: &mut HeaderMap, id: RecordId) {
    set_fields(headers, &[(WRITE_FIELD, id.to_string().into())]);
}

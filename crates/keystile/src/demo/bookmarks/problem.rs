//! What the sample API says when something is wrong: problem details (RFC 9457).

use http::header::{ALLOW, CONTENT_TYPE, HeaderValue};
use http::{Method, StatusCode};

use super::answer::{Answer, json};

/// What is wrong with a request.
#[derive(Debug)]
pub(super) struct Problem {
    status: StatusCode,
    detail: String,
    /// The methods that the path knows, where the method is what is wrong.
    allow: Option<&'static str>,
}

impl Problem {
    /// A problem with a sentence about it.
    pub(super) fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        Self { status, detail: detail.into(), allow: None }
    }

    /// Something in the request is not as it should be.
    pub(super) fn bad(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, detail)
    }

    /// The path names a bookmark that is not there.
    pub(super) fn no_bookmark(id: i64) -> Self {
        Self::new(StatusCode::NOT_FOUND, format!("There is no bookmark {id}."))
    }

    /// The path knows other methods.
    pub(super) fn not_allowed(method: &Method, allow: &'static str) -> Self {
        let detail = format!("{method} means nothing here; {allow} do.");
        Self { allow: Some(allow), ..Self::new(StatusCode::METHOD_NOT_ALLOWED, detail) }
    }

    /// The answer that tells it.
    pub(super) fn render(self) -> Answer {
        let body = serde_json::json!({
            "title": self.status.canonical_reason(),
            "status": self.status.as_u16(),
            "detail": self.detail,
        });
        let mut answer = json(self.status, &body);
        answer
            .headers_mut()
            .insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if let Some(allow) = self.allow {
            answer.headers_mut().insert(ALLOW, HeaderValue::from_static(allow));
        }
        answer
    }
}

impl From<rusqlite::Error> for Problem {
    fn from(error: rusqlite::Error) -> Self {
        tracing::error!(%error, "the sample API's store failed");
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "The store failed.")
    }
}

//! What the admin API answers when it cannot do what was asked: problem details (RFC 9457), always.

use axum::Json;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::{CONTENT_TYPE, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use keystile_core::owners::scope::Scope;
use keystile_engine::command::{Failure, FailureKind};
use serde::Serialize;
use utoipa::openapi::{ContentBuilder, Ref, RefOr, ResponseBuilder, ResponsesBuilder};
use utoipa::{IntoResponses, ToSchema};

/// Kinds of problems; the name is the last part of `type` and stays as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    NotUnderstood,
    NotKnown,
    ScopeTooSmall,
    NotRecentlyAuthenticated,
    Foreign,
    Missing,
    MethodNotAllowed,
    Conflict,
    Stale,
    TooLarge,
    NotJson,
    Invalid,
    TooManyGuesses,
    Fault,
    Unavailable,
}

impl Kind {
    fn parts(self) -> (StatusCode, &'static str, &'static str) {
        match self {
            Self::NotUnderstood => (StatusCode::BAD_REQUEST, "not_understood", "Malformed request"),
            Self::NotKnown => (StatusCode::UNAUTHORIZED, "not_known", "Authentication required"),
            Self::ScopeTooSmall => (StatusCode::FORBIDDEN, "scope_too_small", "Insufficient scope"),
            Self::NotRecentlyAuthenticated => {
                (StatusCode::FORBIDDEN, "proof_wanted", "Recent authentication required")
            }
            Self::Foreign => (StatusCode::FORBIDDEN, "foreign", "Host or origin not allowed"),
            Self::Missing => (StatusCode::NOT_FOUND, "missing", "Not found"),
            Self::MethodNotAllowed => {
                (StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", "Method not allowed")
            }
            Self::Conflict => (StatusCode::CONFLICT, "conflict", "Conflict with the present state"),
            Self::Stale => (StatusCode::PRECONDITION_FAILED, "stale", "Changed in the meantime"),
            Self::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "too_large", "Body too large"),
            Self::NotJson => (StatusCode::UNSUPPORTED_MEDIA_TYPE, "not_json", "Body is not JSON"),
            Self::Invalid => (StatusCode::UNPROCESSABLE_ENTITY, "invalid", "Invalid request"),
            Self::TooManyGuesses => {
                (StatusCode::TOO_MANY_REQUESTS, "too_many_guesses", "Too many failed attempts")
            }
            Self::Fault => (StatusCode::INTERNAL_SERVER_ERROR, "fault", "Internal server error"),
            Self::Unavailable => {
                (StatusCode::SERVICE_UNAVAILABLE, "unavailable", "Store unavailable")
            }
        }
    }
}

/// A problem, on its way to whoever asked.
#[derive(Clone, Debug)]
pub(crate) struct Problem {
    kind: Kind,
    detail: String,
    help: Option<String>,
    retry_after_secs: Option<u64>,
    challenge: Option<String>,
}

/// Why something was not done (RFC 9457). Nothing was changed.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Problem)]
pub(super) struct ProblemBody {
    /// The kind of problem, as in `urn:keystile:problem:conflict`; it never changes.
    #[serde(rename = "type")]
    #[schema(examples("urn:keystile:problem:conflict"))]
    name: String,
    /// The kind in words.
    title: &'static str,
    /// The status of the answer.
    status: u16,
    /// What happened, in a sentence.
    detail: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    help: Option<String>,
}

impl Problem {
    pub(crate) fn new(kind: Kind, detail: impl Into<String>) -> Self {
        let detail = crate::format::capital(&detail.into());
        Self { kind, detail, help: None, retry_after_secs: None, challenge: None }
    }

    pub(crate) fn with_help(self, help: impl Into<String>) -> Self {
        Self { help: Some(help.into()), ..self }
    }

    pub(crate) fn retry_after_secs(self, seconds: u64) -> Self {
        Self { retry_after_secs: Some(seconds), ..self }
    }

    /// Nobody, or nobody who is known, asks for it.
    pub(crate) fn unknown(detail: &str, challenge: &str) -> Self {
        let challenge = format!("Bearer realm=\"Keystile\"{challenge}");
        Self { challenge: Some(challenge), ..Self::new(Kind::NotKnown, detail) }
            .with_help("send `Authorization: Bearer kst_...`; an owner makes tokens at the console, under Settings")
    }

    pub(crate) fn scope_too_small(has: Scope, needed: Scope) -> Self {
        let challenge = format!("Bearer error=\"insufficient_scope\", scope=\"{needed}\"");
        let detail = format!("this needs the scope {needed}, and the token has {has}");
        Self { challenge: Some(challenge), ..Self::new(Kind::ScopeTooSmall, detail) }
            .with_help(format!("use a token with the scope {needed}"))
    }

    /// The engine gave an answer of another sort; its code and ours do not fit together.
    pub(crate) fn odd_answer() -> Self {
        tracing::error!("the engine's answer is of another sort than was asked for");
        Self::new(Kind::Fault, "the server failed while it did this").with_help("see its log")
    }
}

impl From<Failure> for Problem {
    fn from(failure: Failure) -> Self {
        let kind = match failure.kind {
            FailureKind::Invalid => Kind::Invalid,
            FailureKind::Forbidden => Kind::ScopeTooSmall,
            FailureKind::Missing => Kind::Missing,
            FailureKind::Conflict => Kind::Conflict,
            FailureKind::Stale => Kind::Stale,
            FailureKind::Unavailable => Kind::Unavailable,
            FailureKind::Fault => Kind::Fault,
        };
        Self { help: failure.help, ..Self::new(kind, failure.message) }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let (status, name, title) = self.kind.parts();
        let body = ProblemBody {
            name: format!("urn:keystile:problem:{name}"),
            title,
            status: status.as_u16(),
            detail: self.detail,
            help: self.help,
        };
        let mut response = (status, Json(body)).into_response();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if let Some(seconds) = self.retry_after_secs {
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        if let Some(Ok(challenge)) = self.challenge.map(HeaderValue::try_from) {
            headers.insert(WWW_AUTHENTICATE, challenge);
        }
        response
    }
}

/// Every operation may answer with a problem, whose status says of what kind.
impl IntoResponses for Problem {
    fn responses() -> std::collections::BTreeMap<String, RefOr<utoipa::openapi::Response>> {
        let content = ContentBuilder::new().schema(Some(Ref::from_schema_name("Problem"))).build();
        let response = ResponseBuilder::new()
            .description("Why it was not done; nothing was changed.")
            .content("application/problem+json", content)
            .build();
        ResponsesBuilder::new().response("default", response).build().into()
    }
}

pub(crate) async fn no_such_path() -> Problem {
    Problem::new(Kind::Missing, "there is nothing at this address")
        .with_help("see /api/docs for what there is")
}

pub(crate) async fn no_such_method() -> Problem {
    Problem::new(Kind::MethodNotAllowed, "this address does not take this method")
        .with_help("see /api/docs for what it takes")
}

//! What the internal API answers: a status, and an object.

use http::StatusCode;
use keystile_engine::command::FailureKind;
use serde_json::{Map, Value};

use crate::account::{ChangeError, NotRecorded};

/// An answer, whether of success or not.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Json {
    pub(super) status: StatusCode,
    pub(super) body: Map<String, Value>,
}

/// An answer of success, or another.
pub(super) type Answered = Result<Json, Json>;

impl Json {
    fn new(status: StatusCode) -> Self {
        Self { status, body: Map::new() }
    }

    /// With a status as the body names it.
    fn named(status: StatusCode, name: &str) -> Self {
        Self::new(status).with("status", name)
    }

    /// With one more entry.
    pub(super) fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.body.insert(name.to_owned(), value.into());
        self
    }

    /// 200, where nothing is shown.
    pub(super) fn ok() -> Self {
        Self::named(StatusCode::OK, "ok")
    }

    /// 200, with what was asked for.
    pub(super) fn found() -> Self {
        Self::named(StatusCode::OK, "found")
    }

    /// 201, with what is new.
    pub(super) fn created() -> Self {
        Self::named(StatusCode::CREATED, "created")
    }

    /// 200, with what an entry is now. Whether it is new is told by the body alone.
    pub(super) fn kept(name: &str) -> Self {
        Self::named(StatusCode::OK, name)
    }

    /// 200, for what is gone.
    pub(super) fn deleted() -> Self {
        Self::named(StatusCode::OK, "deleted")
    }

    /// 404, for what is not there.
    pub(super) fn not_found(error: &str) -> Self {
        Self::named(StatusCode::NOT_FOUND, "not_found").with("error", error)
    }

    /// 400, for a request that makes no sense.
    pub(super) fn invalid(error: impl Into<String>) -> Self {
        Self::failed(StatusCode::BAD_REQUEST, error)
    }

    /// 400, for a request that cannot be followed. In this case the reference names no status in the body.
    pub(super) fn refused(error: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST).with("error", error.into())
    }

    /// 400 for a parameter that has to be there.
    pub(super) fn missing(name: &str) -> Self {
        Self::invalid(format!("missing parameter '{name}'"))
    }

    /// Any other status.
    pub(super) fn failed(status: StatusCode, error: impl Into<String>) -> Self {
        Self::named(status, "error").with("error", error.into())
    }

    /// Any other status that the body has a name for.
    pub(super) fn failed_as(status: StatusCode, name: &str, error: impl Into<String>) -> Self {
        Self::named(status, name).with("error", error.into())
    }

    /// 404 without a text, as the reference says of a service.
    pub(super) fn unknown() -> Self {
        Self::new(StatusCode::NOT_FOUND).with("error", "not_found")
    }
}

impl From<ChangeError> for Json {
    fn from(error: ChangeError) -> Self {
        match error {
            ChangeError::NoService => Self::not_found("service not found"),
            ChangeError::UserKeyTaken => Self::failed(StatusCode::CONFLICT, error.to_string()),
            ChangeError::InvalidId | ChangeError::Metrics(_) | ChangeError::GatewaysTooLarge => {
                Self::invalid(error.to_string())
            }
            // Too large for a document, or too many for a commit.
            ChangeError::Failed(failure)
                if matches!(failure.kind, FailureKind::Conflict | FailureKind::Invalid) =>
            {
                Self::invalid(failure.message)
            }
            ChangeError::Failed(error) => {
                tracing::warn!(%error, "a change of the 3scale account could not be recorded");
                Self::from(NotRecorded)
            }
        }
    }
}

impl From<NotRecorded> for Json {
    fn from(_: NotRecorded) -> Self {
        Self::failed(StatusCode::SERVICE_UNAVAILABLE, "nothing can be recorded at the moment")
    }
}

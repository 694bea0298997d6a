//! Links in messages: what they show, and what they do.

pub(crate) mod action;
pub(crate) mod stop;

use http::StatusCode;
use keystile_engine::command::FailureKind;

/// The status of a page whose link does not act. A mail program takes 410 for an answer and tries again
/// after a 503.
fn status_of(kind: FailureKind) -> StatusCode {
    match kind {
        FailureKind::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        FailureKind::Fault => StatusCode::INTERNAL_SERVER_ERROR,
        FailureKind::Missing
        | FailureKind::Invalid
        | FailureKind::Forbidden
        | FailureKind::Conflict
        | FailureKind::Stale => StatusCode::GONE,
    }
}

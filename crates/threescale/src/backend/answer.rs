//! What goes back to the gateway: a status, some headers, a body.

use super::decide::Decision;
use super::error::{Rejection, RequestError};
use super::limit_headers::LimitHeaders;
use super::options::Options;
use super::xml;

/// The media type of every body, and of the empty ones.
pub const CONTENT_TYPE: &str = "application/vnd.3scale-v2.0+xml";

/// The header that names why the answer is "no".
pub const REJECTION_REASON: &str = "3scale-rejection-reason";

/// An answer to an authorization.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The value of [`REJECTION_REASON`], where it is sent.
    pub rejection_reason: Option<&'static str>,
    /// The limit headers, where they are sent.
    pub limits: Option<LimitHeaders>,
    /// The body, of [`CONTENT_TYPE`].
    pub body: String,
}

impl Answer {
    /// The answer that a decision is.
    pub fn of_decision(decision: &Decision<'_>, options: Options) -> Self {
        let rejection = decision.rejection.as_ref();
        Self {
            status: if rejection.is_some() { Rejection::STATUS } else { 200 },
            rejection_reason: rejection
                .filter(|_| options.rejection_reason_header)
                .map(Rejection::code),
            limits: options.limit_headers.then(|| LimitHeaders::of(decision)).flatten(),
            body: if options.no_body { String::new() } else { xml::status_body(decision, options) },
        }
    }

    /// The answer where there is no decision.
    pub fn of_error(error: &RequestError, options: Options) -> Self {
        let has_body = !options.no_body && *error != RequestError::UsageIsNoHash;
        Self {
            status: error.status(),
            rejection_reason: None,
            limits: None,
            body: if has_body { xml::error_body(error) } else { String::new() },
        }
    }
}

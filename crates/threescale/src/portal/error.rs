//! Why a call of the portal's API has no result, and what to do about it.

use std::time::Duration;

pub use super::place::Place;
use super::quote::Quoted;
pub use super::token::TokenFault;

/// Whether the same call makes sense again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry {
    /// Not before somebody has changed a setting, a token or a record.
    Never,
    /// Later, when the caller sees fit.
    Later,
    /// After this time, as the portal wishes.
    After(Duration),
}

/// What is wrong with a token, as far as the portal's answer tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenRefusal {
    /// Nobody is signed in by it.
    #[error(
        "the access token is refused: it is unknown there, has expired, or is another tenant's; put a \
         valid one in its place and look whether the address is the tenant's admin portal"
    )]
    Unknown,
    /// A read that it is not for.
    #[error(
        "the access token lacks the scope `account_management`, or its user the right to what was \
         asked for; make one with this scope in the portal's personal settings"
    )]
    Scope,
    /// A write that it is not for.
    #[error(
        "the access token may not write: it is read-only, or lacks the scope `account_management`; \
         make one with this scope and \"Read & Write\" in the portal's personal settings"
    )]
    ReadOnly,
    /// The answer does not tell.
    #[error(
        "access is denied; the token may lack a right, its tenant may be suspended, or something \
         before the portal refuses calls from here"
    )]
    Denied,
}

/// Why a call has no result. No variant holds the access token or a key.
#[derive(Debug, thiserror::Error)]
pub enum PortalError {
    /// There is no token to call with.
    #[error(transparent)]
    Token(#[from] TokenFault),
    /// 401 or 403.
    #[error("{place}: {refusal} (status {status}{})", and_said(said))]
    Unauthorized {
        /// The call.
        place: Place,
        /// 401 or 403.
        status: u16,
        /// What is wrong, as far as one can tell.
        refusal: TokenRefusal,
        /// The portal's words.
        said: Quoted,
    },
    /// 404 in the words of the API.
    #[error(
        "{place}: the portal has no such record; it may be deleted, or the token's user may not see it"
    )]
    NotFound {
        /// The call.
        place: Place,
    },
    /// 422: not from this state, or not with these values.
    #[error(
        "{place}: the portal does not make this change (status 422{}); look at the record there",
        and_said(said)
    )]
    InvalidTransition {
        /// The call.
        place: Place,
        /// The portal's words.
        said: Quoted,
    },
    /// Another refusal.
    #[error(
        "{place}: the portal refuses the call (status {status}{}); it may be of a version that differs",
        and_said(said)
    )]
    Refused {
        /// The call.
        place: Place,
        /// The status, 4xx.
        status: u16,
        /// The portal's words.
        said: Quoted,
    },
    /// 429.
    #[error("{place}: the portal takes no more calls for now (status 429); they go on later")]
    RateLimited {
        /// The call.
        place: Place,
        /// The pause that it asks for.
        retry_after: Option<Duration>,
    },
    /// 408, or 5xx.
    #[error(
        "{place}: the portal fails (status {status}{}); look at its own log if this goes on",
        and_said(said)
    )]
    ServerError {
        /// The call.
        place: Place,
        /// The status.
        status: u16,
        /// The portal's words.
        said: Quoted,
        /// The pause that it asks for.
        retry_after: Option<Duration>,
    },
    /// No connection.
    #[error(
        "{place}: the portal cannot be reached: {fault}; look at its address and at the network"
    )]
    Unreachable {
        /// The call.
        place: Place,
        /// What the system says.
        fault: Quoted,
    },
    /// A connection, and no trust in who is there.
    #[error(
        "{place}: the portal's certificate is not trusted: {fault}; if it is signed by an authority of \
         your own, name its certificate in `ca_file`"
    )]
    Untrusted {
        /// The call.
        place: Place,
        /// What is wrong with the certificate.
        fault: Quoted,
    },
    /// No answer, or no end of it, in time.
    #[error("{place}: the portal did not answer within {limit:?}")]
    TimedOut {
        /// The call.
        place: Place,
        /// The time that it had.
        limit: Duration,
    },
    /// The connection ended before the answer did. Whether a change was made is not known.
    #[error("{place}: the connection to the portal ended before its answer: {fault}")]
    Cut {
        /// The call.
        place: Place,
        /// What is known of it.
        fault: Quoted,
    },
    /// 3xx.
    #[error(
        "{place}: the portal sends us on to {to} (status {status}), and redirects are not followed; if \
         that is the admin portal, set `portal` to its address"
    )]
    Redirected {
        /// The call.
        place: Place,
        /// The status.
        status: u16,
        /// Where to, without a query.
        to: Quoted,
    },
    /// HTML.
    #[error(
        "{place}: the portal answered a web page (status {status}); is `portal` the admin portal's \
         address, not the developer portal's or the master's?"
    )]
    WebPage {
        /// The call.
        place: Place,
        /// The status.
        status: u16,
    },
    /// Something else than JSON, or broken JSON.
    #[error(
        "{place}: the portal's answer is not JSON: {fault}; look whether a proxy stands between"
    )]
    NotJson {
        /// The call.
        place: Place,
        /// What it is.
        fault: Quoted,
    },
    /// JSON that is not what it should be.
    #[error(
        "{place}: the portal's answer cannot be read at `{at}`: {fault}; its version may differ"
    )]
    Unreadable {
        /// The call.
        place: Place,
        /// Where in the answer, as `services[3].service.id`.
        at: Quoted,
        /// What is wrong there.
        fault: Quoted,
    },
    /// More than one call reads.
    #[error(
        "{place}: the portal's answer has more than {bytes_max} bytes, which is no answer of the API"
    )]
    TooLarge {
        /// The call.
        place: Place,
        /// As much as is read.
        bytes_max: usize,
    },
    /// A list without an end.
    #[error(
        "{place}: the list has more than {pages_max} pages, which is more than is read at once"
    )]
    TooManyPages {
        /// The call.
        place: Place,
        /// As many as are read.
        pages_max: u32,
    },
}

/// What was said, as the end of a clause; nothing for silence.
fn and_said(said: &Quoted) -> String {
    if said.as_str().is_empty() { String::new() } else { format!(": \"{said}\"") }
}

impl PortalError {
    /// Whether the same call makes sense again, and when.
    pub fn retry_after(&self) -> Retry {
        match self {
            Self::RateLimited { retry_after, .. } | Self::ServerError { retry_after, .. } => {
                retry_after.map_or(Retry::Later, Retry::After)
            }
            // A certificate is renewed, and a network changes, without anything to set here.
            Self::Unreachable { .. }
            | Self::Untrusted { .. }
            | Self::TimedOut { .. }
            | Self::Cut { .. } => Retry::Later,
            Self::Token(_)
            | Self::Unauthorized { .. }
            | Self::NotFound { .. }
            | Self::InvalidTransition { .. }
            | Self::Refused { .. }
            | Self::Redirected { .. }
            | Self::WebPage { .. }
            | Self::NotJson { .. }
            | Self::Unreadable { .. }
            | Self::TooLarge { .. }
            | Self::TooManyPages { .. } => Retry::Never,
        }
    }
}

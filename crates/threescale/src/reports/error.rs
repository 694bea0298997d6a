//! Why a report was not taken, and what that proves.

use std::time::Duration;

use crate::portal::error::{Place, Retry, TokenFault};
use crate::portal::quote::Quoted;

/// What is known of a report that was not taken in the proper way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proof {
    /// It does not count there: it never left, or was refused as a whole.
    NotCounted,
    /// It may count there.
    Nothing,
}

/// Why a report was not taken. No variant holds the service token or a key.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// There is no token to report with.
    #[error("{0}; it is the service token that is meant, of `service_token_file`")]
    Token(#[from] TokenFault),
    /// No connection.
    #[error(
        "{place}: the backend cannot be reached: {fault}; look at its address and at the network"
    )]
    Unreachable {
        /// The call.
        place: Place,
        /// What the system says.
        fault: Quoted,
    },
    /// A connection, and no trust in who is there.
    #[error(
        "{place}: the backend's certificate is not trusted: {fault}; if it is signed by an authority of \
         your own, name its certificate in `ca_file`"
    )]
    Untrusted {
        /// The call.
        place: Place,
        /// What is wrong with the certificate.
        fault: Quoted,
    },
    /// A refusal: 3xx or 4xx, or 503 with a time to come back after.
    #[error("{place}: the backend refuses reports (status {status}: {said}){}", remedy(code.as_deref()))]
    Refused {
        /// The call.
        place: Place,
        /// The status.
        status: u16,
        /// The code of the error, where it has one.
        code: Option<String>,
        /// The backend's words.
        said: Quoted,
        /// The pause that it asks for.
        retry_after: Option<Duration>,
    },
    /// 5xx: it came before or after the report was counted.
    #[error(
        "{place}: the backend fails (status {status}: {said}); look at its own log if this goes on"
    )]
    Failed {
        /// The call.
        place: Place,
        /// The status.
        status: u16,
        /// The backend's words.
        said: Quoted,
    },
    /// A success that is none of a backend's.
    #[error(
        "{place}: what answers there is no backend of 3scale's (status {status}: {said}); is `backend` the \
         address of the Service Management API, and not of a portal?"
    )]
    NotBackend {
        /// The call.
        place: Place,
        /// The status.
        status: u16,
        /// What it says.
        said: Quoted,
    },
    /// No answer in time.
    #[error("{place}: the backend did not answer within {limit:?}")]
    TimedOut {
        /// The call.
        place: Place,
        /// The time that it had.
        limit: Duration,
    },
    /// The connection ended before the answer.
    #[error("{place}: the connection to the backend ended before its answer: {fault}")]
    Cut {
        /// The call.
        place: Place,
        /// What is known of it.
        fault: Quoted,
    },
}

/// What to do about an error of the backend's.
fn remedy(code: Option<&str>) -> &'static str {
    match code {
        Some("service_token_invalid") => {
            "; put the service token of this `service` into `service_token_file`"
        }
        _ => "",
    }
}

impl ReportError {
    /// What is proven about the report.
    pub fn proof(&self) -> Proof {
        match self {
            Self::Token(_)
            | Self::Unreachable { .. }
            | Self::Untrusted { .. }
            | Self::Refused { .. } => Proof::NotCounted,
            Self::Failed { .. }
            | Self::NotBackend { .. }
            | Self::TimedOut { .. }
            | Self::Cut { .. } => Proof::Nothing,
        }
    }

    /// When reports make sense again.
    pub fn retry_after(&self) -> Retry {
        match self {
            Self::Refused { retry_after: Some(pause), .. } => Retry::After(*pause),
            Self::Refused { status: 408 | 429 | 500.., .. }
            | Self::Unreachable { .. }
            | Self::Untrusted { .. }
            | Self::Failed { .. }
            | Self::TimedOut { .. }
            | Self::Cut { .. } => Retry::Later,
            Self::Token(_) | Self::Refused { .. } | Self::NotBackend { .. } => Retry::Never,
        }
    }
}

//! Everything that 3scale answers in place of "yes": the codes, the statuses and the texts, in one place.
//!
//! Gateways act on the status and show or log the rest, so all three are the reference's to the letter. A
//! [`Rejection`] is an answer, "no", with status 409 and a whole status document. A [`RequestError`] says
//! that there is no answer, and why.

use std::fmt;

use super::params::{DEPTH_MAX, PARAMETERS_MAX, QUERY_BYTES_MAX};

/// Why a call has no answer. Texts that the caller sent stand in it as they came; whoever renders escapes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RequestError {
    /// Neither a provider key nor a service token was sent.
    ProviderKeyOrServiceTokenRequired,
    /// A service token was sent without the id of its service.
    ServiceIdMissing,
    /// The token is not one of the service, or there is no such service.
    ServiceTokenInvalid {
        /// The token as sent.
        token: String,
        /// The id of the service as sent.
        service_id: String,
    },
    /// The service exists and is not this provider's, who has no default service either.
    ProviderKeyInvalid(String),
    /// No service was named, and the key is of no provider with a default service.
    ProviderKeyInvalidOrServiceMissing(String),
    /// There is no such service, or it is another provider's.
    ServiceIdInvalid(String),
    /// No application has this user key; `None` where none was sent.
    UserKeyInvalid(Option<String>),
    /// Both an application's id and a user key were sent.
    AuthenticationError,
    /// There is no such application; `None` where no id was sent.
    ApplicationNotFound(Option<String>),
    /// The service has no such metric.
    MetricInvalid(String),
    /// The amount is not a whole number; `None` where it is blank or no text.
    UsageValueInvalid {
        /// The metric's name as sent.
        metric: String,
        /// The amount as sent.
        value: Option<String>,
    },
    /// `usage` is not a hash. The reference says nothing but the status.
    UsageIsNoHash,
    /// `user_id` was sent, which 3scale once took.
    EndUsersNoLongerSupported,
    /// A report without transactions.
    TransactionsIsBlank,
    /// The transactions are not an indexed hash of hashes.
    TransactionsFormatInvalid,
    /// One of the transactions has no value.
    TransactionsHasNilTransaction,
    /// A report in another form than a form.
    ContentTypeInvalid(String),
    /// The parameters cannot be read.
    BadRequest(BadRequest),
    /// A parameter is not UTF-8.
    NotValidData,
    /// A transaction happened longer ago than is taken, in seconds.
    TransactionTimestampTooOld {
        /// How old a transaction may be.
        secs_max: u32,
    },
    /// A transaction happens later than is taken, in seconds.
    TransactionTimestampTooNew {
        /// How far in the future a transaction may be.
        secs_max: u32,
    },
}

/// Why parameters cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadRequest {
    /// One name is used for a text and for a hash, or for a hash and an array.
    Syntax,
    /// A percent sign without two hexadecimal digits.
    Escape,
    /// More bytes than [`QUERY_BYTES_MAX`].
    Size,
    /// More parameters than [`PARAMETERS_MAX`].
    Count {
        /// How many there are.
        found: usize,
    },
    /// Brackets inside of brackets, [`DEPTH_MAX`] times.
    Depth,
    /// A form in several parts that is none.
    Multipart,
}

impl From<BadRequest> for RequestError {
    fn from(bad: BadRequest) -> Self {
        Self::BadRequest(bad)
    }
}

impl RequestError {
    /// The HTTP status of the answer.
    pub const fn status(&self) -> u16 {
        self.row().0
    }

    /// The name by which programs know the error.
    pub const fn code(&self) -> &'static str {
        self.row().1
    }

    const fn row(&self) -> (u16, &'static str) {
        match self {
            Self::ProviderKeyOrServiceTokenRequired => {
                (403, "provider_key_or_service_token_required")
            }
            Self::ServiceIdMissing => (422, "service_id_missing"),
            Self::ServiceTokenInvalid { .. } => (403, "service_token_invalid"),
            Self::ProviderKeyInvalid(_) => (403, "provider_key_invalid"),
            Self::ProviderKeyInvalidOrServiceMissing(_) => {
                (403, "provider_key_invalid_or_service_missing")
            }
            Self::ServiceIdInvalid(_) => (403, "service_id_invalid"),
            Self::UserKeyInvalid(_) => (403, "user_key_invalid"),
            Self::AuthenticationError => (403, "authentication_error"),
            Self::ApplicationNotFound(_) => (404, "application_not_found"),
            Self::MetricInvalid(_) => (404, "metric_invalid"),
            Self::UsageValueInvalid { .. } => (403, "usage_value_invalid"),
            // Never sent, because the body is empty; only records show it.
            Self::UsageIsNoHash => (403, "usage_is_no_hash"),
            Self::EndUsersNoLongerSupported => (400, "end_users_no_longer_supported"),
            Self::TransactionsIsBlank => (400, "transactions_is_blank"),
            Self::TransactionsFormatInvalid => (400, "transactions_format_invalid"),
            Self::TransactionsHasNilTransaction => (400, "transactions_has_nil_transaction"),
            Self::ContentTypeInvalid(_) => (400, "content_type_invalid"),
            Self::BadRequest(_) => (400, "bad_request"),
            Self::NotValidData => (422, "not_valid_data"),
            Self::TransactionTimestampTooOld { .. } => (403, "transaction_timestamp_too_old"),
            Self::TransactionTimestampTooNew { .. } => (403, "transaction_timestamp_too_new"),
        }
    }
}

/// The text of the answer, not yet escaped.
impl fmt::Display for RequestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ProviderKeyOrServiceTokenRequired => {
                f.write_str("Provider key or service token are required")
            }
            Self::ServiceIdMissing => f.write_str("Service ID is missing"),
            Self::ServiceTokenInvalid { token, service_id } => {
                write!(f, r#"service token "{token}" or service id "{service_id}" is invalid"#)
            }
            Self::ProviderKeyInvalid(key) => write!(f, r#"provider key "{key}" is invalid"#),
            Self::ProviderKeyInvalidOrServiceMissing(key) => {
                write!(f, r#"provider key "{key}" invalid and/or service ID missing"#)
            }
            Self::ServiceIdInvalid(id) => write!(f, r#"service id "{id}" is invalid"#),
            Self::UserKeyInvalid(None) => f.write_str("user key is missing"),
            Self::UserKeyInvalid(Some(key)) => write!(f, r#"user key "{key}" is invalid"#),
            Self::AuthenticationError => {
                f.write_str("either app_id or user_key is allowed, not both")
            }
            Self::ApplicationNotFound(None) => f.write_str("application id is missing"),
            Self::ApplicationNotFound(Some(id)) => {
                write!(f, r#"application with id="{id}" was not found"#)
            }
            Self::MetricInvalid(name) => write!(f, r#"metric "{name}" is invalid"#),
            Self::UsageValueInvalid { metric, value: None } => {
                write!(f, r#"usage value for metric "{metric}" can not be empty"#)
            }
            Self::UsageValueInvalid { metric, value: Some(value) } => {
                write!(f, r#"usage value "{value}" for metric "{metric}" is invalid"#)
            }
            Self::UsageIsNoHash => f.write_str("usage is not a hash"),
            Self::EndUsersNoLongerSupported => f.write_str(
                "End-users are no longer supported, do not specify the user_id parameter",
            ),
            Self::TransactionsIsBlank => f.write_str("transactions parameter is blank"),
            Self::TransactionsFormatInvalid => f.write_str("transactions format is invalid"),
            Self::TransactionsHasNilTransaction => {
                f.write_str("transactions has a nil transaction")
            }
            Self::ContentTypeInvalid(kind) => write!(f, "invalid Content-Type: {kind}"),
            Self::BadRequest(bad) => bad.fmt(f),
            Self::NotValidData => f.write_str("all data must be valid UTF8"),
            Self::TransactionTimestampTooOld { secs_max } => {
                write!(f, "reporting transactions older than {secs_max} seconds is not allowed")
            }
            Self::TransactionTimestampTooNew { secs_max } => write!(
                f,
                "reporting transactions more than {secs_max} seconds in the future is not allowed"
            ),
        }
    }
}

impl std::error::Error for RequestError {}

impl fmt::Display for BadRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Syntax => f.write_str(
                "request contains syntax errors, should not be repeated without modification",
            ),
            Self::Escape => f.write_str("Invalid query parameters: invalid %-encoding"),
            Self::Size => write!(f, "total query size exceeds limit ({QUERY_BYTES_MAX})"),
            Self::Count { found } => write!(
                f,
                "total number of query parameters ({found}) exceeds limit ({PARAMETERS_MAX})"
            ),
            Self::Multipart => f.write_str("the parts of the form cannot be told apart"),
            Self::Depth => write!(f, "depth of query parameters exceeds limit ({DEPTH_MAX})"),
        }
    }
}

/// Why the answer is "no", in the order in which the rules are tried. The status is always 409.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rejection {
    /// An OAuth call for a service that does not use it.
    OauthNotEnabled,
    /// The application has no such key; `None` where it is blank or was not sent.
    ApplicationKeyInvalid(Option<String>),
    /// The application has another address, by the old name of the parameter.
    RedirectUrlInvalid(String),
    /// The application has another address.
    RedirectUriInvalid(String),
    /// No filter of the application fits; `None` where it is blank or was not sent.
    ReferrerNotAllowed(Option<String>),
    /// The application is suspended, or its key is locked.
    ApplicationNotActive,
    /// The service is suspended.
    ServiceNotActive,
    /// A limit of the plan is spent, or would be.
    LimitsExceeded,
}

impl Rejection {
    /// The HTTP status of the answer.
    pub const STATUS: u16 = 409;

    /// The name by which programs know the reason, as in `3scale-rejection-reason`.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::OauthNotEnabled => "oauth_not_enabled",
            Self::ApplicationKeyInvalid(_) => "application_key_invalid",
            Self::RedirectUrlInvalid(_) => "redirect_url_invalid",
            Self::RedirectUriInvalid(_) => "redirect_uri_invalid",
            Self::ReferrerNotAllowed(_) => "referrer_not_allowed",
            Self::ApplicationNotActive => "application_not_active",
            Self::ServiceNotActive => "service_not_active",
            Self::LimitsExceeded => "limits_exceeded",
        }
    }
}

/// The text of `<reason>`, not yet escaped.
impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OauthNotEnabled => f.write_str("oauth is not enabled"),
            Self::ApplicationKeyInvalid(None) => f.write_str("application key is missing"),
            Self::ApplicationKeyInvalid(Some(key)) => {
                write!(f, r#"application key "{key}" is invalid"#)
            }
            Self::RedirectUrlInvalid(url) => write!(f, r#"redirect_url "{url}" is invalid"#),
            Self::RedirectUriInvalid(uri) => write!(f, r#"redirect_uri "{uri}" is invalid"#),
            Self::ReferrerNotAllowed(None) => f.write_str("referrer is missing"),
            Self::ReferrerNotAllowed(Some(referrer)) => {
                write!(f, r#"referrer "{referrer}" is not allowed"#)
            }
            Self::ApplicationNotActive => f.write_str("application is not active"),
            Self::ServiceNotActive => f.write_str("service is not active"),
            Self::LimitsExceeded => f.write_str("usage limits are exceeded"),
        }
    }
}

/// What an error says of a text: nothing where it is blank, which reads as missing.
pub(super) fn unless_blank(text: &str) -> Option<String> {
    let is_blank = text.chars().all(|c| matches!(c, ' ' | '\t' | '\n' | '\u{b}' | '\u{c}' | '\r'));
    (!is_blank).then(|| text.to_owned())
}

//! Refusals as data: everything a door needs to answer a request that may not pass.
//!
//! A refusal is named by its [`Reason`]. Status, title, and the two texts (one for the caller, one
//! for the owner) stand in one table here; doors render them as RFC 9457 problem details and never
//! choose a status code themselves.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::keys::lock::{Lock, LockLevel, LockTarget};
use crate::time::Timestamp;

macro_rules! reasons {
    ($($variant:ident = $name:literal, $status:literal, $title:literal, $caller:literal, $owner:literal;)*) => {
        /// Why a request was refused, in the order in which a request meets the rules.
        ///
        /// The name is stable: it is the `reason` of the answer, the last part of the problem's
        /// `type`, and what the journal keeps.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        #[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
        pub enum Reason { $(#[doc = $title] $variant,)* }

        impl Reason {
            /// Every reason, for tables and documentation.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The stable name, as in `key_locked`.
            pub const fn name(self) -> &'static str { match self { $(Self::$variant => $name,)* } }

            /// The HTTP status of the answer.
            pub const fn status(self) -> u16 { match self { $(Self::$variant => $status,)* } }

            /// The problem's title, the same for every occurrence.
            pub const fn title(self) -> &'static str { match self { $(Self::$variant => $title,)* } }

            /// What a caller is told: never more than a stranger may know.
            pub const fn caller_text(self) -> &'static str { match self { $(Self::$variant => $caller,)* } }

            /// What the owner reads on the problem's page and in the documentation.
            pub const fn owner_text(self) -> &'static str { match self { $(Self::$variant => $owner,)* } }
        }
    };
}

reasons! {
    MethodNotAllowed = "method_not_allowed", 405, "Method not allowed",
        "This HTTP method is not accepted here.",
        "Only upper-case GET, HEAD, OPTIONS, QUERY, POST, PUT, PATCH and DELETE pass, and what `[gate] methods` adds. TRACE and CONNECT never do.";
    TargetInvalid = "target_invalid", 400, "Request target not accepted",
        "The request target must be a path that starts with one slash, and hold only characters that a target may.",
        "The target was not in origin form, its authority differed from Host (RFC 9112 section 3.2), or its query holds a character that clients must percent-encode. The answer's `detail` names the cause.";
    PathInvalid = "path_invalid", 400, "Path not accepted",
        "The path has a form that two servers could read differently: dot segments, empty segments, encoded slashes or percent signs, control characters, or broken percent-encoding.",
        "Keystile decides, journals and forwards the same bytes, so a path with more than one reading is refused. `;` passes where the API sets `matrix_parameters = true`. So is one that belongs to an API only when case and escapes are ignored: write the API's `path` just so.";
    HeaderInvalid = "header_invalid", 400, "Header field not accepted",
        "A header field is repeated that may stand once, is written in a way that servers read differently, has `_` in its name, or nominates a field that may not be removed.",
        "Fields that proxies and applications read differently are refused rather than repaired. The answer's `detail` names the cause.";
    HeadTooLarge = "head_too_large", 431, "Request head too large",
        "The request line and header fields together are too large.",
        "A head may have 32 KiB and 100 fields.";
    FramingInvalid = "framing_invalid", 400, "Message framing not accepted",
        "Where this request ends is not stated in one clear way.",
        "Content-Length with Transfer-Encoding, repeated lengths, bare line feeds, and codings other than `chunked` are how requests are smuggled. The answer's `detail` names the cause. The connection is closed.";
    HostInvalid = "host_invalid", 400, "Host not accepted",
        "The request must name exactly one valid host.",
        "Exactly one Host field (or `:authority`), without user information, is needed.";
    HostUnknown = "host_unknown", 404, "No API here",
        "No API answers at this host and path.",
        "No `[api.*]` table has this host and path prefix.";
    UpgradeRefused = "upgrade_refused", 400, "Upgrade not accepted",
        "This operation does not accept a protocol upgrade.",
        "Upgrades pass only to WebSocket alone, over HTTP/1.1, on an operation with `websocket = true`. Offers of other protocols are ignored.";
    RequestTimeout = "request_timeout", 408, "Request too slow",
        "The request did not arrive in time.",
        "Head and body have deadlines: see `[gate] head_timeout`, `idle_timeout` and `body_rate_min`.";
    BodyTooLarge = "body_too_large", 413, "Body too large",
        "The body is larger than this operation accepts.",
        "See `body_max` of the API, and `count_body_max` for bodies that must be counted.";
    BodyUncountable = "body_uncountable", 400, "Body cannot be counted",
        "The number of writes in this body cannot be told.",
        "The operation's cost depends on its body, which had more than one reading or none: not the media type that the rule names, not UTF-8, a content coding, not valid JSON or GraphQL, no list at `items_at`, a name that can be read as the counted one, or a query in two places. Set `cost_max` to let such bodies pass at that cost.";
    CredentialRepeated = "credential_repeated", 400, "Key given twice",
        "The API key must be given once, in one place.",
        "A key in two places, or twice in one, lets two servers see two callers.";
    KeyMissing = "key_missing", 401, "Key missing",
        "An API key is needed. Send it as a bearer token, or in the key header of this API: X-API-Key, unless its owner chose another.",
        "The request had no key and no keyless plan allows the operation. Credentials of the API behind the gate are no key: they pass beside one. `key_header` chooses the header.";
    KeyUnknown = "key_unknown", 401, "Key not known",
        "This API key is not known.",
        "The key is malformed, mistyped, or was never issued here; all three are answered alike.";
    KeySourceUnavailable = "key_source_unavailable", 503, "Key cannot be checked",
        "This API key cannot be checked at the moment. Wait for the time given in Retry-After.",
        "Another system issues keys, and it is asked about a key that is not known here. It did not answer, or was asked too often of late (`look_ups`); or it could not be read for longer than `keep_known`, and the key is one of its. The status of the key source says why. Keys that were brought over wait for nothing.";
    KeyRevoked = "key_revoked", 403, "Key revoked",
        "This API key has been revoked and will not work again.",
        "Revocation is final. Create a new key for the application.";
    ApplicationSuspended = "application_suspended", 403, "Application suspended",
        "This application has been suspended by the owner of the API.",
        "An owner suspended the application, and can resume it.";
    KeyLocked = "key_locked", 403, "Key locked",
        "This API key is locked.",
        "The key went over its write budget, or was locked by hand, or its application went over a budget that several keys share, which locks all of its keys. What is on record of the key gives the reason and the request that did it; an owner can unlock the key, or the application.";
    OperationNotInPlan = "operation_not_in_plan", 403, "Operation not in plan",
        "The plan of this key does not include this operation.",
        "No `allow` rule of the plan matches the method and path.";
    RateLimited = "rate_limited", 429, "Too many requests",
        "Too many requests. Wait for the time given in Retry-After.",
        "The plan's `rate_limit` was reached. A rate limit never locks a key.";
    BudgetExhausted = "budget_exhausted", 429, "Write budget used up",
        "The write budget is used up. Wait for the time given in Retry-After.",
        "The plan is `never_lock` or keyless, so its budgets refuse without locking. A key that locks is refused like this when its budget is full only because its earlier writes had to wait for a connection to the API.";
    StoreUnavailable = "store_unavailable", 503, "Writes are paused",
        "Writes cannot be recorded at the moment and are therefore refused. Reads go on.",
        "The store could not commit: the disk is full, read-only, or failing. Nothing was sent. The log and the findings about the store's health say why.";
    ConnectionsExceeded = "connections_exceeded", 503, "Too many connections",
        "Too many connections. Try again in a moment.",
        "See `[gate] connections_max` and `connections_per_address`.";
    Overloaded = "overloaded", 503, "Too much at a time",
        "Too many large requests are under way. Try again in a moment.",
        "Bodies that have to be counted are held in memory up to `[gate] buffers_max`. When that is full, the one that has been coming for longest is refused.";
    UpstreamUnreachable = "upstream_unreachable", 502, "API not reachable",
        "The API behind this gate cannot be reached. Nothing was sent.",
        "No upstream address accepted a connection. A write is given back to its budget.";
    UpstreamFailed = "upstream_failed", 502, "API broke off",
        "The API behind this gate broke off before it answered.",
        "The connection ended after the request, or a part of it, was sent. A write counts, and its outcome is `unknown`.";
    UpstreamTimeout = "upstream_timeout", 504, "API did not answer in time",
        "The API behind this gate did not answer in time.",
        "See the API's `first_byte_timeout` and `total_timeout`. A write counts, and its outcome is `unknown`.";
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The text is not the name of a refusal reason.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("no refusal reason is named {0:?}")]
pub struct UnknownReason(pub String);

impl FromStr for Reason {
    type Err = UnknownReason;

    fn from_str(name: &str) -> Result<Self, UnknownReason> {
        Self::ALL
            .iter()
            .copied()
            .find(|reason| reason.name() == name)
            .ok_or_else(|| UnknownReason(name.to_owned()))
    }
}

/// What waits for the caller of a locked key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LockNotice {
    /// Which calls the lock stops.
    pub level: LockLevel,
    /// When it opens by itself; `None` until the owner acts.
    pub until: Option<Timestamp>,
    /// What the lock is on.
    pub on: LockTarget,
}

impl LockNotice {
    /// What waits for a caller whom two locks stop: the stricter level and the later end.
    #[must_use]
    pub fn joined_with(self, other: Self) -> Self {
        let on = if other.level > self.level { other.on } else { self.on };
        let until = match (self.until, other.until) {
            (Some(one), Some(other)) => Some(one.max(other)),
            (None, _) | (_, None) => None,
        };
        Self { level: self.level.max(other.level), until, on }
    }
}

impl From<&Lock> for LockNotice {
    fn from(lock: &Lock) -> Self {
        Self { level: lock.level, until: lock.until, on: lock.on }
    }
}

/// A request that may not pass, with all that its answer needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The stable reason.
    pub reason: Reason,
    /// What exactly is wrong with this request, for its caller; the reason's text where `None`.
    pub detail: Option<Cow<'static, str>>,
    /// Whole seconds after which trying again can succeed.
    pub retry_after_secs: Option<u64>,
    /// Present when a lock refused it.
    pub lock: Option<LockNotice>,
}

impl Refusal {
    /// A refusal that needs nothing beyond its reason.
    pub const fn new(reason: Reason) -> Self {
        Self { reason, detail: None, retry_after_secs: None, lock: None }
    }

    /// Says what exactly is wrong.
    #[must_use]
    pub fn because(mut self, detail: impl Into<Cow<'static, str>>) -> Self {
        self.detail = Some(detail.into());
        self
    }

    /// Says when trying again can succeed.
    #[must_use]
    pub fn retry_after_secs(mut self, seconds: u64) -> Self {
        self.retry_after_secs = Some(seconds);
        self
    }

    /// The sentence for the caller.
    pub fn caller_text(&self) -> &str {
        self.detail.as_deref().unwrap_or_else(|| self.reason.caller_text())
    }
}

impl From<Reason> for Refusal {
    fn from(reason: Reason) -> Self {
        Self::new(reason)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_read_back_and_match_their_serde_form() {
        for reason in Reason::ALL {
            assert_eq!(reason.name().parse(), Ok(*reason));
            assert_eq!(serde_json::to_string(reason).unwrap(), format!("\"{}\"", reason.name()));
        }
    }

    #[test]
    fn every_refusal_is_an_error_status_with_two_texts() {
        for reason in Reason::ALL {
            assert!((400..600).contains(&reason.status()), "{reason}");
            assert!(reason.caller_text().ends_with('.') && reason.owner_text().ends_with('.'));
        }
    }
}

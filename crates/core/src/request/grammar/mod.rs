//! Which request heads are read at all, and the one reading that they have.
//!
//! # What this protects
//!
//! A gate is bypassed where it reads a request one way and the upstream another: `/a/%2e%2e/admin`,
//! two lengths, a `Host` unlike the target. So a head with two readings is refused, never repaired,
//! and what is left is reduced to one spelling. Policy decides on those bytes, the journal keeps
//! them, and the upstream is sent them: [`Canonical`] is made from nothing else.
//!
//! # How
//!
//! [`canonical`] is pure and total: the same head has the same answer at every door. Beside the
//! exact path it gives a folded one, the laxest reading that an upstream could make of it; where
//! the two meet different rules, the stricter holds. [`strip_untrusted`] then takes out the fields
//! by which a caller could speak for a proxy.
//!
//! # Not here
//!
//! Repeated credentials ([`crate::request::credential`] refuses them), and what the HTTP parser has already
//! hidden: bare line feeds, a fragment in the target, a length beside `chunked`. Doors that parse
//! close an HTTP/1 connection after any refusal of this module, so that nothing smuggled behind
//! such a head is read as a second request.

mod authority;
mod fields;
mod path;
mod strip;

use std::borrow::Cow;

use http::Method;

use crate::refusal::{Reason, Refusal};
use crate::request::head::RequestHead;

pub use authority::host as host_of;
pub use fields::{FIELDS_MAX, HEAD_BYTES_MAX, check_framing};
pub use path::fold_path;
pub(crate) use path::{canonical_segment, unescape};
pub use strip::{address_fields, is_untrusted, strip_untrusted};

/// What an owner may widen in the grammar.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GrammarRules {
    /// Methods that pass beside the known ones. TRACE, CONNECT, and names that are not wholly of
    /// capital letters and hyphens never pass.
    pub extra_methods: Vec<Method>,
}

/// The one reading of a head: what is decided on, journaled, and sent to the upstream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Canonical<'a> {
    /// The method.
    pub method: Method,
    /// The path: unreserved characters decoded, all other escapes kept in capital digits.
    pub path: Cow<'a, str>,
    /// The path as the laxest upstream could read it; see [`fold_path`]. For matching only.
    pub folded: Cow<'a, str>,
    /// The query as sent, without `?`; `None` where there is no `?`.
    pub query: Option<&'a str>,
    /// The authority as sent: host, and port where given.
    pub authority: &'a str,
    /// The host in lower case, without port; an IPv6 address keeps its brackets.
    pub host: Cow<'a, str>,
    /// Whether the path holds `;`, raw or escaped. The caller refuses it unless the API opts in.
    pub has_matrix_parameter: bool,
    /// Whether the request asks for a WebSocket. The caller refuses it unless the operation opts
    /// in.
    pub upgrade: bool,
}

/// Reads a head in the one way it can be read, or refuses it.
///
/// Does not allocate for a path and host that are already in their canonical and folded form.
///
/// # Errors
/// When two servers could read it differently, or it asks for what never passes; the refusal's reason and
/// detail name what.
pub fn canonical<'a>(
    head: &RequestHead<'a>,
    rules: &GrammarRules,
) -> Result<Canonical<'a>, Refusal> {
    let method = method(head.method, rules)?;
    let fields = fields::check(head)?;
    let authority = authority::of(head, fields.host)?;
    let host = authority::host(authority)?;
    let path::Path { exact, folded, has_matrix_parameter } = path::canonical(origin_path(head)?)?;
    let query = head.query();
    check_query(query.unwrap_or_default().as_bytes())?;
    Ok(Canonical {
        method,
        path: exact,
        folded,
        query,
        authority,
        host,
        has_matrix_parameter,
        upgrade: fields.upgrade,
    })
}

fn method(name: &str, rules: &GrammarRules) -> Result<Method, Refusal> {
    let method =
        Method::from_bytes(name.as_bytes()).map_err(|_| Refusal::new(Reason::MethodNotAllowed))?;
    match method {
        Method::GET
        | Method::HEAD
        | Method::OPTIONS
        | Method::QUERY
        | Method::POST
        | Method::PUT
        | Method::PATCH
        | Method::DELETE => Ok(method),
        Method::TRACE | Method::CONNECT => Err(Reason::MethodNotAllowed.into()),
        _ => {
            let is_plain = |byte: u8| byte.is_ascii_uppercase() || byte == b'-';
            if rules.extra_methods.contains(&method) && name.bytes().all(is_plain) {
                Ok(method)
            } else {
                Err(Reason::MethodNotAllowed.into())
            }
        }
    }
}

/// The path as sent, where the target is in origin or absolute form.
fn origin_path<'a>(head: &RequestHead<'a>) -> Result<&'a str, Refusal> {
    let path = head.raw_path();
    if path.starts_with('/') { Ok(path) } else { Err(Reason::TargetInvalid.into()) }
}

/// Holds a query to printable ASCII and whole escapes.
///
/// Browsers send `[`, `{`, `|` and the like raw, against RFC 3986. They pass: a query is not what
/// operations are matched by, and no two servers disagree on where it ends.
fn check_query(query: &[u8]) -> Result<(), Refusal> {
    let is_allowed =
        |byte: &u8| byte.is_ascii_graphic() && !matches!(byte, b'#' | b'"' | b'<' | b'>');
    if let Some(byte) = query.iter().find(|byte| !is_allowed(byte)) {
        return Err(path::unescaped(Reason::TargetInvalid, "query", *byte));
    }
    for at in memchr::memchr_iter(b'%', query) {
        if unescape(&query[at..]).is_none() {
            return Err(Refusal::new(Reason::TargetInvalid)
                .because("A `%` in the query is not followed by two hexadecimal digits."));
        }
    }
    Ok(())
}

/// Names what cannot stand in a target, for doors whose parser refuses it before it is a head.
///
/// # Errors
/// `TargetInvalid` or `PathInvalid` when something cannot stand in it; the detail names that.
pub fn check_target(target: &[u8]) -> Result<(), Refusal> {
    if target.contains(&b'#') {
        return Err(Refusal::new(Reason::TargetInvalid)
            .because("The target holds a fragment (`#`), which clients keep to themselves."));
    }
    let mut parts = target.splitn(2, |byte| *byte == b'?');
    path::check_characters(parts.next().unwrap_or_default())?;
    check_query(parts.next().unwrap_or_default())
}

#[cfg(test)]
mod tests;

//! The one host that a request is for.

use std::borrow::Cow;
use std::net::Ipv6Addr;

use crate::refusal::{Reason, Refusal};
use crate::request::head::{RequestHead, text_of};

/// A DNS name has at most 253 characters; the rest is room for a trailing dot and nothing more.
const HOST_BYTES_MAX: usize = 254;

/// The authority that Host and the target agree on.
///
/// HTTP/1 must send Host (RFC 9112 section 3.2). HTTP/2 may leave it to `:authority`.
pub(super) fn of<'a>(head: &RequestHead<'a>, host: Option<&'a [u8]>) -> Result<&'a str, Refusal> {
    let host = match host {
        Some(value) => Some(text_of(value).ok_or_else(|| refused(ODD_CHARACTER))?),
        None => None,
    };
    let target = head.target.authority;
    let is_absolute = matches!(head.target.scheme, Some("http" | "https"));
    // `GET admin` parses as an authority without a scheme, and `GET ftp://a/` as one of another
    // kind.
    if target.is_some() && !is_absolute {
        return Err(Reason::TargetInvalid.into());
    }
    match (host, target) {
        (Some(host), None) => Ok(host),
        (Some(host), Some(target)) if host.eq_ignore_ascii_case(target) => Ok(host),
        (Some(_), Some(_)) => Err(Refusal::new(Reason::TargetInvalid)
            .because("The authority of the request target differs from Host.")),
        (None, Some(target)) if head.version.has_streams() => Ok(target),
        (None, _) => Err(refused("There is no Host field.")),
    }
}

const ODD_CHARACTER: &str = "Host holds a character that no host name has.";

fn refused(detail: &'static str) -> Refusal {
    Refusal::new(Reason::HostInvalid).because(detail)
}

/// The host of an authority, in lower case and without its port.
///
/// Only letters, digits, `-`, `.` and `_` pass in a name: RFC 3986 knows more, DNS does not.
///
/// # Errors
/// `HostInvalid` when it holds user information, no name or IPv6 address, more bytes than a host
/// name can have, or a port that is no number up to 65535.
pub fn host(authority: &str) -> Result<Cow<'_, str>, Refusal> {
    if authority.contains('@') {
        return Err(refused("Host holds user information (`@`)."));
    }
    let invalid = || refused("Host holds a bracket and no IPv6 address in it.");
    let (host, port) = match authority.strip_prefix('[') {
        Some(rest) => {
            let end = rest.find(']').ok_or_else(invalid)?;
            rest[..end].parse::<Ipv6Addr>().map_err(|_| invalid())?;
            authority.split_at(end + 2)
        }
        None => authority.split_at(authority.find(':').unwrap_or(authority.len())),
    };
    let is_name_byte =
        |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
    let is_name = host.starts_with('[') || host.bytes().all(is_name_byte);
    if host.is_empty() {
        return Err(refused("Host is empty."));
    }
    if !is_name {
        return Err(refused(ODD_CHARACTER));
    }
    if host.len() > HOST_BYTES_MAX {
        return Err(refused("Host is longer than a host name can be."));
    }
    if !is_port(port) {
        return Err(refused("Host ends in a port that is no number up to 65535."));
    }
    if host.bytes().any(|byte| byte.is_ascii_uppercase()) {
        Ok(Cow::Owned(host.to_ascii_lowercase()))
    } else {
        Ok(Cow::Borrowed(host))
    }
}

/// Nothing, or a colon and a port number. A sign, which `parse` would take, is refused.
fn is_port(text: &str) -> bool {
    match text.strip_prefix(':') {
        Some(port) => port.bytes().all(|byte| byte.is_ascii_digit()) && port.parse::<u16>().is_ok(),
        None => text.is_empty(),
    }
}

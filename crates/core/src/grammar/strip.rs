//! The fields that end at this gate.

use http::header::{HeaderMap, HeaderName, TE};
use smallvec::SmallVec;

/// Takes out what is meant for this hop only, and what only a proxy may say.
///
/// The first are the hop-by-hop fields (RFC 9110 section 7.6.1); the door sets its own. The second
/// would let a caller choose the address, path, method or plan that the upstream believes in. `TE:
/// trailers` stays, since gRPC needs it, and so does Trailer. A door that passes a WebSocket on
/// sets Connection and Upgrade anew. Does not allocate where nothing is to go, or few fields are.
pub fn strip_untrusted(headers: &mut HeaderMap) {
    let untrusted: SmallVec<[HeaderName; 8]> =
        headers.keys().filter(|name| is_untrusted(name.as_str())).cloned().collect();
    for name in untrusted {
        headers.remove(name);
    }
    let is_trailers =
        |value: &http::HeaderValue| value.as_bytes().eq_ignore_ascii_case(b"trailers");
    if !headers.get_all(TE).iter().all(is_trailers) {
        headers.remove(TE);
    }
}

fn is_untrusted(name: &str) -> bool {
    match name.strip_prefix("x-") {
        Some(rest) => {
            const BY_PROXIES: [&str; 5] =
                ["forwarded", "original-", "rewrite-", "http-method", "keystile-"];
            matches!(rest, "real-ip" | "method-override")
                || BY_PROXIES.iter().any(|start| rest.starts_with(start))
        }
        None => matches!(
            name,
            "connection"
                | "forwarded"
                | "http2-settings"
                | "keep-alive"
                | "proxy-authenticate"
                | "proxy-authorization"
                | "proxy-connection"
                | "transfer-encoding"
                | "upgrade"
        ),
    }
}

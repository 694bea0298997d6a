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

/// The fields by which proxies, load balancers and the servers behind them name one address: the
/// caller's.
const ADDRESS_FIELDS: [&str; 17] = [
    "cdn-src-ip",
    "cf-connecting-ipv6",
    "cf-pseudo-ipv4",
    "forwarded-for",
    "remote-addr",
    "remote-ip",
    "x-appengine-user-ip",
    "x-azure-socketip",
    "x-envoy-external-address",
    "x-nf-client-connection-ip",
    "x-originating-ip",
    "x-client-addr",
    "x-client-address",
    "x-remote-addr",
    "x-remote-ip",
    "x-source-ip",
    "x-user-ip",
];

/// How names of such fields end, vendor by vendor, dashes aside.
const ADDRESS_ENDINGS: [&str; 4] = ["clientip", "realip", "connectingip", "connectingipv6"];

fn is_address_field(name: &str) -> bool {
    ADDRESS_FIELDS.contains(&name)
        || ADDRESS_ENDINGS.iter().any(|ending| {
            let mut rest = name.bytes().rev().filter(|byte| *byte != b'-');
            ending.bytes().rev().all(|byte| rest.next() == Some(byte))
        })
}

/// The address fields of a request. What is said in them is stripped; a door that trusts its peer says
/// there instead which address it believes in itself, so that no two fields tell the upstream
/// different callers.
pub fn address_fields(headers: &HeaderMap) -> SmallVec<[HeaderName; 2]> {
    headers.keys().filter(|name| is_address_field(name.as_str())).cloned().collect()
}

/// Whether a field ends here because of its name; lower case.
pub fn is_untrusted(name: &str) -> bool {
    const BY_PROXIES: [&str; 8] = [
        "x-envoy-",
        "x-forwarded",
        "x-http-method",
        "x-keystile-",
        "x-original-",
        "x-real-ip",
        "x-rewrite-",
        "x-vercel-forwarded",
    ];
    const OTHERS: [&str; 21] = [
        // By which a proxy tells who signed in to it (RFC 9440).
        "client-cert",
        "client-cert-chain",
        "cloudfront-viewer-address",
        "connection",
        "forwarded",
        "front-end-https",
        "http2-settings",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "transfer-encoding",
        "upgrade",
        "x-arr-ssl",
        "x-host",
        "x-host-override",
        "x-http-host-override",
        "x-method-override",
        "x-proxyuser-ip",
        "x-scheme",
        "x-url-scheme",
    ];
    BY_PROXIES.iter().any(|start| name.starts_with(start))
        || OTHERS.contains(&name)
        || is_address_field(name)
}

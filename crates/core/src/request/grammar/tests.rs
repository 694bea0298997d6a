//! The bypasses of the security list, and the properties that hold for every accepted head.

use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderName, HeaderValue, Uri, Version};
use proptest::prelude::*;

use super::*;
use crate::request::head::{Fields, Target, fields_of};

/// A head with owned parts, for [`RequestHead`] to borrow from.
struct Sent {
    method: Method,
    uri: Uri,
    version: Version,
    headers: HeaderMap,
}

impl Sent {
    fn http1(method: &str, target: &str, fields: &[(&str, &str)]) -> Self {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(
                HeaderName::from_bytes(name.as_bytes()).unwrap(),
                HeaderValue::from_bytes(value.as_bytes()).unwrap(),
            );
        }
        Self {
            method: Method::from_bytes(method.as_bytes()).unwrap(),
            uri: target.parse().unwrap(),
            version: Version::HTTP_11,
            headers,
        }
    }

    fn http2(method: &str, target: &str, fields: &[(&str, &str)]) -> Self {
        Self { version: Version::HTTP_2, ..Self::http1(method, target, fields) }
    }

    fn get(target: &str) -> Self {
        Self::http1("GET", target, &[("host", "api.example")])
    }

    fn read_by(&self, rules: &GrammarRules) -> Result<Canonical<'_>, Refusal> {
        // What is read borrows from the list, and a test may well leak it.
        let fields = Box::leak(Box::new(fields_of(&self.headers)));
        let head = RequestHead {
            method: self.method.as_str(),
            target: Target::from(&self.uri),
            version: self.version.into(),
            fields: Fields(fields),
        };
        canonical(&head, rules)
    }

    fn read(&self) -> Result<Canonical<'_>, Refusal> {
        self.read_by(&GrammarRules::default())
    }

    /// `ok`, or the name of the reason.
    fn reading(&self) -> &'static str {
        match self.read() {
            Ok(_) => "ok",
            Err(refusal) => refusal.reason.name(),
        }
    }
}

#[track_caller]
fn paths_are_refused(targets: &[&str]) {
    for target in targets {
        assert_eq!(Sent::get(target).reading(), "path_invalid", "{target}");
    }
}

#[test]
fn dot_segments_are_refused_raw_and_encoded() {
    paths_are_refused(&[
        "/public/../admin/1",
        "/a/%2e%2E/admin",
        "/a/.%2e/admin",
        "/a/%2E./admin",
        "/..",
        "/../",
        "/.",
        "/./a",
        "/a/.",
        "/a/%2e",
        "/a/%2e/",
        "/a/..;/admin",
        "/a/..;x=1/admin",
        "/a/%2e%2e;x/admin",
        "/a/..%3bx/admin",
        "/a/.%3B",
    ]);
    for target in ["/...", "/a/..b", "/a/b..", "/.well-known/x", "/a.b/c.", "/a/.%20"] {
        assert_eq!(Sent::get(target).reading(), "ok", "{target}");
    }
}

#[test]
fn double_and_encoded_slashes_and_double_encoding_are_refused() {
    paths_are_refused(&[
        "//admin",
        "/a//b",
        "/a//",
        "//",
        "/a%2fadmin",
        "/a%2Fadmin",
        "/a%5cadmin",
        "/a%5Cadmin",
        "/a\\admin",
        "/%252e%252e/admin",
        "/a%25",
        "/%2525",
        "/;x/admin",
        "/a/;x",
        "/a/%3b/b",
    ]);
}

#[test]
fn nul_control_and_broken_escapes_are_refused() {
    paths_are_refused(&[
        "/a%00",
        "/a%0d%0a",
        "/a%1F",
        "/a%7f",
        "/a%7F",
        "/a%",
        "/a%4",
        "/a%zz",
        "/a%+1",
        "/a%4g",
        "/%u002e",
        "/a%80",
        "/%ff",
        "/%c0%ae%c0%ae/",
        "/%C3",
        "/%C3/%A9",
        "/%ed%a0%80",
        "/é",
        "/a|b",
        "/a\"b",
        "/{id}",
        "/a^b",
        "/a[0]",
    ]);
}

#[test]
fn matrix_parameters_are_marked_for_the_caller_to_judge() {
    for target in ["/admin;x/b", "/a;", "/a%3bx", "/a%3B", "/a;b=1;c=2"] {
        assert!(Sent::get(target).read().unwrap().has_matrix_parameter, "{target}");
    }
    assert!(!Sent::get("/a?b;c").read().unwrap().has_matrix_parameter);
}

#[test]
fn a_path_has_one_spelling_and_one_folded_form() {
    for (target, exact, folded) in [
        ("/", "/", "/"),
        ("/a/b", "/a/b", "/a/b"),
        ("/a/b/", "/a/b/", "/a/b"),
        ("/ADMIN/", "/ADMIN/", "/admin"),
        ("/%61dmin/%41", "/admin/A", "/admin/a"),
        ("/%7Ea%2db%2E%5f", "/~a-b._", "/~a-b._"),
        ("/users/%40me", "/users/%40me", "/users/@me"),
        ("/users/@me", "/users/@me", "/users/@me"),
        ("/a%2cb%2C", "/a%2Cb%2C", "/a,b,"),
        ("/caf%c3%89", "/caf%C3%89", "/café"),
        ("/a%20b", "/a%20b", "/a b"),
        ("/admin;x=1/b;y/", "/admin;x=1/b;y/", "/admin/b"),
        ("/admin%3bx", "/admin%3Bx", "/admin"),
        ("/a!$&'()*+,=:@", "/a!$&'()*+,=:@", "/a!$&'()*+,=:@"),
    ] {
        let sent = Sent::get(target);
        let read = sent.read().unwrap();
        assert_eq!((&*read.path, &*read.folded), (exact, folded), "{target}");
    }
}

#[test]
fn a_plain_head_borrows_all_of_its_reading() {
    let sent = Sent::get("/bookmarks/41/?tag=a%20b");
    let read = sent.read().unwrap();
    assert!(matches!(read.path, Cow::Borrowed("/bookmarks/41/")));
    assert!(matches!(read.folded, Cow::Borrowed("/bookmarks/41")));
    assert!(matches!(read.host, Cow::Borrowed("api.example")));
    assert_eq!(read.query, Some("tag=a%20b"));
}

#[test]
fn only_origin_form_passes_and_absolute_form_that_agrees_with_host() {
    for (method, target, expected) in [
        ("GET", "admin", "target_invalid"),
        ("GET", "admin:80", "target_invalid"),
        ("GET", "*", "target_invalid"),
        ("OPTIONS", "*", "target_invalid"),
        ("GET", "http://b/x", "target_invalid"),
        ("GET", "http://api.example:80/x", "target_invalid"),
        ("GET", "http://u@api.example/x", "target_invalid"),
        ("GET", "ftp://api.example/x", "target_invalid"),
        ("GET", "http://API.example/x", "ok"),
        ("GET", "https://api.example", "ok"),
        ("TRACE", "/", "method_not_allowed"),
        ("CONNECT", "api.example:443", "method_not_allowed"),
    ] {
        let sent = Sent::http1(method, target, &[("host", "api.example")]);
        assert_eq!(sent.reading(), expected, "{method} {target}");
    }
    let uri = Uri::from(PathAndQuery::from_static("?a"));
    assert_eq!(Sent { uri, ..Sent::get("/") }.reading(), "target_invalid");
}

#[test]
fn methods_are_known_or_listed() {
    let fields = [("host", "a")];
    for method in ["GET", "HEAD", "OPTIONS", "QUERY", "POST", "PUT", "PATCH", "DELETE"] {
        assert_eq!(Sent::http1(method, "/", &fields).reading(), "ok", "{method}");
    }
    let long = "A".repeat(300);
    for method in ["post", "Get", "FOO", "TRACE", "CONNECT", "PROPFIND", "GET1", &long] {
        let reading = Sent::http1(method, "/", &fields).reading();
        assert_eq!(reading, "method_not_allowed", "{method}");
    }
    let extra_methods = ["PROPFIND", "M-SEARCH", "TRACE", "CONNECT", "post"]
        .map(|method| Method::from_bytes(method.as_bytes()).unwrap())
        .into();
    let rules = GrammarRules { extra_methods };
    for (method, passes) in [
        ("PROPFIND", true),
        ("M-SEARCH", true),
        ("TRACE", false),
        ("CONNECT", false),
        ("post", false),
        ("LOCK", false),
    ] {
        let sent = Sent::http1(method, "/", &fields);
        assert_eq!(sent.read_by(&rules).is_ok(), passes, "{method}");
    }
}

#[test]
fn queries_are_printable_and_wholly_escaped() {
    for query in ["", "a=1&b", "a=%00%ff", "a[]=1", "a={b}", "a=b|c", "a=?/", "a='^`\\"] {
        assert_eq!(Sent::get(&format!("/?{query}")).reading(), "ok", "{query}");
    }
    for byte in (0..=0x20).chain([b'"', b'#', b'<', b'>', 0x7f, 0x80]) {
        let target = [b"/x?a=", &[byte][..]].concat();
        assert_eq!(check_target(&target).unwrap_err().reason, Reason::TargetInvalid, "{byte:#x}");
    }
    for query in ["a=%", "a=%4", "%zz", "a=é"] {
        assert_eq!(Sent::get(&format!("/?{query}")).reading(), "target_invalid", "{query}");
    }
}

#[test]
fn framing_is_stated_once_and_clearly() {
    for (fields, expected) in [
        (&[("content-length", "0")][..], "ok"),
        (&[("content-length", "42")], "ok"),
        (&[("transfer-encoding", "chunked")], "ok"),
        (&[("transfer-encoding", "Chunked")], "ok"),
        (&[("content-length", "1"), ("transfer-encoding", "chunked")], "framing_invalid"),
        (&[("content-length", "1"), ("content-length", "1")], "framing_invalid"),
        (&[("content-length", "1, 1")], "framing_invalid"),
        (&[("content-length", "+1")], "framing_invalid"),
        (&[("content-length", "-1")], "framing_invalid"),
        (&[("content-length", "0x1")], "framing_invalid"),
        (&[("content-length", "")], "framing_invalid"),
        (&[("content-length", "1 ")], "framing_invalid"),
        (&[("content-length", "99999999999999999999")], "framing_invalid"),
        (&[("transfer-encoding", "gzip, chunked")], "framing_invalid"),
        (&[("transfer-encoding", "chunked, chunked")], "framing_invalid"),
        (&[("transfer-encoding", "chunked"), ("transfer-encoding", "chunked")], "framing_invalid"),
        (&[("transfer-encoding", "identity")], "framing_invalid"),
        (&[("transfer-encoding", "xchunked")], "framing_invalid"),
        (&[("transfer-encoding", "")], "framing_invalid"),
    ] {
        let fields = [&[("host", "a")], fields].concat();
        let sent = Sent::http1("POST", "/", &fields);
        assert_eq!(sent.reading(), expected, "{fields:?}");
        let old = Sent { version: Version::HTTP_10, ..sent };
        let coded = fields.iter().any(|(name, _)| *name == "transfer-encoding");
        assert_eq!(old.reading(), if coded { "framing_invalid" } else { expected }, "{fields:?}");
    }
    let fields = [("transfer-encoding", "chunked")];
    assert_eq!(Sent::http2("POST", "https://a/", &fields).reading(), "framing_invalid");
}

#[test]
fn fields_that_are_read_differently_stand_once() {
    for (fields, expected) in [
        (&[("content-type", "a/b"), ("content-type", "a/b")][..], "header_invalid"),
        (&[("idempotency-key", "1"), ("idempotency-key", "2")], "header_invalid"),
        (&[("x_keystile_plan", "trusted")], "header_invalid"),
        (&[("content_length", "1")], "header_invalid"),
        (&[("connection", "x-api-key")], "header_invalid"),
        (&[("connection", "close, X-Api-Key")], "header_invalid"),
        (&[("connection", "close"), ("connection", "tea")], "header_invalid"),
        (&[("connection", "TE, close"), ("te", "deflate,gzip;q=0.3")], "ok"),
        (&[("connection", "upgrade, http2-settings, host"), ("upgrade", "h2c")], "header_invalid"),
        (&[("connection", "Upgrade, HTTP2-Settings"), ("upgrade", "h2c")], "ok"),
        (&[("connection", "Keep-Alive, close")], "ok"),
        (&[("connection", " keep-alive ,, ")], "ok"),
        (&[("connection", "upgrade")], "ok"),
        (&[("accept", "a/b"), ("accept", "c/d"), ("te", "trailers")], "ok"),
    ] {
        let fields = [&[("host", "a")], fields].concat();
        assert_eq!(Sent::http1("GET", "/", &fields).reading(), expected, "{fields:?}");
    }
    let fields = [("connection", "close")];
    assert_eq!(Sent::http2("GET", "https://a/", &fields).reading(), "header_invalid");
    assert_eq!(Sent::http2("GET", "https://a/", &[("te", "trailers")]).reading(), "ok");
}

#[test]
fn values_cannot_hold_control_characters() {
    // `fields.rs` relies on it.
    for byte in (0..0x20).chain([0x7f]).filter(|byte| *byte != b'\t') {
        assert!(HeaderValue::from_bytes(&[b'a', byte, b'b']).is_err(), "{byte}");
    }
}

#[test]
fn a_request_names_exactly_one_valid_host() {
    for (value, host) in [
        ("a", Some("a")),
        ("API.Example:8080", Some("api.example")),
        ("192.0.2.7:80", Some("192.0.2.7")),
        ("[2001:DB8::1]", Some("[2001:db8::1]")),
        ("[::1]:8080", Some("[::1]")),
        ("a_b.example.", Some("a_b.example.")),
        ("", None),
        (":80", None),
        ("a:", None),
        ("a:+80", None),
        ("a:80:80", None),
        ("a:65536", None),
        ("u@a", None),
        ("a/b", None),
        ("a b", None),
        ("a, b", None),
        ("a%2e", None),
        ("a#", None),
        ("é", None),
        ("::1", None),
        ("[::1", None),
        ("[::1]x", None),
        ("[::1%25eth0]", None),
        ("[]", None),
        ("[192.0.2.7]", None),
        ("\\a", None),
    ] {
        let sent = Sent::http1("GET", "/", &[("host", value)]);
        match (sent.read(), host) {
            (Ok(read), Some(host)) => {
                assert_eq!(read.host, host);
                assert_eq!(read.authority, value);
            }
            (Err(refusal), None) => assert_eq!(refusal.reason, Reason::HostInvalid),
            (read, _) => panic!("{value}: {read:?}"),
        }
    }
    assert_eq!(Sent::http1("GET", "/", &[]).reading(), "host_invalid");
    assert_eq!(Sent::http1("GET", "http://a/", &[]).reading(), "host_invalid");
    let twice = [("host", "a"), ("host", "a")];
    assert_eq!(Sent::http1("GET", "/", &twice).reading(), "host_invalid");
    let old = Sent { version: Version::HTTP_10, ..Sent::http1("GET", "/", &[]) };
    assert_eq!(old.reading(), "host_invalid");
    let long = "a".repeat(255);
    assert_eq!(Sent::http1("GET", "/", &[("host", &long)]).reading(), "host_invalid");
}

#[test]
fn http2_takes_its_host_from_authority_and_host_must_agree() {
    for (target, fields, expected) in [
        ("https://a/", &[][..], "ok"),
        ("https://A/", &[("host", "a")], "ok"),
        ("https://a/", &[("host", "b")], "target_invalid"),
        ("https://a/", &[("host", "a:443")], "target_invalid"),
        ("https://u@a/", &[], "host_invalid"),
        ("/", &[("host", "a")], "ok"),
        ("/", &[], "host_invalid"),
        ("https://a//b", &[], "path_invalid"),
    ] {
        assert_eq!(Sent::http2("GET", target, fields).reading(), expected, "{target} {fields:?}");
    }
}

#[test]
fn a_head_has_a_size() {
    let names: Vec<String> = (0..100).map(|number| format!("x-{number}")).collect();
    let mut fields: Vec<_> = names.iter().map(|name| (name.as_str(), "1")).collect();
    fields[0] = ("host", "a");
    assert_eq!(Sent::http1("GET", "/", &fields).reading(), "ok");
    fields.push(("x-1", "again"));
    assert_eq!(Sent::http1("GET", "/", &fields).reading(), "head_too_large");

    let line = "GET / HTTP/1.1\r\nhost: a\r\nx: \r\n".len();
    for (bytes, expected) in [(HEAD_BYTES_MAX, "ok"), (HEAD_BYTES_MAX + 1, "head_too_large")] {
        let value = "v".repeat(bytes - line);
        let fields = [("host", "a"), ("x", &*value)];
        assert_eq!(Sent::http1("GET", "/", &fields).reading(), expected);
    }
    let path = format!("/{}", "p".repeat(HEAD_BYTES_MAX));
    assert_eq!(Sent::get(&path).reading(), "head_too_large");
}

#[test]
fn only_a_whole_websocket_upgrade_is_passed_on() {
    let whole = [("host", "a"), ("connection", "keep-alive, Upgrade"), ("upgrade", "WebSocket")];
    assert!(Sent::http1("GET", "/", &whole).read().unwrap().upgrade);
    assert!(!Sent::http1("GET", "/", &whole[..2]).read().unwrap().upgrade);

    assert_eq!(Sent::http1("POST", "/", &whole).reading(), "upgrade_refused");
    let old = Sent { version: Version::HTTP_10, ..Sent::http1("GET", "/", &whole) };
    assert_eq!(old.reading(), "upgrade_refused");
    assert_eq!(Sent::http2("GET", "https://a/", &whole[2..]).reading(), "upgrade_refused");
    for fields in [
        &[("upgrade", "websocket")][..],
        &[("connection", "upgrade"), ("upgrade", "websocket, h2c")],
        &[("connection", "upgrade"), ("upgrade", "h2c,WebSocket")],
        &[("connection", "upgrade"), ("upgrade", "websocket/13")],
        &[("connection", "upgrade"), ("upgrade", "h2c"), ("upgrade", "websocket")],
        &[("connection", "upgrade"), ("upgrade", "websocket"), ("upgrade", "websocket")],
        &[("connection", "upgrade"), ("upgrade", "websocket"), ("content-length", "5")],
        &[("connection", "upgrade"), ("upgrade", "websocket"), ("transfer-encoding", "chunked")],
    ] {
        let fields = [&[("host", "a")], fields].concat();
        assert_eq!(Sent::http1("GET", "/", &fields).reading(), "upgrade_refused", "{fields:?}");
    }
}

#[test]
fn an_offer_that_this_gate_does_not_take_is_ignored_and_goes_no_further() {
    for fields in [
        &[("connection", "Upgrade, HTTP2-Settings"), ("upgrade", "h2c"), ("http2-settings", "AA")]
            [..],
        &[("connection", "upgrade"), ("upgrade", "TLS/1.0, HTTP/2.0")],
        &[("connection", "upgrade"), ("upgrade", "h2c"), ("upgrade", "TLS/1.0")],
        &[("connection", "upgrade"), ("upgrade", "xwebsocket")],
        &[("connection", "upgrade"), ("upgrade", "")],
        &[("upgrade", "h2c"), ("content-length", "5")],
    ] {
        let fields = [&[("host", "a")], fields].concat();
        for method in ["GET", "POST"] {
            let mut sent = Sent::http1(method, "/", &fields);
            assert!(!sent.read().unwrap().upgrade, "{fields:?}");
            strip_untrusted(&mut sent.headers);
            for name in ["connection", "upgrade", "http2-settings"] {
                assert!(!sent.headers.contains_key(name), "{name} of {fields:?}");
            }
        }
    }
}

#[test]
fn what_vendors_call_the_address_and_scheme_of_a_caller_is_stripped() {
    for name in [
        "Forwarded-For",
        "X-Sucuri-ClientIP",
        "NS-Client-IP",
        "EO-Connecting-IP",
        "X-True-Client-IP",
        "X-Real-Client-IP",
        "X-Source-IP",
        "X-User-IP",
        "Real-IP",
        "X-RealIP",
        "X-Client-Address",
        "X-Scheme",
        "X-Url-Scheme",
        "Front-End-Https",
        "X-Host",
        "X-Host-Override",
        "X-Arr-Ssl",
        "X-HTTP-Host-Override",
    ] {
        let mut headers = Sent::http1("GET", "/", &[(name, "a")]).headers;
        strip_untrusted(&mut headers);
        assert!(headers.is_empty(), "{name}");
    }
}

#[test]
fn what_only_a_proxy_may_say_is_stripped() {
    let kept = [
        ("host", "a"),
        ("te", "trailers"),
        ("trailer", "x-sum"),
        ("x-api-key", "k"),
        ("x-request-id", "1"),
        ("x-realm", "1"),
        ("x-originator", "1"),
        ("accept", "a/b"),
        ("accept", "c/d"),
    ];
    let stripped = [
        "connection",
        "keep-alive",
        "proxy-connection",
        "proxy-authenticate",
        "proxy-authorization",
        "transfer-encoding",
        "upgrade",
        "http2-settings",
        "forwarded",
        "X-Forwarded-For",
        "x-forwarded-host",
        "x-forwarded-proto",
        "x-forwarded",
        "X-Real-IP",
        "X-Original-URL",
        "x-original-method",
        "True-Client-IP",
        "CF-Connecting-IP",
        "CF-Connecting-IPv6",
        "Fastly-Client-IP",
        "Fly-Client-IP",
        "Client-IP",
        "X-Client-IP",
        "X-Cluster-Client-IP",
        "X-Originating-IP",
        "X-Remote-IP",
        "X-Remote-Addr",
        "X-Envoy-External-Address",
        "X-Azure-ClientIP",
        "Client-Cert",
        "X-Rewrite-URL",
        "X-HTTP-Method-Override",
        "X-HTTP-Method",
        "x-method-override",
        "X-Keystile-Plan",
    ]
    .map(|name| (name, "a"));
    let mut headers = Sent::http1("GET", "/", &[&kept[..], &stripped, &stripped].concat()).headers;
    strip_untrusted(&mut headers);
    assert_eq!(headers, Sent::http1("GET", "/", &kept).headers);
    strip_untrusted(&mut headers);
    assert_eq!(headers.len(), kept.len());

    for te in [&["trailers, deflate"][..], &["trailers", "gzip"], &["gzip"]] {
        let fields: Vec<_> = te.iter().map(|value| ("te", *value)).collect();
        let mut headers = Sent::http1("GET", "/", &fields).headers;
        strip_untrusted(&mut headers);
        assert!(headers.is_empty());
    }
}

/// Paths of the pieces that bypasses are made of, so that many of them are near the border.
fn hostile_path() -> impl Strategy<Value = String> {
    let pieces = vec![
        "/", "a", "B", ".", "..", "%2e", "%2E", "%41", "%2f", "%5c", "%25", "%c3%a9", "%C3", ";",
        "%3b", "%40", "@", "%", "%00", "-", "~", "?", "%7e", "%20", "é",
    ];
    proptest::collection::vec(proptest::sample::select(pieces), 0..10)
        .prop_map(|pieces| format!("/{}", pieces.concat()))
}

proptest! {
    #[test]
    fn an_accepted_path_has_nothing_to_disagree_on(target in hostile_path()) {
        let Ok(uri) = Uri::from_maybe_shared(target) else { return Ok(()) };
        let sent = Sent { uri, ..Sent::get("/") };
        let Ok(read) = sent.read() else { return Ok(()) };
        let path = read.path.to_ascii_lowercase();
        prop_assert!(path.starts_with('/') && path.is_ascii() && !path.contains("//"));
        let never = ["%2f", "%5c", "%25", "%0", "%1", "%7f", "%2e", "%7e", "%41", "%61", "\\", "?"];
        for escape in never {
            prop_assert!(!path.contains(escape), "{} holds {}", path, escape);
        }
        for segment in path.split('/') {
            let name = segment.split(';').next().unwrap().split("%3b").next().unwrap();
            prop_assert!(name != "." && name != "..");
        }
        prop_assert!(read.folded.starts_with('/') && !read.folded.contains("//"));
        prop_assert!(read.folded == "/" || !read.folded.ends_with('/'));
        prop_assert!(!read.folded.contains(['%', ';']));
    }

    #[test]
    fn reading_the_canonical_head_again_changes_nothing(
        target in hostile_path(),
        host in "[a-zA-Z.:0-9]{1,8}",
    ) {
        let Ok(uri) = Uri::from_maybe_shared(target) else { return Ok(()) };
        let sent = Sent { uri, ..Sent::http1("GET", "/", &[("host", &host)]) };
        let Ok(first) = sent.read() else { return Ok(()) };
        let target = match first.query {
            Some(query) => format!("{}?{query}", first.path),
            None => first.path.to_string(),
        };
        let again = Sent::http1("GET", &target, &[("host", &host)]);
        prop_assert_eq!(again.read(), Ok(first.clone()));
        prop_assert_eq!(fold_path(&first.folded), &*first.folded);
    }

    #[test]
    fn hostile_heads_never_panic(
        method in proptest::collection::vec(any::<u8>(), 1..12),
        target in proptest::collection::vec(any::<u8>(), 0..40),
        fields in proptest::collection::vec(
            ("(host|connection|upgrade|te|content-length|transfer-encoding|x[-_][a-z]{1,4})",
             proptest::collection::vec(any::<u8>(), 0..20)),
            0..8,
        ),
        version in proptest::sample::select(
            vec![Version::HTTP_10, Version::HTTP_11, Version::HTTP_2],
        ),
    ) {
        let mut headers = HeaderMap::new();
        for (name, value) in &fields {
            if let Ok(value) = HeaderValue::from_bytes(value) {
                headers.append(HeaderName::from_bytes(name.as_bytes()).unwrap(), value);
            }
        }
        let method = Method::from_bytes(&method).unwrap_or(Method::GET);
        let uri = Uri::from_maybe_shared(target).unwrap_or_default();
        let mut sent = Sent { method, uri, version, headers };
        let _ = sent.read();
        strip_untrusted(&mut sent.headers);
    }

    #[test]
    fn hostile_paths_never_panic(path in ".{0,40}") {
        let _ = path::canonical(&format!("/{path}"));
        let _ = fold_path(&path);
    }
}

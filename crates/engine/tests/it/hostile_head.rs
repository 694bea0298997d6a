//! Heads as nobody means well with them, at the one path that every door takes.

use http::HeaderValue;
use http::uri::PathAndQuery;
use keystile_core::policy::api::Mode;
use keystile_core::request::credential::CredentialPlace;
use keystile_core::request::head::{Fields, HttpVersion, RequestHead, Target};
use keystile_engine::admission::caller::{Caller, DoorRules, Transport};
use keystile_engine::admission::permit::ForwardedTarget;
use keystile_engine::{Admission, AdmittedRequest};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::{Config, TestRunner};

use crate::admission::policy;
use crate::test_engine::{TestEngine, address, settings};

#[derive(Clone, Debug)]
struct Head {
    method: String,
    scheme: Option<&'static str>,
    authority: Option<&'static str>,
    target: String,
    version: HttpVersion,
    fields: Vec<(String, Vec<u8>)>,
}

const KEY: &str = "ks_0000000000000000000000000000000000000000000";

fn method() -> impl Strategy<Value = String> {
    let usual = ["GET", "HEAD", "OPTIONS", "QUERY", "POST", "PUT", "PATCH", "DELETE"];
    let odd = ["TRACE", "CONNECT", "PRI", "get", "", "PURGE", "M-SEARCH", "GET POST", "G\u{c9}T"];
    prop_oneof![
        12 => select(usual.to_vec()).prop_map(str::to_owned),
        2 => select(odd.to_vec()).prop_map(str::to_owned),
        1 => "[!-~]{0,80}",
    ]
}

fn target() -> impl Strategy<Value = String> {
    let paths = [
        "/notes/1",
        "/items",
        "/ITEMS",
        "/%69tems",
        "/notes;a=1",
        "/notes%3Ba",
        "//notes",
        "/..",
        "/%2e%2e/x",
        "/a%2Fb",
        "/%",
        "/%zz",
        "/%00",
        "*",
        "",
        "notes",
        "/\u{e9}",
        "/caf%C3%A9",
        "/problems/key_missing",
    ];
    let queries =
        ["", "?", "?a=1", "?key=1&a=2", "?key=", "?%6Bey=x", "?a?b", "?{[|]}", "?\"", "?#"];
    let known = (select(paths.to_vec()), select(queries.to_vec()));
    prop_oneof![
        4 => select(vec!["/notes/1", "/items", "/%69tems", "/a?key=1&a=2"]).prop_map(str::to_owned),
        4 => known.prop_map(|(path, query)| format!("{path}{query}")),
        1 => Just(format!("/notes?key={KEY}&page=2")),
        1 => "/[ -~]{0,40}",
        1 => ".{0,20}",
    ]
}

fn field() -> impl Strategy<Value = (String, Vec<u8>)> {
    let names = [
        "Host",
        "host",
        "X-Api-Key",
        "x-api-key",
        "Authorization",
        "Content-Length",
        "content-length",
        "Transfer-Encoding",
        "Connection",
        "Upgrade",
        "Expect",
        "TE",
        "Cookie",
        "User-Agent",
        "X-Forwarded-For",
        "Forwarded",
        "Sec-WebSocket-Key",
        "Content-Type",
        "",
    ];
    let values: [&[u8]; 20] = [
        b"api.example",
        b"api.example:0",
        b"a@b",
        b"",
        b"[::1",
        b"0",
        b"1",
        b"+1",
        b"101",
        b"chunked",
        b"gzip, chunked",
        b"upgrade",
        b"websocket",
        b"100-continue",
        b"Basic Og==",
        b"Bearer ",
        b"\xff\xfe",
        b"a, b",
        KEY.as_bytes(),
        b"18446744073709551616",
    ];
    let value = prop_oneof![
        6 => select(values.to_vec()).prop_map(<[u8]>::to_vec),
        1 => vec(any::<u8>(), 0..40),
        1 => (0..9_000_usize).prop_map(|length| vec![b'a'; length]),
    ];
    (select(names.to_vec()).prop_map(str::to_owned), value)
}

fn head() -> impl Strategy<Value = Head> {
    let schemes = vec![
        None,
        None,
        None,
        None,
        None,
        None,
        None,
        Some("http"),
        Some("https"),
        Some("ftp"),
        Some(""),
    ];
    let authorities = vec![
        None,
        None,
        None,
        None,
        None,
        None,
        None,
        None,
        Some("api.example"),
        Some("API.example:1"),
        Some("u@h"),
        Some(""),
    ];
    let versions =
        vec![HttpVersion::Http10, HttpVersion::Http11, HttpVersion::Http2, HttpVersion::Http3];
    let host = prop_oneof![9 => Just(true), 1 => Just(false)];
    let parts = (method(), select(schemes), select(authorities), target(), select(versions));
    (parts, host, prop_oneof![vec(field(), 0..2), vec(field(), 0..6)]).prop_map(
        |(parts, has_host, mut fields)| {
            let (method, scheme, authority, target, version) = parts;
            if has_host {
                fields.insert(0, ("Host".to_owned(), b"api.example".to_vec()));
            }
            Head { method, scheme, authority, target, version, fields }
        },
    )
}

fn admit(fixture: &TestEngine, head: &Head) -> Admission {
    let fields = head.fields.iter().map(|(name, value)| (name.as_str(), value.as_slice()));
    let fields = fields.collect::<Vec<_>>();
    let head = RequestHead {
        method: &head.method,
        target: Target {
            scheme: head.scheme,
            authority: head.authority,
            path_and_query: &head.target,
        },
        version: head.version,
        fields: Fields(&fields),
    };
    let rules = DoorRules::default();
    let caller = Caller { peer: address(), transport: Transport::Plain, rules: &rules };
    fixture.engine().admit(&head, &caller)
}

/// How often a head has a field.
fn count(head: &Head, name: &str) -> usize {
    head.fields.iter().filter(|(other, _)| other.eq_ignore_ascii_case(name)).count()
}

/// What holds of every request that may pass, whatever it does; more where its API is guarded.
fn assert_passable(head: &Head, request: &AdmittedRequest, mode: Mode) {
    let path = head.target.split('?').next().unwrap();
    assert!(path.starts_with('/') && !path.contains(['\\', '\0']), "{path}");
    assert!(!head.target.contains('#'), "{}", head.target);
    assert!(count(head, "host") <= 1);
    assert!(count(head, "content-length") + count(head, "transfer-encoding") <= 1);
    let target = match &request.target {
        ForwardedTarget::AsSent => &head.target,
        ForwardedTarget::Rewritten(target) => target,
    };
    assert!(target.parse::<PathAndQuery>().is_ok_and(|parsed| parsed.as_str() == target));
    if request.credential == Some(CredentialPlace::Query) {
        assert!(!target.contains("key="), "{target}");
    }
    if mode == Mode::Enforce {
        assert!(!path.contains(';') && !request.is_upgrade);
        assert!(count(head, "x-api-key") <= 1 && count(head, "authorization") <= 1);
    }
}

#[test]
fn no_head_passes_that_has_two_readings_and_none_breaks_the_engine() {
    let fixture = TestEngine::new();
    for mode in [Mode::Enforce, Mode::Observe, Mode::Off] {
        fixture.engine().replace_policy(policy(mode, "1000000 per day"), settings());
        let config = Config { cases: 2_000, failure_persistence: None, ..Config::default() };
        let passed = std::cell::Cell::new(0_u32);
        let run = TestRunner::new(config).run(&head(), |head| {
            let is_safe = matches!(head.method.as_str(), "GET" | "HEAD" | "OPTIONS" | "QUERY");
            let request = match admit(&fixture, &head) {
                Admission::Page(_) => {
                    assert!(matches!(head.method.as_str(), "GET" | "HEAD"));
                    return Ok(());
                }
                Admission::Refused(refused) => {
                    assert!((400..=503).contains(&refused.problem.status()));
                    for (_, value) in refused.problem.fields() {
                        assert!(HeaderValue::from_str(&value).is_ok());
                    }
                    let document = refused.problem.document();
                    assert!(serde_json::from_str::<serde_json::Value>(&document).is_ok());
                    return Ok(());
                }
                Admission::UnknownKey(_) => panic!("there is no key source"),
                Admission::Read(permit) => {
                    assert!(is_safe || mode == Mode::Off);
                    permit.grant().1
                }
                Admission::Write(permit) => {
                    assert!(!is_safe);
                    assert_passable(&head, permit.request(), mode);
                    passed.set(passed.get() + 1);
                    return Ok(());
                }
                Admission::Counted(permit) => {
                    assert_eq!(head.method, "POST");
                    assert_passable(&head, permit.request(), mode);
                    return Ok(());
                }
            };
            assert_passable(&head, &request, mode);
            passed.set(passed.get() + 1);
            Ok(())
        });
        run.unwrap();
        assert!(passed.get() > 100, "only {} pass: the test tests nothing", passed.get());
    }
    fixture.engine().write_refused();
}

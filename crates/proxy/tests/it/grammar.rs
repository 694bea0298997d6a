//! Requests that two servers could read differently are refused before any rule is asked.

use keystile_core::journal::Outcome;
use keystile_core::policy::operation::Treatment;
use keystile_core::refusal::Reason;

use crate::harness::{TestGate, Upstream, api, plan, request, rule, settings};

/// Sends each request line on a connection of its own; the last word is the expected status.
async fn refuses(lines: &[(&str, &str, u16)]) {
    let upstream = Upstream::ok().await;
    let gate = TestGate::simple(&upstream);
    let key = gate.key("open").await;
    for (method, target, status) in lines {
        let answer = gate.call(method, target, &key, b"").await;
        assert_eq!(answer.status, *status, "{method} {target}: {answer:?}");
        answer.problem();
    }
    assert_eq!(upstream.lines(), Vec::<String>::new());
    assert_eq!(gate.call("GET", "/fine", &key, b"").await.status, 200);
    let records = gate.records().await;
    let refused: u32 = records.iter().map(|record| record.count).sum();
    assert_eq!(refused as usize, lines.len(), "each refused attempt is on record: {records:?}");
    assert!(records.iter().all(|record| record.outcome == Outcome::Refused && record.cost == 0));
}

#[tokio::test]
async fn dot_segments_raw_or_encoded_never_reach_the_upstream() {
    refuses(&[
        ("DELETE", "/public/../admin/1", 400),
        ("PUT", "/a/%2e%2E/admin", 400),
        ("PUT", "/a/%2e./admin", 400),
        ("POST", "/a/./b", 400),
        ("POST", "/..", 400),
        ("GET", "/a/.%2e", 400),
        ("GET", "/a/..;x/admin", 400),
    ])
    .await;
}

#[tokio::test]
async fn empty_segments_and_escaped_separators_never_reach_the_upstream() {
    refuses(&[
        ("POST", "//admin", 400),
        ("POST", "/a//b", 400),
        ("DELETE", "/a%2fadmin", 400),
        ("DELETE", "/a%2Fadmin", 400),
        ("DELETE", "/a%5cadmin", 400),
        ("DELETE", "/a\\admin", 400),
        ("DELETE", "/%252e%252e/admin", 400),
        ("DELETE", "/a%252fadmin", 400),
    ])
    .await;
}

#[tokio::test]
async fn control_characters_parameters_and_bad_escapes_never_reach_the_upstream() {
    refuses(&[
        ("PUT", "/admin;x/b", 400),
        ("PUT", "/admin%3bx/b", 400),
        ("PUT", "/a%00", 400),
        ("PUT", "/a%0d%0aX-Keystile-Plan:%20trusted", 400),
        ("PUT", "/a%7f", 400),
        ("PUT", "/a%", 400),
        ("PUT", "/a%4", 400),
        ("PUT", "/a%zz", 400),
        ("PUT", "/a%c3", 400),
        ("PUT", "/a%ff", 400),
        ("PUT", "/a%ed%a0%80", 400),
        ("PUT", "/a|b", 400),
        ("PUT", "/a^b", 400),
        ("PUT", "/a?b=%zz", 400),
    ])
    .await;
}

#[tokio::test]
async fn bytes_that_no_target_may_hold_never_reach_the_upstream() {
    let upstream = Upstream::ok().await;
    let gate = TestGate::simple(&upstream);
    let key = gate.key("open").await;
    for byte in [b'\0', b'\x01', b'\t', b'\x7f', b'\x80', b'\xff', b'"', b'<', b'`', b'{'] {
        let mut bytes = request("DELETE", "/a_b", &key, b"");
        let place = bytes.iter().position(|known| *known == b'_').unwrap();
        bytes[place] = byte;
        let answer = gate.raw(&bytes).await.unwrap();
        assert_eq!(answer.status, 400, "{byte:#x}: {answer:?}");
    }
    assert_eq!(gate.call("DELETE", "?a=b", &key, b"").await.status, 400);
    assert_eq!(upstream.lines(), Vec::<String>::new());
}

#[tokio::test]
async fn a_target_that_is_not_a_path_of_this_host_is_refused() {
    refuses(&[
        ("GET", "admin", 400),
        ("GET", "*", 400),
        ("OPTIONS", "*", 400),
        ("GET", "http://other.test/x", 400),
        ("GET", "http://user@api.test/x", 400),
        ("GET", "ftp://api.test/x", 400),
        ("GET", "/a#fragment", 400),
        ("GET", "api.test:80", 400),
    ])
    .await;
}

#[tokio::test]
async fn an_absolute_target_of_the_same_host_reaches_the_upstream_as_a_path() {
    let upstream = Upstream::ok().await;
    let gate = TestGate::simple(&upstream);
    let key = gate.key("open").await;
    assert_eq!(gate.call("GET", "http://api.test/x?y=1", &key, b"").await.status, 200);
    assert_eq!(upstream.lines(), ["GET /x?y=1"]);
    assert_eq!(upstream.seen()[0].field("host"), Some("api.test"));
}

#[tokio::test]
async fn methods_that_nobody_listed_are_refused() {
    let long = "A".repeat(300);
    refuses(&[
        ("TRACE", "/", 405),
        ("CONNECT", "api.test:80", 405),
        ("CONNECT", "/", 405),
        ("post", "/a", 405),
        ("Get", "/a", 405),
        ("FOO", "/a", 405),
        ("PROPFIND", "/a", 405),
        ("PRI", "*", 405),
        (&long, "/a", 405),
    ])
    .await;
}

#[tokio::test]
async fn a_refused_method_is_told_which_are_accepted_and_a_listed_one_writes() {
    let upstream = Upstream::ok().await;
    let mut settings = settings();
    settings.methods = vec!["PURGE".parse().unwrap()];
    let gate = TestGate::open(
        vec![api(&[upstream.origin()])],
        vec![plan("open", &["10 per day"])],
        settings,
    );
    let key = gate.key("open").await;
    let answer = gate.call("FOO", "/a", &key, b"").await;
    assert_eq!(answer.refusal(), (405, "method_not_allowed".to_owned()));
    assert!(answer.field("allow").unwrap().contains("DELETE"));
    assert_eq!(gate.call("PURGE", "/a", &key, b"").await.status, 200);
    assert_eq!(gate.used(&key).await, 1);
}

#[tokio::test]
async fn reads_are_the_methods_that_are_known_to_be_safe() {
    let upstream = Upstream::ok().await;
    let gate = TestGate::simple(&upstream);
    let key = gate.key("open").await;
    for method in ["GET", "HEAD", "OPTIONS", "QUERY"] {
        assert_eq!(gate.call(method, "/a", &key, b"").await.status, 200);
    }
    assert_eq!(gate.used(&key).await, 0);
    for method in ["POST", "PUT", "PATCH", "DELETE"] {
        assert_eq!(gate.call(method, "/a", &key, b"").await.status, 200);
    }
    assert_eq!(gate.used(&key).await, 4);
}

#[tokio::test]
async fn escapes_reach_the_upstream_in_the_spelling_that_was_decided_on() {
    let upstream = Upstream::ok().await;
    let gate = TestGate::simple(&upstream);
    let key = gate.key("open").await;
    assert_eq!(gate.call("PUT", "/%61b%c3%a9/%7Ec?q=%61", &key, b"").await.status, 200);
    assert_eq!(upstream.lines(), ["PUT /ab%C3%A9/~c?q=%61"]);
    assert_eq!(gate.records().await[0].path, "/ab%C3%A9/~c");
}

#[tokio::test]
async fn case_and_a_trailing_slash_do_not_escape_a_stricter_rule() {
    let upstream = Upstream::ok().await;
    let mut api = api(&[upstream.origin()]);
    api.operations = vec![
        rule("DELETE /admin", |rule| rule.cost = Some(7)),
        rule("POST /search", |rule| rule.treat_as = Some(Treatment::Read)),
        rule("GET /tick", |rule| rule.treat_as = Some(Treatment::Write)),
    ];
    let gate = TestGate::open(vec![api], vec![plan("open", &["100 per day"])], settings());
    let key = gate.key("open").await;
    let mut used = 0;
    for (method, target, cost) in [
        ("DELETE", "/admin", 7),
        ("DELETE", "/ADMIN/", 7),
        ("DELETE", "/%41dmin", 7),
        ("DELETE", "/admin/", 7),
        ("DELETE", "/administrator", 1),
        ("POST", "/search", 0),
        ("POST", "/Search", 1),
        ("POST", "/search/", 1),
        ("GET", "/tick", 1),
        ("GET", "/Tick/", 1),
        ("HEAD", "/tick", 1),
    ] {
        assert_eq!(gate.call(method, target, &key, b"").await.status, 200);
        used += cost;
        assert_eq!(gate.used(&key).await, used, "{method} {target}");
    }
}

#[tokio::test]
async fn a_folded_path_is_not_what_a_plan_allows() {
    let upstream = Upstream::ok().await;
    let mut narrow = plan("narrow", &["100 per day"]);
    narrow.allow = vec!["notes: GET,PUT /notes/{id}".parse().unwrap()];
    let gate = TestGate::open(vec![api(&[upstream.origin()])], vec![narrow], settings());
    let key = gate.key("narrow").await;
    assert_eq!(gate.call("PUT", "/notes/1", &key, b"").await.status, 200);
    for (method, target) in
        [("PUT", "/NOTES/1"), ("PUT", "/notes/1/"), ("PUT", "/notes"), ("DELETE", "/notes/1")]
    {
        let answer = gate.call(method, target, &key, b"").await;
        assert_eq!(
            answer.refusal(),
            (403, "operation_not_in_plan".to_owned()),
            "{method} {target}"
        );
    }
    let refused = gate.records().await;
    assert!(refused.iter().skip(1).all(|record| record.reason == Some(Reason::OperationNotInPlan)));
    assert_eq!(upstream.lines(), ["PUT /notes/1"]);
}

#[tokio::test]
async fn matrix_parameters_pass_where_the_api_asks_for_them() {
    let upstream = Upstream::ok().await;
    let mut api = api(&[upstream.origin()]);
    api.matrix_parameters = true;
    api.operations = vec![rule("DELETE /admin", |rule| rule.cost = Some(7))];
    let gate = TestGate::open(vec![api], vec![plan("open", &["100 per day"])], settings());
    let key = gate.key("open").await;
    assert_eq!(gate.call("DELETE", "/admin;x=1", &key, b"").await.status, 200);
    assert_eq!(gate.used(&key).await, 7);
    assert_eq!(gate.call("DELETE", "/a/..;x/admin", &key, b"").await.status, 400);
    assert_eq!(upstream.lines(), ["DELETE /admin;x=1"]);
}

#[tokio::test]
async fn a_host_that_is_missing_repeated_or_malformed_is_refused() {
    let upstream = Upstream::ok().await;
    let gate = TestGate::simple(&upstream);
    let key = gate.key("open").await;
    let fields = format!("X-API-Key: {key}\r\n\r\n");
    for hosts in [
        "",
        "Host: a\r\nHost: a\r\n",
        "Host: a@b\r\n",
        "Host: evil@localhost\r\n",
        "Host: @localhost\r\n",
        "Host: a:b@localhost\r\n",
        "Host: localhost:\r\n",
        "Host: localhost:8a\r\n",
        "Host: [::1\r\n",
        "Host: [::1]x\r\n",
        "Host: [localhost]\r\n",
        "Host: local%68ost\r\n",
        "Host: \r\n",
        "Host: a b\r\n",
        "Host: a:99999\r\n",
    ] {
        let answer =
            gate.raw(format!("DELETE /x HTTP/1.1\r\n{hosts}{fields}").as_bytes()).await.unwrap();
        assert_eq!(answer.refusal(), (400, "host_invalid".to_owned()), "{hosts}");
    }
    assert_eq!(upstream.lines(), Vec::<String>::new());
}

#[tokio::test]
async fn a_host_or_path_that_no_api_has_is_not_found() {
    let upstream = Upstream::ok().await;
    let mut api = api(&[upstream.origin()]);
    api.hosts = vec!["api.test".to_owned(), "*.example.org".to_owned()];
    api.path = "/v1".to_owned();
    let gate = TestGate::open(vec![api], vec![plan("open", &["100 per day"])], settings());
    let key = gate.key("open").await;
    let call = async |host: &str, target: &str| {
        let text = format!("GET {target} HTTP/1.1\r\nHost: {host}\r\nX-API-Key: {key}\r\n\r\n");
        gate.raw(text.as_bytes()).await.unwrap().status
    };
    for (host, target, status) in [
        ("api.test", "/v1", 200),
        ("API.test:7070", "/v1/X", 200),
        ("api.test.", "/v1/x", 200),
        ("api.test", "/V1/x", 400),
        ("a.b.example.org", "/v1/x", 200),
        ("example.org", "/v1/x", 404),
        ("other.test", "/v1/x", 404),
        ("api.test", "/v2", 404),
        ("api.test", "/v10", 404),
    ] {
        assert_eq!(call(host, target).await, status, "{host} {target}");
    }
}

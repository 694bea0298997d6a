//! What the upstream is told about a request, and what a caller cannot make it believe.

use crate::harness::{Seen, TestGate, Upstream, api, plan, settings};

async fn call_with(gate: &TestGate, fields: &str) -> u16 {
    let key = gate.key("open").await;
    let text = format!("PUT /x HTTP/1.1\r\nHost: api.test\r\nX-API-Key: {key}\r\n{fields}\r\n");
    gate.raw(text.as_bytes()).await.unwrap().status
}

/// The one request that reached the upstream when these fields were sent along.
async fn seen_with(fields: &str) -> Seen {
    let upstream = Upstream::ok().await;
    let gate = TestGate::simple(&upstream);
    assert_eq!(call_with(&gate, fields).await, 200, "{fields}");
    upstream.seen().pop().unwrap()
}

#[tokio::test]
async fn fields_that_override_the_method_or_path_are_stripped() {
    let names = [
        "X-HTTP-Method-Override",
        "X-HTTP-Method",
        "X-Method-Override",
        "X-Original-URL",
        "X-Original-Method",
        "X-Rewrite-URL",
        "X-Forwarded-Prefix",
        "X-Forwarded-Uri",
        "X-Real-IP",
        "Forwarded",
        "Proxy-Authorization",
        "Proxy-Connection",
        "Keep-Alive",
    ];
    let fields: String = names.iter().map(|name| format!("{name}: /admin\r\n")).collect();
    let seen = seen_with(&format!("{fields}X-Kept: yes\r\n")).await;
    for name in names {
        assert_eq!(seen.field(&name.to_ascii_lowercase()), None, "{name}");
    }
    assert_eq!(seen.field("x-kept"), Some("yes"));
    assert_eq!(seen.method, "PUT");
}

#[tokio::test]
async fn the_upstream_is_told_who_calls_and_nobody_can_forge_it() {
    let upstream = Upstream::ok().await;
    let gate = TestGate::simple(&upstream);
    let spoofed = "X-Keystile-Plan: trusted\r\nX-Keystile-Application: root\r\nX-Keystile-Key: key_1\r\n\
                   X-Keystile-Other: 1\r\n";
    assert_eq!(call_with(&gate, spoofed).await, 200);
    let seen = upstream.seen().pop().unwrap();
    let told: Vec<_> =
        seen.fields.iter().filter(|(name, _)| name.starts_with("x-keystile-")).collect();
    assert_eq!(told.len(), 3, "{told:?}");
    assert_eq!(seen.field("x-keystile-plan"), Some("open"));
    assert_eq!(seen.field("x-keystile-application"), Some("app on open"));
    let record = gate.records().await.pop().unwrap();
    assert_eq!(seen.field("x-keystile-key"), record.key.as_deref());
}

#[tokio::test]
async fn fields_with_an_underscore_are_refused() {
    let upstream = Upstream::ok().await;
    let gate = TestGate::simple(&upstream);
    for field in ["X_Keystile_Plan: trusted\r\n", "X_API_Key: a\r\n", "Content_Length: 5\r\n"] {
        assert_eq!(call_with(&gate, field).await, 400, "{field}");
    }
    assert_eq!(upstream.lines(), Vec::<String>::new());
}

#[tokio::test]
async fn connection_cannot_nominate_a_field_that_is_needed() {
    let upstream = Upstream::ok().await;
    let gate = TestGate::simple(&upstream);
    for value in
        ["x-api-key", "close, X-Keystile-Plan", "keep-alive, trailer", "authorization", "host"]
    {
        assert_eq!(call_with(&gate, &format!("Connection: {value}\r\n")).await, 400, "{value}");
    }
    assert_eq!(upstream.lines(), Vec::<String>::new());
    assert_eq!(call_with(&gate, "Connection: keep-alive\r\n").await, 200);
}

#[tokio::test]
async fn a_forwarded_address_is_believed_only_from_a_trusted_proxy() {
    let fields = "X-Forwarded-For: 6.6.6.6, 203.0.113.9\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: evil.test\r\n";
    for (trusted, address, scheme) in
        [(None, "127.0.0.1", "http"), (Some("127.0.0.0/8"), "203.0.113.9", "https")]
    {
        let upstream = Upstream::ok().await;
        let mut settings = settings();
        settings.trusted_proxies = trusted.iter().map(|range| range.parse().unwrap()).collect();
        let gate = TestGate::open(
            vec![api(&[upstream.origin()])],
            vec![plan("open", &["10 per day"])],
            settings,
        );
        assert_eq!(call_with(&gate, fields).await, 200);
        let seen = upstream.seen().pop().unwrap();
        assert_eq!(seen.field("x-forwarded-for"), Some(address));
        assert_eq!(seen.field("x-forwarded-proto"), Some(scheme));
        assert_eq!(seen.field("x-forwarded-host"), Some("api.test"));
        assert_eq!(gate.records().await[0].address, address);
        let problem = gate
            .raw(format!("DELETE /x HTTP/1.1\r\nHost: api.test\r\n{fields}\r\n").as_bytes())
            .await;
        let url = problem.unwrap().problem()["type"].as_str().unwrap().to_owned();
        assert!(url.starts_with(&format!("{scheme}://api.test/")), "{url}");
    }
}

#[tokio::test]
async fn the_host_is_kept_or_becomes_the_upstreams_own() {
    for keep_host in [true, false] {
        let upstream = Upstream::ok().await;
        let mut api = api(&[upstream.origin()]);
        api.upstream.keep_host = keep_host;
        let gate = TestGate::open(vec![api], vec![plan("open", &[])], settings());
        assert_eq!(call_with(&gate, "").await, 200);
        let own = upstream.address.to_string();
        let expected = if keep_host { "api.test" } else { &own };
        assert_eq!(upstream.seen()[0].field("host"), Some(expected));
    }
}

#[tokio::test]
async fn text_from_outside_stays_text_in_the_journal() {
    let upstream = Upstream::ok().await;
    let gate = TestGate::simple(&upstream);
    let agent = "<svg onload=alert(1)> \u{202e}x";
    assert_eq!(call_with(&gate, &format!("User-Agent: {agent}\r\n")).await, 200);
    assert_eq!(gate.records().await[0].user_agent.as_deref(), Some(agent));
    let long = "a".repeat(5000);
    assert_eq!(call_with(&gate, &format!("User-Agent: {long}\r\n")).await, 200);
    assert_eq!(gate.records().await[1].user_agent.as_deref().map(str::len), Some(256));
}

/// By these, servers and frameworks learn the caller's address from the proxies that they know.
const ADDRESS_FIELDS: [&str; 14] = [
    "X-Client-IP",
    "X-Cluster-Client-IP",
    "True-Client-IP",
    "CF-Connecting-IP",
    "CF-Connecting-IPv6",
    "Fastly-Client-IP",
    "Fly-Client-IP",
    "X-Real-IP",
    "X-Originating-IP",
    "X-Remote-IP",
    "X-Remote-Addr",
    "X-Azure-ClientIP",
    "X-Envoy-External-Address",
    "Client-IP",
];

#[tokio::test]
async fn a_caller_cannot_choose_its_address_in_any_field_that_a_proxy_would_set() {
    let upstream = Upstream::ok().await;
    let claims: String = ADDRESS_FIELDS.iter().map(|name| format!("{name}: 6.6.6.6\r\n")).collect();
    let believed = "X-Forwarded-For: 6.6.6.6, 203.0.113.9\r\nForwarded: for=6.6.6.6\r\n";
    for (trusted, address) in [(None, None), (Some("127.0.0.0/8"), Some("203.0.113.9"))] {
        let mut settings = settings();
        settings.trusted_proxies = trusted.iter().map(|range| range.parse().unwrap()).collect();
        let gate =
            TestGate::open(vec![api(&[upstream.origin()])], vec![plan("open", &[])], settings);
        assert_eq!(call_with(&gate, &format!("{claims}{believed}")).await, 200);
        let seen = upstream.seen().pop().unwrap();
        assert!(!format!("{seen:?}").contains("6.6.6.6"), "{seen:?}");
        for name in ADDRESS_FIELDS {
            assert_eq!(seen.field(&name.to_ascii_lowercase()), address, "{name}");
        }
        assert_eq!(call_with(&gate, believed).await, 200);
        let seen = upstream.seen().pop().unwrap();
        for name in ADDRESS_FIELDS {
            assert_eq!(seen.field(&name.to_ascii_lowercase()), None, "nobody sent {name}");
        }
    }
}

#[tokio::test]
async fn a_trusted_proxy_says_the_callers_scheme_in_any_spelling_and_among_others() {
    let upstream = Upstream::ok().await;
    let mut settings = settings();
    settings.trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()];
    let gate = TestGate::open(vec![api(&[upstream.origin()])], vec![plan("open", &[])], settings);
    for (fields, scheme) in [
        ("X-Forwarded-Proto: HTTPS\r\n", "https"),
        ("X-Forwarded-Proto: https, http\r\n", "https"),
        ("X-Forwarded-Proto: https\r\nX-Forwarded-Proto: http\r\n", "https"),
        ("X-Forwarded-For: 203.0.113.9, 127.0.0.2\r\nX-Forwarded-Proto: https, http\r\n", "https"),
        ("X-Forwarded-For: 203.0.113.9\r\nX-Forwarded-Proto: https, http\r\n", "http"),
        ("X-Forwarded-Proto: gopher\r\n", "http"),
        ("", "http"),
    ] {
        assert_eq!(call_with(&gate, fields).await, 200);
        let seen = upstream.seen().pop().unwrap();
        assert_eq!(seen.field("x-forwarded-proto"), Some(scheme), "{fields}");
    }
}

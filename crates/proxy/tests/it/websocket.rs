//! Upgrades to `WebSocket`: where an operation opts in, and nowhere else.

use keystile_core::journal::Outcome;
use keystile_core::keys::lock::LockLevel;
use keystile_core::policy::api::Mode;
use keystile_core::policy::operation::Treatment;
use keystile_core::refusal::Reason;
use keystile_proxy::settings::GateSettings;
use tokio::io::AsyncWriteExt;

use crate::harness::{
    Caller, Seen, TestGate, Upstream, Wire, api, eventually, plan, rule, settings,
};

const ACCEPTED: &[u8] =
    b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                          Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

/// Accepts each handshake and sends back what comes.
async fn echo() -> Upstream {
    Upstream::raw(|stream, connection, log| async move {
        let mut wire = Wire::new(stream);
        let Some(head) = wire.head().await else { return };
        let mut words = head.first_line.split(' ').map(str::to_owned);
        let (method, target) = (words.next().unwrap(), words.next().unwrap());
        let (body, trailers) = (Vec::new(), Vec::new());
        log.push(Seen {
            connection,
            method,
            target,
            fields: head.fields,
            body,
            trailers,
            is_whole: true,
        });
        wire.write(ACCEPTED).await.unwrap();
        loop {
            let bytes = wire.some().await;
            if bytes.is_empty() || wire.write(&bytes).await.is_err() {
                break;
            }
        }
        let _ = wire.stream.shutdown().await;
    })
    .await
}

fn gate(upstream: &Upstream, settings: GateSettings) -> TestGate {
    let mut api = api(&[upstream.origin()]);
    api.operations = vec![
        rule("GET /socket", |rule| rule.websocket = true),
        rule("GET /writing", |rule| {
            rule.websocket = true;
            rule.treat_as = Some(Treatment::Write);
        }),
    ];
    TestGate::open(vec![api], vec![plan("open", &["10 per day"])], settings)
}

fn handshake(target: &str, key: &str, fields: &str) -> Vec<u8> {
    format!(
        "GET {target} HTTP/1.1\r\nHost: api.test\r\nX-API-Key: {key}\r\n{fields}Sec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    .into_bytes()
}

const ASKS: &str = "Connection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n";

async fn connect(gate: &TestGate, target: &str, key: &str) -> Caller {
    let mut caller = gate.caller().await;
    caller.send(&handshake(target, key, ASKS)).await;
    let head = caller.head().await.unwrap();
    assert_eq!(head.status(), 101, "{head:?}");
    assert_eq!(head.field("upgrade"), Some("websocket"));
    assert_eq!(head.field("sec-websocket-accept"), Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
    caller
}

#[tokio::test]
async fn an_operation_that_opts_in_becomes_a_websocket() {
    let upstream = echo().await;
    let gate = gate(&upstream, settings());
    let key = gate.key("open").await;
    let mut caller = connect(&gate, "/socket", &key).await;
    for message in [&b"\x81\x85hello"[..], &vec![0xff; 100_000], b"GET / HTTP/1.1\n\n"] {
        caller.send(message).await;
        let content = crate::harness::soon("the echo", caller.wire.exactly(message.len())).await;
        assert_eq!(content.bytes, message);
    }
    let seen = upstream.seen().pop().unwrap();
    assert_eq!(
        (seen.field("connection"), seen.field("upgrade")),
        (Some("upgrade"), Some("websocket"))
    );
    assert_eq!(seen.field("x-api-key"), None);
    assert_eq!(seen.field("x-keystile-plan"), Some("open"));
    caller.finish().await;
    assert!(caller.rest().await.is_empty());
    assert!(gate.records().await.is_empty(), "it reads");
}

#[tokio::test]
async fn a_websocket_that_writes_is_counted_once_and_on_record() {
    let upstream = echo().await;
    let gate = gate(&upstream, settings());
    let key = gate.key("open").await;
    let mut caller = connect(&gate, "/writing", &key).await;
    caller.send(b"abc").await;
    assert_eq!(caller.wire.exactly(3).await.bytes, b"abc");
    assert_eq!(gate.used(&key).await, 1);
    assert_eq!(gate.outcomes().await, [Outcome::Applied]);
    assert_eq!(gate.records().await[0].status, Some(101));
}

#[tokio::test]
async fn upgrades_are_refused_where_no_operation_opts_in() {
    let upstream = echo().await;
    let gate = gate(&upstream, settings());
    let key = gate.key("open").await;
    for (target, fields) in [
        ("/other", ASKS),
        ("/SOCKET", ASKS),
        ("/socket", "Connection: Upgrade\r\nUpgrade: websocket, h2c\r\n"),
        ("/socket", "Upgrade: websocket\r\n"),
        ("/socket", "Connection: Upgrade\r\nUpgrade: websocket\r\nUpgrade: h2c\r\n"),
        ("/socket", "Connection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 3\r\n"),
    ] {
        let answer = gate.raw(&handshake(target, &key, fields)).await.unwrap();
        assert_eq!(answer.refusal(), (400, "upgrade_refused".to_owned()), "{target} {fields}");
    }
    let http10 = String::from_utf8(handshake("/socket", &key, ASKS))
        .unwrap()
        .replace("HTTP/1.1", "HTTP/1.0");
    assert_eq!(gate.raw(http10.as_bytes()).await.unwrap().status, 400);
    assert_eq!(gate.raw(&handshake("/socket", "nonsense", ASKS)).await.unwrap().status, 401);
    assert!(upstream.seen().is_empty());
}

/// The bytes that Java's `HttpClient` and `curl --http2` send where they do not know the server yet.
#[tokio::test]
async fn an_offer_of_http2_is_ignored_and_the_request_served() {
    let upstream = Upstream::ok().await;
    let gate = gate(&upstream, settings());
    let key = gate.key("open").await;
    let java = format!(
        "POST /java HTTP/1.1\r\nConnection: Upgrade, HTTP2-Settings\r\nContent-Length: 4\r\n\
         Host: 127.0.0.1:8080\r\nHTTP2-Settings: AAEAAEAAAAIAAAABAAMAAABkAAQBAAAAAAUAAEAA\r\n\
         Upgrade: h2c\r\nUser-Agent: Java-http-client/17.0.15\r\nX-API-Key: {key}\r\n\r\nbody"
    );
    let curl = format!(
        "GET /curl HTTP/1.1\r\nHost: 127.0.0.1:8080\r\nUser-Agent: curl/7.88.1\r\nAccept: */*\r\n\
         Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n\
         HTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA\r\nX-API-Key: {key}\r\n\r\n"
    );
    let mut caller = gate.caller().await;
    for _ in 0..2 {
        for request in [&java, &curl] {
            caller.send(request.as_bytes()).await;
            assert_eq!(caller.answer().await.unwrap().status, 200);
        }
    }
    assert_eq!(upstream.lines(), ["POST /java", "GET /curl", "POST /java", "GET /curl"]);
    for seen in upstream.seen() {
        for name in ["connection", "upgrade", "http2-settings"] {
            assert_eq!(seen.field(name), None, "{name} of {seen:?}");
        }
    }
    assert_eq!(gate.outcomes().await.len(), 2);
}

/// What follows a handshake that was not accepted is HTTP again.
#[tokio::test]
async fn a_handshake_that_the_upstream_declines_leaves_no_tunnel() {
    let upstream = Upstream::ok().await;
    let gate = gate(&upstream, settings());
    let key = gate.key("open").await;
    let mut caller = gate.caller().await;
    caller.send(&handshake("/socket", &key, ASKS)).await;
    assert_eq!(caller.answer().await.unwrap().status, 200);
    assert_eq!(caller.call("PUT", "/a/../b", &key, b"").await.status, 400);
    assert_eq!(upstream.lines(), ["GET /socket"]);
}

#[tokio::test]
async fn a_switch_that_nobody_asked_for_is_not_passed_on() {
    let upstream = echo().await;
    let gate = gate(&upstream, settings());
    let key = gate.key("open").await;
    assert_eq!(gate.call("GET", "/other", &key, b"").await.status, 502);
    assert_eq!(gate.call("POST", "/other", &key, b"").await.status, 502);
    assert_eq!(gate.outcomes().await, [Outcome::Unknown]);
}

async fn echoes(caller: &mut Caller) -> bool {
    caller.send(b"ping").await;
    crate::harness::soon("an echo or the end", caller.wire.exactly(4)).await.is_whole
}

#[tokio::test]
async fn an_open_websocket_ends_when_its_key_may_not_call_any_more() {
    let upstream = echo().await;
    let gate = gate(&upstream, settings());
    for end in ["lock", "revoke", "suspend"] {
        let (key, other) = (gate.key("open").await, gate.key("open").await);
        let mut caller = connect(&gate, "/socket", &key).await;
        let mut neighbor = connect(&gate, "/socket", &other).await;
        match end {
            "lock" => gate.lock(&key, LockLevel::All, None).await,
            "revoke" => gate.revoke(&key).await,
            _ => gate.suspend("open").await,
        }
        let soon = std::time::Duration::from_secs(2);
        assert!(tokio::time::timeout(soon, caller.rest()).await.expect(end).is_empty());
        if end == "suspend" {
            assert!(tokio::time::timeout(soon, neighbor.rest()).await.expect(end).is_empty());
        } else {
            assert!(echoes(&mut neighbor).await, "{end}");
        }
    }
}

#[tokio::test]
async fn a_lock_of_writes_ends_only_the_websockets_that_write() {
    let upstream = echo().await;
    let gate = gate(&upstream, settings());
    let key = gate.key("open").await;
    let mut reading = connect(&gate, "/socket", &key).await;
    let mut writing = connect(&gate, "/writing", &key).await;
    gate.lock(&key, LockLevel::Writes, None).await;
    tokio::time::timeout(std::time::Duration::from_secs(2), writing.rest()).await.unwrap();
    assert!(echoes(&mut reading).await);
}

#[tokio::test]
async fn a_websocket_keeps_its_place_among_the_connections() {
    let upstream = echo().await;
    let mut settings = settings();
    settings.connections_per_address = 2;
    let gate = gate(&upstream, settings);
    let key = gate.key("open").await;
    let open = [connect(&gate, "/socket", &key).await, connect(&gate, "/writing", &key).await];
    assert_eq!(gate.caller().await.answer().await.unwrap().refusal().1, "connections_exceeded");
    drop(open);
    eventually("room", async || gate.gate.as_ref().unwrap().connections() == 0).await;
    connect(&gate, "/socket", &key).await;
}

#[tokio::test]
async fn an_observed_api_goes_on_speaking_websocket_and_the_journal_says_that_it_would_not() {
    let upstream = echo().await;
    let mut api = api(&[upstream.origin()]);
    api.mode = Mode::Observe;
    let gate = TestGate::open(vec![api], vec![plan("open", &["10 per day"])], settings());
    let key = gate.key("open").await;
    let mut caller = connect(&gate, "/elsewhere", &key).await;
    caller.send(b"hello").await;
    assert_eq!(caller.wire.some().await, b"hello");
    eventually("the objection", async || {
        let records = gate.records().await;
        records.iter().any(|record| record.reason == Some(Reason::UpgradeRefused))
    })
    .await;
}

//! Slow callers are cut by deadlines that no trickle of bytes extends, and others are served meanwhile.

use std::time::{Duration, Instant};

use keystile_core::time::Span;
use keystile_proxy::settings::GateSettings;

use crate::harness::{
    Authority, Caller, Reply, TestGate, Upstream, api, eventually, plan, request, settings,
};

fn hurried(head_ms: i64, idle_ms: i64) -> GateSettings {
    let mut settings = settings();
    settings.head_timeout = Span::from_millis(head_ms).unwrap();
    settings.idle_timeout = Span::from_millis(idle_ms).unwrap();
    settings
}

fn gate(upstream: &Upstream, settings: GateSettings) -> TestGate {
    TestGate::open(vec![api(&[upstream.origin()])], vec![plan("open", &["100 per day"])], settings)
}

/// Sends a byte now and then until the gate closes the connection; how long that took.
async fn trickle(mut caller: Caller, bytes: &[u8], pause: Duration) -> (Duration, Vec<u8>) {
    let began = Instant::now();
    for byte in bytes {
        caller.send(&[*byte]).await;
        if let Ok(some) = tokio::time::timeout(pause, caller.wire.some()).await {
            return (began.elapsed(), some);
        }
    }
    panic!("the gate took all of it");
}

fn is_about(elapsed: Duration, millis: u64) {
    let millis = Duration::from_millis(millis);
    assert!(
        elapsed + Duration::from_millis(150) >= millis,
        "cut too early: {elapsed:?} of {millis:?}"
    );
    assert!(
        elapsed < millis + Duration::from_millis(1500),
        "cut too late: {elapsed:?} of {millis:?}"
    );
}

#[tokio::test]
async fn a_head_that_trickles_is_cut_at_its_total_deadline() {
    let upstream = Upstream::ok().await;
    let gate = gate(&upstream, hurried(1000, 10_000));
    let key = gate.key("open").await;
    let bytes = request("GET", &format!("/{}", "a".repeat(200)), &key, b"");
    let slow = trickle(gate.caller().await, &bytes, Duration::from_millis(100));
    let others = async {
        for _ in 0..10 {
            assert_eq!(gate.call("GET", "/x", &key, b"").await.status, 200);
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let ((elapsed, answer), ()) = tokio::join!(slow, others);
    is_about(elapsed, 1000);
    assert!(answer.is_empty() || answer.starts_with(b"HTTP/1.1 408"));
    assert_eq!(upstream.seen().len(), 10);
}

#[tokio::test]
async fn the_second_head_of_a_connection_has_the_same_deadline() {
    let upstream = Upstream::ok().await;
    let gate = gate(&upstream, hurried(1000, 10_000));
    let key = gate.key("open").await;
    let mut caller = gate.caller().await;
    assert_eq!(caller.call("GET", "/x", &key, b"").await.status, 200);
    let (elapsed, _) = trickle(caller, &[b'G'; 100], Duration::from_millis(100)).await;
    is_about(elapsed, 1000);
}

#[tokio::test]
async fn silent_connections_are_closed() {
    let upstream = Upstream::ok().await;
    let gate = gate(&upstream, hurried(600, 1200));
    let key = gate.key("open").await;
    let began = Instant::now();
    let mut silent = gate.caller().await;
    assert!(silent.rest().await.is_empty());
    is_about(began.elapsed(), 600);
    let mut kept = gate.caller().await;
    assert_eq!(kept.call("GET", "/x", &key, b"").await.status, 200);
    let began = Instant::now();
    assert!(kept.rest().await.is_empty());
    is_about(began.elapsed(), 1200);
}

#[tokio::test]
async fn a_beginning_of_the_http2_preface_is_cut_like_any_head() {
    let upstream = Upstream::ok().await;
    let gate = gate(&upstream, hurried(600, 10_000));
    let began = Instant::now();
    let mut caller = gate.caller().await;
    caller.send(b"PRI * HTTP/2.0\r\n").await;
    assert!(caller.rest().await.is_empty());
    is_about(began.elapsed(), 600);
}

#[tokio::test]
async fn a_tls_handshake_that_does_not_come_is_cut() {
    let upstream = Upstream::ok().await;
    let mut settings = hurried(600, 10_000);
    let authority = Authority::new();
    settings.tls = Some(authority.issue("localhost"));
    let gate = gate(&upstream, settings);
    let began = Instant::now();
    let mut caller = gate.caller().await;
    caller.send(b"\x16\x03\x01").await;
    assert!(caller.rest().await.is_empty());
    is_about(began.elapsed(), 600);
}

#[tokio::test]
async fn an_http2_head_that_trickles_is_cut() {
    let upstream = Upstream::ok().await;
    let gate = gate(&upstream, hurried(10_000, 1000));
    let mut caller = gate.caller().await;
    caller.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await;
    let settings = caller.wire.exactly(9).await;
    assert_eq!(settings.bytes[3], 4);
    while tokio::time::timeout(Duration::from_millis(50), caller.wire.some()).await.is_ok() {}
    // HEADERS of 200 bytes, none of which is the last.
    let mut bytes = b"\0\0\xc8\x01\0\0\0\0\x01".to_vec();
    bytes.extend([0x82; 200]);
    let (elapsed, _) = trickle(caller, &bytes[..100], Duration::from_millis(100)).await;
    is_about(elapsed + Duration::from_millis(150), 1000);
}

#[tokio::test]
async fn a_body_that_stops_is_answered_and_cut() {
    let upstream = Upstream::ok().await;
    let gate = gate(&upstream, hurried(10_000, 600));
    let key = gate.key("open").await;
    let began = Instant::now();
    let mut caller = gate.caller().await;
    caller
        .send(
            format!(
                "POST /x HTTP/1.1\r\nHost: a\r\nX-API-Key: {key}\r\nContent-Length: 9\r\n\r\nabc"
            )
            .as_bytes(),
        )
        .await;
    let answer = caller.answer().await.unwrap();
    is_about(began.elapsed(), 600);
    assert_eq!(answer.refusal(), (408, "request_timeout".to_owned()));
    assert_eq!(answer.field("keystile-outcome"), Some("unknown"));
    assert!(caller.rest().await.is_empty());
}

#[tokio::test]
async fn a_body_that_trickles_is_cut_by_its_mean_rate() {
    let upstream = Upstream::ok().await;
    let gate = gate(&upstream, hurried(10_000, 5_000));
    let key = gate.key("open").await;
    let mut caller = gate.caller().await;
    caller
        .send(
            format!(
                "POST /x HTTP/1.1\r\nHost: a\r\nX-API-Key: {key}\r\nContent-Length: 900\r\n\r\n"
            )
            .as_bytes(),
        )
        .await;
    let began = Instant::now();
    let slow = trickle(caller, &[b'a'; 300], Duration::from_millis(300));
    let others = async {
        for _ in 0..10 {
            assert_eq!(gate.call("POST", "/y", &key, b"body").await.status, 200);
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
    };
    let ((elapsed, answer), ()) = tokio::join!(slow, others);
    is_about(elapsed, 10_000);
    assert!(
        answer.starts_with(b"HTTP/1.1 408"),
        "{:?} after {:?}",
        String::from_utf8_lossy(&answer),
        began.elapsed()
    );
}

#[tokio::test]
async fn a_counted_body_that_trickles_is_cut() {
    let upstream = Upstream::ok().await;
    let mut api = api(&[upstream.origin()]);
    let body = keystile_core::policy::operation::BodyRule {
        kind: keystile_core::policy::operation::BodyKind::JsonRpc,
        cost_max: None,
    };
    api.operations = vec![crate::harness::rule("POST /rpc", |rule| rule.body = Some(body))];
    let gate =
        TestGate::open(vec![api], vec![plan("open", &["100 per day"])], hurried(10_000, 800));
    let key = gate.key("open").await;
    let mut caller = gate.caller().await;
    caller
        .send(
            format!(
                "POST /rpc HTTP/1.1\r\nHost: a\r\nX-API-Key: {key}\r\nContent-Length: 900\r\n\r\n"
            )
            .as_bytes(),
        )
        .await;
    let (elapsed, answer) = trickle(caller, &[b'['; 300], Duration::from_millis(100)).await;
    is_about(elapsed, 800);
    assert!(answer.starts_with(b"HTTP/1.1 408"));
    assert_eq!(gate.used(&key).await, 0);
    assert!(upstream.seen().is_empty());
}

/// A caller that reads nothing of a large answer holds its connection only for a while.
#[tokio::test]
async fn a_caller_that_does_not_read_its_answer_is_cut() {
    let upstream = Upstream::start(|_| Reply::status("200 OK", &"a".repeat(20 << 20))).await;
    let gate = gate(&upstream, hurried(10_000, 600));
    let key = gate.key("open").await;
    let mut caller = gate.caller().await;
    caller.send(&request("GET", "/x", &key, b"")).await;
    let (began, running) = (Instant::now(), gate.gate.as_ref().unwrap());
    eventually("the connection is open", async || running.connections() == 1).await;
    eventually("the connection is cut", async || running.connections() == 0).await;
    assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
    assert!(caller.rest().await.len() < 20 << 20);
}

#[tokio::test]
async fn a_slow_answer_is_not_a_slow_caller() {
    let upstream = Upstream::start(|_| Reply::ok().after(Duration::from_millis(1500))).await;
    let gate = gate(&upstream, hurried(500, 500));
    let key = gate.key("open").await;
    assert_eq!(gate.call("GET", "/x", &key, b"").await.status, 200);
    assert_eq!(gate.call("POST", "/x", &key, b"body").await.status, 200);
}

//! The size of heads, and the callers that speak an older protocol.

use keystile_core::request::grammar::{FIELDS_MAX, HEAD_BYTES_MAX};

use crate::harness::{Reply, TestGate, Upstream};

async fn status_of(gate: &TestGate, key: &str, fields: &str) -> Option<u16> {
    let text = format!("GET /x HTTP/1.1\r\nHost: api.test\r\nX-API-Key: {key}\r\n{fields}\r\n");
    Some(gate.raw(text.as_bytes()).await?.status)
}

#[tokio::test]
async fn a_head_has_32_kib_and_no_more() {
    let upstream = Upstream::ok().await;
    let gate = TestGate::simple(&upstream);
    let key = gate.key("open").await;
    let filled = |length: usize| format!("X-Fill: {}\r\n", "a".repeat(length));
    let others =
        format!("GET /x HTTP/1.1\r\nHost: api.test\r\nX-API-Key: {key}\r\nX-Fill: \r\n").len();
    let room = HEAD_BYTES_MAX - others;
    assert_eq!(status_of(&gate, &key, &filled(room)).await, Some(200));
    for length in [room + 1, 40_000, 100_000, 1_000_000] {
        let status = status_of(&gate, &key, &filled(length)).await;
        assert_eq!(status, Some(431), "{length}");
    }
    assert_eq!(upstream.seen().len(), 1);
}

#[tokio::test]
async fn a_target_as_long_as_a_head_is_refused() {
    let upstream = Upstream::ok().await;
    let gate = TestGate::simple(&upstream);
    let key = gate.key("open").await;
    assert_eq!(gate.call("GET", &format!("/{}", "a".repeat(20_000)), &key, b"").await.status, 200);
    for length in [33_000, 70_000] {
        let status = gate.call("GET", &format!("/{}", "a".repeat(length)), &key, b"").await.status;
        assert!([414, 431].contains(&status), "{status}");
    }
    assert_eq!(upstream.seen().len(), 1);
}

#[tokio::test]
async fn a_head_has_100_fields_and_no_more() {
    let upstream = Upstream::ok().await;
    let gate = TestGate::simple(&upstream);
    let key = gate.key("open").await;
    let fields =
        |count: usize| (0..count).map(|number| format!("X-{number}: a\r\n")).collect::<String>();
    let repeated = "X-Same: a\r\n".repeat(FIELDS_MAX);
    assert_eq!(status_of(&gate, &key, &fields(FIELDS_MAX - 2)).await, Some(200));
    for fields in [fields(FIELDS_MAX - 1), fields(FIELDS_MAX), fields(1000), repeated] {
        assert_eq!(status_of(&gate, &key, &fields).await, Some(431));
    }
    assert_eq!(upstream.seen().len(), 1);
}

#[tokio::test]
async fn http_1_0_is_served_and_its_connection_closed() {
    let upstream = Upstream::start(|_| {
        Reply::Bytes(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n".to_vec())
    })
    .await;
    let gate = TestGate::simple(&upstream);
    let key = gate.key("open").await;
    let mut caller = gate.caller().await;
    caller.send(format!("GET /x HTTP/1.0\r\nHost: a\r\nX-API-Key: {key}\r\n\r\n").as_bytes()).await;
    let answer = caller.answer().await.unwrap();
    assert_eq!(answer.field("transfer-encoding"), None, "HTTP/1.0 knows no chunks");
    assert_eq!(answer.text(), "abcde");
    assert!(caller.answer().await.is_none());
    let hostless =
        gate.raw(format!("GET /x HTTP/1.0\r\nX-API-Key: {key}\r\n\r\n").as_bytes()).await.unwrap();
    assert_eq!(hostless.refusal(), (400, "host_invalid".to_owned()));
}

#[tokio::test]
async fn a_connection_serves_many_requests_and_ends_when_asked() {
    let upstream = Upstream::ok().await;
    let gate = TestGate::simple(&upstream);
    let key = gate.key("open").await;
    let mut caller = gate.caller().await;
    for _ in 0..50 {
        assert_eq!(caller.call("GET", "/x", &key, b"").await.status, 200);
    }
    assert_eq!(upstream.connections(), 1, "reads share a kept connection");
    caller
        .send(
            format!("GET /x HTTP/1.1\r\nHost: a\r\nX-API-Key: {key}\r\nConnection: close\r\n\r\n")
                .as_bytes(),
        )
        .await;
    assert_eq!(caller.answer().await.unwrap().status, 200);
    assert!(caller.answer().await.is_none());
}

#[tokio::test]
async fn a_refusal_without_a_body_leaves_the_connection_open() {
    let upstream = Upstream::ok().await;
    let gate = TestGate::simple(&upstream);
    let key = gate.key("open").await;
    let mut caller = gate.caller().await;
    assert_eq!(caller.call("GET", "/x", "nonsense", b"").await.status, 401);
    assert_eq!(caller.call("DELETE", "/x", "", b"").await.status, 401);
    assert_eq!(caller.call("GET", "/x", &key, b"").await.status, 200);
}

/// A caller that writes all of its body before it reads must still find the answer.
#[tokio::test]
async fn a_refusal_is_readable_behind_a_large_body() {
    let upstream = Upstream::ok().await;
    let gate = TestGate::simple(&upstream);
    for _ in 0..5 {
        let body = vec![b'a'; 3 << 20];
        let answer = gate.call("POST", "/x", "nonsense", &body).await;
        assert_eq!(answer.refusal(), (401, "key_unknown".to_owned()));
    }
}

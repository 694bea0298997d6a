//! Answers that come before the request that they answer has ended.

use std::time::Duration;

use bytes::Bytes;
use keystile_core::journal::Outcome;
use tokio::time::timeout;

use crate::harness::{
    Caller, Caller2, Log, Seen, TestGate, Upstream, Wire, api, eventually, plan, read_answer,
    request2, settings, soon,
};

/// Nobody waits for a body that is not theirs.
const AT_ONCE: Duration = Duration::from_secs(3);

fn seen(connection: usize, head: crate::harness::Head, is_whole: bool) -> Seen {
    let mut words = head.first_line.split(' ').map(str::to_owned);
    let (method, target) = (words.next().unwrap(), words.next().unwrap());
    let (body, trailers) = (Vec::new(), Vec::new());
    Seen { connection, method, target, fields: head.fields, body, trailers, is_whole }
}

/// Answers each head as it comes, reads the body afterwards, and goes on with the next request, as web
/// servers do. The log has a request once its body has ended, or has broken off.
async fn hasty(status: &'static str) -> Upstream {
    Upstream::raw(move |stream, connection, log: Log| async move {
        let mut wire = Wire::new(stream);
        while let Some(head) = wire.head().await {
            let answer = format!("HTTP/1.1 {status}\r\nContent-Length: 5\r\n\r\nearly");
            if wire.write(answer.as_bytes()).await.is_err() {
                return;
            }
            let is_whole = wire.framed(&head).await.is_none_or(|content| content.is_whole);
            log.push(seen(connection, head, is_whole));
            if !is_whole {
                return;
            }
        }
    })
    .await
}

/// The same over HTTP/2; it never resets a stream by itself.
async fn hasty2() -> Upstream {
    Upstream::raw(|stream, connection, log: Log| async move {
        let Ok(mut requests) = h2::server::handshake(stream).await else { return };
        while let Some(Ok((request, mut respond))) = requests.accept().await {
            let log = log.clone();
            tokio::spawn(async move {
                let (head, mut body) = request.into_parts();
                let mut answer = respond.send_response(http::Response::new(()), false).unwrap();
                let _ = answer.send_data(Bytes::from_static(b"early"), true);
                let is_whole = loop {
                    match body.data().await {
                        Some(Ok(data)) => drop(body.flow_control().release_capacity(data.len())),
                        Some(Err(_)) => break false,
                        None => break true,
                    }
                };
                log.push(Seen {
                    connection,
                    method: head.method.to_string(),
                    target: head.uri.path().to_owned(),
                    fields: Vec::new(),
                    body: Vec::new(),
                    trailers: Vec::new(),
                    is_whole,
                });
            });
        }
    })
    .await
}

fn upload(target: &str, key: &str, framing: &str) -> Vec<u8> {
    format!("POST {target} HTTP/1.1\r\nHost: a\r\nX-API-Key: {key}\r\n{framing}").into_bytes()
}

const BY_LENGTH: &str = "Content-Length: 100000\r\n\r\n0123456789";
const BY_CHUNKS: &str = "Transfer-Encoding: chunked\r\n\r\na\r\n0123456789\r\n";

async fn is_served_at_once(gate: &TestGate, key: &str) {
    for method in ["DELETE", "GET", "POST"] {
        let body: &[u8] = if method == "POST" { b"body" } else { b"" };
        let answer = timeout(AT_ONCE, gate.call(method, "/other", key, body)).await;
        let answer = answer.unwrap_or_else(|_| panic!("{method} waited for another's body"));
        assert_eq!(answer.status, 200, "{method}");
    }
}

#[tokio::test]
async fn a_stalled_upload_that_was_answered_keeps_nobody_waiting() {
    let upstream = hasty("200 OK").await;
    let gate = TestGate::simple(&upstream);
    let (key, other) = (gate.key("open").await, gate.key("open").await);
    for framing in [BY_LENGTH, BY_CHUNKS] {
        let mut stalled = gate.caller().await;
        stalled.send(&upload("/x", &key, framing)).await;
        assert_eq!(timeout(AT_ONCE, stalled.answer()).await.unwrap().unwrap().text(), "early");
        is_served_at_once(&gate, &other).await;
        drop(stalled);
    }
}

#[tokio::test]
async fn a_stalled_upload_over_http2_that_was_answered_keeps_nobody_waiting() {
    let upstream = hasty("200 OK").await;
    let gate = TestGate::simple(&upstream);
    let (key, other) = (gate.key("open").await, gate.key("open").await);
    let mut caller = Caller2::connect(gate.address).await;
    let mut sender = soon("room", caller.sender.clone().ready()).await.unwrap();
    let (answer, mut body) = sender.send_request(request2("POST", "/x", &key), false).unwrap();
    body.send_data(Bytes::from_static(b"some"), false).unwrap();
    assert_eq!(timeout(AT_ONCE, read_answer(answer)).await.unwrap().unwrap().text(), "early");
    is_served_at_once(&gate, &other).await;
    let request = request2("DELETE", "/x", &other);
    let answer = timeout(AT_ONCE, caller.call(request, b"")).await.unwrap().unwrap();
    assert_eq!(answer.status, 200);
}

#[tokio::test]
async fn a_caller_that_leaves_in_its_upload_keeps_nobody_waiting() {
    let upstream = hasty("200 OK").await;
    let gate = TestGate::simple(&upstream);
    let (key, other) = (gate.key("open").await, gate.key("open").await);
    for framing in [BY_LENGTH, BY_CHUNKS] {
        let mut leaving = gate.caller().await;
        leaving.send(&upload("/x", &key, framing)).await;
        eventually("the upload", async || gate.used(&key).await > 0).await;
        drop(leaving);
        is_served_at_once(&gate, &other).await;
    }
    assert_eq!(gate.used(&key).await, 2);
}

#[tokio::test]
async fn the_outcome_of_a_write_that_was_answered_early_follows_its_answer() {
    for (status, outcome) in [
        ("200 OK", Outcome::Applied),
        ("413 Too Much", Outcome::RefusedByUpstream),
        ("500 Broken", Outcome::Unknown),
    ] {
        let upstream = hasty(status).await;
        let gate = TestGate::simple(&upstream);
        let key = gate.key("open").await;
        let mut caller = gate.caller().await;
        caller.send(&upload("/x", &key, BY_LENGTH)).await;
        let answer = caller.answer().await.unwrap();
        assert_eq!((answer.text(), answer.field("keystile-outcome")), ("early", None));
        drop(caller);
        assert_eq!(gate.outcomes().await, [outcome]);
        assert_eq!(gate.used(&key).await, 1);
    }
}

#[tokio::test]
async fn an_upload_that_ends_soon_after_its_answer_leaves_the_connection_to_the_next_request() {
    let upstream = hasty("200 OK").await;
    let gate = TestGate::simple(&upstream);
    let key = gate.key("open").await;
    let mut caller = gate.caller().await;
    caller.send(&upload("/x", &key, "Content-Length: 14\r\n\r\n0123456789")).await;
    assert_eq!(caller.answer().await.unwrap().text(), "early");
    caller.send(b"rest").await;
    eventually("the end", async || upstream.lines() == ["POST /x"]).await;
    assert_eq!(caller.call("GET", "/next", &key, b"").await.status, 200);
    assert_eq!(upstream.connections(), 1);
    assert!(upstream.seen().iter().all(|seen| seen.is_whole));
}

#[tokio::test]
async fn an_upload_that_goes_on_after_its_answer_ends_the_upstream_connection() {
    let upstream = hasty("200 OK").await;
    let gate = TestGate::simple(&upstream);
    let key = gate.key("open").await;
    let mut caller = gate.caller().await;
    caller.send(&upload("/x", &key, BY_LENGTH)).await;
    assert_eq!(caller.answer().await.unwrap().text(), "early");
    let ended = async || upstream.seen().iter().any(|seen| !seen.is_whole);
    timeout(AT_ONCE, eventually("the end", ended)).await.unwrap();
}

#[tokio::test]
async fn an_upload_that_goes_on_after_its_answer_ends_its_stream_to_an_http2_upstream() {
    let upstream = hasty2().await;
    let mut spec = api(&[upstream.origin()]);
    spec.upstream.http2_prior_knowledge = true;
    let gate = TestGate::open(vec![spec], vec![plan("open", &["100 per day"])], settings());
    let (key, other) = (gate.key("open").await, gate.key("open").await);
    let mut caller = gate.caller().await;
    caller.send(&upload("/x", &key, BY_LENGTH)).await;
    assert_eq!(caller.answer().await.unwrap().text(), "early");
    is_served_at_once(&gate, &other).await;
    let ended = async || upstream.seen().iter().any(|seen| seen.target == "/x" && !seen.is_whole);
    timeout(AT_ONCE, eventually("the end", ended)).await.unwrap();
}

/// An answer may be as long as its request: an echo.
#[tokio::test]
async fn an_answer_that_grows_with_its_request_is_passed_on_while_both_go_on() {
    let upstream = Upstream::raw(|stream, connection, log: Log| async move {
        let mut wire = Wire::new(stream);
        let Some(head) = wire.head().await else { return };
        log.push(seen(connection, head, true));
        let _ = wire.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n").await;
        while let Some(chunk) = wire.chunk().await {
            let echo = [format!("{:x}\r\n", chunk.len()).as_bytes(), &chunk, b"\r\n"].concat();
            let _ = wire.write(&echo).await;
            if chunk.is_empty() {
                return;
            }
        }
    })
    .await;
    let gate = TestGate::simple(&upstream);
    let key = gate.key("open").await;
    let mut caller: Caller = gate.caller().await;
    caller.send(&upload("/x", &key, "Transfer-Encoding: chunked\r\n\r\n")).await;
    assert_eq!(caller.head().await.unwrap().status(), 200);
    for pause in [100, 1500, 100] {
        tokio::time::sleep(Duration::from_millis(pause)).await;
        caller.send(b"4\r\nping\r\n").await;
        assert_eq!(soon("the echo", caller.wire.chunk()).await.unwrap(), b"ping");
    }
    caller.send(b"0\r\n\r\n").await;
    assert_eq!(soon("the end", caller.wire.chunk()).await, Some(Vec::new()));
}

//! Upstreams that speak HTTP/2, and what their refusals prove.

use std::sync::atomic::Ordering;
use std::time::Duration;

use h2::Reason;
use keystile_core::journal::Outcome;
use keystile_core::time::Span;
use tokio::task::JoinSet;

use crate::harness::{
    Answer, Caller, Log, Reply2, Seen, TestGate, Upstream, Wire, api, plan, request, settings,
    start2,
};

fn gate(upstream: &Upstream) -> TestGate {
    let mut api = api(&[upstream.origin()]);
    api.upstream.http2_prior_knowledge = true;
    api.upstream.first_byte_timeout = Span::from_secs(2);
    TestGate::open(vec![api], vec![plan("open", &["100 per day"])], settings())
}

/// The answer to one write, and its outcome and what it used.
async fn write(gate: &TestGate) -> (Answer, Outcome, u64) {
    let key = gate.key("open").await;
    let answer = gate.call("PUT", "/x", &key, b"body").await;
    let outcome = gate.outcomes().await.pop().unwrap();
    (answer, outcome, gate.used(&key).await)
}

#[tokio::test]
async fn reads_share_one_connection_and_writes_another() {
    let upstream = start2(|seen| {
        Reply2::Answer(if seen.method == "GET" { 200 } else { 201 }, "ok", Vec::new())
    })
    .await;
    let gate = gate(&upstream);
    let key = gate.key("open").await;
    assert_eq!(gate.call("GET", "/first", &key, b"").await.status, 200);
    let mut calls = JoinSet::new();
    for number in 0..50 {
        let (address, key) = (gate.address, key.clone());
        calls.spawn(async move {
            let mut caller = Caller::connect(address).await;
            caller.call("POST", &format!("/{number}"), &key, b"body").await.status
        });
    }
    assert_eq!(calls.join_all().await, [201; 50]);
    assert_eq!(gate.call("GET", "/last", &key, b"").await.status, 200);
    assert_eq!(upstream.connections(), 2);
    assert!(
        upstream
            .seen()
            .iter()
            .all(|seen| seen.field("connection").is_none() && seen.field("host").is_none())
    );
}

#[tokio::test]
async fn a_refused_stream_was_not_sent_and_is_given_back() {
    let upstream = start2(|_| Reply2::Reset(Reason::REFUSED_STREAM)).await;
    let (answer, outcome, used) = write(&gate(&upstream)).await;
    assert_eq!(answer.refusal(), (502, "upstream_unreachable".to_owned()));
    assert_eq!(answer.field("keystile-outcome"), None);
    assert_eq!((outcome, used), (Outcome::NotSent, 0));
    assert_eq!(upstream.seen().len(), 1);
}

#[tokio::test]
async fn any_other_reset_leaves_the_write_unknown() {
    for reason in [
        Reason::CANCEL,
        Reason::INTERNAL_ERROR,
        Reason::PROTOCOL_ERROR,
        Reason::NO_ERROR,
        Reason::ENHANCE_YOUR_CALM,
    ] {
        let upstream = start2(move |_| Reply2::Reset(reason)).await;
        let (answer, outcome, used) = write(&gate(&upstream)).await;
        assert_eq!(answer.refusal(), (502, "upstream_failed".to_owned()), "{reason}");
        assert_eq!(answer.field("keystile-outcome"), Some("unknown"));
        assert_eq!((outcome, used), (Outcome::Unknown, 1), "{reason}");
        assert_eq!(upstream.seen().len(), 1);
    }
}

#[tokio::test]
async fn an_http2_upstream_that_never_answers_leaves_the_write_unknown() {
    let upstream = start2(|_| Reply2::Never).await;
    let (answer, outcome, used) = write(&gate(&upstream)).await;
    assert_eq!(answer.refusal(), (504, "upstream_timeout".to_owned()));
    assert_eq!((outcome, used), (Outcome::Unknown, 1));
}

/// Reads frames until a request has come, then sends these and closes or waits.
async fn raw(frames: &'static [&'static [u8]], closes: bool) -> Upstream {
    Upstream::raw(move |stream, connection, log: Log| async move {
        let mut wire = Wire::new(stream);
        wire.exactly(24).await;
        let _ = wire.write(b"\0\0\0\x04\0\0\0\0\0").await;
        loop {
            let head = wire.exactly(9).await;
            if !head.is_whole {
                return;
            }
            let length = usize::from(head.bytes[1]) << 8 | usize::from(head.bytes[2]);
            wire.exactly(length).await;
            match head.bytes[3] {
                4 if head.bytes[4] == 0 => drop(wire.write(b"\0\0\0\x04\x01\0\0\0\0").await),
                1 => break,
                _ => {}
            }
        }
        let (method, target) = ("PUT".to_owned(), "/x".to_owned());
        let (fields, body, trailers) = (Vec::new(), Vec::new(), Vec::new());
        log.push(Seen { connection, method, target, fields, body, trailers, is_whole: false });
        for frame in frames {
            let _ = wire.write(frame).await;
        }
        if !closes {
            wire.read_to_end().await;
        }
    })
    .await
}

const GOAWAY_BEFORE: &[u8] = b"\0\0\x08\x07\0\0\0\0\0\0\0\0\0\0\0\0\0";
const GOAWAY_AFTER: &[u8] = b"\0\0\x08\x07\0\0\0\0\0\0\0\0\x01\0\0\0\0";
const GOAWAY_AT_LAST: &[u8] = b"\0\0\x08\x07\0\0\0\0\0\x7f\xff\xff\xff\0\0\0\0";
const GOAWAY_FAULT: &[u8] = b"\0\0\x08\x07\0\0\0\0\0\0\0\0\x01\0\0\0\x02";

#[tokio::test]
async fn a_goaway_below_the_stream_proves_that_it_was_not_looked_at() {
    for closes in [false, true] {
        let upstream = raw(&[GOAWAY_BEFORE], closes).await;
        let (answer, outcome, used) = write(&gate(&upstream)).await;
        assert_eq!(answer.refusal(), (502, "upstream_unreachable".to_owned()));
        assert_eq!((outcome, used), (Outcome::NotSent, 0));
        assert_eq!(upstream.seen().len(), 1);
    }
}

#[tokio::test]
async fn a_goaway_that_includes_the_stream_proves_nothing() {
    let cases: [&'static [&'static [u8]]; 5] =
        [&[GOAWAY_AFTER], &[GOAWAY_AT_LAST], &[GOAWAY_AT_LAST, GOAWAY_AFTER], &[GOAWAY_FAULT], &[]];
    for frames in cases {
        let upstream = raw(frames, true).await;
        let (answer, outcome, used) = write(&gate(&upstream)).await;
        assert_eq!(answer.refusal(), (502, "upstream_failed".to_owned()), "{frames:?}");
        assert_eq!((outcome, used), (Outcome::Unknown, 1), "{frames:?}");
        assert_eq!(upstream.seen().len(), 1, "{frames:?}");
    }
}

/// An answer to stream 1: `:status: 200`, the end.
const ANSWER: &[u8] = b"\0\0\x01\x01\x05\0\0\0\x01\x88";

#[tokio::test]
async fn a_graceful_goaway_lets_the_stream_finish_and_the_next_one_goes_elsewhere() {
    let upstream = raw(&[GOAWAY_AFTER, ANSWER], false).await;
    let gate = gate(&upstream);
    for connections in 1..4 {
        let (answer, outcome, _) = write(&gate).await;
        assert_eq!((answer.status, outcome), (200, Outcome::Applied));
        assert_eq!(upstream.connections(), connections);
    }
}

#[tokio::test]
async fn an_upstream_that_speaks_no_http2_after_all_fails_without_a_second_try() {
    let upstream = Upstream::ok().await;
    let (answer, outcome, _) = write(&gate(&upstream)).await;
    assert_eq!(answer.status, 502);
    assert!([Outcome::Unknown, Outcome::NotSent].contains(&outcome), "{outcome}");
    assert!(!upstream.lines().contains(&"PUT /x".to_owned()));
}

/// Ends a connection after so many resets, as Node does after a thousand.
async fn touchy(resets_max: usize) -> Upstream {
    Upstream::raw(move |stream, connection, log: Log| async move {
        let Ok(mut requests) = h2::server::handshake(stream).await else { return };
        let resets = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
        loop {
            let next = tokio::time::timeout(Duration::from_millis(20), requests.accept()).await;
            if resets.load(Ordering::SeqCst) >= resets_max {
                requests.abrupt_shutdown(Reason::ENHANCE_YOUR_CALM);
            }
            let (request, mut respond) = match next {
                Err(_) => continue,
                Ok(Some(Ok(request))) => request,
                Ok(_) => return,
            };
            let (target, resets) = (request.uri().path().to_owned(), resets.clone());
            log.push(Seen {
                connection,
                method: request.method().to_string(),
                target: target.clone(),
                fields: Vec::new(),
                body: Vec::new(),
                trailers: Vec::new(),
                is_whole: true,
            });
            tokio::spawn(async move {
                if target == "/slow" {
                    let _ = std::future::poll_fn(|context| respond.poll_reset(context)).await;
                    resets.fetch_add(1, Ordering::SeqCst);
                    return;
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
                let _ = respond.send_response(http::Response::new(()), true);
            });
        }
    })
    .await
}

#[tokio::test]
async fn reads_that_are_given_up_cost_no_other_request_its_answer() {
    let upstream = touchy(500).await;
    let gate = gate(&upstream);
    let (key, other) = (gate.key("open").await, gate.key("open").await);
    let flood = async {
        for _ in 0..30 {
            let mut given_up = Vec::new();
            for _ in 0..50 {
                let mut caller = gate.caller().await;
                caller.send(&request("GET", "/slow", &key, b"")).await;
                given_up.push(caller);
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let others = async {
        for number in 0..30 {
            let method = if number % 2 == 0 { "PUT" } else { "GET" };
            assert_eq!(gate.call(method, "/x", &other, b"").await.status, 200, "{method}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::join!(flood, others);
    assert!(gate.outcomes().await.iter().all(|outcome| *outcome == Outcome::Applied));
    let slow = upstream.seen().iter().filter(|seen| seen.target == "/slow").count();
    assert!(slow > 1000, "{slow} reads were given up");
}

//! Several upstream addresses: another one is tried for what is proven not to be sent, and for nothing else.

use std::time::Duration;

use keystile_core::journal::Outcome;

use crate::harness::{Reply, TestGate, Upstream, Wire, api, nobody, plan, settings};

#[tokio::test]
async fn addresses_take_turns() {
    let (one, two) = (Upstream::ok().await, Upstream::ok().await);
    let gate = TestGate::open(
        vec![api(&[one.origin(), two.origin()])],
        vec![plan("open", &["100 per day"])],
        settings(),
    );
    let key = gate.key("open").await;
    for _ in 0..10 {
        assert_eq!(gate.call("DELETE", "/x", &key, b"").await.status, 200);
    }
    assert_eq!((one.seen().len(), two.seen().len()), (5, 5));
}

#[tokio::test]
async fn an_address_that_refuses_connections_is_passed_over() {
    let alive = Upstream::ok().await;
    let origins = [nobody().await, alive.origin(), nobody().await];
    let gate =
        TestGate::open(vec![api(&origins)], vec![plan("open", &["100 per day"])], settings());
    let key = gate.key("open").await;
    for method in ["DELETE", "GET", "POST", "HEAD", "PUT", "GET"] {
        assert_eq!(gate.call(method, "/x", &key, b"").await.status, 200, "{method}");
    }
    assert_eq!(alive.seen().len(), 6);
    assert_eq!(gate.used(&key).await, 3);
    assert!(gate.outcomes().await.iter().all(|outcome| *outcome == Outcome::Applied));
}

#[tokio::test]
async fn a_write_is_sent_to_no_second_address_when_the_first_dies_over_it() {
    for reply in [Reply::Close, Reply::Reset, Reply::Last(b"HTTP/1.1 2".to_vec())] {
        let first = Upstream::start(move |_| reply.clone()).await;
        let others = [Upstream::ok().await, Upstream::ok().await];
        let origins = [first.origin(), others[0].origin(), others[1].origin()];
        let gate =
            TestGate::open(vec![api(&origins)], vec![plan("open", &["100 per day"])], settings());
        let key = gate.key("open").await;
        let answer = gate.call("PUT", "/x", &key, b"once").await;
        assert_eq!(answer.refusal(), (502, "upstream_failed".to_owned()));
        assert_eq!(answer.field("keystile-outcome"), Some("unknown"));
        assert_eq!(first.seen().len(), 1);
        assert!(others.iter().all(|other| other.seen().is_empty()));
        assert_eq!(gate.outcomes().await, [Outcome::Unknown]);
        assert_eq!(gate.used(&key).await, 1);
    }
}

/// The upstream closes kept connections at the very moment when the next write comes, again and again.
#[tokio::test]
async fn no_write_is_ever_seen_twice_however_connections_end() {
    let upstream = Upstream::start(|seen| match seen.target.len() % 4 {
        0 => Reply::Last(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok".to_vec()),
        1 => Reply::Close,
        2 => Reply::Reset,
        _ => Reply::ok(),
    })
    .await;
    let gate = TestGate::open(
        vec![api(&[upstream.origin(), upstream.origin()])],
        vec![plan("open", &["1000 per day"])],
        settings(),
    );
    let key = gate.key("open").await;
    for number in 0..200_usize {
        let padding = "x".repeat(number % 7);
        gate.call("POST", &format!("/{number}/{padding}"), &key, b"body").await;
        if number % 50 == 49 {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
    let mut lines = upstream.lines();
    lines.sort();
    let seen = lines.len();
    lines.dedup();
    assert_eq!(lines.len(), seen, "no request came twice");
    let records = gate.records().await;
    let sent = records.iter().filter(|record| record.outcome != Outcome::NotSent).count();
    assert!(seen <= sent, "whatever came is on record as sent: {seen} came, {sent} on record");
    assert_eq!(gate.used(&key).await, sent as u64);
}

#[tokio::test]
async fn a_read_on_a_connection_that_went_stale_is_repeated() {
    // Each connection serves one request, and is closed only when the next one comes over it.
    let upstream = Upstream::start(|seen| {
        if seen.target == "/again" && seen.connection == 0 { Reply::Close } else { Reply::ok() }
    })
    .await;
    let gate = TestGate::simple(&upstream);
    let key = gate.key("open").await;
    assert_eq!(gate.call("GET", "/first", &key, b"").await.status, 200);
    tokio::time::sleep(Duration::from_millis(800)).await;
    assert_eq!(gate.call("GET", "/again", &key, b"").await.status, 200);
    assert_eq!(upstream.lines(), ["GET /first", "GET /again", "GET /again"]);
}

#[tokio::test]
async fn an_upstream_that_restarts_is_reached_again() {
    let upstream = Upstream::ok().await;
    let (origin, address) = (upstream.origin(), upstream.address);
    let gate =
        TestGate::open(vec![api(&[origin])], vec![plan("open", &["100 per day"])], settings());
    let key = gate.key("open").await;
    assert_eq!(gate.call("POST", "/x", &key, b"").await.status, 200);
    drop(upstream);
    tokio::time::sleep(Duration::from_millis(50)).await;
    let listener = tokio::net::TcpListener::bind(address).await.unwrap();
    let next = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let mut wire = Wire::new(stream);
        wire.head().await.unwrap();
        wire.write(b"HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n").await.unwrap();
    });
    assert_eq!(gate.call("POST", "/x", &key, b"").await.status, 201);
    next.await.unwrap();
}

#[tokio::test]
async fn reads_survive_an_upstream_that_closes_after_each_answer() {
    let upstream = Upstream::start(|_| {
        Reply::Last(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok".to_vec())
    })
    .await;
    let gate = TestGate::simple(&upstream);
    let key = gate.key("open").await;
    let mut caller = gate.caller().await;
    for number in 0..200 {
        assert_eq!(caller.call("GET", "/x", &key, b"").await.status, 200, "{number}");
    }
}

//! When what may be held for callers is full: who has to go, and who goes on.

use std::time::{Duration, Instant};

use keystile_core::policy::operation::{BodyKind, BodyRule};
use keystile_proxy::settings::GateSettings;
use tokio::net::TcpStream;

use crate::harness::{
    Caller2, Reply, TestGate, Upstream, api, plan, read_answer, request2, rule, settings,
};

const MIB: usize = 1 << 20;

fn narrow(buffers_max: usize) -> GateSettings {
    GateSettings { buffers_max, ..settings() }
}

fn counted(upstream: &Upstream, buffers_max: usize) -> TestGate {
    let mut api = api(&[upstream.origin()]);
    let body = BodyRule { kind: BodyKind::JsonRpc, cost_max: Some(1) };
    api.operations = vec![rule("POST /rpc", |rule| rule.body = Some(body))];
    api.count_bytes_max = MIB;
    TestGate::open(vec![api], vec![plan("open", &["100 per day"])], narrow(buffers_max))
}

fn body(bytes: usize) -> Vec<u8> {
    let mut body = b"{\"jsonrpc\":\"2.0\",\"method\":\"".to_vec();
    body.resize(bytes - 2, b'a');
    body.extend_from_slice(b"\"}");
    body
}

fn head(key: &str, length: usize) -> Vec<u8> {
    format!(
        "POST /rpc HTTP/1.1\r\nHost: a\r\nX-API-Key: {key}\r\nContent-Type: application/json\r\n\
         Content-Length: {length}\r\n\r\n"
    )
    .into_bytes()
}

#[tokio::test]
async fn a_counted_body_that_stalls_makes_room_for_one_that_comes() {
    let upstream = Upstream::ok().await;
    let gate = counted(&upstream, 3 * MIB);
    let key = gate.key("open").await;
    let mut stalled = gate.caller().await;
    stalled.send(&head(&key, MIB)).await;
    stalled.send(&body(900_000)).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    let mut sound = gate.caller().await;
    sound.send(&head(&key, 600_000)).await;
    sound.send(&body(600_000)).await;
    let answer = sound.answer().await.unwrap();
    assert_eq!(answer.status, 200, "{}", answer.text());
    let answer = stalled.answer().await.unwrap();
    assert_eq!(answer.refusal(), (503, "overloaded".to_owned()));
    assert_eq!(answer.field("retry-after"), Some("1"));
    assert_eq!(gate.used(&key).await, 1, "what was refused costs nothing");
    assert_eq!(upstream.seen().len(), 1);
}

#[tokio::test]
async fn a_counted_body_that_is_alone_may_be_larger_than_the_room() {
    let upstream = Upstream::ok().await;
    let gate = counted(&upstream, MIB);
    let key = gate.key("open").await;
    for _ in 0..3 {
        let mut caller = gate.caller().await;
        caller.send(&head(&key, 900_000)).await;
        caller.send(&body(900_000)).await;
        assert_eq!(caller.answer().await.unwrap().status, 200);
    }
}

#[tokio::test]
async fn requests_beyond_the_places_wait_for_their_turn() {
    let upstream =
        Upstream::start(|_| Reply::status("200 OK", "fine").after(Duration::from_millis(200)))
            .await;
    let gate = TestGate::open(
        vec![api(&[upstream.origin()])],
        vec![plan("open", &["1000 per day"])],
        narrow(MIB),
    );
    let key = gate.key("open").await;
    let caller = Caller2::connect(gate.address).await;
    let mut calls = tokio::task::JoinSet::new();
    for number in 0..100 {
        let (mut caller, key) = (caller.share(), key.clone());
        let method = if number % 2 == 0 { "GET" } else { "DELETE" };
        calls.spawn(
            async move { caller.call(request2(method, "/x", &key), b"").await.unwrap().status },
        );
    }
    let statuses = calls.join_all().await;
    assert!(statuses.iter().all(|status| *status == 200), "{statuses:?}");
}

/// A connection whose streams have no window, with as many requests as it may have.
async fn deaf(
    gate: &TestGate,
    key: &str,
) -> (Vec<h2::client::ResponseFuture>, tokio::task::JoinHandle<()>) {
    let stream = TcpStream::connect(gate.address).await.unwrap();
    let (mut sender, connection) = h2::client::Builder::new()
        .initial_window_size(0)
        .handshake::<_, &[u8]>(stream)
        .await
        .unwrap();
    let driving = tokio::spawn(async move { drop(connection.await) });
    let mut answers = Vec::new();
    for _ in 0..100 {
        sender = sender.ready().await.unwrap();
        answers.push(sender.send_request(request2("GET", "/x", key), true).unwrap().0);
    }
    (answers, driving)
}

#[tokio::test]
async fn who_does_not_read_loses_their_place_to_who_waits() {
    let upstream = Upstream::start(|_| Reply::status("200 OK", &"a".repeat(100_000))).await;
    let gate = TestGate::open(
        vec![api(&[upstream.origin()])],
        vec![plan("open", &["100 per day"])],
        narrow(MIB),
    );
    let key = gate.key("open").await;
    let (_answers, driving) = deaf(&gate, &key).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    let began = Instant::now();
    let caller = Caller2::connect(gate.address).await;
    let mut calls = tokio::task::JoinSet::new();
    for _ in 0..20 {
        let (mut caller, key) = (caller.share(), key.clone());
        calls.spawn(async move {
            let answer = caller.call(request2("GET", "/x", &key), b"").await.unwrap();
            (answer.status, answer.body.len())
        });
    }
    let answers = calls.join_all().await;
    assert!(answers.iter().all(|answer| *answer == (200, 100_000)), "{answers:?}");
    assert!(began.elapsed() < Duration::from_secs(8), "{:?}", began.elapsed());
    let ended = tokio::time::timeout(Duration::from_secs(8), driving).await;
    assert!(ended.is_ok(), "the connection that takes nothing is closed");
}

#[tokio::test]
async fn a_download_is_whole_while_the_room_for_answers_is_full() {
    let upstream = Upstream::start(|_| Reply::status("200 OK", &"a".repeat(5_000_000))).await;
    let gate = TestGate::open(
        vec![api(&[upstream.origin()])],
        vec![plan("open", &["100 per day"])],
        narrow(MIB),
    );
    let key = gate.key("open").await;
    let mut held = Vec::new();
    for _ in 0..20 {
        let mut caller = gate.caller().await;
        caller.send(&crate::harness::request("GET", "/x", &key, b"")).await;
        held.push(caller);
    }
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(gate.call("GET", "/x", &key, b"").await.body.len(), 5_000_000);
    let caller = Caller2::connect(gate.address).await;
    let response = {
        let mut sender = caller.sender.clone().ready().await.unwrap();
        sender.send_request(request2("GET", "/x", &key), true).unwrap().0
    };
    assert_eq!(read_answer(response).await.unwrap().body.len(), 5_000_000);
}

//! What becomes of a write: its outcome, its budget, and what its caller is told (P2, P4, P5).

use std::time::Duration;

use keystile_core::journal::{Outcome, WriteRecord};
use keystile_core::policy::operation::CountRule;
use keystile_core::time::Span;

use crate::harness::{
    Answer, Caller, Log, Reply, TestGate, Upstream, Wire, api, eventually, nobody, plan, request,
    rule, settings,
};

/// The one record, once it has its outcome.
async fn record(gate: &TestGate) -> WriteRecord {
    eventually("the outcome", async || {
        gate.outcomes().await.last().is_some_and(|outcome| *outcome != Outcome::Pending)
    })
    .await;
    gate.records().await.pop().unwrap()
}

/// The answer tells that nobody knows, and names the record.
fn tells_unknown(answer: &Answer, record: &WriteRecord) {
    assert_eq!(answer.field("keystile-outcome"), Some("unknown"));
    assert_eq!(answer.field("keystile-write"), Some(&*record.id.to_string()));
    assert_eq!(answer.problem()["write"], record.id.to_string());
}

#[tokio::test]
async fn a_write_that_the_upstream_takes_is_applied_and_counted() {
    let upstream = Upstream::start(|_| Reply::status("201 Created", "made")).await;
    let gate = TestGate::simple(&upstream);
    let key = gate.key("open").await;
    let answer = gate.call("POST", "/notes?x=1", &key, b"hello").await;
    assert_eq!((answer.status, answer.text()), (201, "made"));
    let record = record(&gate).await;
    assert_eq!(answer.field("keystile-write"), Some(&*record.id.to_string()));
    assert_eq!(answer.field("keystile-outcome"), None);
    assert_eq!(record.outcome, Outcome::Applied);
    assert_eq!((record.status, record.cost, record.count), (Some(201), 1, 1));
    assert_eq!((record.method.as_str(), record.path.as_str()), ("POST", "/notes"));
    assert_eq!((record.request_bytes, record.response_bytes), (Some(5), Some(4)));
    assert_eq!((record.api.as_str(), record.plan.as_deref()), ("notes", Some("open")));
    assert_eq!(record.application.as_deref(), Some("app on open"));
    assert_eq!(gate.used(&key).await, 1);
}

#[tokio::test]
async fn each_status_has_its_outcome_and_is_passed_through() {
    let upstream =
        Upstream::start(|seen| Reply::status(&seen.target[1..].replace('_', " "), "said")).await;
    let mut api = api(&[upstream.origin()]);
    api.operations = vec![rule("PUT *", |rule| rule.count = Some(CountRule::Applied))];
    let gate = TestGate::open(vec![api], vec![plan("open", &["1000 per day"])], settings());
    let key = gate.key("open").await;
    let mut used = 0;
    for (method, line, outcome, stays) in [
        ("DELETE", "200_OK", Outcome::Applied, 1),
        ("DELETE", "303_See_Other", Outcome::Applied, 1),
        ("DELETE", "404_Not_Found", Outcome::RefusedByUpstream, 1),
        ("DELETE", "429_Slow_Down", Outcome::RefusedByUpstream, 1),
        ("PUT", "200_OK", Outcome::Applied, 1),
        ("PUT", "422_No", Outcome::RefusedByUpstream, 0),
        ("PUT", "500_Oops", Outcome::Unknown, 1),
        ("DELETE", "503_Later", Outcome::Unknown, 1),
    ] {
        let answer = gate.call(method, &format!("/{line}"), &key, b"").await;
        assert_eq!(answer.text(), "said", "{line}");
        assert_eq!(answer.status.to_string(), line[..3]);
        assert_eq!(
            answer.field("keystile-outcome"),
            None,
            "what the upstream says is passed through"
        );
        assert_eq!(record(&gate).await.outcome, outcome, "{line}");
        used += stays;
        assert_eq!(gate.used(&key).await, used, "{method} {line}");
    }
}

#[tokio::test]
async fn a_write_that_nobody_accepts_is_not_sent_and_given_back() {
    let gate = TestGate::open(
        vec![api(&[nobody().await])],
        vec![plan("open", &["1 per day"])],
        settings(),
    );
    let key = gate.key("open").await;
    for _ in 0..3 {
        let answer = gate.call("DELETE", "/x", &key, b"").await;
        assert_eq!(answer.refusal(), (502, "upstream_unreachable".to_owned()));
        assert_eq!(answer.field("keystile-outcome"), None);
        let record = record(&gate).await;
        assert_eq!((record.outcome, record.status), (Outcome::NotSent, Some(502)));
        assert_eq!(gate.used(&key).await, 0);
    }
}

#[tokio::test]
async fn an_upstream_that_does_not_accept_in_time_is_not_sent_to() {
    // Nobody accepts, and the queue of the socket is full: connecting takes for ever.
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(0).unwrap();
    let address = listener.local_addr().unwrap();
    let _filled = [Caller::connect(address).await];
    let mut api = api(&[format!("http://{address}")]);
    api.upstream.connect_timeout = Span::from_millis(300).unwrap();
    let gate = TestGate::open(vec![api], vec![plan("open", &["1 per day"])], settings());
    let key = gate.key("open").await;
    let answer = gate.call("DELETE", "/x", &key, b"").await;
    assert_eq!(answer.refusal(), (502, "upstream_unreachable".to_owned()));
    assert_eq!(record(&gate).await.outcome, Outcome::NotSent);
    assert_eq!(gate.used(&key).await, 0);
}

/// Reads the request, then dies without an answer.
async fn dies_after_reading(reply: Reply) {
    let upstream =
        Upstream::start(
            move |seen| if seen.target == "/warm" { Reply::ok() } else { reply.clone() },
        )
        .await;
    let gate = TestGate::simple(&upstream);
    let key = gate.key("open").await;
    let mut caller = gate.caller().await;
    assert_eq!(caller.call("POST", "/warm", &key, b"").await.status, 200);
    let answer = caller.call("PUT", "/x", &key, b"once").await;
    assert_eq!(answer.refusal(), (502, "upstream_failed".to_owned()));
    let record = record(&gate).await;
    tells_unknown(&answer, &record);
    assert_eq!((record.outcome, record.status), (Outcome::Unknown, Some(502)));
    assert_eq!(upstream.lines(), ["POST /warm", "PUT /x"]);
    assert_eq!(upstream.connections(), 1, "it was a reused connection");
    assert_eq!(gate.used(&key).await, 2);
}

#[tokio::test]
async fn a_write_on_a_reused_connection_that_closes_is_seen_once_and_unknown() {
    dies_after_reading(Reply::Close).await;
}

#[tokio::test]
async fn a_write_on_a_reused_connection_that_resets_is_seen_once_and_unknown() {
    dies_after_reading(Reply::Reset).await;
}

#[tokio::test]
async fn half_an_answer_is_none() {
    for half in [
        "HTTP/1.1 200",
        "HTTP/1.1 200 OK\r\nContent-Le",
        "\0\0\0",
        "SSH-2.0-OpenSSH\r\n",
        "HTTP/1.1 2OO OK\r\n\r\n",
    ] {
        dies_after_reading(Reply::Last(half.as_bytes().to_vec())).await;
    }
}

#[tokio::test]
async fn a_write_on_a_connection_that_was_idle_goes_over_a_fresh_one() {
    let upstream = Upstream::ok().await;
    let gate = TestGate::simple(&upstream);
    let key = gate.key("open").await;
    assert_eq!(gate.call("GET", "/a", &key, b"").await.status, 200);
    tokio::time::sleep(Duration::from_millis(800)).await;
    assert_eq!(gate.call("PUT", "/b", &key, b"").await.status, 200);
    assert_eq!(upstream.connections(), 2);
}

#[tokio::test]
async fn an_upstream_that_never_answers_makes_a_write_unknown() {
    let upstream = Upstream::start(|_| Reply::Never).await;
    let mut api = api(&[upstream.origin()]);
    api.upstream.first_byte_timeout = Span::from_millis(400).unwrap();
    let gate = TestGate::open(vec![api], vec![plan("open", &["10 per day"])], settings());
    let key = gate.key("open").await;
    for (method, body) in [("DELETE", &b""[..]), ("POST", b"body")] {
        let answer = gate.call(method, "/x", &key, body).await;
        assert_eq!(answer.refusal(), (504, "upstream_timeout".to_owned()));
        let record = record(&gate).await;
        tells_unknown(&answer, &record);
        assert_eq!((record.outcome, record.status), (Outcome::Unknown, Some(504)));
    }
    assert_eq!(
        gate.call("GET", "/x", &key, b"").await.refusal(),
        (504, "upstream_timeout".to_owned())
    );
    assert_eq!(upstream.lines(), ["DELETE /x", "POST /x", "GET /x"]);
    assert_eq!(gate.used(&key).await, 2);
}

#[tokio::test]
async fn the_total_timeout_bounds_an_exchange_with_a_patient_first_byte() {
    let upstream = Upstream::start(|_| Reply::ok().after(Duration::from_secs(5))).await;
    let mut api = api(&[upstream.origin()]);
    api.upstream.total_timeout = Span::from_millis(400);
    let gate = TestGate::open(vec![api], vec![plan("open", &["10 per day"])], settings());
    let key = gate.key("open").await;
    assert_eq!(
        gate.call("DELETE", "/x", &key, b"").await.refusal(),
        (504, "upstream_timeout".to_owned())
    );
    assert_eq!(record(&gate).await.outcome, Outcome::Unknown);
}

#[tokio::test]
async fn the_outcome_is_learned_when_the_caller_hangs_up() {
    let upstream =
        Upstream::start(|_| Reply::status("204 No Content", "").after(Duration::from_millis(300)))
            .await;
    let gate = TestGate::simple(&upstream);
    let key = gate.key("open").await;
    for (method, body) in [("DELETE", &b""[..]), ("POST", b"a body that came in whole")] {
        let mut caller = gate.caller().await;
        caller.send(&request(method, "/x", &key, body)).await;
        drop(caller);
        eventually("the write", async || {
            gate.records().await.last().is_some_and(|record| record.method == method)
        })
        .await;
        let record = record(&gate).await;
        assert_eq!((record.outcome, record.status), (Outcome::Applied, Some(204)), "{method}");
    }
    assert_eq!(upstream.lines(), ["DELETE /x", "POST /x"]);
    assert!(upstream.seen().iter().all(|seen| seen.is_whole));
    assert_eq!(gate.used(&key).await, 2);
}

#[tokio::test]
async fn every_write_whose_caller_closes_at_once_is_forwarded_once() {
    let upstream = Upstream::ok().await;
    let gate = TestGate::simple(&upstream);
    let key = gate.key("open").await;
    for number in 0..100 {
        let mut caller = gate.caller().await;
        caller.send(&request("DELETE", &format!("/{number}"), &key, b"")).await;
    }
    eventually("all writes", async || gate.used(&key).await == 100).await;
    eventually("their outcomes", async || gate.outcomes().await == [Outcome::Applied; 100]).await;
    let mut lines = upstream.lines();
    lines.sort();
    lines.dedup();
    assert_eq!(lines.len(), 100);
}

#[tokio::test]
async fn a_caller_that_resets_at_once_is_counted_all_the_same() {
    let upstream = Upstream::ok().await;
    let gate = TestGate::simple(&upstream);
    let key = gate.key("open").await;
    for _ in 0..30 {
        let stream = tokio::net::TcpStream::connect(gate.address).await.unwrap();
        socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap();
        let mut caller = Caller::over(stream);
        caller.send(&request("DELETE", "/x", &key, b"")).await;
    }
    let running = gate.gate.as_ref().unwrap();
    eventually("all have ended", async || {
        let records = gate.records().await;
        let is_open = |record: &WriteRecord| record.outcome == Outcome::Pending;
        running.connections() == 0
            && records.len() == upstream.seen().len()
            && !records.iter().any(is_open)
    })
    .await;
    let records = gate.records().await;
    // Some heads are lost with their connection. What reached the upstream is on record, once each.
    assert_eq!(records.len(), upstream.seen().len());
    assert!(records.iter().all(|record| record.outcome == Outcome::Applied));
    assert_eq!(gate.used(&key).await, records.len() as u64);
}

#[tokio::test]
async fn a_body_that_breaks_off_leaves_the_write_unknown() {
    let upstream = Upstream::ok().await;
    let gate = TestGate::simple(&upstream);
    let key = gate.key("open").await;
    let mut caller = gate.caller().await;
    let head = format!(
        "POST /x HTTP/1.1\r\nHost: a\r\nX-API-Key: {key}\r\nTransfer-Encoding: chunked\r\n\r\n"
    );
    caller.send(format!("{head}5\r\nabcde\r\n").as_bytes()).await;
    eventually("the record", async || !gate.records().await.is_empty()).await;
    drop(caller);
    assert_eq!(record(&gate).await.outcome, Outcome::Unknown);
    eventually("the upstream", async || upstream.seen().iter().any(|seen| !seen.is_whole)).await;
    assert_eq!(gate.used(&key).await, 1);
}

#[tokio::test]
async fn an_intent_is_durable_before_a_byte_is_sent() {
    // The upstream asks the store, through another connection, at the moment it sees the request.
    let (sender, mut arrived) = tokio::sync::mpsc::channel::<tokio::sync::oneshot::Sender<()>>(1);
    let upstream = Upstream::raw(move |stream, _, _: Log| {
        let sender = sender.clone();
        async move {
            let mut wire = Wire::new(stream);
            let _ = wire.head().await;
            let (go_on, waiting) = tokio::sync::oneshot::channel();
            sender.send(go_on).await.unwrap();
            let _ = waiting.await;
            let _ = wire.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
        }
    })
    .await;
    let gate = TestGate::simple(&upstream);
    let key = gate.key("open").await;
    let mut caller = gate.caller().await;
    caller.send(&request("DELETE", "/x", &key, b"")).await;
    let go_on = arrived.recv().await.unwrap();
    assert_eq!(gate.outcomes().await, [Outcome::Pending]);
    assert_eq!(gate.used(&key).await, 1);
    go_on.send(()).unwrap();
    assert_eq!(caller.answer().await.unwrap().status, 200);
    assert_eq!(record(&gate).await.outcome, Outcome::Applied);
}

/// Nothing can be recorded: writes stop, reads flow from memory (P7).
#[tokio::test]
async fn a_store_that_cannot_commit_stops_writes_and_not_reads() {
    let upstream = Upstream::ok().await;
    let gate = TestGate::simple(&upstream);
    let key = gate.key("open").await;
    let mut caller = gate.caller().await;
    assert_eq!(caller.call("DELETE", "/x", &key, b"").await.status, 200);
    gate.engine.store().close();
    for _ in 0..3 {
        let answer = caller.call("DELETE", "/x", &key, b"").await;
        assert_eq!(answer.refusal(), (503, "store_unavailable".to_owned()));
        assert!(answer.field("retry-after").is_some());
        assert_eq!(caller.call("GET", "/x", &key, b"").await.status, 200);
        assert_eq!(caller.call("GET", "/x", "nonsense", b"").await.status, 401);
    }
    assert_eq!(upstream.lines(), ["DELETE /x", "GET /x", "GET /x", "GET /x"]);
}

//! Bodies that come bit by bit, and permission to send one.

use std::time::Duration;

use keystile_core::time::Span;

use crate::harness::{
    Caller, Log, Reply, Seen, TestGate, Upstream, Wire, api, eventually, plan, request, settings,
    soon,
};

/// An upstream that sends an event each time it is told to.
async fn events() -> (Upstream, tokio::sync::mpsc::Sender<&'static str>) {
    let (sender, receiver) = tokio::sync::mpsc::channel(10);
    let receiver = std::sync::Arc::new(tokio::sync::Mutex::new(receiver));
    let upstream = Upstream::raw(move |stream, _, _: Log| {
        let receiver = receiver.clone();
        async move {
            let mut wire = Wire::new(stream);
            wire.head().await;
            let head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";
            let _ = wire.write(head).await;
            let mut events = receiver.lock().await;
            while let Some(event) = events.recv().await {
                let event: &str = event;
                let chunk = format!("{:x}\r\n{event}\r\n", event.len());
                if wire.write(chunk.as_bytes()).await.is_err() {
                    return;
                }
            }
            let _ = wire.write(b"0\r\n\r\n").await;
        }
    });
    (upstream.await, sender)
}

#[tokio::test]
async fn events_arrive_one_by_one_for_longer_than_any_idle_timeout() {
    let (upstream, sender) = events().await;
    let mut settings = settings();
    settings.idle_timeout = Span::from_millis(300).unwrap();
    let gate = TestGate::open(
        vec![api(&[upstream.origin()])],
        vec![plan("open", &["10 per day"])],
        settings,
    );
    let mut caller = gate.caller().await;
    caller.send(&request("GET", "/events", &gate.key("open").await, b"")).await;
    assert_eq!(caller.head().await.unwrap().field("content-type"), Some("text/event-stream"));
    for pause in [0, 100, 900] {
        tokio::time::sleep(Duration::from_millis(pause)).await;
        sender.send("data: tick\n\n").await.unwrap();
        let chunk =
            tokio::time::timeout(Duration::from_millis(500), caller.wire.chunk()).await.unwrap();
        assert_eq!(chunk.unwrap(), b"data: tick\n\n");
    }
    drop(sender);
    assert_eq!(soon("the end", caller.wire.chunk()).await, Some(Vec::new()));
}

#[tokio::test]
async fn events_arrive_one_by_one_over_http2() {
    let (upstream, sender) = events().await;
    let gate = TestGate::simple(&upstream);
    let mut caller = crate::harness::Caller2::connect(gate.address).await;
    let request = crate::harness::request2("GET", "/events", &gate.key("open").await);
    let mut body = caller.send(request, b"").await.unwrap().await.unwrap().into_body();
    for _ in 0..3 {
        sender.send("data: tick\n\n").await.unwrap();
        assert_eq!(soon("an event", body.data()).await.unwrap().unwrap(), "data: tick\n\n");
    }
}

#[tokio::test]
async fn an_upstream_hears_when_its_listener_has_gone() {
    let (upstream, sender) = events().await;
    let gate = TestGate::simple(&upstream);
    let mut caller = gate.caller().await;
    caller.send(&request("GET", "/events", &gate.key("open").await, b"")).await;
    caller.head().await.unwrap();
    drop(caller);
    eventually("the end", async || gate.gate.as_ref().unwrap().connections() == 0).await;
    // The upstream's connection ends too, and with it its hold on the channel.
    eventually("the upstream", async || {
        sender.send("data: tick\n\n").await.is_ok() && sender.capacity() < 10 || sender.is_closed()
    })
    .await;
}

#[tokio::test]
async fn a_request_body_reaches_the_upstream_while_it_comes() {
    let (sender, mut arrived) = tokio::sync::mpsc::channel(10);
    let upstream = Upstream::raw(move |stream, _, _: Log| {
        let sender = sender.clone();
        async move {
            let mut wire = Wire::new(stream);
            wire.head().await;
            while let Some(chunk) = wire.chunk().await {
                let is_last = chunk.is_empty();
                sender.send(chunk).await.unwrap();
                if is_last {
                    break;
                }
            }
            let _ = wire.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
        }
    })
    .await;
    let gate = TestGate::simple(&upstream);
    let key = gate.key("open").await;
    let mut caller = gate.caller().await;
    caller.send(format!("POST /x HTTP/1.1\r\nHost: a\r\nX-API-Key: {key}\r\nTransfer-Encoding: chunked\r\n\r\n").as_bytes()).await;
    for _ in 0..3 {
        caller.send(b"4\r\npart\r\n").await;
        assert_eq!(soon("a part", arrived.recv()).await.unwrap(), b"part");
    }
    caller.send(b"0\r\n\r\n").await;
    assert_eq!(caller.answer().await.unwrap().status, 200);
}

fn asking(key: &str, length: usize) -> Vec<u8> {
    format!("POST /x HTTP/1.1\r\nHost: a\r\nX-API-Key: {key}\r\nContent-Length: {length}\r\nExpect: 100-continue\r\n\r\n").into_bytes()
}

async fn says_nothing(caller: &mut Caller) {
    assert!(tokio::time::timeout(Duration::from_millis(200), caller.wire.head()).await.is_err());
}

#[tokio::test]
async fn permission_to_send_a_body_comes_after_the_write_is_permitted() {
    let upstream = Upstream::ok().await;
    let gate = TestGate::simple(&upstream);
    let key = gate.key("open").await;
    let mut caller = gate.caller().await;
    for _ in 0..2 {
        caller.send(&asking(&key, 4)).await;
        assert_eq!(caller.head().await.unwrap().status(), 100);
        assert_eq!(
            gate.records().await.len(),
            usize::try_from(gate.used(&key).await).unwrap(),
            "its intent is on record"
        );
        caller.send(b"body").await;
        assert_eq!(caller.answer().await.unwrap().status, 200);
    }
    assert!(
        upstream.seen().iter().all(|seen| seen.body == b"body" && seen.field("expect").is_none())
    );
    caller.send(&asking(&key, 4)).await;
    assert_eq!(caller.head().await.unwrap().status(), 100);
    says_nothing(&mut caller).await;
}

#[tokio::test]
async fn a_refused_request_gets_no_permission_to_send_its_body() {
    let upstream = Upstream::ok().await;
    let mut spec = api(&[upstream.origin()]);
    spec.body_bytes_max = Some(1000);
    let gate = TestGate::open(vec![spec], vec![plan("open", &["1 per day"])], settings());
    let key = gate.key("open").await;
    assert_eq!(gate.call("POST", "/x", &key, b"").await.status, 200);
    for (key, length, status) in
        [("nonsense", 4, 401), (&*key, 2000, 413), (&key, 4, 403), (&key, 4, 403)]
    {
        let answer = gate.raw(&asking(key, length)).await.unwrap();
        assert_eq!(answer.status, status, "no 100 came before it");
        answer.problem();
    }
    assert_eq!(upstream.seen().len(), 1);
}

#[tokio::test]
async fn an_upstream_that_answers_early_is_heard() {
    let upstream = Upstream::raw(|stream, connection, log: Log| async move {
        let mut wire = Wire::new(stream);
        let Some(head) = wire.head().await else { return };
        let (method, target) = ("POST".to_owned(), "/x".to_owned());
        let (body, trailers) = (Vec::new(), Vec::new());
        log.push(Seen {
            connection,
            method,
            target,
            fields: head.fields,
            body,
            trailers,
            is_whole: false,
        });
        let _ = wire
            .write(b"HTTP/1.1 413 Too Much\r\nContent-Length: 3\r\nConnection: close\r\n\r\nbig")
            .await;
        wire.read_to_end().await;
    })
    .await;
    let gate = TestGate::simple(&upstream);
    let key = gate.key("open").await;
    let mut caller = gate.caller().await;
    caller.send(format!("POST /x HTTP/1.1\r\nHost: a\r\nX-API-Key: {key}\r\nContent-Length: 1000000\r\n\r\nsome").as_bytes()).await;
    let answer = caller.answer().await.unwrap();
    assert_eq!((answer.status, answer.text()), (413, "big"));
    assert_eq!(gate.records().await[0].status, Some(413));
}

#[tokio::test]
async fn the_total_timeout_ends_an_answer_that_stalls() {
    let upstream = Upstream::start(|_| {
        Reply::Bytes(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nsome".to_vec())
    })
    .await;
    let mut spec = api(&[upstream.origin()]);
    spec.upstream.total_timeout = Span::from_millis(600);
    let gate = TestGate::open(vec![spec], vec![plan("open", &["10 per day"])], settings());
    let key = gate.key("open").await;
    for method in ["GET", "POST"] {
        let answer =
            tokio::time::timeout(Duration::from_secs(3), gate.call(method, "/x", &key, b""))
                .await
                .unwrap();
        assert_eq!((answer.status, answer.is_whole), (200, false), "{method}");
    }
}

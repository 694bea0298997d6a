//! A refusal reaches a caller who is still sending, and sends all of it before reading anything.

use std::time::Duration;

use bytes::Bytes;
use keystile_core::policy::api::ApiSpec;
use keystile_core::policy::operation::{BodyKind, BodyRule};
use tokio::net::TcpStream;

use crate::harness::{
    Answer, Authority, Caller, Caller2, Log, TestGate, Upstream, Wire, api, eventually, plan,
    read_answer, request2, rule, settings, soon,
};

/// More than the buffers of both ends of a socket hold.
const LARGE: usize = 12 << 20;

fn gate(hasty: &Upstream, patient: &Upstream, authority: Option<&Authority>) -> TestGate {
    let mut spec = api(&[hasty.origin()]);
    spec.body_bytes_max = Some(64 << 20);
    spec.operations = vec![rule("POST /counted", |rule| {
        rule.body = Some(BodyRule { kind: BodyKind::Items { at: None }, cost_max: None });
    })];
    let off = ApiSpec {
        name: "nowhere".to_owned(),
        path: "/nowhere".to_owned(),
        ..api(&["http://127.0.0.1:9".to_owned()])
    };
    let small = ApiSpec {
        name: "small".to_owned(),
        path: "/small".to_owned(),
        body_bytes_max: Some(1000),
        ..api(&[patient.origin()])
    };
    let mut settings = settings();
    settings.tls = authority.map(|authority| authority.issue("localhost"));
    TestGate::open(vec![spec, off, small], vec![plan("open", &["20 per day"])], settings)
}

/// Answers each head with 413 at once and never reads on.
async fn hasty() -> Upstream {
    Upstream::raw(|stream, _, _: Log| async move {
        let mut wire = Wire::new(stream);
        while let Some(head) = wire.head().await {
            let answer = b"HTTP/1.1 413 Too Much\r\nContent-Length: 5\r\n\r\nearly";
            if wire.write(answer).await.is_err() || wire.framed(&head).await.is_none() {
                return;
            }
        }
    })
    .await
}

/// Sends everything, and only then reads the answer.
async fn deaf(caller: &mut Caller, head: &str, body: &[u8]) -> Answer {
    let sending = async {
        caller.wire.write(head.as_bytes()).await?;
        for part in body.chunks(64 * 1024) {
            caller.wire.write(part).await?;
        }
        Ok::<(), std::io::Error>(())
    };
    soon("room for the body", sending).await.unwrap_or_else(|error| panic!("{error}: {head}"));
    // What was to be lost would be lost by now.
    tokio::time::sleep(Duration::from_millis(100)).await;
    caller.answer().await.unwrap_or_else(|| panic!("no answer to {head}"))
}

fn by_length(target: &str, fields: &str) -> String {
    format!("POST {target} HTTP/1.1\r\nHost: a\r\n{fields}Content-Length: {LARGE}\r\n\r\n")
}

fn chunks() -> Vec<u8> {
    let chunk = [&b"10000\r\n"[..], &*vec![b'x'; 0x10000], b"\r\n"].concat();
    [chunk.repeat(LARGE / 0x10000), b"0\r\n\r\n".to_vec()].concat()
}

#[tokio::test]
async fn every_refusal_reaches_a_caller_who_sends_before_reading() {
    let (upstream, patient) = (hasty().await, Upstream::ok().await);
    let gate = gate(&upstream, &patient, None);
    let (key, body, chunks) = (gate.key("open").await, vec![b'x'; LARGE], chunks());
    let key = format!("X-API-Key: {key}\r\n");
    let chunked = format!("{key}Transfer-Encoding: chunked\r\n\r\n");
    let bad = "POST /x HTTP/1.1\r\nHost: a\r\n";
    let large = "X-Large: ".to_owned() + &"x".repeat(64 * 1024);
    for (head, body, expected) in [
        (by_length("/x", ""), &body, (401, "key_missing")),
        (by_length("/x", "X-API-Key: unknown\r\n"), &body, (401, "key_unknown")),
        (by_length("/small", &key), &body, (413, "body_too_large")),
        (by_length("/counted", &key), &body, (413, "body_too_large")),
        (by_length("/nowhere", &key), &body, (502, "upstream_unreachable")),
        (by_length("/a/../b", &key), &body, (400, "path_invalid")),
        (
            format!("{bad}Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n"),
            &body,
            (400, "framing_invalid"),
        ),
        (format!("{bad}Content Length: 1\r\n\r\n"), &body, (400, "header_invalid")),
        (format!("{bad}{large}\r\n\r\n"), &body, (431, "head_too_large")),
        (format!("{bad}Transfer-Encoding: chunked\r\n\r\n"), &chunks, (401, "key_missing")),
        (format!("POST /small HTTP/1.1\r\nHost: a\r\n{chunked}"), &chunks, (413, "body_too_large")),
        (
            format!("POST /counted HTTP/1.1\r\nHost: a\r\n{chunked}"),
            &chunks,
            (413, "body_too_large"),
        ),
    ] {
        let answer = deaf(&mut gate.caller().await, &head, body).await;
        let (status, reason) = answer.refusal();
        assert_eq!((status, &*reason), expected, "{head:.200}");
    }
}

#[tokio::test]
async fn a_locked_key_and_an_upstream_that_refuses_are_heard_in_an_upload() {
    let (upstream, patient) = (hasty().await, Upstream::ok().await);
    let gate = gate(&upstream, &patient, None);
    let plain = gate.key("open").await;
    let key = format!("X-API-Key: {plain}\r\n");
    let body = vec![b'x'; LARGE];
    for _ in 0..18 {
        assert_eq!(gate.call("POST", "/x", &plain, b"").await.status, 413);
    }
    for number in 18..22 {
        let answer = deaf(&mut gate.caller().await, &by_length("/x", &key), &body).await;
        assert_eq!(answer.status, if number < 20 { 413 } else { 403 });
    }
    let uncountable =
        format!("POST /counted HTTP/1.1\r\nHost: a\r\n{key}Content-Length: 60000\r\n\r\n");
    let answer = deaf(&mut gate.caller().await, &uncountable, &body[..60_000]).await;
    assert_eq!(answer.refusal(), (400, "body_uncountable".to_owned()));
}

#[tokio::test]
async fn a_refusal_over_tls_reaches_a_caller_who_sends_before_reading() {
    let (upstream, patient, authority) = (hasty().await, Upstream::ok().await, Authority::new());
    let gate = gate(&upstream, &patient, Some(&authority));
    let key = format!("X-API-Key: {}\r\n", gate.key("open").await);
    for (head, expected) in [
        (by_length("/x", ""), 401),
        (by_length("/small", &key), 413),
        (by_length("/x", &key), 413),
        ("POST /x HTTP/1.1\r\nHo st: a\r\n\r\n".to_owned(), 400),
    ] {
        let stream = TcpStream::connect(gate.address).await.unwrap();
        let name = rustls::pki_types::ServerName::try_from("localhost").unwrap();
        let stream = authority.connector(&["http/1.1"]).connect(name, stream).await.unwrap();
        let answer = deaf(&mut Caller::over(stream), &head, &vec![b'x'; LARGE]).await;
        assert_eq!(answer.status, expected, "{head}");
    }
}

#[tokio::test]
async fn a_caller_over_the_caps_hears_why_though_it_sends() {
    let upstream = Upstream::ok().await;
    let mut settings = settings();
    settings.connections_max = 1;
    let gate = TestGate::open(
        vec![api(&[upstream.origin()])],
        vec![plan("open", &["2 per day"])],
        settings,
    );
    let _open = gate.caller().await;
    eventually("the first", async || gate.gate.as_ref().unwrap().connections() == 1).await;
    for _ in 0..20 {
        let answer =
            deaf(&mut gate.caller().await, &by_length("/x", ""), &vec![b'x'; 20_000]).await;
        assert_eq!(answer.refusal(), (503, "connections_exceeded".to_owned()));
    }
}

async fn deaf2(caller: &Caller2, path: &str, key: &str, length: usize) -> Answer {
    let mut sender = soon("room", caller.sender.clone().ready()).await.unwrap();
    let (answer, mut stream) = sender.send_request(request2("POST", path, key), false).unwrap();
    let mut left = length;
    while left > 0 {
        stream.reserve_capacity(left.min(64 * 1024));
        let room = soon(
            "room for the body",
            std::future::poll_fn(|context| stream.poll_capacity(context)),
        );
        let room = room.await.expect("the stream goes on").expect("the stream goes on").min(left);
        stream.send_data(Bytes::from(vec![b'x'; room]), room == left).unwrap();
        left -= room;
    }
    read_answer(answer).await.expect("an answer, no reset")
}

#[tokio::test]
async fn a_refusal_over_http2_reaches_a_caller_who_sends_before_reading() {
    let (upstream, patient) = (hasty().await, Upstream::ok().await);
    let gate = gate(&upstream, &patient, None);
    let key = gate.key("open").await;
    let caller = Caller2::connect(gate.address).await;
    for length in [1, 20_000, LARGE] {
        for (path, key, expected) in [
            ("/x", "", 401),
            ("/x", "unknown", 401),
            ("/a/../b", &*key, 400),
            ("/nowhere", &key, 502),
        ] {
            assert_eq!(deaf2(&caller, path, key, length).await.status, expected, "{path} {length}");
        }
    }
    for (path, expected) in [("/small", 413), ("/counted", 413), ("/x", 413)] {
        let answer = deaf2(&caller, path, &key, LARGE).await;
        assert_eq!(answer.status, expected, "{path}");
    }
    while gate.call("POST", "/x", &key, b"").await.status == 413 {}
    assert_eq!(deaf2(&caller, "/x", &key, LARGE).await.status, 403);
}

/// What nobody reads takes no more than its caller's own places, and those for seconds only.
#[tokio::test]
async fn a_caller_who_never_ends_its_refused_upload_keeps_its_place_and_loses_it_soon() {
    let (upstream, patient) = (hasty().await, Upstream::ok().await);
    let gate = gate(&upstream, &patient, None);
    let connections = || gate.gate.as_ref().unwrap().connections();
    let mut callers = Vec::new();
    for _ in 0..20 {
        let mut caller = gate.caller().await;
        caller.send(by_length("/x", "").as_bytes()).await;
        assert_eq!(caller.answer().await.unwrap().status, 401);
        callers.push(caller);
    }
    assert_eq!(connections(), 20);
    eventually("their end", async || connections() == 0).await;
}

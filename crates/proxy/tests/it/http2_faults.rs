//! HTTP/2 callers that mean harm: the connection ends, memory stays, others are served.

use std::time::Duration;

use bytes::Bytes;
use keystile_core::journal::Outcome;
use keystile_core::time::Span;

use crate::harness::{
    Caller, Caller2, Reply, TestGate, Upstream, api, eventually, plan, request2, settings, soon,
};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

/// A frame of its parts.
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// `GET /` of `a` as HPACK: three indexed fields, and an authority that stays out of the table.
fn head_block(key: &str) -> Vec<u8> {
    let mut block = vec![0x82, 0x84, 0x86, 0x01, 1, b'a', 0x00, 9];
    block.extend(b"x-api-key");
    block.push(u8::try_from(key.len()).unwrap());
    block.extend(key.as_bytes());
    block
}

async fn serves(gate: &TestGate, key: &str) {
    assert_eq!(gate.call("GET", "/fine", key, b"").await.status, 200);
    let mut caller = Caller2::connect(gate.address).await;
    assert_eq!(caller.call(request2("GET", "/fine", key), b"").await.unwrap().status, 200);
}

#[tokio::test]
async fn the_frames_of_these_tests_are_understood() {
    let upstream = Upstream::ok().await;
    let gate = TestGate::simple(&upstream);
    let key = gate.key("open").await;
    let mut caller = gate.caller().await;
    caller.send(&[PREFACE, &frame(1, 5, 1, &head_block(&key))].concat()).await;
    eventually("the request", async || upstream.lines() == ["GET /"]).await;
}

#[tokio::test]
async fn rapid_resets_end_the_connection_and_leave_little_work_behind() {
    let upstream = Upstream::start(|_| Reply::ok().after(Duration::from_millis(100))).await;
    let gate = TestGate::simple(&upstream);
    let key = gate.key("open").await;
    let mut caller = gate.caller().await;
    caller.send(PREFACE).await;
    let mut sent = 0;
    let flood = async {
        for burst in 0..200_u32 {
            let mut bytes = Vec::new();
            for number in 0..100 {
                let stream = (burst * 100 + number) * 2 + 1;
                bytes.extend(frame(1, 5, stream, &head_block(&key)));
                bytes.extend(frame(3, 0, stream, &8_u32.to_be_bytes()));
            }
            if caller.wire.write(&bytes).await.is_err() {
                return;
            }
            sent += 100;
        }
    };
    soon("the flood", flood).await;
    let said = caller.rest().await;
    let has_goaway = said.windows(2).any(|pair| pair == [7, 0]);
    assert!(has_goaway || sent < 20_000, "the connection was ended");
    assert!(
        upstream.seen().len() < 1000,
        "{} of 20000 reached the upstream",
        upstream.seen().len()
    );
    serves(&gate, &key).await;
}

#[tokio::test]
async fn a_reset_write_is_counted_once_and_its_outcome_learned() {
    let upstream = Upstream::start(|_| Reply::ok().after(Duration::from_millis(200))).await;
    let gate = TestGate::simple(&upstream);
    let key = gate.key("open").await;
    let caller = Caller2::connect(gate.address).await;
    let mut sender = caller.sender.clone().ready().await.unwrap();
    let (_response, mut stream) =
        sender.send_request(request2("DELETE", "/x", &key), true).unwrap();
    eventually("the write", async || upstream.seen().len() == 1).await;
    stream.send_reset(h2::Reason::CANCEL);
    eventually("its outcome", async || gate.outcomes().await == [Outcome::Applied]).await;
    assert_eq!(gate.used(&key).await, 1);
}

#[tokio::test]
async fn a_flood_of_continuations_ends_the_connection() {
    let upstream = Upstream::ok().await;
    let gate = TestGate::simple(&upstream);
    let key = gate.key("open").await;
    let mut caller = gate.caller().await;
    caller.send(&[PREFACE, &frame(1, 1, 1, &head_block(&key))].concat()).await;
    let field = [&[0x00, 3], &b"x-a"[..], &[100], &[b'a'; 100]].concat().repeat(100);
    let mut sent = 0_usize;
    let flood = async {
        while sent < 64 << 20 && caller.wire.write(&frame(9, 0, 1, &field)).await.is_ok() {
            sent += field.len();
        }
    };
    soon("the end of the flood", flood).await;
    assert!(sent < 64 << 20, "64 MiB of one head were read");
    assert!(upstream.seen().is_empty());
    serves(&gate, &key).await;
}

#[tokio::test]
async fn floods_of_other_frames_do_not_stop_the_gate() {
    let upstream = Upstream::ok().await;
    let gate = TestGate::simple(&upstream);
    let key = gate.key("open").await;
    let empty_data = frame(0, 0, 1, b"");
    for (first, flood) in [
        (Vec::new(), frame(6, 0, 0, &[0; 8])),
        (Vec::new(), frame(4, 0, 0, &[0, 4, 0, 0, 0xff, 0xff])),
        (frame(1, 4, 1, &head_block(&key)), empty_data),
        (Vec::new(), frame(2, 0, 3, &[0, 0, 0, 0, 1])),
        (frame(1, 5, 1, &head_block(&key)), frame(8, 0, 0, &1_u32.to_be_bytes())),
    ] {
        let mut caller = gate.caller().await;
        caller.send(&[PREFACE, &first].concat()).await;
        let many = flood.repeat(1000);
        let write = async {
            for _ in 0..50 {
                if caller.wire.write(&many).await.is_err() {
                    break;
                }
            }
        };
        // The gate may stop reading, when it cannot answer fast enough; that is as good.
        let _ = tokio::time::timeout(Duration::from_secs(1), write).await;
        serves(&gate, &key).await;
    }
}

#[tokio::test]
async fn a_body_unlike_its_length_reaches_the_upstream_as_no_whole_request() {
    let upstream = Upstream::ok().await;
    let gate = TestGate::simple(&upstream);
    let key = gate.key("open").await;
    for (length, body) in [("3", &b"too long"[..]), ("100", b"too short")] {
        let mut caller = Caller2::connect(gate.address).await;
        let mut request = request2("POST", "/x", &key);
        request.headers_mut().insert("content-length", length.parse().unwrap());
        let answer = caller.call(request, body).await;
        assert!(
            answer.as_ref().is_err() || answer.as_ref().is_ok_and(|answer| answer.status >= 400),
            "{answer:?}"
        );
    }
    assert!(upstream.seen().iter().all(|seen| !seen.is_whole));
    let mut caller = Caller2::connect(gate.address).await;
    for length in ["1, 1", "+5", "x"] {
        let mut request = request2("POST", "/x", &key);
        request.headers_mut().insert("content-length", length.parse().unwrap());
        let answer = caller.call(request, b"a").await;
        assert!(
            answer.as_ref().is_err() || answer.as_ref().is_ok_and(|answer| answer.status >= 400),
            "{length}: {answer:?}"
        );
        if answer.is_err() {
            caller = Caller2::connect(gate.address).await;
        }
    }
    assert!(upstream.seen().iter().all(|seen| !seen.is_whole));
}

#[tokio::test]
async fn an_http2_head_is_as_bounded_as_any() {
    let upstream = Upstream::ok().await;
    let gate = TestGate::simple(&upstream);
    let key = gate.key("open").await;
    let filled = |count: usize, length: usize| {
        let mut request = request2("GET", "/x", &key);
        for number in 0..count {
            let name = http::HeaderName::from_bytes(format!("x-{number}").as_bytes()).unwrap();
            request.headers_mut().append(name, "a".repeat(length).parse().unwrap());
        }
        request
    };
    for (count, length, passes) in [
        (90, 10, true),
        (101, 10, false),
        (2, 14_000, true),
        (3, 14_000, false),
        (1, 200_000, false),
    ] {
        let mut caller = Caller2::connect(gate.address).await;
        let answer = caller.call(filled(count, length), b"").await;
        match answer {
            Ok(answer) if passes => assert_eq!(answer.status, 200, "{count} of {length}"),
            Ok(answer) => assert_eq!(answer.status, 431, "{count} of {length}"),
            Err(error) => assert!(!passes, "{count} of {length}: {error}"),
        }
    }
    serves(&gate, &key).await;
}

#[tokio::test]
async fn an_http2_body_that_stops_is_answered_in_time() {
    let upstream = Upstream::ok().await;
    let mut settings = settings();
    settings.idle_timeout = Span::from_millis(500).unwrap();
    let gate = TestGate::open(
        vec![api(&[upstream.origin()])],
        vec![plan("open", &["10 per day"])],
        settings,
    );
    let key = gate.key("open").await;
    let caller = Caller2::connect(gate.address).await;
    let mut sender = caller.sender.clone().ready().await.unwrap();
    let (response, mut stream) = sender.send_request(request2("POST", "/x", &key), false).unwrap();
    stream.send_data(Bytes::from_static(b"abc"), false).unwrap();
    let answer = crate::harness::read_answer(response).await.unwrap();
    assert_eq!(answer.refusal(), (408, "request_timeout".to_owned()));
    assert_eq!(gate.outcomes().await, [Outcome::Unknown]);
}

/// Flow control lets a caller stop an answer without blocking the socket.
#[tokio::test]
async fn an_http2_caller_that_takes_nothing_of_its_answer_is_cut() {
    let upstream = Upstream::start(|_| Reply::status("200 OK", &"a".repeat(1 << 20))).await;
    let mut settings = settings();
    settings.idle_timeout = Span::from_millis(500).unwrap();
    let gate = TestGate::open(
        vec![api(&[upstream.origin()])],
        vec![plan("open", &["10 per day"])],
        settings,
    );
    let key = gate.key("open").await;
    let mut caller: Caller = gate.caller().await;
    // SETTINGS_INITIAL_WINDOW_SIZE of nothing.
    let settings = frame(4, 0, 0, &[0, 4, 0, 0, 0, 0]);
    caller.send(&[&PREFACE[..24], &settings, &frame(1, 5, 1, &head_block(&key))].concat()).await;
    eventually("the end", async || gate.gate.as_ref().unwrap().connections() == 0).await;
    assert!(caller.rest().await.len() < 1 << 20);
}

#[tokio::test]
async fn nonsense_behind_the_preface_ends_the_connection() {
    let upstream = Upstream::ok().await;
    let gate = TestGate::simple(&upstream);
    let key = gate.key("open").await;
    for bytes in [
        frame(1, 5, 2, &head_block(&key)),
        frame(1, 5, 1, &[0xff; 50]),
        frame(0, 1, 7, b"data without a stream"),
        frame(9, 4, 1, b"continues nothing"),
        [&[0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 0], &[0; 1000][..]].concat(),
        b"GET / HTTP/1.1\r\nHost: a\r\n\r\n".to_vec(),
    ] {
        let mut caller = gate.caller().await;
        caller.send(&[PREFACE, &bytes].concat()).await;
        caller.rest().await;
    }
    assert!(upstream.seen().is_empty());
    serves(&gate, &key).await;
}

/// A request of `a` as HPACK: the method, a path, and fields, none of them in a table.
fn head_of(method: &[u8], path: &[u8], fields: &[(&[u8], &[u8])]) -> Vec<u8> {
    let text = |text: &[u8]| [&[u8::try_from(text.len()).unwrap()], text].concat();
    let mut block = [vec![0x02], text(method), vec![0x04], text(path)].concat();
    block.extend([0x86, 0x01, 1, b'a']);
    for (name, value) in fields {
        block.extend([vec![0x00], text(name), text(value)].concat());
    }
    block
}

#[tokio::test]
async fn a_path_that_is_only_a_fragment_is_refused() {
    let upstream = Upstream::ok().await;
    let gate = TestGate::simple(&upstream);
    let key = gate.key("open").await;
    for path in ["#/x", "#", "?a", ""] {
        let mut caller = gate.caller().await;
        let block = head_of(b"POST", path.as_bytes(), &[(b"x-api-key", key.as_bytes())]);
        caller.send(&[PREFACE, &frame(1, 5, 1, &block)].concat()).await;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(upstream.lines(), Vec::<String>::new());
    assert_eq!(gate.used(&key).await, 0);
    serves(&gate, &key).await;
}

#[tokio::test]
async fn a_write_that_states_an_empty_body_and_has_one_is_not_forwarded() {
    let upstream = Upstream::ok().await;
    let gate = TestGate::simple(&upstream);
    let key = gate.key("open").await;
    for method in ["POST", "DELETE", "GET"] {
        for length in ["0", "000"] {
            let fields: [(&[u8], &[u8]); 2] =
                [(b"x-api-key", key.as_bytes()), (b"content-length", length.as_bytes())];
            let mut caller = gate.caller().await;
            let block = head_of(method.as_bytes(), b"/x", &fields);
            caller.send(&[PREFACE, &frame(1, 4, 1, &block)].concat()).await;
            tokio::time::sleep(Duration::from_millis(100)).await;
            caller.send(&frame(0, 1, 1, b"abc")).await;
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
    assert_eq!(upstream.lines(), Vec::<String>::new());
    assert_eq!(gate.used(&key).await, 0);
}

#[tokio::test]
async fn a_write_that_states_an_empty_body_and_ends_it_later_is_forwarded() {
    let upstream = Upstream::ok().await;
    let gate = TestGate::simple(&upstream);
    let key = gate.key("open").await;
    for method in ["POST", "GET"] {
        let fields: [(&[u8], &[u8]); 2] =
            [(b"x-api-key", key.as_bytes()), (b"content-length", b"0")];
        let mut caller = gate.caller().await;
        let block = head_of(method.as_bytes(), b"/x", &fields);
        caller.send(&[PREFACE, &frame(1, 4, 1, &block)].concat()).await;
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert!(!upstream.lines().contains(&format!("{method} /x")), "its end has not come");
        caller.send(&frame(0, 1, 1, b"")).await;
        let arrived = async || upstream.lines().contains(&format!("{method} /x"));
        eventually("the request", arrived).await;
    }
}

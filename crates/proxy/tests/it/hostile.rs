//! Random bytes: no core panics, none hangs, and the next connection is served.

use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use tokio::runtime::{Builder, Runtime};

use crate::harness::{Reply, TestGate, Upstream, api, plan, request, rule, settings};
use keystile_core::policy::operation::{BodyKind, BodyRule};
use keystile_core::time::Span;

struct Place {
    runtime: Runtime,
    upstream: Upstream,
    gate: TestGate,
    key: String,
}

impl Place {
    fn new() -> Self {
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        let (upstream, gate, key) = runtime.block_on(async {
            let upstream = Upstream::start(|seen| Reply::status("200 OK", &seen.target)).await;
            let mut api = api(&[upstream.origin()]);
            let body = BodyRule { kind: BodyKind::GraphQl, cost_max: Some(1) };
            api.operations = vec![rule("* /graphql", |rule| rule.body = Some(body))];
            let mut settings = settings();
            settings.idle_timeout = Span::from_millis(300).unwrap();
            settings.head_timeout = Span::from_millis(300).unwrap();
            let gate =
                TestGate::open(vec![api], vec![plan("open", &["1000000 per day"])], settings);
            let key = gate.key("open").await;
            (upstream, gate, key)
        });
        Self { runtime, upstream, gate, key }
    }

    /// Sends the bytes, cut into packets, ends its side, and reads until the gate closes too.
    fn survives(&self, packets: &[Vec<u8>]) -> Vec<u8> {
        self.runtime.block_on(async {
            let mut caller = self.gate.caller().await;
            for packet in packets {
                caller.send(packet).await;
                if packets.len() > 1 {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
            }
            caller.finish().await;
            let said = caller.rest().await;
            assert_eq!(self.gate.call("GET", "/next", &self.key, b"").await.text(), "/next");
            said
        })
    }
}

fn check<S: Strategy>(cases: u32, strategy: &S, test: impl Fn(S::Value)) {
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    let run = TestRunner::new(config).run(strategy, |value| {
        test(value);
        Ok(())
    });
    if let Err(failure) = run {
        panic!("{failure}");
    }
}

/// Pieces of requests, so that random ones get far into the gate.
fn piece() -> impl Strategy<Value = Vec<u8>> {
    let words: &[&[u8]] = &[
        b"GET ",
        b"POST ",
        b"DELETE ",
        b"/",
        b"/graphql",
        b"/a/../b",
        b"%2f",
        b" HTTP/1.1\r\n",
        b" HTTP/1.0\r\n",
        b"Host: a\r\n",
        b"Content-Length: 5\r\n",
        b"Content-Length: ",
        b"Transfer-Encoding: chunked\r\n",
        b"\r\n",
        b"\n",
        b"\r\n\r\n",
        b"0\r\n\r\n",
        b"5\r\nabcde\r\n",
        b"{\"query\":\"mutation{a}\"}",
        b"Expect: 100-continue\r\n",
        b"Connection: close\r\n",
        b"Upgrade: websocket\r\nConnection: upgrade\r\n",
        b"X-API-Key: KEY\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"\0\0\0\x04\0\0\0\0\0",
        b"\0\0\x01\x01\x05\0\0\0\x01\x82",
        b": ",
        b"\0",
    ];
    let words: Vec<Vec<u8>> = words.iter().map(|word| word.to_vec()).collect();
    prop_oneof![4 => proptest::sample::select(words), 1 => vec(any::<u8>(), 0..20)]
}

#[test]
fn random_bytes_neither_stop_nor_hang_the_gate() {
    let place = Place::new();
    check(60, &vec(any::<u8>(), 0..400), |bytes| drop(place.survives(&[bytes])));
}

#[test]
fn random_pieces_of_requests_neither_stop_nor_hang_the_gate() {
    let place = Place::new();
    check(200, &vec(piece(), 0..25), |pieces| {
        let bytes = pieces.concat();
        let text = bytes.windows(3).position(|part| part == b"KEY");
        let bytes = match text {
            Some(at) => [&bytes[..at], place.key.as_bytes(), &bytes[at + 3..]].concat(),
            None => bytes,
        };
        place.survives(&[bytes]);
    });
}

#[test]
fn random_frames_neither_stop_nor_hang_the_gate() {
    let place = Place::new();
    let frame = (any::<u8>(), any::<u8>(), 0..6_u8, vec(any::<u8>(), 0..40)).prop_map(
        |(kind, flags, stream, body)| {
            let length = u8::try_from(body.len()).unwrap();
            [&[0, 0, length, kind % 11, flags, 0, 0, 0, stream], &body[..]].concat()
        },
    );
    check(60, &vec(frame, 0..12), |frames| {
        let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0".to_vec();
        place.survives(&[preface, frames.concat()]);
    });
}

#[derive(Clone, Debug)]
enum Content {
    None,
    Length(Vec<u8>),
    Chunks(Vec<Vec<u8>>, bool),
}

fn content() -> impl Strategy<Value = Content> {
    let bytes = || vec(prop_oneof![Just(b'\r'), Just(b'\n'), Just(b'0'), any::<u8>()], 1..30);
    prop_oneof![
        Just(Content::None),
        bytes().prop_map(Content::Length),
        (vec(bytes(), 0..4), any::<bool>())
            .prop_map(|(chunks, trailers)| Content::Chunks(chunks, trailers)),
    ]
}

fn written(target: &str, key: &str, content: &Content) -> Vec<u8> {
    let mut bytes =
        request("POST", target, key, if let Content::Length(body) = content { body } else { b"" });
    if let Content::Chunks(chunks, has_trailers) = content {
        bytes.truncate(bytes.len() - 2);
        bytes.extend(b"Transfer-Encoding: chunked\r\n\r\n");
        for chunk in chunks {
            bytes.extend(format!("{:X};x=\"y\"\r\n", chunk.len()).as_bytes());
            bytes.extend(chunk);
            bytes.extend(b"\r\n");
        }
        bytes.extend(if *has_trailers {
            &b"0\r\nX-Sum: 1\r\nX-B:\r\n\r\n"[..]
        } else {
            b"0\r\n\r\n"
        });
    }
    bytes
}

/// The gate follows the bytes beside the parser; the two must never lose each other.
#[test]
fn good_requests_are_served_in_order_however_they_are_cut_into_packets() {
    let place = Place::new();
    check(60, &(vec(content(), 1..8), vec(1..60_usize, 0..20)), |(contents, cuts)| {
        let before = place.upstream.seen().len();
        let mut bytes = Vec::new();
        for (number, content) in contents.iter().enumerate() {
            bytes.extend(written(&format!("/{number}"), &place.key, content));
        }
        let mut packets = Vec::new();
        for cut in cuts {
            let rest = bytes.split_off(cut.min(bytes.len()));
            packets.push(std::mem::replace(&mut bytes, rest));
        }
        packets.push(bytes);
        packets.retain(|packet| !packet.is_empty());
        place.runtime.block_on(async {
            let mut caller = place.gate.caller().await;
            let sends = async {
                for packet in &packets {
                    caller.send(packet).await;
                    tokio::time::sleep(Duration::from_micros(200)).await;
                }
            };
            sends.await;
            for number in 0..contents.len() {
                let answer = caller.answer().await.unwrap();
                assert_eq!((answer.status, answer.text()), (200, &*format!("/{number}")));
            }
        });
        let bodies: Vec<_> =
            place.upstream.seen().into_iter().skip(before).map(|seen| seen.body).collect();
        let sent = contents.into_iter().map(|content| match content {
            Content::None => Vec::new(),
            Content::Length(body) => body,
            Content::Chunks(chunks, _) => chunks.concat(),
        });
        assert_eq!(bodies, sent.collect::<Vec<_>>());
    });
}

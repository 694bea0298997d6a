//! The console stays open for its owner and for health checks, whatever strangers do at its address.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::harness::{TestServer, pause, wait_until};

const OPEN: &str = "[plan.open]\nallow = \"bookmarks: *\"\nwrite_budget = \"1000 per day\"\n";

fn connect(server: &TestServer) -> TcpStream {
    let stream = TcpStream::connect(server.console).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(40))).unwrap();
    stream.set_write_timeout(Some(Duration::from_millis(50))).unwrap();
    stream
}

/// As many connections as there are places, and some more, each of which has sent something.
fn flood(server: &TestServer, bytes: &[u8]) -> Vec<TcpStream> {
    (0..560)
        .map(|_| {
            let mut stream = connect(server);
            // What comes beyond the places may be closed at once.
            let _ = stream.write_all(bytes);
            stream
        })
        .collect()
}

fn sign_in(server: &TestServer) -> Vec<u8> {
    let host = format!("localhost:{}", server.console.port());
    format!(
        "POST /sign-in HTTP/1.1\r\nhost: {host}\r\norigin: http://{host}\r\n\
         content-type: application/x-www-form-urlencoded\r\ncontent-length: 1000\r\n\r\nname="
    )
    .into_bytes()
}

fn is_served(server: &TestServer) {
    for path in ["/readyz", "/healthz", "/metrics", "/sign-in", "/action/nonsense"] {
        let began = Instant::now();
        let (status, body) = server.page(path);
        assert!(status > 0 && !body.is_empty(), "{path}: {status}");
        assert!(began.elapsed() < Duration::from_secs(5), "{path} took {:?}", began.elapsed());
    }
    assert_eq!(server.page("/readyz").0, 200);
}

#[test]
fn the_console_answers_while_strangers_hold_every_place_with_half_a_body() {
    let server = TestServer::new(OPEN).started();
    let kept = flood(&server, &sign_in(&server));
    is_served(&server);
    drop(kept);
}

#[test]
fn the_console_answers_while_strangers_hold_every_place_with_half_a_head() {
    let server = TestServer::new(OPEN).started();
    let kept = flood(&server, b"GET / HTTP/1.1\r\nhost: ");
    is_served(&server);
    drop(kept);
}

#[test]
fn the_console_answers_while_nobody_reads_its_answers() {
    let server = TestServer::new(OPEN).started();
    let host = format!("localhost:{}", server.console.port());
    let many = format!("GET /sign-in HTTP/1.1\r\nhost: {host}\r\n\r\n").repeat(3000);
    let kept = flood(&server, many.as_bytes());
    is_served(&server);
    drop(kept);
}

#[test]
fn a_body_that_does_not_come_ends_its_connection_to_the_console() {
    let server = TestServer::new(OPEN).started();
    let mut kept = connect(&server);
    kept.write_all(&sign_in(&server)).unwrap();
    let began = Instant::now();
    let mut answer = Vec::new();
    let read = kept.read_to_end(&mut answer);
    assert!(began.elapsed() < Duration::from_secs(25), "{:?} {read:?}", began.elapsed());
    assert!(began.elapsed() > Duration::from_secs(5), "{:?} {answer:?}", began.elapsed());
}

#[test]
fn an_event_stream_that_is_read_outlives_a_flood_of_the_console() {
    let server = TestServer::new(OPEN).started();
    let token = server.json(&["token", "create", "it", "--scope", "read"]);
    let token = token["token"].as_str().unwrap().to_owned();
    let mut stream = connect(&server);
    let host = format!("localhost:{}", server.console.port());
    let head = format!(
        "GET /api/v1/events HTTP/1.1\r\nhost: {host}\r\nauthorization: Bearer {token}\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).unwrap();
    stream.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
    let mut seen = Vec::new();
    let mut look = |wanted: &str| {
        wait_until(wanted, || {
            let mut some = [0; 4096];
            let length = stream.read(&mut some);
            assert!(!matches!(length, Ok(0)), "the stream has ended");
            seen.extend_from_slice(&some[..length.unwrap_or(0)]);
            String::from_utf8_lossy(&seen).contains(wanted)
        });
    };
    look("event: hello");
    let kept = flood(&server, &sign_in(&server));
    // Longer than a peer may keep the console waiting.
    pause(17_000);
    server.issue("later", "open");
    look("key_created");
    drop(kept);
}

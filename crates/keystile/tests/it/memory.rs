//! What is kept for callers who do not take their answers, or do not end their bodies, is bounded: for
//! one connection and in all, over HTTP/1 and HTTP/2. Measured on the program itself.

use std::io::Write;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::harness::{Http2, Key, TestServer, pause};

const OPEN: &str = "[[api.bookmarks.operation]]\nmatch = \"POST /rpc\"\ntype = \"json_rpc\"\n\
    [plan.open]\nallow = \"bookmarks: *\"\nwrite_budget = \"100000 per day\"\n";
const GROWTH_MAX_KIB: u64 = 64 << 10;
/// Connections to the upstream are kept for a while, and some blocks too.
const GIVEN_BACK_KIB: u64 = 48 << 10;
/// The largest window that HTTP/2 knows.
const ENDLESS: u32 = 0x7fff_ffff;

fn server() -> (TestServer, Key) {
    let server = TestServer::new(OPEN).started();
    let key = server.issue("app", "open");
    for _ in 0..20 {
        assert_eq!(server.caller(&key).get("/big/100000").status, 200);
        assert_eq!(server.caller(&key).post("/x").status, 200);
    }
    (server, key)
}

/// What the program has more than before at most, in some seconds from now.
fn growth_kib(server: &mut TestServer, before: u64, secs: u64) -> u64 {
    let began = Instant::now();
    let mut peak = 0;
    while began.elapsed() < Duration::from_secs(secs) {
        peak = peak.max(server.program().resident_kib());
        pause(20);
    }
    println!("{before} KiB before, {peak} KiB at the most");
    peak.saturating_sub(before)
}

/// As many connections as asked, each with so many requests for `/big/BYTES`, none of which is read.
fn unread(
    server: &TestServer,
    key: &Key,
    window: u32,
    connections: u32,
    streams: u32,
    bytes: u32,
) -> Vec<Http2> {
    let path = format!("/big/{bytes}");
    (0..connections)
        .map(|_| {
            let mut caller = Http2::connect(server.gate, window).unwrap();
            for _ in 0..streams {
                caller.head("GET", &path, &[("x-api-key", &key.text)], false).unwrap();
            }
            caller
        })
        .collect()
}

fn others_are_served(server: &TestServer, key: &Key) {
    assert_eq!(server.caller(key).get("/x").status, 200);
    assert_eq!(server.caller(key).post("/x").status, 200);
    assert_eq!(server.caller(key).get("/big/3000000/x").body.len(), 3_000_000);
}

#[test]
fn answers_that_nobody_reads_take_little_memory_over_http2() {
    let (mut server, key) = server();
    let before = server.program().resident_kib();
    let kept = unread(&server, &key, ENDLESS, 20, 100, 1_000_000);
    let growth = growth_kib(&mut server, before, 6);
    others_are_served(&server, &key);
    drop(kept);
    assert!(growth < GROWTH_MAX_KIB, "{growth} KiB");
}

#[test]
fn answers_on_all_streams_of_many_connections_take_little_memory() {
    let (mut server, key) = server();
    let before = server.program().resident_kib();
    let kept = unread(&server, &key, ENDLESS, 30, 128, 2_000_000);
    let growth = growth_kib(&mut server, before, 8);
    others_are_served(&server, &key);
    drop(kept);
    assert!(growth < GROWTH_MAX_KIB, "{growth} KiB");
}

#[test]
fn answers_whose_window_is_closed_take_little_memory() {
    let (mut server, key) = server();
    let before = server.program().resident_kib();
    let kept = unread(&server, &key, 0, 50, 128, 1_000_000);
    let growth = growth_kib(&mut server, before, 6);
    others_are_served(&server, &key);
    drop(kept);
    assert!(growth < GROWTH_MAX_KIB, "{growth} KiB");
}

#[test]
fn five_hundred_connections_that_do_not_read_take_little_memory() {
    let (mut server, key) = server();
    let before = server.program().resident_kib();
    let kept = unread(&server, &key, ENDLESS, 512, 8, 1_000_000);
    let growth = growth_kib(&mut server, before, 8);
    others_are_served(&server, &key);
    drop(kept);
    // Each of them costs something by itself.
    assert!(growth < GROWTH_MAX_KIB + 512 * 80, "{growth} KiB");
}

#[test]
fn callers_over_http1_that_do_not_read_take_little_memory() {
    let (mut server, key) = server();
    let before = server.program().resident_kib();
    let mut kept = Vec::new();
    for _ in 0..512 {
        let mut stream = TcpStream::connect(server.gate).unwrap();
        let head = format!(
            "GET /big/8000000 HTTP/1.1\r\nhost: api.test\r\nx-api-key: {}\r\n\r\n",
            key.text
        );
        stream.write_all(head.as_bytes()).unwrap();
        kept.push(stream);
    }
    let growth = growth_kib(&mut server, before, 6);
    others_are_served(&server, &key);
    drop(kept);
    // Each costs its tasks on both sides and what these read at a time: some 137 KiB in a debug build, where
    // it was 650.
    assert!(growth < 512 * 160, "{growth} KiB");
}

#[test]
fn bodies_that_are_counted_and_do_not_end_take_little_memory() {
    let (mut server, key) = server();
    let before = server.program().resident_kib();
    let fields = [("x-api-key", key.text.as_str()), ("content-type", "application/json")];
    let mut kept: Vec<(Http2, Vec<u32>)> = (0..4)
        .map(|_| {
            let mut caller = Http2::connect(server.gate, ENDLESS).unwrap();
            caller.stream.set_write_timeout(Some(Duration::from_millis(200))).unwrap();
            let head = |_| caller.head("POST", "/rpc", &fields, true).unwrap();
            let streams = (0..100).map(head).collect();
            (caller, streams)
        })
        .collect();
    // Round by round, so that all grow alike, and no faster than the window of a connection opens.
    let (mut sent, mut peak) = (0, 0);
    for place in (0..60).flat_map(|_| (0..100).step_by(2)) {
        for (caller, streams) in &mut kept {
            let part = [b' '; 8_192];
            let pair = &streams[place..place + 2];
            // What is refused is reset, and the gate may stop to read.
            sent += pair.iter().filter(|id| caller.data(**id, &part).is_ok()).count();
        }
        pause(4);
        if place == 0 {
            peak = peak.max(server.program().resident_kib());
        }
    }
    let growth = peak.saturating_sub(before);
    println!("{sent} parts were sent, {growth} KiB more at the most");
    assert!(sent > 1000, "{sent}");
    let answer = server.caller(&key).post("/rpc");
    assert_eq!(
        answer.status_and_reason(),
        (400, "body_uncountable".to_owned()),
        "others are counted"
    );
    others_are_served(&server, &key);
    drop(kept);
    assert!(growth < GROWTH_MAX_KIB, "{growth} KiB");
}

#[test]
fn what_three_thousand_connections_took_is_given_back() {
    let wide = "[gate]\nlisten = \"127.0.0.1:7070\"\nconnections_per_address = 5000\n\
        [console]\nlisten = \"127.0.0.1:7080\"\n[api.bookmarks]\nupstream = \"http://127.0.0.1:7071\"\n";
    let mut server = TestServer::of_text(&format!("{wide}{OPEN}")).started();
    let key = server.issue("app", "open");
    others_are_served(&server, &key);
    let before = server.program().resident_kib();
    let kept: Vec<TcpStream> = (0..3000)
        .map(|_| {
            let mut stream = TcpStream::connect(server.gate).unwrap();
            let request = format!(
                "GET /big/2000000 HTTP/1.1\r\nhost: api.test\r\nx-api-key: {}\r\n\r\n",
                key.text
            );
            stream.write_all(request.as_bytes()).unwrap();
            stream
        })
        .collect();
    let growth = growth_kib(&mut server, before, 4);
    drop(kept);
    let began = Instant::now();
    let mut left = u64::MAX;
    while left >= GIVEN_BACK_KIB && began.elapsed() < Duration::from_secs(20) {
        pause(500);
        left = server.program().resident_kib().saturating_sub(before);
    }
    println!("{growth} KiB more at the most, {left} KiB more after {:?}", began.elapsed());
    others_are_served(&server, &key);
    assert!(left < GIVEN_BACK_KIB, "{left} of {growth} KiB are kept");
}

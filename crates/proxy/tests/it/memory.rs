//! Large bodies pass in constant memory. Measured in a process of its own, where no other test allocates.

use std::process::Command;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::harness::{Log, TestGate, Upstream, Wire, soon};

const SIZE: usize = 300 << 20;
const GROWTH_MAX_KIB: usize = 64 << 10;

fn resident_kib() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// Takes an upload of any size and answers with a download.
async fn upstream() -> Upstream {
    Upstream::raw(|stream, _, _: Log| async move {
        let mut wire = Wire::new(stream);
        while let Some(head) = wire.head().await {
            let length: usize =
                head.field("content-length").map_or(0, |length| length.parse().unwrap());
            let mut taken = 0;
            while taken < length {
                let some = wire.some().await;
                assert!(!some.is_empty());
                taken += some.len();
            }
            wire.write(format!("HTTP/1.1 200 OK\r\nContent-Length: {SIZE}\r\n\r\n").as_bytes())
                .await
                .unwrap();
            pour(&mut wire.stream, SIZE).await;
        }
    })
    .await
}

async fn pour(stream: &mut TcpStream, size: usize) {
    let block = vec![b'a'; 256 << 10];
    for _ in 0..size / block.len() {
        stream.write_all(&block).await.unwrap();
    }
}

async fn drain(stream: &mut TcpStream, at_least: usize) {
    let mut block = vec![0; 256 << 10];
    let mut taken = 0;
    while taken < at_least {
        let length = stream.read(&mut block).await.unwrap();
        assert!(length > 0, "broke off after {taken}");
        taken += length;
    }
}

#[tokio::test]
#[ignore = "started by the next test, in a process of its own"]
async fn pass_through() {
    let upstream = upstream().await;
    let gate = TestGate::simple(&upstream);
    let key = gate.key("open").await;
    assert_eq!(gate.call("GET", "/x", "nonsense", b"").await.status, 401);
    let before = resident_kib();
    let exchange = async {
        let mut stream = TcpStream::connect(gate.address).await.unwrap();
        let head = format!(
            "POST /x HTTP/1.1\r\nHost: a\r\nX-API-Key: {key}\r\nContent-Length: {SIZE}\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        pour(&mut stream, SIZE).await;
        drain(&mut stream, SIZE).await;
    };
    tokio::time::timeout(std::time::Duration::from_secs(40), exchange).await.unwrap();
    let growth = resident_kib() - before;
    assert!(growth < GROWTH_MAX_KIB, "{growth} KiB more for two bodies of 300 MiB");
    let record = &gate.records().await[0];
    assert_eq!(
        (record.request_bytes, record.response_bytes),
        (Some(SIZE as u64), Some(SIZE as u64))
    );
}

/// Whoever sends faster than the other side reads is held back, not buffered.
#[tokio::test]
#[ignore = "started by the next test, in a process of its own"]
async fn hold_back() {
    let upstream = upstream().await;
    let gate = TestGate::simple(&upstream);
    let key = gate.key("open").await;
    assert_eq!(gate.call("GET", "/x", "nonsense", b"").await.status, 401);
    let before = resident_kib();
    let mut streams = Vec::new();
    for _ in 0..10 {
        let mut stream = TcpStream::connect(gate.address).await.unwrap();
        let head = format!("GET /x HTTP/1.1\r\nHost: a\r\nX-API-Key: {key}\r\n\r\n");
        stream.write_all(head.as_bytes()).await.unwrap();
        soon("a byte", stream.read_u8()).await.unwrap();
        streams.push(stream);
    }
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    let growth = resident_kib() - before;
    assert!(growth < GROWTH_MAX_KIB, "{growth} KiB more for ten callers that do not read");
}

fn in_a_process_of_its_own(test: &str) {
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "--ignored", "--nocapture", test])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && said.contains("1 passed"),
        "{said}{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

#[test]
fn bodies_of_300_mib_pass_both_ways_in_constant_memory() {
    in_a_process_of_its_own("memory::pass_through");
}

#[test]
fn callers_that_do_not_read_are_not_buffered_for() {
    in_a_process_of_its_own("memory::hold_back");
}

//! What callers hold of the backend has a bound, and whoever calls beside them is answered.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use keystile_threescale::backend::period::Period;

use crate::fixture::{Backend, PROVIDER};

const BODY_BYTES_MAX: usize = 4 * 1024 * 1024;
/// So many of the largest bodies are held at once.
const HELD: usize = 16;

/// A report of which all but the last byte has come.
fn almost(backend: &Backend) -> TcpStream {
    let mut stream = TcpStream::connect(backend.address()).unwrap();
    let head = format!(
        "POST /transactions.xml HTTP/1.1\r\nhost: b\r\ncontent-length: {BODY_BYTES_MAX}\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).unwrap();
    // One that is refused early is not read to its end.
    let _ = stream.write_all(&vec![b'a'; BODY_BYTES_MAX - 1]);
    stream
}

fn begins_with(stream: &mut TcpStream, wait: Duration) -> Option<String> {
    stream.set_read_timeout(Some(wait)).unwrap();
    let mut start = [0; 12];
    stream.read_exact(&mut start).ok()?;
    Some(String::from_utf8_lossy(&start).into_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn reports_of_strangers_have_a_bound_all_together() {
    let backend = Backend::start(&[(Period::Eternity, 1_000)]).await;
    let mut held: Vec<_> = (0..HELD).map(|_| almost(&backend)).collect();
    let mut refused = almost(&backend);
    // The last bytes of the others may still be on their way.
    let mut began = begins_with(&mut refused, Duration::from_secs(5));
    for _ in 0..3 {
        if began.is_none() {
            refused = almost(&backend);
            began = begins_with(&mut refused, Duration::from_secs(5));
        }
    }
    assert_eq!(began.as_deref(), Some("HTTP/1.1 503"));
    assert_eq!(backend.authrep("usage[hits]=1").status, 200, "who asks holds nothing");
    // One parameter of so many bytes is no report.
    let mut first = held.remove(0);
    first.write_all(b"a").unwrap();
    assert_eq!(begins_with(&mut first, Duration::from_secs(30)).as_deref(), Some("HTTP/1.1 403"));
    held.clear();
    let report =
        format!("{PROVIDER}&transactions[0][user_key]=ukey&transactions[0][usage][hits]=1");
    let start = Instant::now();
    while backend.report(&report).status != 202 {
        assert!(start.elapsed() < Duration::from_secs(20), "their room does not come back");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_does_not_come_is_waited_for_ten_seconds() {
    let backend = Backend::start(&[]).await;
    let mut stream = TcpStream::connect(backend.address()).unwrap();
    let head = "POST /transactions.xml HTTP/1.1\r\nhost: b\r\ncontent-length: 10\r\n\r\na";
    stream.write_all(head.as_bytes()).unwrap();
    assert_eq!(backend.authrep("usage[hits]=1").status, 200);
    let answer = begins_with(&mut stream, Duration::from_secs(15));
    assert_eq!(answer.as_deref(), Some("HTTP/1.1 408"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_has_a_bound() {
    let backend = Backend::start(&[]).await;
    let path = format!("/transactions/authrep.xml?{PROVIDER}&user_key=ukey&referrer=");
    assert_eq!(backend.get(&format!("{path}{}", "a".repeat(60_000))).status, 200);
    assert_eq!(backend.get(&format!("{path}{}", "a".repeat(70_000))).status, 414);
    let with_field = |length: usize| {
        let field = "a".repeat(length);
        let head = format!("GET /status HTTP/1.1\r\nhost: b\r\nconnection: close\r\nx: {field}");
        let mut stream = TcpStream::connect(backend.address()).unwrap();
        // One that is refused early is not read to its end.
        let _ = stream.write_all(format!("{head}\r\n\r\n").as_bytes());
        begins_with(&mut stream, Duration::from_secs(5))
    };
    assert_eq!(with_field(60_000).as_deref(), Some("HTTP/1.1 200"));
    assert_eq!(with_field(132_000).as_deref(), Some("HTTP/1.1 431"));
}

#[tokio::test(flavor = "multi_thread")]
async fn two_thousand_idle_connections_hold_up_nobody() {
    let backend = Backend::start(&[]).await;
    let idle: Vec<_> = (0..2_000).map(|_| TcpStream::connect(backend.address()).unwrap()).collect();
    let began = Instant::now();
    for _ in 0..20 {
        assert_eq!(backend.authrep("usage[hits]=1").status, 200);
    }
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    drop(idle);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_of_two_thousand_transactions_is_counted_and_one_of_ten_thousand_is_refused() {
    let backend = Backend::start(&[(Period::Eternity, 100_000)]).await;
    let form = |many: usize| {
        // Two parameters each.
        let transactions: String = (0..many)
            .map(|at| {
                format!("&transactions[{at}][user_key]=ukey&transactions[{at}][usage][hits]=1")
            })
            .collect();
        format!("{PROVIDER}{transactions}")
    };
    let began = Instant::now();
    assert_eq!(backend.report(&form(2_000)).status, 202);
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    assert!(backend.authrep("usage[hits]=0").body.contains("<current_value>2000<"));
    let refused = backend.report(&form(10_000));
    assert!(refused.status == 400 && refused.body.contains("exceeds limit"), "{}", refused.body);
}

//! Where a message ends: one reading, or a closed connection, and never a second request behind it.

use std::fmt::Write;

use keystile_core::journal::Outcome;

use crate::harness::{Answer, Caller, TestGate, Upstream, eventually, request};

const SMUGGLED: &str = "GET /smuggled HTTP/1.1\r\nHost: api.test\r\nX-API-Key: {key}\r\n\r\n";

/// Sends a head (all of it but Host and key) and what follows; then a request hidden behind it.
/// Gives every answer until the connection ends.
async fn answers(
    gate: &TestGate,
    key: &str,
    first_line: &str,
    fields: &str,
    content: &str,
) -> Vec<Answer> {
    let smuggled = SMUGGLED.replace("{key}", key);
    let text = format!(
        "{first_line}\r\nHost: api.test\r\nX-API-Key: {key}\r\n{fields}\r\n{content}{smuggled}"
    );
    let mut caller = gate.caller().await;
    caller.send(text.as_bytes()).await;
    let mut answers = Vec::new();
    while let Some(answer) = caller.answer().await {
        answers.push(answer);
    }
    answers
}

fn never_smuggled(upstream: &Upstream) {
    assert!(
        !upstream.lines().iter().any(|line| line.contains("smuggled")),
        "{:?}",
        upstream.lines()
    );
}

#[tokio::test]
async fn heads_with_two_lengths_are_refused_and_the_connection_closed() {
    let upstream = Upstream::ok().await;
    let gate = TestGate::simple(&upstream);
    let key = gate.key("open").await;
    for fields in [
        "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 4\r\n",
        "Content-Length: 0\r\nTransfer-Encoding: chunked\r\n",
        "Content-Length: 5\r\nContent-Length: 6\r\n",
        "Content-Length: 5\r\nContent-Length: 5\r\n",
        "Content-Length: 5, 5\r\n",
        "Content-Length: 1, 1\r\n",
        "Content-Length: +5\r\n",
        "Content-Length: -5\r\n",
        "Content-Length: 0x5\r\n",
        "Content-Length: 5;\r\n",
        "Content-Length: 5 0\r\n",
        "Content-Length:\r\n",
        "Content-Length: 18446744073709551621\r\n",
        "Transfer-Encoding: gzip, chunked\r\n",
        "Transfer-Encoding: chunked, identity\r\n",
        "Transfer-Encoding: identity\r\n",
        "Transfer-Encoding: xchunked\r\n",
        "Transfer-Encoding: chunked;q=1\r\n",
        "Transfer-Encoding: \"chunked\"\r\n",
        "Transfer-Encoding: \u{b}chunked\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n",
        "Transfer-Encoding:\r\n",
    ] {
        let answers = answers(&gate, &key, "POST /x HTTP/1.1", fields, "0\r\n\r\n").await;
        assert_eq!(answers.len(), 1, "{fields}: {answers:?}");
        assert_eq!(answers[0].refusal().0, 400, "{fields}");
    }
    assert_eq!(upstream.lines(), Vec::<String>::new());
    assert_eq!(gate.used(&key).await, 0);
}

#[tokio::test]
async fn heads_whose_lines_have_two_readings_are_refused_and_the_connection_closed() {
    let upstream = Upstream::ok().await;
    let gate = TestGate::simple(&upstream);
    let key = gate.key("open").await;
    for fields in [
        "X-A: b\nContent-Length: 5\r\n",
        "X-A: b\rContent-Length: 5\r\n",
        "X-A: b\r\n\tc\r\n",
        "Transfer-Encoding:\r\n chunked\r\n",
        "X-A: b\r\n Content-Length: 5\r\n",
        "Transfer-Encoding : chunked\r\n",
        "Content-Length\t: 5\r\n",
        "Content-Length: 5\0\r\n",
        ": nameless\r\n",
        "no colon\r\n",
        "X\u{e9}: a\r\n",
        "X-A: a\u{1}b\r\n",
    ] {
        let answers = answers(&gate, &key, "POST /x HTTP/1.1", fields, "0\r\n\r\n").await;
        assert_eq!(answers.len(), 1, "{fields:?}: {answers:?}");
        assert_eq!(answers[0].refusal().0, 400, "{fields:?}");
    }
    let whole = request("POST", "/x", &key, b"")
        .into_iter()
        .filter(|byte| *byte != b'\r')
        .collect::<Vec<_>>();
    assert_eq!(gate.raw(&whole).await.unwrap().status, 400, "bare line feeds throughout");
    assert_eq!(upstream.lines(), Vec::<String>::new());
}

#[tokio::test]
async fn versions_that_have_no_such_framing_are_refused() {
    let upstream = Upstream::ok().await;
    let gate = TestGate::simple(&upstream);
    let key = gate.key("open").await;
    for (line, fields) in [
        ("POST /x HTTP/1.0", "Transfer-Encoding: chunked\r\n"),
        ("POST /x HTTP/1.2", ""),
        ("POST /x HTTP/2.0", ""),
        ("POST /x HTTP/3.0", ""),
        ("POST /x HTTP/0.9", ""),
        ("POST /x", ""),
        ("POST  /x HTTP/1.1", ""),
        ("POST /x  HTTP/1.1", ""),
        ("POST /x y HTTP/1.1", ""),
        ("POST /x HTTP/1.1 ", ""),
    ] {
        let answers = answers(&gate, &key, line, fields, "0\r\n\r\n").await;
        assert!(
            answers.len() <= 1 && answers.iter().all(|answer| answer.refusal().0 >= 400),
            "{line}: {answers:?}"
        );
    }
    assert_eq!(upstream.lines(), Vec::<String>::new());
}

#[tokio::test]
async fn a_body_that_looks_like_a_request_stays_a_body() {
    let upstream = Upstream::ok().await;
    let gate = TestGate::simple(&upstream);
    let key = gate.key("open").await;
    let hidden = SMUGGLED.replace("{key}", "x");
    for method in ["GET", "POST", "DELETE"] {
        let answer = gate.call(method, "/x", &key, hidden.as_bytes()).await;
        assert_eq!(answer.status, 200);
        assert_eq!(upstream.seen().pop().unwrap().body, hidden.as_bytes());
        let chunked = format!("{:x}\r\n{hidden}\r\n0\r\n\r\n", hidden.len());
        let fields = "Transfer-Encoding: chunked\r\nConnection: close\r\n";
        let answers =
            answers(&gate, &key, &format!("{method} /x HTTP/1.1"), fields, &chunked).await;
        assert_eq!(answers.len(), 1);
        assert_eq!(upstream.seen().pop().unwrap().body, hidden.as_bytes());
    }
    never_smuggled(&upstream);
}

#[tokio::test]
async fn the_body_of_a_refused_request_is_not_read_as_the_next_one() {
    let upstream = Upstream::ok().await;
    let gate = TestGate::simple(&upstream);
    let key = gate.key("open").await;
    let hidden = SMUGGLED.replace("{key}", &key);
    for head in
        ["X-Other: a\r\n", "X-API-Key: nonsense\r\n", "Upgrade: h2c\r\nConnection: upgrade\r\n"]
    {
        let text = format!(
            "POST /x HTTP/1.1\r\nHost: api.test\r\n{head}Content-Length: {}\r\n\r\n{hidden}{hidden}",
            hidden.len()
        );
        let mut caller = gate.caller().await;
        caller.send(text.as_bytes()).await;
        assert!(caller.answer().await.unwrap().status >= 400);
        assert!(caller.answer().await.is_none(), "{head}");
    }
    assert_eq!(upstream.lines(), Vec::<String>::new());
}

#[tokio::test]
async fn chunks_that_are_framed_badly_reach_the_upstream_as_no_whole_request() {
    let upstream = Upstream::ok().await;
    let gate = TestGate::simple(&upstream);
    let key = gate.key("open").await;
    let flood = format!("5;{}\r\nabcde\r\n0\r\n\r\n", "x=y;".repeat(200_000));
    for content in [
        "zz\r\nab\r\n0\r\n\r\n",
        "-1\r\na\r\n0\r\n\r\n",
        "+5\r\nabcde\r\n0\r\n\r\n",
        "0x5\r\nabcde\r\n0\r\n\r\n",
        "5\nabcde\r\n0\r\n\r\n",
        "5\rabcde\r\n0\r\n\r\n",
        "5\r\nabcdefg\r\n0\r\n\r\n",
        "5\r\nabcde\n0\r\n\r\n",
        "5;a\nb\r\nabcde\r\n0\r\n\r\n",
        "fffffffffffffffff\r\nabcde\r\n0\r\n\r\n",
        "\r\nabcde\r\n0\r\n\r\n",
        &flood,
    ] {
        let shown = &content[..content.len().min(40)];
        let answers =
            answers(&gate, &key, "POST /x HTTP/1.1", "Transfer-Encoding: chunked\r\n", content)
                .await;
        assert!(answers.len() <= 1, "{shown:?}: {answers:?}");
        assert!(answers.iter().all(|answer| answer.status >= 400), "{shown:?}: {answers:?}");
    }
    assert!(upstream.seen().iter().all(|seen| !seen.is_whole), "{:?}", upstream.seen());
    assert!(
        gate.outcomes().await.iter().all(|outcome| *outcome == Outcome::Unknown),
        "what was begun counts"
    );
}

#[tokio::test]
async fn a_caller_whose_chunks_cannot_be_read_is_told_that_the_fault_is_theirs() {
    let upstream = Upstream::ok().await;
    let gate = TestGate::simple(&upstream);
    let key = gate.key("open").await;
    let answers =
        answers(&gate, &key, "POST /x HTTP/1.1", "Transfer-Encoding: chunked\r\n", "zz\r\nab\r\n")
            .await;
    assert_eq!(answers[0].refusal(), (400, "framing_invalid".to_owned()));
    assert_eq!(answers[0].field("keystile-outcome"), Some("unknown"));
}

#[tokio::test]
async fn chunk_extensions_within_reason_are_dropped() {
    let upstream = Upstream::ok().await;
    let gate = TestGate::simple(&upstream);
    let key = gate.key("open").await;
    let fields = "Transfer-Encoding: chunked\r\nConnection: close\r\n";
    let content = "5;name=\"value\"\r\nabcde\r\n0;last\r\n\r\n";
    let answers = answers(&gate, &key, "POST /x HTTP/1.1", fields, content).await;
    assert_eq!((answers.len(), answers[0].status), (1, 200));
    let seen = upstream.seen().pop().unwrap();
    assert_eq!((seen.body.as_slice(), seen.is_whole), (&b"abcde"[..], true));
}

/// Two heads in one packet: the second is read from memory, where its bytes are not looked at again.
#[tokio::test]
async fn a_doubtful_head_behind_another_request_is_the_last_of_its_connection() {
    let upstream = Upstream::ok().await;
    let gate = TestGate::simple(&upstream);
    let key = gate.key("open").await;
    for first in [request("GET", "/first", &key, b""), request("POST", "/first", &key, b"abc")] {
        for fields in [
            "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
            "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
            "Content-Length: 5\r\nContent-Length: 5\r\n",
            "X-A: b\nContent-Length: 5\r\n",
        ] {
            let head = format!(
                "POST /second HTTP/1.1\r\nHost: api.test\r\nX-API-Key: {key}\r\n{fields}\r\n"
            );
            let smuggled = SMUGGLED.replace("{key}", &key);
            let content = if fields.contains("chunked") { "0\r\n\r\n" } else { "abcde" };
            let mut caller = gate.caller().await;
            caller
                .send(&[&first, head.as_bytes(), content.as_bytes(), smuggled.as_bytes()].concat())
                .await;
            assert_eq!(caller.answer().await.unwrap().status, 200);
            drop(caller.answer().await);
            assert!(caller.answer().await.is_none(), "{fields}");
        }
    }
    never_smuggled(&upstream);
}

#[tokio::test]
async fn requests_in_one_packet_are_answered_in_order() {
    let upstream =
        Upstream::start(|seen| crate::harness::Reply::status("200 OK", &seen.target)).await;
    let gate = TestGate::simple(&upstream);
    let key = gate.key("open").await;
    let mut bytes = Vec::new();
    for number in 0..20 {
        let (method, body): (_, &[u8]) =
            if number % 3 == 0 { ("POST", b"abcdefg") } else { ("GET", b"") };
        bytes.extend(request(method, &format!("/{number}"), &key, body));
    }
    let mut caller = gate.caller().await;
    caller.send(&bytes).await;
    for number in 0..20 {
        assert_eq!(caller.answer().await.unwrap().text(), format!("/{number}"));
    }
    let lines: Vec<_> =
        upstream.seen().iter().map(|seen| (seen.target.clone(), seen.body.len())).collect();
    assert_eq!(
        lines,
        (0..20).map(|n| (format!("/{n}"), if n % 3 == 0 { 7 } else { 0 })).collect::<Vec<_>>()
    );
}

#[tokio::test]
async fn a_head_that_comes_byte_by_byte_is_a_head() {
    let upstream = Upstream::ok().await;
    let gate = TestGate::simple(&upstream);
    let key = gate.key("open").await;
    let mut caller = gate.caller().await;
    for _ in 0..2 {
        for byte in request("POST", "/x", &key, b"abc") {
            caller.send(&[byte]).await;
            tokio::task::yield_now().await;
        }
        assert_eq!(caller.answer().await.unwrap().status, 200);
    }
    assert_eq!(upstream.seen()[1].body, b"abc");
}

#[tokio::test]
async fn half_a_request_is_no_request() {
    let upstream = Upstream::ok().await;
    let gate = TestGate::simple(&upstream);
    let key = gate.key("open").await;
    let whole = request("POST", "/x", &key, b"0123456789");
    for cut in [1, 10, whole.len() - 14, whole.len() - 12, whole.len() - 11] {
        let mut caller: Caller = gate.caller().await;
        caller.send(&whole[..cut]).await;
        caller.finish().await;
        assert!(caller.answer().await.is_none_or(|answer| answer.status >= 400), "cut at {cut}");
    }
    assert!(upstream.seen().is_empty(), "{:?}", upstream.seen());
    // The head was whole: the write is under way, and its body breaks off.
    let mut caller = gate.caller().await;
    caller.send(&whole[..whole.len() - 5]).await;
    eventually("the record", async || !gate.records().await.is_empty()).await;
    drop(caller);
    eventually("its outcome", async || gate.outcomes().await == [Outcome::Unknown]).await;
    assert!(upstream.seen().iter().all(|seen| !seen.is_whole));
    assert_eq!(gate.used(&key).await, 1);
}

#[tokio::test]
async fn a_body_longer_than_it_says_is_cut_where_it_says() {
    let upstream = Upstream::ok().await;
    let gate = TestGate::simple(&upstream);
    let key = gate.key("open").await;
    let mut text =
        format!("POST /x HTTP/1.1\r\nHost: a\r\nX-API-Key: {key}\r\nContent-Length: 3\r\n\r\n");
    let _ = write!(text, "abcTRAILING NONSENSE\r\n\r\n");
    let mut caller = gate.caller().await;
    caller.send(text.as_bytes()).await;
    assert_eq!(caller.answer().await.unwrap().status, 200);
    assert!(caller.answer().await.is_none_or(|answer| answer.status >= 400));
    assert_eq!(upstream.seen()[0].body, b"abc");
    assert_eq!(upstream.lines(), ["POST /x"]);
}

/// Request line, fields, the reason of the refusal, and a part of what its caller is told.
const MALFORMED: [(&str, &str, &str, &str); 24] = [
    (
        "GET /items?q=<b> HTTP/1.1",
        "",
        "target_invalid",
        "The query holds `<`, which must be written as %3C.",
    ),
    ("GET /items?q=\"b\" HTTP/1.1", "", "target_invalid", "%22"),
    ("GET /items?q=\u{1} HTTP/1.1", "", "target_invalid", "the byte 0x01"),
    ("GET /items?q=\u{e9} HTTP/1.1", "", "target_invalid", "the byte 0xc3"),
    ("GET /items?q=%zz HTTP/1.1", "", "target_invalid", "two hexadecimal digits"),
    (
        "GET /items/<b> HTTP/1.1",
        "",
        "path_invalid",
        "The path holds `<`, which must be written as %3C.",
    ),
    ("GET /items|b HTTP/1.1", "", "path_invalid", "`|`"),
    ("GET /items;b HTTP/1.1", "Connection: close\r\n", "path_invalid", "`;`"),
    ("GET /items#b HTTP/1.1", "", "target_invalid", "fragment"),
    ("GET /items b HTTP/1.1", "", "target_invalid", "a space in a target"),
    ("GET /items HTTP/1.2", "", "framing_invalid", "version"),
    ("GET /items HTTP/1.1", "A: b\nC: d\r\n", "framing_invalid", "line feed"),
    ("GET /items HTTP/1.1", "A: b\rC: d\r\n", "framing_invalid", "carriage return"),
    ("GET /items HTTP/1.1", "A: b\r\n c\r\n", "header_invalid", "second line"),
    ("GET /items HTTP/1.1", "A : b\r\n", "header_invalid", "White space"),
    ("GET /items HTTP/1.1", "A: b\u{1}\r\n", "header_invalid", "control character"),
    ("GET /items HTTP/1.1", "A_B: c\r\n", "header_invalid", "`_`"),
    ("GET /items HTTP/1.1", "Host: b\r\n", "host_invalid", "twice"),
    (
        "GET /items HTTP/1.1",
        "Content-Type: a/b\r\nContent-Type: a/b\r\n",
        "header_invalid",
        "Content-Type",
    ),
    (
        "POST /items HTTP/1.1",
        "Content-Length: 1\r\nContent-Length: 1\r\n",
        "framing_invalid",
        "Content-Length is given twice.",
    ),
    ("POST /items HTTP/1.1", "Content-Length: 1, 1\r\n", "framing_invalid", "plain digits"),
    (
        "POST /items HTTP/1.1",
        "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n",
        "framing_invalid",
        "both given",
    ),
    (
        "POST /items HTTP/1.1",
        "Transfer-Encoding: gzip\r\n",
        "framing_invalid",
        "other than `chunked`",
    ),
    ("POST /items HTTP/1.0", "Transfer-Encoding: chunked\r\n", "framing_invalid", "Only HTTP/1.1"),
];

#[tokio::test]
async fn a_head_that_is_refused_is_told_what_is_wrong_with_it_and_not_something_else() {
    let upstream = Upstream::ok().await;
    let gate = TestGate::simple(&upstream);
    let key = gate.key("open").await;
    let mut told = std::collections::HashSet::new();
    for (line, fields, reason, says) in MALFORMED {
        let answers = answers(&gate, &key, line, fields, "").await;
        assert_eq!(answers[0].refusal().1, reason, "{line} {fields:?}: {answers:?}");
        let detail = answers[0].problem()["detail"].as_str().unwrap().to_owned();
        assert!(detail.contains(says), "{line} {fields:?}: {detail}");
        assert!(told.insert(detail.clone()), "{line} {fields:?} is told as another: {detail}");
    }
    let lines = upstream.lines();
    assert!(!lines.iter().any(|line| line.contains("items")), "{lines:?}");
    let on_record = gate.records().await;
    for reason in MALFORMED.map(|(_, _, reason, _)| reason) {
        let is_it = |known: keystile_core::refusal::Reason| known.name() == reason;
        assert!(on_record.iter().any(|record| record.reason.is_some_and(is_it)), "{reason}");
    }
}

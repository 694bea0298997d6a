//! How bodies are framed on their way through, and what becomes of one that is not what it says.

use crate::harness::{Reply, TestGate, Upstream, api, plan, request, settings};

#[tokio::test]
async fn lengths_and_chunks_stay_what_they_are_both_ways() {
    let upstream = Upstream::start(|seen| match seen.field("transfer-encoding") {
        Some(_) => Reply::Bytes(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n3\r\ncde\r\n0\r\n\r\n".to_vec()),
        None => Reply::status("200 OK", "abcde"),
    })
    .await;
    let gate = TestGate::simple(&upstream);
    let key = gate.key("open").await;
    for method in ["GET", "HEAD", "POST", "PUT", "DELETE", "QUERY", "OPTIONS"] {
        let mut caller = gate.caller().await;
        let answer = caller.call(method, "/x", &key, b"12345").await;
        assert_eq!((answer.status, answer.field("content-length")), (200, Some("5")), "{method}");
        let seen = upstream.seen().pop().unwrap();
        assert_eq!(
            (seen.body.as_slice(), seen.field("content-length")),
            (&b"12345"[..], Some("5")),
            "{method}"
        );
        let mut bytes = request(method, "/x", &key, b"");
        bytes.truncate(bytes.len() - 2);
        bytes.extend(b"Transfer-Encoding: chunked\r\n\r\n2\r\n12\r\n3\r\n345\r\n0\r\n\r\n");
        caller.send(&bytes).await;
        let head = caller.head().await.unwrap();
        assert_eq!((head.status(), head.field("content-length")), (200, None), "{method}");
        let answer = caller.answer_of(head, method).await;
        assert_eq!(answer.body, if method == "HEAD" { &b""[..] } else { b"abcde" });
        let seen = upstream.seen().pop().unwrap();
        assert_eq!((seen.method.as_str(), seen.body.as_slice()), (method, &b"12345"[..]));
        assert_eq!(
            (seen.field("transfer-encoding"), seen.field("content-length")),
            (Some("chunked"), None)
        );
        assert_eq!(caller.call("GET", "/y", &key, b"").await.status, 200, "the connection goes on");
    }
}

#[tokio::test]
async fn trailers_pass_both_ways_and_forge_nothing() {
    let upstream = Upstream::start(|_| {
        Reply::Bytes(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n1\r\na\r\n0\r\nX-Sum: 7\r\n\r\n".to_vec())
    })
    .await;
    let gate = TestGate::simple(&upstream);
    let key = gate.key("open").await;
    let text = format!(
        "POST /x HTTP/1.1\r\nHost: a\r\nX-API-Key: {key}\r\nTE: trailers\r\nTransfer-Encoding: chunked\r\n\
         Trailer: X-Mark, X-Keystile-Plan, Content-Length, Host\r\n\r\n1\r\nb\r\n0\r\n\
         X-Mark: 1\r\nX-Keystile-Plan: trusted\r\nContent-Length: 5\r\nHost: evil.test\r\n\r\n"
    );
    let answer = gate.raw(text.as_bytes()).await.unwrap();
    assert_eq!(answer.trailers, [("x-sum".to_owned(), "7".to_owned())]);
    assert_eq!(upstream.seen()[0].trailers, [("x-mark".to_owned(), "1".to_owned())]);
}

#[tokio::test]
async fn answers_without_a_body_have_none() {
    let upstream = Upstream::start(|seen| match (seen.method.as_str(), seen.target.as_str()) {
        ("HEAD", _) => Reply::Bytes(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n".to_vec()),
        (_, "/304") => Reply::Bytes(b"HTTP/1.1 304 Not Modified\r\nContent-Length: 1000\r\nETag: \"a\"\r\n\r\n".to_vec()),
        (_, "/204") => Reply::Bytes(b"HTTP/1.1 204 No Content\r\n\r\n".to_vec()),
        (_, "/early") => Reply::Bytes(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok".to_vec()),
        _ => Reply::Bytes(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n".to_vec()),
    })
    .await;
    let gate = TestGate::simple(&upstream);
    let key = gate.key("open").await;
    let mut caller = gate.caller().await;
    for (method, target, status, length) in [
        ("HEAD", "/x", 200, Some("1000")),
        ("GET", "/304", 304, None),
        ("GET", "/204", 204, None),
        ("DELETE", "/204", 204, None),
        ("GET", "/0", 200, Some("0")),
        ("GET", "/early", 200, Some("2")),
        ("POST", "/early", 200, Some("2")),
    ] {
        let answer = caller.call(method, target, &key, b"").await;
        assert_eq!(
            (answer.status, answer.field("content-length")),
            (status, length),
            "{method} {target}"
        );
        assert_eq!(answer.field("transfer-encoding"), None);
    }
}

#[tokio::test]
async fn an_answer_shorter_than_it_says_is_not_made_to_look_whole() {
    for answer in [
        &b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort"[..],
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n64\r\nshort",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nshort\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nshort\r\n0\r\n\r\n",
    ] {
        let upstream = Upstream::start(move |_| Reply::Last(answer.to_vec())).await;
        let gate = TestGate::simple(&upstream);
        let key = gate.key("open").await;
        for method in ["GET", "POST"] {
            let mut caller = gate.caller().await;
            caller.send(&request(method, "/x", &key, b"")).await;
            // What fails along with its head may not come at all.
            let got = caller.answer().await;
            assert!(got.as_ref().is_none_or(|got| !got.is_whole), "{method}: {got:?}");
            assert!(caller.answer().await.is_none(), "the connection ends there");
        }
        assert_eq!(upstream.seen().len(), 2);
    }
}

/// What stands behind an answer must not be taken for the next one.
#[tokio::test]
async fn an_answer_longer_than_it_says_does_not_become_the_next_answer() {
    let poison = "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison";
    let upstream = Upstream::start(move |seen| {
        let answer = format!(
            "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{}{poison}",
            seen.target.len(),
            seen.target
        );
        Reply::Bytes(answer.into_bytes())
    })
    .await;
    let gate = TestGate::simple(&upstream);
    let key = gate.key("open").await;
    let mut caller = gate.caller().await;
    for number in 0..50 {
        for method in ["GET", "POST", "HEAD"] {
            let target = format!("/{number}");
            let answer = caller.call(method, &target, &key, b"").await;
            assert!(!answer.body.starts_with(b"poison"), "{method} {target}");
            if method != "HEAD" && answer.status == 200 {
                assert_eq!(answer.text(), target);
            }
        }
    }
}

#[tokio::test]
async fn an_answer_with_two_framings_does_not_reach_the_caller_as_two_answers() {
    for fields in [
        "Content-Length: 2\r\nTransfer-Encoding: chunked",
        "Content-Length: 2\r\nContent-Length: 3",
        "Transfer-Encoding: gzip",
    ] {
        let text = format!(
            "HTTP/1.1 200 OK\r\n{fields}\r\n\r\n0\r\n\r\nHTTP/1.1 200 OK\r\nX-Second: 1\r\nContent-Length: 0\r\n\r\n"
        );
        let upstream = Upstream::start(move |_| Reply::Last(text.clone().into_bytes())).await;
        let gate = TestGate::simple(&upstream);
        let key = gate.key("open").await;
        let mut caller = gate.caller().await;
        caller.send(&request("GET", "/x", &key, b"")).await;
        let first = caller.answer().await;
        assert!(first.is_none_or(|answer| answer.field("x-second").is_none()), "{fields}");
        let more = tokio::time::timeout(std::time::Duration::from_millis(200), caller.wire.some());
        assert!(more.await.is_err() || caller.wire.some().await.is_empty(), "{fields}");
    }
}

#[tokio::test]
async fn fields_of_one_hop_stay_there() {
    let upstream = Upstream::start(|_| {
        Reply::Bytes(
            b"HTTP/1.1 200 OK\r\nConnection: keep-alive, x-secret\r\nKeep-Alive: timeout=5\r\nX-Kept: yes\r\n\
              Set-Cookie: a=1\r\nSet-Cookie: b=2\r\nContent-Length: 0\r\n\r\n"
                .to_vec(),
        )
    })
    .await;
    let gate = TestGate::simple(&upstream);
    let answer = gate.call("GET", "/x", &gate.key("open").await, b"").await;
    assert_eq!(
        (answer.field("connection"), answer.field("keep-alive"), answer.field("x-kept")),
        (None, None, Some("yes"))
    );
    assert_eq!(answer.fields.iter().filter(|(name, _)| name == "set-cookie").count(), 2);
}

#[tokio::test]
async fn a_body_over_the_limit_is_refused_by_its_length_or_cut_as_it_comes() {
    let upstream = Upstream::ok().await;
    let mut api = api(&[upstream.origin()]);
    api.body_bytes_max = Some(10_000);
    let gate = TestGate::open(vec![api], vec![plan("open", &["10 per day"])], settings());
    let key = gate.key("open").await;
    assert_eq!(gate.call("POST", "/x", &key, &[b'a'; 10_000]).await.status, 200);
    assert_eq!(
        gate.call("POST", "/x", &key, &[b'a'; 10_001]).await.refusal(),
        (413, "body_too_large".to_owned())
    );
    assert_eq!(gate.used(&key).await, 1, "the length told before anything was sent");
    let head = format!(
        "POST /x HTTP/1.1\r\nHost: a\r\nX-API-Key: {key}\r\nTransfer-Encoding: chunked\r\n\r\n"
    );
    let chunk = format!("1000\r\n{}\r\n", "a".repeat(0x1000));
    let answer = gate.raw(format!("{head}{}0\r\n\r\n", chunk.repeat(3)).as_bytes()).await.unwrap();
    assert_eq!(answer.refusal(), (413, "body_too_large".to_owned()));
    assert_eq!(answer.field("keystile-outcome"), Some("unknown"), "some of it was sent");
    assert_eq!(upstream.seen().iter().filter(|seen| seen.is_whole).count(), 1);
}

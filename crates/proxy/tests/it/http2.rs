//! Callers that speak HTTP/2, in the clear by prior knowledge.

use bytes::Bytes;
use http::Request;
use keystile_core::policy::operation::{BodyKind, BodyRule};

use crate::harness::{
    Caller, Caller2, Reply, Reply2, TestGate, Upstream, api, plan, request2, rule, settings, start2,
};

#[tokio::test]
async fn http2_is_served_beside_http1_on_the_same_port() {
    let upstream = Upstream::start(|seen| Reply::status("200 OK", &seen.target)).await;
    let gate = TestGate::simple(&upstream);
    let key = gate.key("open").await;
    let mut second = Caller2::connect(gate.address).await;
    let mut first = gate.caller().await;
    for number in 0..5 {
        let target = format!("/{number}");
        assert_eq!(second.call(request2("GET", &target, &key), b"").await.unwrap().text(), target);
        assert_eq!(first.call("GET", &target, &key, b"").await.text(), target);
    }
    let seen = upstream.seen().remove(0);
    assert_eq!(seen.field("host"), Some("api.test"), "`:authority` becomes Host");
    assert_eq!(seen.field("x-forwarded-host"), Some("api.test"));
    assert_eq!(upstream.connections(), 1, "both use the same upstream connections");
}

#[tokio::test]
async fn many_streams_are_served_at_a_time() {
    let upstream = Upstream::start(|seen| {
        Reply::status("200 OK", &seen.target).after(std::time::Duration::from_millis(300))
    })
    .await;
    let gate = TestGate::simple(&upstream);
    let key = gate.key("open").await;
    let began = std::time::Instant::now();
    let caller = Caller2::connect(gate.address).await;
    let mut calls = tokio::task::JoinSet::new();
    for number in 0..100 {
        let (mut caller, key) = (caller.share(), key.clone());
        calls.spawn(async move {
            let target = format!("/{number}");
            let answer = caller.call(request2("GET", &target, &key), b"").await.unwrap();
            assert_eq!(answer.text(), target);
        });
    }
    calls.join_all().await;
    assert!(began.elapsed() < std::time::Duration::from_secs(4));
}

#[tokio::test]
async fn the_grammar_is_the_same_over_http2_and_the_connection_goes_on() {
    let upstream = Upstream::ok().await;
    let gate = TestGate::simple(&upstream);
    let key = gate.key("open").await;
    let mut caller = Caller2::connect(gate.address).await;
    let with = |name: &str, value: &str| {
        let mut request = request2("DELETE", "/x", &key);
        request
            .headers_mut()
            .append(http::HeaderName::from_bytes(name.as_bytes()).unwrap(), value.parse().unwrap());
        request
    };
    for (request, status) in [
        (request2("DELETE", "/a/../b", &key), 400),
        (request2("DELETE", "/a%2fb", &key), 400),
        (request2("DELETE", "//a", &key), 400),
        (request2("DELETE", "/a;b", &key), 400),
        (request2("TRACE", "/a", &key), 405),
        (request2("delete", "/a", &key), 405),
        (with("host", "other.test"), 400),
        (with("x_keystile_plan", "trusted"), 400),
        (with("x-api-key", "another"), 400),
        (request2("DELETE", "/x", ""), 401),
        (request2("DELETE", "/x", "nonsense"), 401),
    ] {
        let shown = format!("{request:?}");
        // What HTTP/2 itself forbids may end as a reset of the stream.
        match caller.call(request, b"").await {
            Ok(answer) => assert_eq!(answer.status, status, "{shown}"),
            Err(error) => assert!(error.is_reset(), "{shown}: {error}"),
        }
    }
    assert_eq!(upstream.lines(), Vec::<String>::new());
    assert_eq!(caller.call(with("host", "api.test"), b"").await.unwrap().status, 200);
    assert_eq!(caller.call(request2("GET", "/fine", &key), b"").await.unwrap().status, 200);
}

#[tokio::test]
async fn an_authority_unlike_host_is_refused() {
    let upstream = Upstream::ok().await;
    let gate = TestGate::simple(&upstream);
    let key = gate.key("open").await;
    let mut caller = Caller2::connect(gate.address).await;
    let request =
        Request::builder().method("DELETE").uri("http://api.test/x").header("host", "other.test");
    let answer =
        caller.call(request.header("x-api-key", &key).body(()).unwrap(), b"").await.unwrap();
    assert_eq!(answer.refusal(), (400, "target_invalid".to_owned()));
    let crossed =
        Request::builder().method("DELETE").uri("http://user@api.test/x").header("x-api-key", &key);
    let status = caller.call(crossed.body(()).unwrap(), b"").await.map(|answer| answer.status);
    assert!(
        status.as_ref().is_err() || status.as_ref().is_ok_and(|status| *status == 400),
        "{status:?}"
    );
    assert!(upstream.seen().is_empty());
}

#[tokio::test]
async fn cookies_that_were_split_are_joined() {
    let upstream = Upstream::ok().await;
    let gate = TestGate::simple(&upstream);
    let mut request = request2("GET", "/x", &gate.key("open").await);
    for cookie in ["a=1", "b=2", "c=3"] {
        request.headers_mut().append("cookie", cookie.parse().unwrap());
    }
    let mut caller = Caller2::connect(gate.address).await;
    assert_eq!(caller.call(request, b"").await.unwrap().status, 200);
    let fields = upstream.seen().remove(0).fields;
    let cookies: Vec<_> = fields.iter().filter(|(name, _)| name == "cookie").collect();
    assert_eq!(cookies, [&("cookie".to_owned(), "a=1; b=2; c=3".to_owned())]);
}

#[tokio::test]
async fn bodies_and_trailers_cross_from_http2_to_http1_and_back() {
    let upstream = Upstream::start(|seen| {
        let mut bytes =
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n".to_vec();
        bytes.extend(format!("{:x}\r\n", seen.body.len()).as_bytes());
        bytes.extend(&seen.body);
        bytes.extend(b"\r\n0\r\nX-Sum: 7\r\n\r\n");
        Reply::Bytes(bytes)
    })
    .await;
    let gate = TestGate::simple(&upstream);
    let mut request = request2("POST", "/x", &gate.key("open").await);
    request.headers_mut().insert("trailer", "x-mark".parse().unwrap());
    request.headers_mut().insert("te", "trailers".parse().unwrap());
    let caller = Caller2::connect(gate.address).await;
    let mut sender = caller.sender.clone().ready().await.unwrap();
    let (response, mut stream) = sender.send_request(request, false).unwrap();
    let body = vec![b'a'; 50_000];
    stream.send_data(Bytes::from(body.clone()), false).unwrap();
    stream
        .send_trailers([("x-mark".parse().unwrap(), "1".parse().unwrap())].into_iter().collect())
        .unwrap();
    let answer = crate::harness::read_answer(response).await.unwrap();
    assert_eq!((answer.status, answer.body.len()), (200, body.len()));
    assert_eq!(answer.trailers, [("x-sum".to_owned(), "7".to_owned())]);
    let seen = upstream.seen().remove(0);
    assert_eq!((seen.body, seen.trailers), (body, vec![("x-mark".to_owned(), "1".to_owned())]));
}

/// As gRPC does: HTTP/2 on both sides, the outcome in the trailers.
#[tokio::test]
async fn trailers_pass_both_ways_over_http2() {
    let upstream = start2(|_| {
        Reply2::Answer(200, "\0\0\0\0\x02hi", vec![("grpc-status", "0"), ("grpc-message", "fine")])
    });
    let upstream = upstream.await;
    let mut api = api(&[upstream.origin()]);
    api.upstream.http2_prior_knowledge = true;
    let gate = TestGate::open(vec![api], vec![plan("open", &["10 per day"])], settings());
    let key = gate.key("open").await;
    let mut request = request2("POST", "/pkg.Service/Call", &key);
    request.headers_mut().insert("te", "trailers".parse().unwrap());
    request.headers_mut().insert("content-type", "application/grpc".parse().unwrap());
    let caller = Caller2::connect(gate.address).await;
    let mut sender = caller.sender.clone().ready().await.unwrap();
    let (response, mut stream) = sender.send_request(request, false).unwrap();
    stream.send_data(Bytes::from_static(b"\0\0\0\0\x02yo"), false).unwrap();
    let trailers =
        [("x-checksum", "1"), ("x-keystile-plan", "trusted"), ("x-forwarded-for", "6.6.6.6")];
    let trailers = trailers.map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()));
    stream.send_trailers(trailers.into_iter().collect()).unwrap();
    let answer = crate::harness::read_answer(response).await.unwrap();
    assert_eq!(answer.body, b"\0\0\0\0\x02hi");
    let trailer = |name: &str| {
        answer.trailers.iter().find(|(known, _)| known == name).map(|(_, value)| &**value)
    };
    assert_eq!((trailer("grpc-status"), trailer("grpc-message")), (Some("0"), Some("fine")));
    let seen = upstream.seen().remove(0);
    assert_eq!((seen.field("te"), seen.field(":authority")), (Some("trailers"), Some("api.test")));
    assert_eq!(
        seen.trailers,
        [("x-checksum".to_owned(), "1".to_owned())],
        "trailers cannot forge what fields cannot"
    );
    assert_eq!(gate.used(&key).await, 1);
}

#[tokio::test]
async fn a_refused_stream_leaves_the_others_alone() {
    let upstream = Upstream::ok().await;
    let mut api = api(&[upstream.origin()]);
    api.body_bytes_max = Some(1000);
    let body = BodyRule { kind: BodyKind::JsonRpc, cost_max: None };
    api.operations = vec![rule("POST /rpc", |rule| rule.body = Some(body))];
    let gate = TestGate::open(vec![api], vec![plan("open", &["10 per day"])], settings());
    let key = gate.key("open").await;
    let mut caller = Caller2::connect(gate.address).await;
    let big = vec![b'a'; 200_000];
    for (target, key, status) in [("/x", "", 401), ("/rpc", &*key, 400), ("/x", &key, 413)] {
        let body = if target == "/rpc" { &big[..10] } else { &big };
        let answer = caller.call(request2("POST", target, key), body).await.unwrap();
        assert_eq!(answer.status, status, "{target}");
        assert_eq!(
            caller.call(request2("GET", "/y", &gate.key("open").await), b"").await.unwrap().status,
            200
        );
    }
}

#[tokio::test]
async fn head_and_bodiless_answers_end_their_streams() {
    let upstream = Upstream::start(|seen| match (seen.method.as_str(), seen.target.as_str()) {
        ("HEAD", _) => Reply::Bytes(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n".to_vec()),
        (_, "/304") => Reply::Bytes(b"HTTP/1.1 304 Not Modified\r\nETag: \"a\"\r\n\r\n".to_vec()),
        _ => Reply::Bytes(b"HTTP/1.1 204 No Content\r\n\r\n".to_vec()),
    })
    .await;
    let gate = TestGate::simple(&upstream);
    let key = gate.key("open").await;
    let mut caller = Caller2::connect(gate.address).await;
    let head = caller.call(request2("HEAD", "/x", &key), b"").await.unwrap();
    assert_eq!(
        (head.status, head.field("content-length"), head.body.len()),
        (200, Some("1000"), 0)
    );
    assert_eq!(caller.call(request2("DELETE", "/204", &key), b"").await.unwrap().status, 204);
    let cached = caller.call(request2("GET", "/304", &key), b"").await.unwrap();
    assert_eq!((cached.status, cached.field("etag")), (304, Some("\"a\"")));
    assert_eq!(upstream.connections(), 1);
}

#[tokio::test]
async fn what_is_almost_a_preface_is_no_http2() {
    let upstream = Upstream::ok().await;
    let gate = TestGate::simple(&upstream);
    for bytes in [
        &b"PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n"[..],
        b"PRI * HTTP/1.1\r\nHost: a\r\n\r\n",
        b"PRI / HTTP/1.1\r\nHost: a\r\n\r\n",
    ] {
        let mut caller: Caller = gate.caller().await;
        caller.send(bytes).await;
        assert!(caller.answer().await.is_none_or(|answer| answer.status >= 400));
    }
    assert!(upstream.seen().is_empty());
}

//! Upstreams behind TLS: verified, or not spoken to.

use std::path::PathBuf;

use keystile_core::journal::Outcome;

use crate::harness::{
    Authority, Reply, Reply2, TestGate, Upstream, api, plan, settings, start2_tls,
};

fn gate(origin: String, trusted: Option<PathBuf>) -> TestGate {
    let mut api = api(&[origin]);
    api.upstream.trusted_certificates = trusted;
    TestGate::open(vec![api], vec![plan("open", &["10 per day"])], settings())
}

async fn is_refused(gate: &TestGate, upstream: &Upstream) {
    let key = gate.key("open").await;
    for method in ["GET", "DELETE"] {
        let answer = gate.call(method, "/x", &key, b"").await;
        assert_eq!(answer.refusal(), (502, "upstream_unreachable".to_owned()), "{method}");
    }
    assert!(upstream.seen().is_empty());
    assert_eq!(gate.outcomes().await, [Outcome::NotSent]);
    assert_eq!(gate.used(&key).await, 0, "given back");
}

#[tokio::test]
async fn a_certificate_of_an_unknown_authority_is_refused_and_nothing_sent() {
    let authority = Authority::new();
    let upstream = Upstream::start_tls(authority.acceptor("localhost", &[]), |_| Reply::ok()).await;
    is_refused(&gate(upstream.named_origin(), None), &upstream).await;
    is_refused(&gate(upstream.named_origin(), Some(Authority::new().file())), &upstream).await;
}

#[tokio::test]
async fn a_certificate_for_another_name_is_refused_and_nothing_sent() {
    let authority = Authority::new();
    let upstream =
        Upstream::start_tls(authority.acceptor("other.test", &[]), |_| Reply::ok()).await;
    is_refused(&gate(upstream.named_origin(), Some(authority.file())), &upstream).await;
}

#[tokio::test]
async fn a_certificate_for_an_address_is_held_to_the_address() {
    let authority = Authority::new();
    let upstream = Upstream::start_tls(authority.acceptor("127.0.0.1", &[]), |_| Reply::ok()).await;
    let fits = gate(upstream.origin(), Some(authority.file()));
    let key = fits.key("open").await;
    assert_eq!(fits.call("DELETE", "/x", &key, b"").await.status, 200);
    let other = gate(upstream.named_origin(), Some(authority.file()));
    let key = other.key("open").await;
    assert_eq!(other.call("DELETE", "/x", &key, b"").await.status, 502);
}

#[tokio::test]
async fn a_plain_upstream_at_an_https_origin_is_refused_and_nothing_sent() {
    let upstream = Upstream::ok().await;
    is_refused(&gate(upstream.named_origin(), None), &upstream).await;
}

#[tokio::test]
async fn a_trusted_certificate_is_accepted_and_the_protocol_negotiated() {
    let authority = Authority::new();
    let first =
        Upstream::start_tls(authority.acceptor("localhost", &["http/1.1"]), |_| Reply::ok()).await;
    let silent = Upstream::start_tls(authority.acceptor("localhost", &[]), |_| Reply::ok()).await;
    let second = start2_tls(authority.acceptor("localhost", &["h2", "http/1.1"]), |_| {
        Reply2::Answer(200, "ok", Vec::new())
    })
    .await;
    for upstream in [&first, &silent, &second] {
        let gate = gate(upstream.named_origin(), Some(authority.file()));
        let key = gate.key("open").await;
        for (method, body) in [("GET", &b""[..]), ("POST", b"body"), ("DELETE", b"")] {
            let answer = gate.call(method, "/x", &key, body).await;
            assert_eq!((answer.status, answer.text()), (200, "ok"));
        }
        assert_eq!(upstream.lines(), ["GET /x", "POST /x", "DELETE /x"]);
        assert_eq!(upstream.seen()[1].body, b"body");
        assert_eq!(gate.outcomes().await, [Outcome::Applied, Outcome::Applied]);
    }
    assert_eq!(second.seen()[0].field(":authority"), Some("api.test"));
}

#[tokio::test]
async fn a_certificate_file_that_cannot_be_read_refuses_the_call_and_gives_it_back() {
    let authority = Authority::new();
    let upstream = Upstream::start_tls(authority.acceptor("localhost", &[]), |_| Reply::ok()).await;
    is_refused(&gate(upstream.named_origin(), Some("/nonexistent/ca.pem".into())), &upstream).await;
}

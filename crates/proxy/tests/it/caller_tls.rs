//! Callers that come over TLS.

use tokio::net::TcpStream;

use crate::harness::{
    Authority, Caller, Caller2, TestGate, Upstream, api, plan, request2, settings, soon,
};

type Stream = tokio_rustls::client::TlsStream<TcpStream>;

async fn connect(
    gate: &TestGate,
    authority: &Authority,
    name: &str,
    protocols: &[&str],
) -> std::io::Result<Stream> {
    let stream = TcpStream::connect(gate.address).await.unwrap();
    let name = rustls::pki_types::ServerName::try_from(name.to_owned()).unwrap();
    soon("a handshake", authority.connector(protocols).connect(name, stream)).await
}

fn gate(upstream: &Upstream, authority: &Authority) -> TestGate {
    let mut settings = settings();
    settings.tls = Some(authority.issue("localhost"));
    TestGate::open(vec![api(&[upstream.origin()])], vec![plan("open", &["10 per day"])], settings)
}

#[tokio::test]
async fn alpn_chooses_the_protocol() {
    let (upstream, authority) = (Upstream::ok().await, Authority::new());
    let gate = gate(&upstream, &authority);
    let key = gate.key("open").await;
    for protocols in [&["h2", "http/1.1"][..], &["h2"]] {
        let stream = connect(&gate, &authority, "localhost", protocols).await.unwrap();
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
        let mut caller = Caller2::over(stream).await;
        assert_eq!(caller.call(request2("DELETE", "/x", &key), b"").await.unwrap().status, 200);
    }
    for protocols in [&["http/1.1"][..], &[]] {
        let stream = connect(&gate, &authority, "localhost", protocols).await.unwrap();
        assert_eq!(Caller::over(stream).call("DELETE", "/x", &key, b"").await.status, 200);
    }
    assert!(connect(&gate, &authority, "localhost", &["spdy/3"]).await.is_err());
    assert!(upstream.seen().iter().all(|seen| seen.field("x-forwarded-proto") == Some("https")));
}

#[tokio::test]
async fn links_in_refusals_are_https_where_the_caller_is() {
    let (upstream, authority) = (Upstream::ok().await, Authority::new());
    let gate = gate(&upstream, &authority);
    let stream = connect(&gate, &authority, "localhost", &[]).await.unwrap();
    let answer = Caller::over(stream).call("DELETE", "/x", "", b"").await;
    assert!(
        answer.problem()["type"].as_str().unwrap().starts_with("https://api.test/.well-known/")
    );
}

#[tokio::test]
async fn plain_bytes_on_a_tls_port_are_not_served() {
    let (upstream, authority) = (Upstream::ok().await, Authority::new());
    let gate = gate(&upstream, &authority);
    let key = gate.key("open").await;
    let mut caller = gate.caller().await;
    caller.send(&crate::harness::request("DELETE", "/x", &key, b"")).await;
    assert!(!caller.rest().await.starts_with(b"HTTP"));
    assert!(upstream.seen().is_empty());
}

#[tokio::test]
async fn a_renewed_certificate_is_served_without_a_restart_and_a_broken_one_is_not() {
    let (upstream, authority) = (Upstream::ok().await, Authority::new());
    let mut settings = settings();
    let files = authority.issue("localhost");
    settings.tls = Some(files.clone());
    let gate = TestGate::open(
        vec![api(&[upstream.origin()])],
        vec![plan("open", &["10 per day"])],
        settings,
    );
    let running = gate.gate.as_ref().unwrap();
    let shown = async || {
        let stream = connect(&gate, &authority, "localhost", &[]).await.unwrap();
        stream.get_ref().1.peer_certificates().unwrap()[0].clone()
    };
    let first = shown().await;
    assert_eq!(shown().await, first);
    let mut open = Caller::over(connect(&gate, &authority, "localhost", &[]).await.unwrap());
    std::fs::write(&files.key, "not a key").unwrap();
    assert!(running.refresh_certificates().is_err());
    assert_eq!(shown().await, first, "the present one stays");
    authority.issue("localhost");
    running.refresh_certificates().unwrap();
    let second = shown().await;
    assert_ne!(second, first);
    running.refresh_certificates().unwrap();
    assert_eq!(shown().await, second);
    let key = gate.key("open").await;
    assert_eq!(open.call("GET", "/x", &key, b"").await.status, 200, "open connections go on");
}

#[tokio::test]
async fn a_certificate_that_does_not_fit_its_key_opens_no_gate() {
    let (upstream, authority) = (Upstream::ok().await, Authority::new());
    let gate = TestGate::simple(&upstream);
    let mut settings = settings();
    let mut files = authority.issue("localhost");
    files.key = authority.issue("other").key;
    settings.tls = Some(files);
    let error = keystile_proxy::Gate::open(&gate.engine, settings).unwrap_err();
    assert!(error.to_string().contains("do not go together"), "{error}");
}

//! Webhooks, chats and push services that answer badly.

use keystile_core::time::Span;
use keystile_engine::notifications::claimed::Receiver;
use keystile_store::owners::devices::SubscriptionRow;

use super::*;

const LOOPBACK: &[&str] = &["127.0.0.0/8"];
const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// Reads one request: its head, and its body as far as Content-Length says.
async fn request(stream: &mut (impl AsyncRead + Unpin)) -> String {
    let mut bytes = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
            if body.len() >= length.map_or(0, |length| length.parse().unwrap()) {
                return text;
            }
        }
        let mut more = [0; 4096];
        let read = stream.read(&mut more).await.unwrap();
        assert_ne!(read, 0, "the request ended early: {text}");
        bytes.extend_from_slice(&more[..read]);
    }
}

/// Answers one request with these bytes, and says what it was asked.
async fn answering(answer: &'static str) -> (u16, JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let asked = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let asked = request(&mut stream).await;
        stream.write_all(answer.as_bytes()).await.unwrap();
        asked
    });
    (port, asked)
}

fn webhook(url: &str) -> Box<dyn Destination> {
    made("webhook", None, &[("url", url)], &[("secret", SECRET)])
}

fn subscription(port: u16) -> Box<dyn Destination> {
    let device = SubscriptionRow {
        id: "device_00000000000000000000000000000000".parse().unwrap(),
        owner: "owner_00000000000000000000000000000000".parse().unwrap(),
        push_address: format!("http://127.0.0.1:{port}/push/TOKEN"),
        p256dh: "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4"
            .to_owned(),
        auth: "BTBZMqHH6r4Tts7J_aSIgg".to_owned(),
        label: "phone".to_owned(),
        created: NOW,
        used: None,
    };
    made("web_push", Some(&Receiver::Device(Box::new(device))), &[], &[])
}

async fn sent(destination: &dyn Destination) -> AttemptOutcome {
    sender(LOOPBACK, None).send(destination, &example(), NOW).await
}

async fn sent_in_haste(destination: &dyn Destination) -> AttemptOutcome {
    sender_within(HASTY, LOOPBACK, None).send(destination, &example(), NOW).await
}

#[tokio::test]
async fn a_webhook_gets_a_signed_document() {
    let (port, asked) = answering("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nthanks").await;
    let accepted = sent(&*webhook(&format!("http://127.0.0.1:{port}/hook?a=b"))).await;
    assert_eq!(accepted.said(), "200 OK thanks");
    let asked = asked.await.unwrap();
    assert!(asked.starts_with("POST /hook?a=b HTTP/1.1\r\n"), "{asked}");
    for field in
        ["webhook-id: msg_0190f5c0", "webhook-timestamp: 1795500000", "webhook-signature: v1,"]
    {
        assert!(asked.contains(&format!("\r\n{field}")), "{asked}");
    }
    assert!(asked.contains(&format!("\r\nhost: 127.0.0.1:{port}\r\n")), "{asked}");
    assert!(asked.contains(r#""type":"key.locked""#), "{asked}");
}

#[tokio::test]
async fn nothing_is_sent_to_an_address_inside() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let sender = sender(&["10.0.0.0/8"], None);
    for url in [
        "https://127.0.0.1",
        "http://127.0.0.1",
        "https://[::ffff:127.0.0.1]",
        "https://hook.example",
    ] {
        let refused = sender.send(&*webhook(&format!("{url}:{port}/")), &example(), NOW).await;
        let AttemptOutcome::Never { said } = refused else { panic!("{refused:?}") };
        assert!(said.contains("this machine"), "{said}");
    }
    let connected = tokio::time::timeout(Duration::from_millis(50), listener.accept()).await;
    assert!(connected.is_err(), "a connection was made");
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let elsewhere = listener.local_addr().unwrap();
    let answer = format!(
        "HTTP/1.1 307 Temporary Redirect\r\nLocation: http://{elsewhere}/\r\nContent-Length: 0\r\n\r\n"
    );
    let (port, _) = answering(answer.leak()).await;
    let refused = sent(&*webhook(&format!("http://127.0.0.1:{port}/"))).await;
    let AttemptOutcome::Never { said } = refused else { panic!("{refused:?}") };
    assert!(
        said.contains(&elsewhere.to_string()) && said.contains("write the new address"),
        "{said}"
    );
    let connected = tokio::time::timeout(Duration::from_millis(50), listener.accept()).await;
    assert!(connected.is_err(), "the redirect was followed");
}

#[tokio::test]
async fn an_answer_without_end_costs_no_memory_and_takes_nothing_back() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let written = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        request(&mut stream).await;
        let head = "HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n";
        stream.write_all(head.as_bytes()).await.unwrap();
        let block = vec![b'x'; 64 * 1024];
        let mut written = 0;
        while written < 1_000_000_000 && stream.write_all(&block).await.is_ok() {
            written += block.len();
        }
        written
    });
    let accepted = sent(&*webhook(&format!("http://127.0.0.1:{port}/"))).await;
    assert!(accepted.said().starts_with("200 OK xxx") && accepted.said().chars().count() <= 500);
    let written = written.await.unwrap();
    assert!(written < 100_000_000, "{written} bytes were taken");
}

#[tokio::test]
async fn a_head_without_end_is_given_up() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        request(&mut stream).await;
        stream.write_all(b"HTTP/1.1 200 OK\r\n").await.unwrap();
        while stream.write_all(b"x-more: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n").await.is_ok() {}
    });
    let refused = sent(&*webhook(&format!("http://127.0.0.1:{port}/"))).await;
    assert!(matches!(refused, AttemptOutcome::Later { .. }), "{refused:?}");
}

#[tokio::test]
async fn a_peer_that_hangs_is_left_after_the_deadline() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let refused = sent_in_haste(&*webhook(&format!("http://127.0.0.1:{port}/"))).await;
    let AttemptOutcome::Later { said, retry_after: None } = refused else { panic!("{refused:?}") };
    assert!(said.contains("did not answer within 1s"), "{said}");
    // And the connection is not kept.
    let (mut stream, _) = listener.accept().await.unwrap();
    let mut heard = Vec::new();
    let end = tokio::time::timeout(Duration::from_secs(5), stream.read_to_end(&mut heard));
    assert!(end.await.is_ok(), "the connection stays open");
}

#[tokio::test]
async fn a_body_that_hangs_takes_nothing_back() {
    let (port, _) = answering("HTTP/1.1 202 Accepted\r\nContent-Length: 10\r\n\r\nha").await;
    let accepted = sent_in_haste(&*webhook(&format!("http://127.0.0.1:{port}/"))).await;
    assert_eq!(accepted.said(), "202 Accepted ha");
}

#[tokio::test]
async fn a_connection_that_is_cut_is_tried_again() {
    let (port, _) = answering("").await;
    let refused = sent(&*webhook(&format!("http://127.0.0.1:{port}/"))).await;
    assert!(matches!(refused, AttemptOutcome::Later { retry_after: None, .. }), "{refused:?}");
    // Nobody listens any more.
    let refused = sent(&*webhook(&format!("http://127.0.0.1:{port}/"))).await;
    assert!(matches!(refused, AttemptOutcome::Later { retry_after: None, .. }), "{refused:?}");
}

#[tokio::test]
async fn a_receiver_that_is_gone_says_so() {
    let gone = "HTTP/1.1 410 Gone\r\nContent-Length: 0\r\n\r\n";
    let (port, _) = answering(gone).await;
    let refused = sent(&*webhook(&format!("http://127.0.0.1:{port}/"))).await;
    assert!(matches!(refused, AttemptOutcome::Gone { .. }), "{refused:?}");
    let (port, _) = answering("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n").await;
    let refused = sent(&*subscription(port)).await;
    assert!(matches!(refused, AttemptOutcome::Gone { .. }), "{refused:?}");
}

#[tokio::test]
async fn a_peer_that_asks_for_a_pause_is_given_it() {
    let busy = "HTTP/1.1 429 Too Many Requests\r\nRetry-After: 90\r\nContent-Length: 0\r\n\r\n";
    let (port, _) = answering(busy).await;
    let refused = sent(&*webhook(&format!("http://127.0.0.1:{port}/"))).await;
    let AttemptOutcome::Later { retry_after, .. } = refused else { panic!("{refused:?}") };
    assert_eq!(retry_after, Some(Span::from_secs(90)));
}

#[tokio::test]
async fn a_push_service_gets_what_it_needs_and_nothing_to_read() {
    let (port, asked) = answering("HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n").await;
    assert_eq!(sent(&*subscription(port)).await.name(), "sent");
    let asked = asked.await.unwrap();
    assert!(asked.starts_with("POST /push/TOKEN HTTP/1.1\r\n"), "{asked}");
    for field in
        ["content-encoding: aes128gcm", "ttl: 259200", "urgency: high", "authorization: vapid t="]
    {
        assert!(asked.contains(&format!("\r\n{field}")), "{asked}");
    }
    assert!(!asked.contains("LOCKED"));
}

/// A kind, its settings, and what its service reads.
type Case = (&'static str, &'static [(&'static str, &'static str)], &'static [&'static str]);

#[tokio::test]
async fn each_service_is_posted_to_where_it_listens() {
    let token = [("token", "SECRET")];
    let cases: [Case; 5] = [
        (
            "ntfy",
            &[("topic", "TOPIC")],
            &["POST / HTTP", "authorization: Bearer SECRET", r#""topic":"TOPIC""#],
        ),
        ("gotify", &[], &["POST /message HTTP", "x-gotify-key: SECRET"]),
        ("telegram", &[("chat", "-1")], &["POST /botSECRET/sendMessage HTTP", r#""chat_id":"-1""#]),
        (
            "pushover",
            &[("user", "SECRET")],
            &["POST /1/messages.json HTTP", r#""token":"SECRET""#, r#""user":"SECRET""#],
        ),
        (
            "matrix",
            &[("room", "!r/x:h")],
            &[
                "PUT /_matrix/client/v3/rooms/!r%2Fx:h/send/m.room.message/msg_0190f5c0 HTTP",
                "authorization: Bearer SECRET",
            ],
        ),
    ];
    for (kind, texts, parts) in cases {
        // A service that repeats its token is quoted without it.
        let said = "HTTP/1.1 400 Bad Request\r\nContent-Length: 17\r\n\r\nno such SECRET :(";
        let (port, asked) = answering(said).await;
        let url = format!("http://127.0.0.1:{port}/");
        let texts = [&[("url", url.as_str())], texts].concat();
        let refused = sent(&*made(kind, None, &texts, &token)).await;
        let asked = asked.await.unwrap();
        for part in parts {
            assert!(asked.contains(part), "{part}: {asked}");
        }
        let AttemptOutcome::Never { said } = refused else { panic!("{refused:?}") };
        assert!(said.starts_with("400 Bad Request no such [redacted]"), "{said}");
    }
}

#[tokio::test]
async fn a_hook_that_repeats_its_address_is_quoted_without_it() {
    let said = "HTTP/1.1 400 Bad Request\r\nContent-Length: 15\r\n\r\nno /T0/SECRET ?";
    let (port, asked) = answering(said).await;
    let url = format!("http://127.0.0.1:{port}/T0/SECRET");
    let refused = sent(&*made("slack", None, &[], &[("url", &url)])).await;
    assert!(asked.await.unwrap().contains(r#""blocks":["#));
    assert_eq!(
        refused,
        AttemptOutcome::Never { said: "400 Bad Request no [redacted] ?".to_owned() }
    );
}

#[tokio::test]
async fn https_is_verified_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let (acceptor, file) = tls(folder.path());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let Ok(mut stream) = acceptor.accept(stream).await else { continue };
            request(&mut stream).await;
            stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await.unwrap();
            stream.shutdown().await.unwrap();
        }
    });
    let channel = webhook(&format!("https://hook.example:{port}/"));
    let unknown = sender(LOOPBACK, None).send(&*channel, &example(), NOW).await;
    let AttemptOutcome::Later { said, .. } = unknown else { panic!("{unknown:?}") };
    assert!(said.contains("certificate"), "{said}");
    let sender = sender(LOOPBACK, Some(file));
    assert_eq!(sender.send(&*channel, &example(), NOW).await.said(), "204 No Content");
}

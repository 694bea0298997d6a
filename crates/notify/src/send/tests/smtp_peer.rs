//! Mail servers that refuse, wait, hang, and cut the connection.

use tokio::io::{AsyncBufReadExt as _, BufReader};

use keystile_engine::notifications::claimed::Receiver;

use super::*;

/// What a scripted server does.
#[derive(Clone)]
struct Script {
    greeting: &'static str,
    /// What it offers after EHLO.
    offers: &'static str,
    to_auth: &'static str,
    to_rcpt: &'static str,
    /// After the mail's last line; empty cuts the connection.
    to_data: &'static str,
    starttls: Option<TlsAcceptor>,
}

const GOOD: Script = Script {
    greeting: "220 mail.example ESMTP",
    offers: "8BITMIME",
    to_auth: "235 2.7.0 welcome",
    to_rcpt: "250 2.1.5 ok",
    to_data: "250 2.0.0 queued as 1\u{1b}[2J",
    starttls: None,
};

/// Serves one connection; gives all that it was sent, line by line.
async fn serving(script: Script) -> (u16, JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let heard = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut heard = Vec::new();
        stream.write_all(format!("{}\r\n", script.greeting).as_bytes()).await.unwrap();
        let Some(stream) = conversation(stream, &script, &mut heard).await else {
            return heard;
        };
        if let Some(acceptor) = script.starttls.clone()
            && let Ok(stream) = acceptor.accept(stream).await
        {
            heard.push("(TLS)".to_owned());
            let script = Script { starttls: None, ..script };
            conversation(stream, &script, &mut heard).await;
        }
        heard
    });
    (port, heard)
}

/// Talks until the client goes, or asks for TLS, for which the stream is given back.
async fn conversation<S>(stream: S, script: &Script, heard: &mut Vec<String>) -> Option<S>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut stream = BufReader::new(stream);
    let mut is_in_data = false;
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).await.unwrap_or(0) == 0 {
            return None;
        }
        let line = line.trim_end_matches(['\r', '\n']).to_owned();
        heard.push(line.clone());
        let verb = line.split(' ').next().unwrap();
        let answer = match verb {
            "." if is_in_data => {
                is_in_data = false;
                if script.to_data.is_empty() {
                    return None;
                }
                script.to_data.to_owned()
            }
            _ if is_in_data => continue,
            "EHLO" if script.starttls.is_some() => "250-mail.example\r\n250 STARTTLS".to_owned(),
            "EHLO" => format!("250-mail.example\r\n250 {}", script.offers),
            "STARTTLS" => {
                stream.write_all(b"220 go on\r\n").await.unwrap();
                return Some(stream.into_inner());
            }
            "AUTH" => script.to_auth.to_owned(),
            "RCPT" => script.to_rcpt.to_owned(),
            "DATA" => {
                is_in_data = true;
                "354 go on".to_owned()
            }
            _ => "250 2.0.0 ok".to_owned(),
        };
        if stream.write_all(format!("{answer}\r\n").as_bytes()).await.is_err() {
            return None;
        }
    }
}

fn email(url: &str, password: Option<&str>) -> Box<dyn Destination> {
    let receiver = Receiver::Address("me@example.org".to_owned());
    let password = password.map(|password| ("password", password));
    let texts = [("from", "keystile@example.org"), ("smtp", url)];
    made("email", Some(&receiver), &texts, password.as_slice())
}

/// Sends the example to a server that follows the script.
async fn sent(script: Script) -> (AttemptOutcome, Vec<String>) {
    let (port, heard) = serving(script).await;
    let channel = email(&format!("smtp://127.0.0.1:{port}"), None);
    let outcome = sender(&[], None).send(&*channel, &example(), NOW).await;
    (outcome, heard.await.unwrap())
}

#[tokio::test]
async fn a_mail_that_is_taken_is_accepted() {
    let (outcome, heard) = sent(GOOD).await;
    assert_eq!(outcome.said(), "250 2.0.0 queued as 1\\u{1b}[2J");
    assert_eq!(heard[0], "EHLO gate.example.org");
    assert!(heard[1].starts_with("MAIL FROM:<keystile@example.org>"), "{heard:?}");
    assert_eq!(heard[2], "RCPT TO:<me@example.org>");
    assert!(heard.contains(&"Message-ID: <msg_0190f5c0@gate.example.org>".to_owned()), "{heard:?}");
}

#[tokio::test]
async fn a_refusal_is_final_only_when_the_server_says_so() {
    let cases = [
        (Script { to_rcpt: "450 4.2.0 greylisted, come back", ..GOOD }, "later", "greylisted"),
        (Script { to_rcpt: "550 5.1.1 no such user", ..GOOD }, "never", "no such user"),
        (Script { greeting: "421 too busy", ..GOOD }, "later", "too busy"),
        (Script { greeting: "554 not you", ..GOOD }, "never", "not you"),
        (Script { to_data: "451 4.3.0 disk full", ..GOOD }, "later", "disk full"),
        (Script { to_data: "554 5.7.1 spam", ..GOOD }, "never", "spam"),
        (Script { greeting: "what is this", ..GOOD }, "later", "127.0.0.1"),
    ];
    for (script, expected, words) in cases {
        let (outcome, _) = sent(script).await;
        assert!(outcome.name() == expected && outcome.said().contains(words), "{outcome:?}");
    }
}

#[tokio::test]
async fn a_mail_that_may_have_been_taken_is_sent_again_as_the_same_mail() {
    let mail = |heard: Vec<String>| {
        let start = heard.iter().position(|line| line == "DATA").unwrap();
        let end = heard.iter().position(|line| line == ".").unwrap();
        heard[start..end].to_vec()
    };
    let (outcome, first) = sent(Script { to_data: "", ..GOOD }).await;
    assert!(matches!(outcome, AttemptOutcome::Later { .. }), "{outcome:?}");
    let (outcome, second) = sent(GOOD).await;
    assert!(matches!(outcome, AttemptOutcome::Sent { .. }), "{outcome:?}");
    assert_eq!(mail(first), mail(second));
}

#[tokio::test]
async fn a_server_that_hangs_is_left_after_the_deadline() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let channel = email(&format!("smtp://127.0.0.1:{port}"), None);
    let refused = sender_within(HASTY, &[], None).send(&*channel, &example(), NOW).await;
    let AttemptOutcome::Later { said, .. } = refused else { panic!("{refused:?}") };
    assert!(said.contains("did not finish within 1s"), "{said}");
    // Nobody listens.
    drop(listener);
    let refused = sender(&[], None).send(&*channel, &example(), NOW).await;
    assert!(matches!(refused, AttemptOutcome::Later { .. }), "{refused:?}");
}

#[tokio::test]
async fn nothing_is_said_to_a_server_that_has_no_tls() {
    let (port, heard) = serving(GOOD).await;
    let channel = email(&format!("smtp://me@127.0.0.1:{port}?tls=required"), Some("PASSWORD"));
    let refused = sender(&[], None).send(&*channel, &example(), NOW).await;
    assert!(matches!(refused, AttemptOutcome::Later { .. }), "{refused:?}");
    let heard = heard.await.unwrap();
    assert!(heard.iter().all(|line| line.starts_with("EHLO") || line == "QUIT"), "{heard:?}");
}

#[tokio::test]
async fn a_password_is_said_inside_tls_and_never_repeated() {
    let folder = tempfile::tempdir().unwrap();
    let (acceptor, file) = tls(folder.path());
    let script = Script {
        starttls: Some(acceptor),
        offers: "AUTH PLAIN LOGIN",
        to_auth: "535 5.7.8 wrong password",
        ..GOOD
    };
    for (ca_file, to_auth) in
        [(None, script.to_auth), (Some(file.clone()), script.to_auth), (Some(file), GOOD.to_auth)]
    {
        let (port, heard) = serving(Script { to_auth, ..script.clone() }).await;
        let channel = email(&format!("smtp://me@127.0.0.1:{port}?tls=required"), Some("PASSWORD"));
        let is_trusted = ca_file.is_some();
        let outcome = sender(&[], ca_file).send(&*channel, &example(), NOW).await;
        let heard = heard.await.unwrap();
        let at = |part: &str| heard.iter().position(|line| line.starts_with(part));
        match outcome {
            AttemptOutcome::Sent { .. } => {
                assert!(to_auth == GOOD.to_auth && at("DATA") > at("AUTH PLAIN"));
            }
            AttemptOutcome::Never { said } => {
                assert!(said.contains("wrong password") && !said.contains("PASSWORD"), "{said}");
                assert!(at("(TLS)").is_some() && at("(TLS)") < at("AUTH PLAIN"), "{heard:?}");
                assert_eq!(at("DATA"), None);
            }
            AttemptOutcome::Later { .. } => {
                assert!(!is_trusted && at("AUTH").is_none(), "{heard:?}");
            }
            AttemptOutcome::Gone { said } => panic!("{said}"),
        }
    }
}

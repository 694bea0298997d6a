//! The message as MIME.
//!
//! All attempts of a delivery are the same mail to the byte, so that a server that took it before the
//! connection was cut can drop the repeat by its Message-ID.

use std::time::{Duration, SystemTime};

use lettre::message::header::{ContentType, HeaderName, HeaderValue};
use lettre::message::{MultiPart, SinglePart};

use super::settings::Email;
use super::{html, text};
use crate::message::{Message, Urgency};
use crate::render::Shown;
use crate::send::host::is_qualified;

/// The right side of ids: the console's name, or that of the sender where the console has none that other
/// machines know.
pub(super) fn host_for<'a>(settings: &'a Email, console: &'a str) -> &'a str {
    let domain = settings.from.email.domain();
    // An id is ASCII; a name in another script, or an address, is no better than ours.
    let is_plain = domain.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-'));
    if is_qualified(console) || !is_plain { console } else { domain }
}

/// The mail, the same for every attempt.
pub(super) fn mail(
    settings: &Email,
    message: &Message,
    shown: &Shown,
    host: &str,
) -> Result<lettre::Message, lettre::error::Error> {
    // The first mail of a thread is never sent: all answer to the same id, in whatever order they come.
    let thread = format!("<{}@{host}>", local_part(&message.thread));
    let mut mail = lettre::Message::builder()
        .from(settings.from.clone())
        .to(settings.to.clone())
        .subject(shown.title.clone())
        .message_id(Some(format!("<{}@{host}>", local_part(&message.id))))
        .in_reply_to(thread.clone())
        .references(thread)
        .date(
            SystemTime::UNIX_EPOCH + Duration::from_millis(message.time.0.try_into().unwrap_or(0)),
        )
        .raw_header(header("List-Id", format!("Keystile <alerts.{host}>")))
        .raw_header(header("Auto-Submitted", "auto-generated".to_owned()))
        // Exchange answers to machines unless it is asked not to.
        .raw_header(header("X-Auto-Response-Suppress", "All".to_owned()));
    if message.urgency == Urgency::High {
        mail = mail.raw_header(header("Importance", "high".to_owned()));
    }
    if let Some(url) = &shown.unsubscribe {
        mail = mail.raw_header(header("List-Unsubscribe", format!("<{url}>")));
        // One click is for https only (RFC 8058, section 3.1).
        if url.starts_with("https://") {
            let one_click = "List-Unsubscribe=One-Click".to_owned();
            mail = mail.raw_header(header("List-Unsubscribe-Post", one_click));
        }
    }
    // A boundary of our own instead of a random one: the mail stays the same to the byte.
    let boundary = format!("=_{}", local_part(&message.id));
    let part = |kind: ContentType, body: String| SinglePart::builder().header(kind).body(body);
    let both = MultiPart::alternative().boundary(boundary);
    mail.multipart(
        both.singlepart(part(ContentType::TEXT_PLAIN, text::mail(shown, host)))
            .singlepart(part(ContentType::TEXT_HTML, html::mail(shown, host))),
    )
}

/// A field whose value is ASCII without a break: ours, or an address that `url` wrote.
fn header(name: &'static str, value: String) -> HeaderValue {
    debug_assert!(value.bytes().all(|byte| (0x20..0x7f).contains(&byte)), "{name}: {value}");
    let encoded = value.clone();
    HeaderValue::dangerous_new_pre_encoded(HeaderName::new_from_ascii_str(name), value, encoded)
}

/// An id as the left side of a Message-ID: only what needs no quotes.
fn local_part(id: &str) -> String {
    let is_plain = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    let plain = id.chars().filter(is_plain).take(64).collect::<String>();
    if plain.is_empty() { "none".to_owned() } else { plain }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::channel::email::settings::mailbox;
    use crate::render::{example, hostile};
    use crate::send::smtp::SmtpServer;
    use proptest::prelude::*;

    fn settings() -> Email {
        Email {
            to: mailbox("Me <me@example.org>").unwrap(),
            from: mailbox("keystile@example.org").unwrap(),
            smtp: SmtpServer::parse("smtp://localhost", None).unwrap(),
        }
    }

    fn written(message: &Message) -> String {
        let mail = mail(&settings(), message, &Shown::of(message), "gate.example.org").unwrap();
        String::from_utf8(mail.formatted()).unwrap()
    }

    #[test]
    fn a_lock_is_a_mail_to_be_glad_of() {
        insta::assert_snapshot!(written(&example()).replace("\r\n", "\n"));
    }

    #[test]
    fn a_digest_can_be_ended_with_one_click() {
        let url = format!("https://gate.example.org/stop/{}", "a".repeat(300));
        let mail = written(&Message { unsubscribe: Some(url.clone()), ..example() });
        assert!(mail.contains(&format!("\r\nList-Unsubscribe: <{url}>\r\n")), "{mail}");
        assert!(mail.contains("\r\nList-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n"));
        assert!(!written(&example()).contains("List-Unsubscribe"));
        let plain = Some("http://127.0.0.1:7080/stop/abc".to_owned());
        let mail = written(&Message { unsubscribe: plain, ..example() });
        assert!(mail.contains("List-Unsubscribe: <http://") && !mail.contains("One-Click"));
    }

    #[test]
    fn every_attempt_is_the_same_mail() {
        assert_eq!(written(&example()), written(&example()));
        let other = written(&Message { id: "msg_other".to_owned(), ..example() });
        let line = |mail: &str, name: &str| {
            mail.lines().find(|line| line.starts_with(name)).unwrap().to_owned()
        };
        assert_ne!(line(&other, "Message-ID"), line(&written(&example()), "Message-ID"));
        assert_eq!(line(&other, "References"), line(&written(&example()), "References"));
    }

    #[test]
    fn nobody_is_known_by_the_name_localhost() {
        for (host, name) in [
            ("gate.example.org", "gate.example.org"),
            ("localhost", "example.org"),
            ("a.localhost", "example.org"),
            ("127.0.0.1", "example.org"),
            ("gate", "example.org"),
        ] {
            assert_eq!(host_for(&settings(), host), name);
        }
    }

    proptest! {
        #[test]
        fn no_text_becomes_a_header_or_ends_one(message in hostile(), id in any::<String>(), thread in any::<String>()) {
            let mail = written(&Message { id, thread, ..message });
            let (head, _) = mail.split_once("\r\n\r\n").unwrap();
            for line in head.split("\r\n") {
                prop_assert!(line.len() <= 998, "{}", line);
                prop_assert!(!line.contains(['\r', '\n']) && line.is_ascii(), "{:?}", line);
                if line.starts_with(' ') {
                    continue;
                }
                let name = line.split_once(':').map_or("", |(name, _)| name);
                prop_assert!(
                    ["From", "To", "Subject", "Message-ID", "In-Reply-To", "References", "Date", "List-Id",
                     "Auto-Submitted", "X-Auto-Response-Suppress", "Importance", "List-Unsubscribe",
                     "List-Unsubscribe-Post", "MIME-Version", "Content-Type"].contains(&name),
                    "{:?}", line
                );
            }
        }
    }
}

//! Standard Webhooks: a JSON document that its receiver can verify.
//! <https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md>

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use http::HeaderName;
use keystile_core::time::Timestamp;
use ring::hmac;
use serde_json::{Value, json};

use super::http::{HttpRequest, Peer};
use crate::channel::{HookUrl, WebhookSecrets};
use crate::message::Message;
use crate::render::Shown;

const ID: HeaderName = HeaderName::from_static("webhook-id");
const TIMESTAMP: HeaderName = HeaderName::from_static("webhook-timestamp");
const SIGNATURE: HeaderName = HeaderName::from_static("webhook-signature");

/// The signed request. The id is the delivery's, the timestamp the attempt's.
pub(super) fn request(
    url: &HookUrl,
    secrets: &WebhookSecrets,
    message: &Message,
    shown: &Shown,
    now: Timestamp,
) -> HttpRequest {
    let secs = now.0.div_euclid(1000).to_string();
    let request = HttpRequest::json(Peer::Webhook, url.url().clone(), &document(message, shown));
    let signatures = signatures(secrets, &message.id, &secs, &request.body);
    let request = request.hiding_address();
    request.with(ID, &message.id).with(TIMESTAMP, &secs).with(SIGNATURE, &signatures)
}

/// One signature for each secret, so that a receiver with either verifies it.
fn signatures(secrets: &WebhookSecrets, id: &str, secs: &str, body: &[u8]) -> String {
    let signatures = secrets.keys().iter().map(|key| {
        let mut signed = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, key));
        signed.update(format!("{id}.{secs}.").as_bytes());
        signed.update(body);
        format!("v1,{}", BASE64_STANDARD.encode(signed.sign()))
    });
    signatures.collect::<Vec<_>>().join(" ")
}

/// The document: `type`, `timestamp` and `data`, as the specification recommends.
fn document(message: &Message, shown: &Shown) -> Value {
    let facts = shown.facts.iter().map(|(name, value)| json!({ "name": name, "value": value }));
    let writes = shown.writes.iter().zip(&message.writes).map(|(shown, write)| {
        json!({
            "time": write.time,
            "method": shown.method,
            "path": shown.path,
            "outcome": write.outcome,
            "application": shown.who,
        })
    });
    let links = shown
        .links
        .iter()
        .map(|link| json!({ "label": link.label, "url": link.url, "acts": link.is_act }));
    json!({
        "type": message.event_type(),
        "timestamp": message.time,
        "data": {
            "title": shown.title,
            "text": shown.sentence,
            "thread": message.thread,
            "urgency": message.urgency,
            "facts": facts.collect::<Vec<_>>(),
            "writes": writes.collect::<Vec<_>>(),
            "links": links.collect::<Vec<_>>(),
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::{example, hostile};
    use proptest::prelude::*;

    const ONE: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

    #[test]
    fn the_signature_is_that_of_the_standard() {
        let secrets: WebhookSecrets = ONE.parse().unwrap();
        let signature = signatures(
            &secrets,
            "msg_p5jXN8AQM9LWM0D4loKWxJek",
            "1614265330",
            br#"{"test": 2432232314}"#,
        );
        assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn a_message_is_signed_with_every_secret() {
        let two = format!("{ONE}\nwhsec_U0VDUkVUU0VDUkVUU0VDUkVUU0VDUkVU");
        let (url, secrets) = ("https://h/".parse().unwrap(), two.parse().unwrap());
        let message = example();
        let request =
            request(&url, &secrets, &message, &Shown::of(&message), Timestamp(1_795_500_000_999));
        assert_eq!(request.headers["webhook-id"], "msg_0190f5c0");
        assert_eq!(request.headers["webhook-timestamp"], "1795500000");
        let signatures = request.headers["webhook-signature"].to_str().unwrap();
        assert_eq!(signatures.split(' ').filter(|one| one.starts_with("v1,")).count(), 2);
    }

    #[test]
    fn the_document_says_what_the_mail_says() {
        let message = example();
        let document = document(&message, &Shown::of(&message));
        insta::assert_snapshot!(serde_json::to_string_pretty(&document).unwrap());
    }

    proptest! {
        /// The specification asks for less than 20 KB, and receivers may refuse more.
        #[test]
        fn every_document_is_small(message in hostile()) {
            let length = document(&message, &Shown::of(&message)).to_string().len();
            prop_assert!(length <= 32 * 1024, "{}", length);
        }
    }
}

//! Standard Webhooks: a JSON document that its receiver can verify.
//! <https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md>

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use http::HeaderName;
use keystile_core::notifications::channel::ChannelSettings;
use keystile_core::notifications::delivery::AttemptOutcome;
use keystile_engine::notifications::claimed::Receiver;
use ring::hmac;
use serde_json::{Value, json};
use url::Url;

use super::kind::{Attempt, ChannelKind, Destination, Destined, Field, Outgoing, one, url_setting};
use super::value::{ChannelFault, HookUrl, secret_text};
use crate::message::Message;
use crate::render::Shown;
use crate::send::http::{HttpRequest, Peer};

pub(super) const KIND: ChannelKind = ChannelKind {
    name: "webhook",
    about: "A request in the form of Standard Webhooks.",
    fields: &[Field::url(), Field::secret("secret")],
    target: url_setting,
    audience: one,
    destination,
};

const ID: HeaderName = HeaderName::from_static("webhook-id");
const TIMESTAMP: HeaderName = HeaderName::from_static("webhook-timestamp");
const SIGNATURE: HeaderName = HeaderName::from_static("webhook-signature");

/// One receiver.
#[derive(Debug)]
struct Webhook {
    /// Where it listens.
    url: HookUrl,
    /// What it verifies with.
    secrets: WebhookSecrets,
}

fn destination(settings: &ChannelSettings, _: Option<&Receiver>) -> Destined {
    let secrets = secret_text(settings, "secret")?.parse()?;
    Ok(Box::new(Webhook { url: settings.text("url").parse()?, secrets }))
}

impl Destination for Webhook {
    fn url(&self) -> Option<&Url> {
        Some(self.url.url())
    }

    /// The id is the delivery's, the timestamp the attempt's.
    fn outgoing(&self, attempt: &Attempt<'_>) -> Result<Outgoing, AttemptOutcome> {
        let id = &attempt.message.id;
        let secs = attempt.now.0.div_euclid(1000).to_string();
        let document = document(attempt.message, attempt.shown);
        let request = HttpRequest::json(Peer::Webhook, self.url.url().clone(), &document);
        let signatures = signatures(&self.secrets, id, &secs, &request.body);
        let request = request.hiding_address();
        Ok(request.with(ID, id).with(TIMESTAMP, &secs).with(SIGNATURE, &signatures).into())
    }
}

/// What a receiver of webhooks verifies with. More than one while a secret is replaced: each message
/// is signed with all.
#[derive(Clone, PartialEq, Eq, Hash)]
struct WebhookSecrets(Vec<Vec<u8>>);

impl WebhookSecrets {
    /// The keys, at least one.
    fn keys(&self) -> &[Vec<u8>] {
        &self.0
    }
}

impl FromStr for WebhookSecrets {
    type Err = ChannelFault;

    fn from_str(text: &str) -> Result<Self, ChannelFault> {
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
        let keys = lines.map(|line| {
            let key = BASE64_STANDARD.decode(line.strip_prefix("whsec_")?).ok()?;
            (24..=64).contains(&key.len()).then_some(key)
        });
        let keys = keys.collect::<Option<Vec<_>>>().filter(|keys| !keys.is_empty());
        keys.map(Self).ok_or(ChannelFault::WebhookSecret)
    }
}

impl fmt::Debug for WebhookSecrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
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
        let two: WebhookSecrets =
            format!("{ONE}\n\n whsec_U0VDUkVUU0VDUkVUU0VDUkVUU0VDUkVU\n").parse().unwrap();
        let signatures = signatures(&two, "msg_1", "1795500000", b"{}");
        assert_eq!(signatures.split(' ').filter(|one| one.starts_with("v1,")).count(), 2);
        assert_eq!(format!("{two:?}"), "[redacted]");
        for text in ["", &ONE["whsec_".len()..], "whsec_", "whsec_AAAA", "whsec_!"] {
            assert!(text.parse::<WebhookSecrets>().is_err(), "{text}");
        }
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

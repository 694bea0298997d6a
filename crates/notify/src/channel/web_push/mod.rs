//! Web Push: a message that only one browser can read, from a sender that its push service knows.
//!
//! RFC 8030 (the request), RFC 8291 (its encryption, by `web_push_native`) and RFC 8292 (VAPID: who
//! sends, signed with a key that never changes, since every subscription is bound to it).

mod payload;
mod subscription;
pub(crate) mod vapid;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use http::header::{AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use keystile_core::notifications::channel::{Audience, ChannelSettings};
use keystile_core::notifications::delivery::AttemptOutcome;
use keystile_core::notifications::trigger::Trigger;
use keystile_engine::notifications::claimed::Receiver;
use ring::digest;
use url::Url;

use self::subscription::Subscription;
use super::kind::{Attempt, ChannelKind, Destination, Destined, Field, FieldForm, Outgoing};
use super::value::ChannelFault;
use crate::message::{Message, Urgency};
use crate::send::answer::{later, never};
use crate::send::http::{HttpRequest, Peer};

pub(super) const KIND: ChannelKind = ChannelKind {
    name: "web_push",
    about: "Push to subscribed browsers and phones.",
    fields: &[Field::optional("contact", FieldForm::Contact, "mailto:me@example.org")],
    target: |_| "subscribed devices".to_owned(),
    audience: |_| Audience::Devices,
    destination,
};

const TTL: HeaderName = HeaderName::from_static("ttl");
const URGENCY: HeaderName = HeaderName::from_static("urgency");
const TOPIC: HeaderName = HeaderName::from_static("topic");

/// One subscribed browser.
#[derive(Debug)]
struct WebPush {
    /// Where it is reached.
    subscription: Subscription,
    /// Whom its push service may ask (RFC 8292, section 2.1); the console's address otherwise. Apple's takes
    /// no name of this machine only.
    contact: Option<String>,
}

fn destination(settings: &ChannelSettings, receiver: Option<&Receiver>) -> Destined {
    let Some(Receiver::Device(device)) = receiver else {
        return Err(ChannelFault::NoReceiver);
    };
    let subscription = Subscription::new(&device.push_address, &device.p256dh, &device.auth)?;
    let contact = Some(settings.text("contact")).filter(|contact| !contact.is_empty());
    Ok(Box::new(WebPush { subscription, contact: contact.map(str::to_owned) }))
}

impl Destination for WebPush {
    /// A browser says where its push service is, so that is checked at each attempt and not before.
    fn url(&self) -> Option<&Url> {
        None
    }

    fn outgoing(&self, attempt: &Attempt<'_>) -> Result<Outgoing, AttemptOutcome> {
        let message = attempt.message;
        // What a message without a link opens.
        let home = format!("https://{}", attempt.sender.host);
        let topic = topic(message);
        let plain = payload::payload(attempt.shown, &topic, message.urgency, &home);
        let auth = web_push_native::Auth::from(*self.subscription.auth());
        let body = web_push_native::encrypt(plain, self.subscription.key(), &auth)
            .map_err(|error| never(&format!("the push cannot be encrypted: {error}")))?;
        let url = self.subscription.url().clone();
        let authorization = attempt
            .sender
            .vapid
            .authorization(&url, self.contact.as_deref().unwrap_or(&home), attempt.now)
            .ok_or_else(|| later("the push cannot be signed: there is no randomness"))?;
        // How long the push service keeps it for a phone that is off.
        let (urgency, keep_secs) = match message.urgency {
            Urgency::High => ("high", "259200"),
            Urgency::Normal => ("normal", "43200"),
            Urgency::Low => ("low", "14400"),
        };
        let octets = HeaderValue::from_static("application/octet-stream");
        let coding = HeaderValue::from_static("aes128gcm");
        let request = HttpRequest {
            peer: Peer::Push,
            method: Method::POST,
            headers: HeaderMap::from_iter([(CONTENT_TYPE, octets), (CONTENT_ENCODING, coding)]),
            body,
            secrets: Vec::new(),
            url,
        };
        let request = request.hiding_address();
        let request = request.with(AUTHORIZATION, &authorization).with(TOPIC, &topic);
        Ok(request.with(TTL, keep_secs).with(URGENCY, urgency).into())
    }
}

/// The name under which a later message replaces one that still waits: 32 characters of base64url are
/// the most that a push service takes (RFC 8030, section 5.4).
///
/// Locks and unlocks have a name of their own, so that a write that is announced later does not take the
/// place of a lock on a phone that was off.
fn topic(message: &Message) -> String {
    let class = match message.trigger {
        Trigger::KeyLocked | Trigger::KeyUnlocked => "lock",
        Trigger::StorageFailure => "store",
        Trigger::DeliveryFailed => "delivery",
        Trigger::Test => "test",
        Trigger::Write
        | Trigger::FirstWriteOfKey
        | Trigger::FirstWriteOfOperation
        | Trigger::BudgetLevel
        | Trigger::WriteUnknown
        | Trigger::RefusalBurst => "write",
    };
    let name = format!("{class}\0{}", message.thread);
    let hash = digest::digest(&digest::SHA256, name.as_bytes());
    BASE64_URL_SAFE_NO_PAD.encode(&hash.as_ref()[..24])
}

#[cfg(test)]
mod tests {
    use super::vapid::VapidKey;
    use super::*;
    use crate::channel::kind::SenderIdentity;
    use crate::message::Message;
    use crate::render::Shown;
    use crate::render::{example, hostile};
    use keystile_core::time::Timestamp;
    use proptest::prelude::*;
    use web_push_native::p256::SecretKey;

    const NOW: Timestamp = Timestamp(1_795_500_000_000);
    /// The browser of RFC 8291, appendix A.
    const UA_PRIVATE: &str = "q1dXpw3UpT5VOmu_cf_v6ih07Aems3njxI-JWgLcM94";
    const UA_PUBLIC: &str =
        "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4";
    const UA_AUTH: &str = "BTBZMqHH6r4Tts7J_aSIgg";

    fn decoded(text: &str) -> Vec<u8> {
        BASE64_URL_SAFE_NO_PAD.decode(text).unwrap()
    }

    fn opened(body: Vec<u8>) -> Vec<u8> {
        let key = SecretKey::from_slice(&decoded(UA_PRIVATE)).unwrap();
        let auth: [u8; 16] = decoded(UA_AUTH).try_into().unwrap();
        web_push_native::decrypt(body, &key, &auth.into()).unwrap()
    }

    fn subscription() -> Subscription {
        Subscription::new("https://push.example:8443/send/abc?x=1", UA_PUBLIC, UA_AUTH).unwrap()
    }

    fn pushed(message: &Message) -> HttpRequest {
        let vapid = VapidKey::generate().unwrap();
        let sender = SenderIdentity { vapid, host: "gate.example.org".to_owned() };
        let push = WebPush { subscription: subscription(), contact: None };
        let shown = Shown::of(message);
        let attempt = Attempt { message, shown: &shown, sender: &sender, now: NOW };
        let Ok(Outgoing::Http(request)) = push.outgoing(&attempt) else {
            panic!("it is a request")
        };
        *request
    }

    #[test]
    fn the_encryption_is_that_of_the_standard() {
        let body = "DGv6ra1nlYgDCS1FRnbzlwAAEABBBP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIgDll6e3vCYLocInmYWAmS6TlzAC8wEqKK6PBru3jl7A_yl95bQpu6cVPTpK4Mqgkf1CXztLVBSt2Ks3oZwbuwXPXLWyouBWLVWGNWQexSgSxsj_Qulcy4a-fN";
        assert_eq!(opened(decoded(body)), b"When I grow up, I want to be a watermelon");
    }

    #[test]
    fn the_browser_and_nobody_else_can_read_it() {
        let request = pushed(&example());
        assert!(!request.body.windows(6).any(|part| part == b"LOCKED"));
        let document: serde_json::Value = serde_json::from_slice(&opened(request.body)).unwrap();
        let title = document["notification"]["title"].as_str().unwrap();
        assert!(title.starts_with("LOCKED | scraper-17 | "), "{title}");
    }

    #[test]
    fn only_a_lock_wakes_a_phone_and_no_write_takes_its_place() {
        let lock = pushed(&example());
        assert_eq!(
            (&lock.headers["urgency"], &lock.headers["ttl"]),
            (&HeaderValue::from_static("high"), &HeaderValue::from_static("259200"))
        );
        let message = Message { trigger: Trigger::Write, urgency: Urgency::Normal, ..example() };
        let write = pushed(&message);
        assert_eq!(write.headers["urgency"], "normal");
        assert_ne!(lock.headers["topic"], write.headers["topic"]);
        let unlock = pushed(&Message { trigger: Trigger::KeyUnlocked, ..example() });
        assert_eq!(lock.headers["topic"], unlock.headers["topic"]);
        let other = pushed(&Message { thread: "key_other".to_owned(), ..example() });
        assert_ne!(lock.headers["topic"], other.headers["topic"]);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn every_push_is_one_record_that_a_service_takes(message in hostile(), thread in ".{0,80}") {
            let request = pushed(&Message { thread, ..message });
            prop_assert!(request.body.len() <= 4096, "{}", request.body.len());
            let topic = request.headers["topic"].to_str().unwrap();
            let is_base64 = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
            prop_assert!(topic.len() == 32 && topic.chars().all(is_base64));
            prop_assert!(serde_json::from_slice::<serde_json::Value>(&opened(request.body)).is_ok());
        }
    }
}

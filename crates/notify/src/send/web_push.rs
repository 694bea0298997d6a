//! Web Push: a message that only one browser can read, from a sender that its push service knows.
//!
//! RFC 8030 (the request), RFC 8291 (its encryption, by `web_push_native`) and RFC 8292 (VAPID: who
//! sends, signed with a key that never changes, since every subscription is bound to it).

use std::fmt;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use http::header::{AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use keystile_core::time::{Span, Timestamp};
use ring::digest;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use serde_json::json;
use url::Url;

use super::SendError;
use super::http::{HttpRequest, Peer};
use crate::channel::Subscription;
use crate::message::{Message, Urgency};
use crate::render::{Shown, push};
use keystile_core::notifications::trigger::Trigger;

const TTL: HeaderName = HeaderName::from_static("ttl");
const URGENCY: HeaderName = HeaderName::from_static("urgency");
const TOPIC: HeaderName = HeaderName::from_static("topic");

/// A push service refuses a signature that is valid for more than 24 hours (RFC 8292, section 2). Half
/// of that leaves room for a clock that is wrong; who copied one could send for as long, but not read.
const SIGNATURE_VALID: Span = Span::from_secs(12 * 3600);

/// The key that push services know this Keystile by. Made once and kept: browsers that subscribed with
/// another take nothing.
pub struct VapidKey {
    pkcs8: Vec<u8>,
    pair: EcdsaKeyPair,
}

/// Why there is no key.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum VapidError {
    /// The system gave no randomness.
    #[error("no key for web push can be made: the system has no randomness")]
    Randomness,
    /// The bytes are none.
    #[error("the key for web push is not a P-256 key in PKCS #8")]
    Form,
}

impl VapidKey {
    /// Makes a new key.
    pub fn generate() -> Result<Self, VapidError> {
        let made =
            EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new());
        Self::from_pkcs8(made.map_err(|_| VapidError::Randomness)?.as_ref())
    }

    /// Reads a key that [`VapidKey::pkcs8`] gave.
    pub fn from_pkcs8(pkcs8: &[u8]) -> Result<Self, VapidError> {
        let algorithm = &ECDSA_P256_SHA256_FIXED_SIGNING;
        let pair = EcdsaKeyPair::from_pkcs8(algorithm, pkcs8, &SystemRandom::new());
        Ok(Self { pkcs8: pkcs8.to_vec(), pair: pair.map_err(|_| VapidError::Form)? })
    }

    /// The key as it is kept. It is a secret.
    pub fn pkcs8(&self) -> &[u8] {
        &self.pkcs8
    }

    /// The public key, as `applicationServerKey` of a browser's `pushManager.subscribe`.
    pub fn public_base64(&self) -> String {
        BASE64_URL_SAFE_NO_PAD.encode(self.pair.public_key())
    }

    /// The value of `Authorization` for a push service.
    fn authorization(&self, url: &Url, contact: &str, now: Timestamp) -> Option<String> {
        let head = json!({ "typ": "JWT", "alg": "ES256" });
        let claims = json!({
            "aud": url.origin().ascii_serialization(),
            "exp": now.plus(SIGNATURE_VALID).0.div_euclid(1000),
            "sub": contact,
        });
        let encode = |part: &serde_json::Value| BASE64_URL_SAFE_NO_PAD.encode(part.to_string());
        let signed = format!("{}.{}", encode(&head), encode(&claims));
        let signature = self.pair.sign(&SystemRandom::new(), signed.as_bytes()).ok()?;
        let signature = BASE64_URL_SAFE_NO_PAD.encode(signature);
        Some(format!("vapid t={signed}.{signature},k={}", self.public_base64()))
    }
}

impl fmt::Debug for VapidKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "VapidKey({})", self.public_base64())
    }
}

/// Who pushes.
pub(super) struct PushSender<'a> {
    pub(super) key: &'a VapidKey,
    /// Whom a push service may ask (RFC 8292, section 2.1). Apple's takes no name of this machine only.
    pub(super) contact: &'a str,
    /// What a message without a link opens.
    pub(super) home: &'a str,
}

/// The encrypted and signed request.
pub(super) fn request(
    subscription: &Subscription,
    message: &Message,
    shown: &Shown,
    sender: &PushSender<'_>,
    now: Timestamp,
) -> Result<HttpRequest, SendError> {
    let topic = topic(message);
    let plain = push::payload(shown, &topic, message.urgency, sender.home);
    let auth = web_push_native::Auth::from(*subscription.auth());
    let body = web_push_native::encrypt(plain, subscription.key(), &auth)
        .map_err(|error| SendError::never(&format!("the push cannot be encrypted: {error}")))?;
    let url = subscription.url().clone();
    let authorization = sender
        .key
        .authorization(&url, sender.contact, now)
        .ok_or_else(|| SendError::later("the push cannot be signed: there is no randomness"))?;
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
    Ok(request.with(TTL, keep_secs).with(URGENCY, urgency))
}

/// The name under which a later message replaces one that still waits: 32 characters of base64url are
/// the most that a push service takes (RFC 8030, section 5.4).
///
/// Locks and unlocks have a name of their own, so that a write that is told later does not take the
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
    use super::*;
    use crate::render::{example, hostile};
    use proptest::prelude::*;
    use ring::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};
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
        let key = VapidKey::generate().unwrap();
        let home = "https://gate.example.org";
        let sender = PushSender { key: &key, contact: home, home };
        request(&subscription(), message, &Shown::of(message), &sender, NOW).unwrap()
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
    fn the_push_service_knows_who_sends() {
        let key = VapidKey::generate().unwrap();
        let again = VapidKey::from_pkcs8(key.pkcs8()).unwrap();
        assert_eq!(again.public_base64(), key.public_base64());
        let url = subscription().url().clone();
        let value = again.authorization(&url, "mailto:me@example.org", NOW).unwrap();
        let (token, public) = value.strip_prefix("vapid t=").unwrap().split_once(",k=").unwrap();
        assert_eq!(public, key.public_base64());
        let (signed, signature) = token.rsplit_once('.').unwrap();
        let public = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, decoded(public));
        public.verify(signed.as_bytes(), &decoded(signature)).unwrap();
        let claims: serde_json::Value =
            serde_json::from_slice(&decoded(signed.split_once('.').unwrap().1)).unwrap();
        assert_eq!(claims["aud"], "https://push.example:8443");
        assert_eq!(claims["sub"], "mailto:me@example.org");
        assert_eq!(claims["exp"], 1_795_500_000 + 12 * 3600);
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

    #[test]
    fn a_key_is_read_or_refused_and_does_not_print() {
        assert_eq!(VapidKey::from_pkcs8(b"no key").unwrap_err(), VapidError::Form);
        let key = VapidKey::generate().unwrap();
        assert_eq!(decoded(&key.public_base64()).len(), 65);
        assert_eq!(format!("{key:?}"), format!("VapidKey({})", key.public_base64()));
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

//! The key by which push services know this Keystile, and what it signs (VAPID, RFC 8292).

use std::fmt;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use keystile_core::time::{Span, Timestamp};
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use serde_json::json;
use url::Url;

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
    pub(super) fn authorization(&self, url: &Url, contact: &str, now: Timestamp) -> Option<String> {
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

#[cfg(test)]
mod tests {
    use super::*;
    use ring::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};

    const NOW: Timestamp = Timestamp(1_795_500_000_000);

    fn decoded(text: &str) -> Vec<u8> {
        BASE64_URL_SAFE_NO_PAD.decode(text).unwrap()
    }

    #[test]
    fn the_push_service_knows_who_sends() {
        let key = VapidKey::generate().unwrap();
        let again = VapidKey::from_pkcs8(key.pkcs8()).unwrap();
        assert_eq!(again.public_base64(), key.public_base64());
        let url = "https://push.example:8443/send/abc?x=1".parse().unwrap();
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
    fn a_key_is_read_or_refused_and_does_not_print() {
        assert_eq!(VapidKey::from_pkcs8(b"no key").unwrap_err(), VapidError::Form);
        let key = VapidKey::generate().unwrap();
        assert_eq!(decoded(&key.public_base64()).len(), 65);
        assert_eq!(format!("{key:?}"), format!("VapidKey({})", key.public_base64()));
    }
}

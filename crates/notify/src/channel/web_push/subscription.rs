//! A browser that an owner subscribed.

use std::fmt;

use base64::Engine as _;
use base64::prelude::{BASE64_URL_SAFE, BASE64_URL_SAFE_NO_PAD};
use url::Url;
use web_push_native::p256::PublicKey;

use crate::channel::value::{ChannelFault, HookUrl};

/// One subscribed browser.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Subscription {
    url: HookUrl,
    key: PublicKey,
    auth: [u8; 16],
}

impl Subscription {
    /// Checks what a browser sent: its push service's address, its public key and its shared secret.
    pub(super) fn new(url: &str, p256dh: &str, auth: &str) -> Result<Self, ChannelFault> {
        let fault = ChannelFault::Subscription;
        let decoded = |text: &str| {
            let decode = |text| BASE64_URL_SAFE_NO_PAD.decode(text);
            decode(text).or_else(|_| BASE64_URL_SAFE.decode(text)).ok()
        };
        let key = decoded(p256dh).ok_or(fault("its key is not base64"))?;
        let auth = decoded(auth).and_then(|auth| auth.try_into().ok());
        Ok(Self {
            url: url.parse().map_err(|_| fault("its push service has no address"))?,
            key: PublicKey::from_sec1_bytes(&key).map_err(|_| fault("its key is no point"))?,
            auth: auth.ok_or(fault("its secret is not 16 bytes"))?,
        })
    }

    pub(super) fn url(&self) -> &Url {
        self.url.url()
    }

    pub(super) fn key(&self) -> &PublicKey {
        &self.key
    }

    pub(super) fn auth(&self) -> &[u8; 16] {
        &self.auth
    }
}

impl fmt::Debug for Subscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Subscription({:?})", self.url)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str =
        "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4";
    const AUTH: &str = "BTBZMqHH6r4Tts7J_aSIgg";

    #[test]
    fn a_subscription_is_complete_or_refused_and_does_not_print() {
        let subscription = Subscription::new("https://push.example/SECRET", KEY, AUTH).unwrap();
        assert_eq!(format!("{subscription:?}"), "Subscription(https://push.example/[redacted])");
        assert!(Subscription::new("https://p/", &KEY[1..], AUTH).is_err());
        assert!(Subscription::new("https://p/", &KEY.replace('B', "A"), AUTH).is_err());
        assert!(Subscription::new("https://p/", KEY, "AAAA").is_err());
        assert!(Subscription::new("file:///etc/passwd", KEY, AUTH).is_err());
    }
}

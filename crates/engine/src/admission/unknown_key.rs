//! A key that is not known here, and that a key source may know.
//!
//! Only what a key source has to be asked about waits, and only its own caller. Whether it may be asked is decided
//! by [`LookUps`]; what it answers is decided on like any request, in [`Engine::admit_looked_up`], and never leads
//! to a second look-up.
//!
//! [`LookUps`]: crate::keys::look_up::look_ups::LookUps

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use keystile_core::keys::imported::ImportedText;
use keystile_core::refusal::{Reason, Refusal};
use keystile_core::request::credential::Presented;

use crate::engine::{Engine, KeySource};
use crate::keys::look_up::answer::{FoundThere, LookUpKey};

/// A key that is not known here, and that a key source may know.
#[must_use = "its request is not decided before the key was looked up"]
pub struct UnknownKey(LookUpKey);

impl fmt::Debug for UnknownKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("UnknownKey([redacted])")
    }
}

/// What key sources said of a key.
#[derive(Clone, Copy, Debug)]
#[must_use = "its request is decided by it"]
pub struct LookedUp(FoundThere);

impl LookedUp {
    /// Why the key is refused where it is still not known here.
    pub(super) fn refusal(self) -> Refusal {
        match self.0 {
            // One that came over and was revoked at once is as unknown as any other.
            FoundThere::Imported | FoundThere::Unknown => Reason::KeyUnknown.into(),
            FoundThere::Unavailable { retry_after_secs } => {
                Refusal::new(Reason::KeySourceUnavailable).retry_after_secs(retry_after_secs)
            }
        }
    }
}

impl Engine {
    /// The key of a request, where it is not known here and a source may know it. None where so many unknown
    /// keys came from its address that nobody is asked about another.
    pub(super) fn unknown_key(
        &self,
        presented: &Presented<'_>,
        address: IpAddr,
    ) -> Option<UnknownKey> {
        let (Presented::Key(credential) | Presented::Other(credential)) = presented else {
            return None;
        };
        let sources = self.key_sources();
        if sources.is_empty() || self.has_guessed_enough(address) {
            return None;
        }
        let text: ImportedText = std::str::from_utf8(&credential.text).ok()?.parse().ok()?;
        let hash = self.store.pepper().hash(text.expose().as_bytes());
        let now = self.store.now();
        let may_know = |source: &Arc<dyn KeySource>| source.look_ups().may_find(&hash, now);
        sources.iter().any(may_know).then_some(UnknownKey(LookUpKey { text, hash }))
    }

    /// Has a key looked up by all sources that may know it. Whoever stops waiting ends the look-up for nobody.
    pub async fn look_up_key(&self, key: UnknownKey) -> LookedUp {
        let UnknownKey(key) = key;
        let now = self.store.now();
        // All are asked before the first is waited for.
        let asked: Vec<_> =
            self.key_sources().iter().map(|source| source.look_ups().ask(&key, now)).collect();
        let mut found = FoundThere::Unknown;
        for answer in asked {
            found = found.or(answer.await);
            if found == FoundThere::Imported {
                break;
            }
        }
        LookedUp(found)
    }
}

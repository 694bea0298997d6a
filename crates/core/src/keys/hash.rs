//! What is kept of keys.
//!
//! # What this protects
//!
//! A key's HMAC-SHA-256 under a server secret (the pepper) is kept, never its text, so neither a copy of the
//! store nor a log opens anything.

use std::fmt;
use std::hash::{Hash, Hasher};

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::keys::signing::SigningKey;

/// The server's secret that turns key texts into the hashes that are kept.
///
/// Without it a copy of the store cannot be searched for a known key, and changing it makes every
/// key unknown. It holds a ready HMAC state, so hashing a key pays for the key's bytes only.
#[derive(Clone)]
pub struct Pepper(Hmac<Sha256>);

impl Pepper {
    /// Takes 256 secret bits.
    pub fn new(secret: [u8; 32]) -> Self {
        Self(Hmac::new_from_slice(&secret).expect("HMAC takes a secret of any length"))
    }

    /// A secret that follows from this one, for another use: hashes of one use say nothing in another.
    #[must_use]
    pub fn derived(&self, used_for: &str) -> Self {
        Self::new(self.hash(used_for.as_bytes()).0)
    }

    /// A key that signs, for one use: signatures of one use say nothing in another.
    pub fn signing_key(&self, used_for: &str) -> SigningKey {
        SigningKey::new(self.derived(used_for).0)
    }

    /// The hash under which the key is kept and looked up.
    pub fn hash(&self, key: &[u8]) -> KeyHash {
        let mut state = self.0.clone();
        state.update(key);
        KeyHash(state.finalize().into_bytes().into())
    }
}

impl fmt::Debug for Pepper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

/// What is kept of a key: the HMAC-SHA-256 of its text.
///
/// Comparing two in variable time is safe: a caller cannot choose the hash of a guess without the
/// pepper, so what the time tells about the hash tells nothing about the key.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct KeyHash([u8; 32]);

impl KeyHash {
    /// All 32 bytes, as the store keeps them.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Reads what the store kept; `None` where it is not 32 bytes long.
    pub fn from_slice(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }
}

/// The bytes are already evenly spread and not the caller's to choose, so a table may use them as
/// they are: eight of them are one `write_u64`, which every hasher takes in one step.
impl Hash for KeyHash {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let (head, _) = self.0.split_first_chunk().expect("a hash has 32 bytes");
        state.write_u64(u64::from_ne_bytes(*head));
    }
}

/// The first four bytes, which tell hashes apart in a log.
impl fmt::Debug for KeyHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (head, _) = self.0.split_first_chunk().expect("a hash has 32 bytes");
        write!(f, "KeyHash({:08x}…)", u32::from_be_bytes(*head))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_never_changes() {
        // Made with `openssl dgst -sha256 -mac HMAC -macopt hexkey:0707…07` over the text.
        let hash = Pepper::new([7; 32]).hash(b"ks_example");
        insta::assert_snapshot!(hex(hash.as_bytes()), @"696da148de1dbca8139966e0b52eeec9254fd41595d759762235303f5ba324bb");
        assert_eq!(KeyHash::from_slice(hash.as_bytes()), Some(hash));
        assert_eq!(KeyHash::from_slice(&[0; 31]), None);
        assert_ne!(Pepper::new([8; 32]).hash(b"ks_example"), hash);
    }

    fn hex(bytes: &[u8]) -> String {
        use fmt::Write as _;
        bytes.iter().fold(String::new(), |mut text, byte| {
            write!(text, "{byte:02x}").unwrap();
            text
        })
    }

    #[test]
    fn secrets_do_not_print() {
        assert_eq!(format!("{:?}", Pepper::new([1; 32])), "[redacted]");
        let hash = KeyHash::from_slice(&[0xab; 32]).unwrap();
        assert_eq!(format!("{hash:?}"), "KeyHash(abababab…)");
    }
}

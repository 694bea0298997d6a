//! Signatures of what the server hands out and wants to know again, such as action links.

use std::fmt;

use hmac::{Hmac, Mac};
use sha2::Sha256;

/// Signs and verifies with HMAC-SHA-256 (RFC 2104).
#[derive(Clone)]
pub struct SigningKey(Hmac<Sha256>);

impl SigningKey {
    pub(crate) fn new(state: Hmac<Sha256>) -> Self {
        Self(state)
    }

    /// The length of a signature: all of SHA-256. Cut to 8 bytes, a signature could be guessed by somebody
    /// with a botnet and a week, and refusals are not slowed down by anything but the audit.
    pub const SIGNATURE_BYTES: usize = 32;

    /// The signature of some bytes.
    pub fn sign(&self, bytes: &[u8]) -> [u8; Self::SIGNATURE_BYTES] {
        let mut state = self.0.clone();
        state.update(bytes);
        state.finalize().into_bytes().into()
    }

    /// Whether a signature is that of some bytes, in a time that tells nothing of how much of it is right.
    pub fn verify(&self, bytes: &[u8], signature: &[u8]) -> bool {
        let mut state = self.0.clone();
        state.update(bytes);
        state.verify_slice(signature).is_ok()
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

//! Signed tokens in links of messages: bytes that only this store can have written.

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use keystile_core::keys::signing::SigningKey;

/// The bytes with their signature, as text for an address.
pub(crate) fn sign(key: &SigningKey, bytes: &[u8]) -> String {
    BASE64_URL_SAFE_NO_PAD.encode([bytes, &key.sign(bytes)].concat())
}

/// The bytes of a token; `None` where it was cut, changed, or signed with another key.
pub(crate) fn verify<const BYTES: usize>(key: &SigningKey, token: &str) -> Option<[u8; BYTES]> {
    // Longer texts are no tokens; they are not even decoded.
    if token.len() > (BYTES + SigningKey::SIGNATURE_BYTES) * 2 {
        return None;
    }
    let decoded = BASE64_URL_SAFE_NO_PAD.decode(token).ok()?;
    let (bytes, signature) = decoded.split_first_chunk::<BYTES>()?;
    key.verify(bytes, signature).then_some(*bytes)
}

#[cfg(test)]
mod tests {
    use keystile_core::keys::hash::Pepper;

    use super::*;

    #[test]
    fn no_changed_bit_and_no_cut_is_believed() {
        let key = Pepper::new([1; 32]).signing_key("test");
        let text = sign(&key, b"sixteen bytes ..");
        assert_eq!(verify(&key, &text), Some(*b"sixteen bytes .."));
        assert_eq!(verify::<16>(&Pepper::new([1; 32]).signing_key("another"), &text), None);
        assert_eq!(verify::<16>(&Pepper::new([2; 32]).signing_key("test"), &text), None);
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(&text).unwrap();
        for bit in 0..bytes.len() * 8 {
            let mut changed = bytes.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            let changed = BASE64_URL_SAFE_NO_PAD.encode(changed);
            assert_eq!(verify::<16>(&key, &changed), None, "bit {bit}");
        }
        for end in 0..text.len() {
            assert_eq!(verify::<16>(&key, &text[..end]), None, "cut at {end}");
        }
        assert_eq!(verify::<16>(&key, &format!("{text}A")), None);
        assert_eq!(verify::<15>(&key, &text), None);
        assert_eq!(verify::<17>(&key, &text), None);
        assert_eq!(verify::<16>(&key, &"A".repeat(1 << 20)), None);
    }
}

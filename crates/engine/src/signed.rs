//! Signed tokens: bytes in an address that only this store can have written.

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use keystile_core::key::Pepper;

/// All of HMAC-SHA-256. Cut to 8 bytes, a signature could be guessed by somebody with a botnet and a week,
/// and the refusals are not slowed down by anything but the audit.
const SIGNATURE_BYTES: usize = 32;

/// The bytes with their signature, as text for an address.
pub(crate) fn token(key: &Pepper, bytes: &[u8]) -> String {
    BASE64_URL_SAFE_NO_PAD.encode([bytes, key.hash(bytes).as_bytes()].concat())
}

/// The bytes of a token; `None` where it was cut, changed, or signed with another key.
pub(crate) fn read<const BYTES: usize>(key: &Pepper, token: &str) -> Option<[u8; BYTES]> {
    // Longer texts are no tokens; they are not even decoded.
    if token.len() > (BYTES + SIGNATURE_BYTES) * 2 {
        return None;
    }
    let decoded = BASE64_URL_SAFE_NO_PAD.decode(token).ok()?;
    let (bytes, signature) = decoded.split_first_chunk::<BYTES>()?;
    let expected = key.hash(bytes);
    let expected = expected.as_bytes();
    // Every byte is looked at: the time says nothing of how much of a guess was right.
    let difference = expected.iter().zip(signature).fold(0, |all, (a, b)| all | (a ^ b));
    (difference == 0 && signature.len() == expected.len()).then_some(*bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_changed_bit_and_no_cut_is_believed() {
        let key = Pepper::new([1; 32]);
        let text = token(&key, b"sixteen bytes ..");
        assert_eq!(read(&key, &text), Some(*b"sixteen bytes .."));
        assert_eq!(read::<16>(&Pepper::new([2; 32]), &text), None);
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(&text).unwrap();
        for bit in 0..bytes.len() * 8 {
            let mut changed = bytes.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            let changed = BASE64_URL_SAFE_NO_PAD.encode(changed);
            assert_eq!(read::<16>(&key, &changed), None, "bit {bit}");
        }
        for end in 0..text.len() {
            assert_eq!(read::<16>(&key, &text[..end]), None, "cut at {end}");
        }
        assert_eq!(read::<16>(&key, &format!("{text}A")), None);
        assert_eq!(read::<15>(&key, &text), None);
        assert_eq!(read::<17>(&key, &text), None);
        assert_eq!(read::<16>(&key, &"A".repeat(1 << 20)), None);
    }
}

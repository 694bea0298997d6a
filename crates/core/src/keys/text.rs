//! API keys as text.
//!
//! A key reads `<prefix>_<43 characters>_<6 characters>`: 256 random bits in base 62, then the
//! CRC-32 of everything before the last underscore. Scanners recognize it, a typo is refused
//! without a lookup, and a double click selects all of it.
//!
//! # What this protects
//!
//! The text is shown once and never kept ([`crate::keys::hash`] is), and prints as `[redacted]`. The checksum is
//! not a defense: anybody can compute it.

use std::fmt;
use std::str::FromStr;

const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// 62^43 is just above 2^256, so 43 digits hold the random part and 42 would not.
const RANDOM_CHARS: usize = 43;

/// 62^6 is above 2^32, so six digits hold the checksum.
const CHECKSUM_CHARS: usize = 6;

const PREFIX_CHARS_MAX: usize = 16;

/// How many characters of the random part a listing shows: enough to tell keys apart (47 bits), and
/// it leaves more than 200 bits unknown.
const SHOWN_CHARS: usize = 8;

/// What stands before the first underscore of every key that this server issues.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct KeyPrefix(Box<str>);

/// The text cannot stand before the first underscore of a key.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("{0:?} is not a key prefix: write 1 to 16 of the characters a-z and 0-9, as in \"ks\"")]
pub struct InvalidKeyPrefix(pub String);

impl KeyPrefix {
    /// The prefix without its underscore.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for KeyPrefix {
    fn default() -> Self {
        Self("ks".into())
    }
}

impl fmt::Display for KeyPrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for KeyPrefix {
    type Err = InvalidKeyPrefix;

    fn from_str(text: &str) -> Result<Self, InvalidKeyPrefix> {
        if is_prefix(text.as_bytes()) {
            Ok(Self(text.into()))
        } else {
            Err(InvalidKeyPrefix(text.to_owned()))
        }
    }
}

fn is_prefix(text: &[u8]) -> bool {
    (1..=PREFIX_CHARS_MAX).contains(&text.len())
        && text.iter().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
}

/// The text of a new key, on its way to the one person who is shown it.
#[derive(Clone)]
pub struct KeyText(String);

impl KeyText {
    /// Makes the key of 256 random bits.
    ///
    /// The caller draws them from the operating system's generator; nothing else makes a key
    /// secret.
    pub fn from_random(prefix: &KeyPrefix, random: [u8; 32]) -> Self {
        let length = prefix.0.len() + 1 + RANDOM_CHARS + 1 + CHECKSUM_CHARS;
        let mut text = String::with_capacity(length);
        text.push_str(&prefix.0);
        text.push('_');
        text.extend(random_digits(random).map(char::from));
        let checksum = checksum_digits(crc32fast::hash(text.as_bytes()));
        text.push('_');
        text.extend(checksum.map(char::from));
        Self(text)
    }

    /// The secret itself.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// The prefix and the first eight characters, as in `ks_4fGh2kQz`, by which people tell keys
    /// apart in listings.
    pub fn display_prefix(&self) -> &str {
        let shown = self.0.len() - CHECKSUM_CHARS - 1 - RANDOM_CHARS + SHOWN_CHARS;
        &self.0[..shown]
    }
}

impl fmt::Debug for KeyText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

/// Whether the bytes have the form of a key, with any prefix, and a checksum that agrees.
///
/// A key that fails here was never issued, by this server or another, so no lookup is needed. It
/// tells nothing of whether the key exists.
pub fn well_formed(text: &[u8]) -> bool {
    let Some((rest, checksum)) = text.split_last_chunk::<CHECKSUM_CHARS>() else {
        return false;
    };
    let Some((b'_', covered)) = rest.split_last() else {
        return false;
    };
    let Some((rest, random)) = covered.split_last_chunk::<RANDOM_CHARS>() else {
        return false;
    };
    let Some((b'_', prefix)) = rest.split_last() else {
        return false;
    };
    is_prefix(prefix)
        && random.iter().all(u8::is_ascii_alphanumeric)
        && checksum_digits(crc32fast::hash(covered)) == *checksum
}

/// Whether whoever wrote a text meant a key of this server: it holds a word that begins with the prefix
/// of keys and `_`, that is [`well_formed`] under any prefix, or that is a key of this prefix whose
/// beginning was mistyped or lost.
///
/// The token of another server has none of this, but for one in billions, unless that server gives its
/// tokens the same prefix.
pub fn speaks_of_key(text: &[u8], prefix: &KeyPrefix) -> bool {
    // What bearer tokens are made of (RFC 9110 section 11.2), so that each of them is one word.
    let is_in_word = |byte: &u8| {
        byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~' | b'+' | b'/')
    };
    memchr::memchr(b'_', text).is_some()
        && text.split(|byte| !is_in_word(byte)).any(|word| {
            begins_as_key(word, prefix) || well_formed(word) || ends_as_key(word, prefix)
        })
}

fn begins_as_key(word: &[u8], prefix: &KeyPrefix) -> bool {
    let (prefix, length) = (prefix.0.as_bytes(), prefix.0.len());
    word.get(..length).is_some_and(|start| start.eq_ignore_ascii_case(prefix))
        && word.get(length) == Some(&b'_')
}

fn ends_as_key(word: &[u8], prefix: &KeyPrefix) -> bool {
    let Some((rest, checksum)) = word.split_last_chunk::<CHECKSUM_CHARS>() else {
        return false;
    };
    let Some((b'_', rest)) = rest.split_last() else {
        return false;
    };
    let Some(random) = rest.last_chunk::<RANDOM_CHARS>() else {
        return false;
    };
    let mut covered = crc32fast::Hasher::new();
    covered.update(prefix.0.as_bytes());
    covered.update(b"_");
    covered.update(random);
    checksum_digits(covered.finalize()) == *checksum
}

fn random_digits(random: [u8; 32]) -> [u8; RANDOM_CHARS] {
    let mut number = random;
    let mut digits = [0; RANDOM_CHARS];
    for digit in digits.iter_mut().rev() {
        let mut remainder = 0_u16;
        for byte in &mut number {
            let dividend = remainder << 8 | u16::from(*byte);
            *byte = u8::try_from(dividend / 62).expect("the remainder is below the divisor");
            remainder = dividend % 62;
        }
        *digit = ALPHABET[usize::from(remainder)];
    }
    digits
}

fn checksum_digits(checksum: u32) -> [u8; CHECKSUM_CHARS] {
    let mut number = checksum;
    let mut digits = [0; CHECKSUM_CHARS];
    for digit in digits.iter_mut().rev() {
        *digit = ALPHABET[(number % 62) as usize];
        number /= 62;
    }
    digits
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn key(prefix: &str, random: [u8; 32]) -> KeyText {
        KeyText::from_random(&prefix.parse().unwrap(), random)
    }

    #[test]
    fn the_format_never_changes() {
        // Issued keys live for years: a change here would make all of them malformed.
        let zero = key("ks", [0; 32]);
        insta::assert_snapshot!(zero.expose(), @"ks_0000000000000000000000000000000000000000000_0JwTDp");
        let ones = key("acme7", [0xff; 32]);
        insta::assert_snapshot!(ones.expose(), @"acme7_yhjskwdA6OZ1AL1YmHWZWm8LLG7HjnuCA2j5rOw8Xp1_3jXzw3");
        assert_eq!(ones.display_prefix().len(), "acme7_".len() + 8);
        assert!(ones.expose().starts_with(ones.display_prefix()));
    }

    #[test]
    fn secrets_do_not_print() {
        assert_eq!(format!("{:?}", key("ks", [1; 32])), "[redacted]");
    }

    #[test]
    fn prefixes_are_short_and_lower_case() {
        for text in ["ks", "a", "0", "acme2026", "abcdefghijklmnop"] {
            assert_eq!(text.parse::<KeyPrefix>().unwrap().as_str(), text);
        }
        for text in ["", "KS", "k_s", "k-s", "ké", "abcdefghijklmnopq", " ks"] {
            assert!(text.parse::<KeyPrefix>().is_err(), "{text}");
        }
        assert_eq!(KeyPrefix::default().to_string(), "ks");
    }

    proptest! {
        #[test]
        fn every_issued_key_is_well_formed(prefix in "[a-z0-9]{1,16}", random: [u8; 32]) {
            let key = key(&prefix, random);
            prop_assert_eq!(key.expose().len(), prefix.len() + 51);
            prop_assert!(well_formed(key.expose().as_bytes()));
        }

        #[test]
        fn different_bits_make_different_keys(one: [u8; 32], other: [u8; 32]) {
            let (first, second) = (key("ks", one), key("ks", other));
            prop_assert_eq!(first.expose() == second.expose(), one == other);
        }

        #[test]
        fn one_changed_character_is_noticed(random: [u8; 32], at in 0_usize..53, byte: u8) {
            let mut text = key("ks", random).expose().as_bytes().to_vec();
            prop_assume!(text[at] != byte);
            text[at] = byte;
            prop_assert!(!well_formed(&text));
        }

        #[test]
        fn a_key_with_one_wrong_character_still_speaks_of_a_key(
            random: [u8; 32],
            at in 0_usize..53,
            byte: u8,
        ) {
            let prefix = KeyPrefix::default();
            let mut text = key("ks", random).expose().as_bytes().to_vec();
            text[at] = byte;
            prop_assert!(speaks_of_key(&text, &prefix), "{:?}", String::from_utf8_lossy(&text));
            let around = [b"Digest a=\"", text.as_slice(), b"\", b"].concat();
            prop_assert!(speaks_of_key(&around, &prefix));
        }

        #[test]
        fn a_key_that_lost_its_beginning_or_end_still_speaks_of_a_key(
            random: [u8; 32],
            cut in 0_usize..50,
        ) {
            let key = key("ks", random);
            let text = key.expose().as_bytes();
            prop_assert!(speaks_of_key(&text[..53 - cut], &KeyPrefix::default()));
            prop_assert!(speaks_of_key(&text[cut.min(3)..], &KeyPrefix::default()));
        }

        #[test]
        fn keys_of_an_older_prefix_speak_of_a_key(prefix in "[a-z0-9]{1,16}", random: [u8; 32]) {
            let key = key(&prefix, random);
            prop_assert!(speaks_of_key(key.expose().as_bytes(), &KeyPrefix::default()));
        }

        #[test]
        fn tokens_of_others_do_not_speak_of_a_key(token in "[A-JL-Za-jl-z0-9._~+/-]{1,200}=?") {
            prop_assert!(!speaks_of_key(token.as_bytes(), &KeyPrefix::default()));
        }

        #[test]
        fn a_missing_piece_is_noticed(random: [u8; 32], cut in 1_usize..=53) {
            let key = key("ks", random);
            let text = key.expose().as_bytes();
            prop_assert!(!well_formed(&text[..text.len() - cut]));
            prop_assert!(!well_formed(&text[cut..]));
        }

        #[test]
        fn hostile_bytes_are_only_refused(text in proptest::collection::vec(any::<u8>(), 0..120)) {
            prop_assert!(!well_formed(&text));
        }
    }
}

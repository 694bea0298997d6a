//! Secrets of owners as text and as hashes: claim links, sessions, API tokens and recovery codes.
//!
//! The first three look like keys (256 random bits and a checksum, see [`crate::keys::text`]) with prefixes of
//! their own, so that a scanner knows what it has found. A recovery code is typed by hand from paper, so
//! it has 80 bits in groups of four characters that nobody confuses.
//!
//! # What this protects
//!
//! A text is shown once. What is kept is its HMAC under a secret that is derived from the pepper for this
//! one kind, so a copy of the store opens nothing and no secret passes for one of another kind.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::keys::hash::Pepper;
use crate::keys::text::{KeyPrefix, KeyText, well_formed};

/// What a secret opens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SecretKind {
    /// A link with which somebody becomes an owner, once.
    Claim,
    /// What a browser shows to stay signed in.
    Session,
    /// What a program shows to the admin API.
    Token,
    /// What an owner types who has lost every other way to sign in, once.
    RecoveryCode,
}

impl SecretKind {
    /// What its texts begin with, before the first underscore; a recovery code has nothing of the kind.
    fn prefix(self) -> &'static str {
        match self {
            Self::Claim => "ksc",
            Self::Session => "kss",
            Self::Token => "kst",
            Self::RecoveryCode => "",
        }
    }

    /// Never changes: what was hashed under it is found by it.
    fn label(self) -> &'static str {
        match self {
            Self::Claim => "keystile claim",
            Self::Session => "keystile session",
            Self::Token => "keystile token",
            Self::RecoveryCode => "keystile recovery code",
        }
    }
}

/// The text of a secret, on its way to the one who is shown it.
#[derive(Clone, PartialEq, Eq)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema), schema(value_type = String))]
pub struct Secret(String);

impl Secret {
    /// Makes a secret of 256 bits from the system's generator.
    ///
    /// A recovery code takes 80 of them.
    pub fn from_random(kind: SecretKind, random: [u8; 32]) -> Self {
        if kind == SecretKind::RecoveryCode {
            return Self(recovery_text(&random));
        }
        let prefix: KeyPrefix = kind.prefix().parse().expect("the prefixes are lower case");
        Self(KeyText::from_random(&prefix, random).expose().to_owned())
    }

    /// The secret itself.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// The hash under which it is kept.
    pub fn hash(&self, kind: SecretKind, pepper: &Pepper) -> SecretHash {
        SecretHash::of(kind, &self.0, pepper).expect("what was made here has its own form")
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

/// Goes to whoever is shown it: over the control socket, or as JSON to the command line.
impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Self)
    }
}

/// What is kept of a secret: its HMAC-SHA-256. Comparing two in variable time is safe, as for
/// [`crate::keys::hash::KeyHash`].
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct SecretHash([u8; 32]);

impl SecretHash {
    /// The hash of a text that somebody shows; `None` where the text has not the form of its kind, and
    /// was therefore never given out.
    pub fn of(kind: SecretKind, text: &str, pepper: &Pepper) -> Option<Self> {
        let plain = match kind {
            SecretKind::RecoveryCode => recovery_digits(text)?,
            SecretKind::Claim | SecretKind::Session | SecretKind::Token => {
                let begins = text.split_once('_').is_some_and(|(head, _)| head == kind.prefix());
                (begins && well_formed(text.as_bytes())).then(|| text.to_owned())?
            }
        };
        Some(Self(*pepper.derived(kind.label()).hash(plain.as_bytes()).as_bytes()))
    }

    /// All 32 bytes, as the store keeps them.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Reads what the store kept; `None` where it is not 32 bytes long.
    pub fn from_slice(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }
}

impl fmt::Debug for SecretHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretHash")
    }
}

/// A password as the console hashed it, with its salt; opaque here.
#[derive(Clone, PartialEq, Eq)]
pub struct PasswordHash(String);

impl PasswordHash {
    /// Takes the text that is kept, as in `$argon2id$v=19$..`.
    pub fn new(text: String) -> Self {
        Self(text)
    }

    /// The text that is kept.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

/// Crockford's base 32: no I, L, O or U, so that nothing is misread or misspells a word.
const RECOVERY_ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
/// 16 characters of 5 bits are 80 bits: beyond guessing, and short enough to type.
const RECOVERY_CHARS: usize = 16;

fn recovery_text(random: &[u8; 32]) -> String {
    let mut text = String::with_capacity(RECOVERY_CHARS + 3);
    for (place, byte) in random.iter().take(RECOVERY_CHARS).enumerate() {
        if place > 0 && place % 4 == 0 {
            text.push('-');
        }
        // Five bits of each byte: 32 divides 256, so all characters are equally likely.
        text.push(char::from(RECOVERY_ALPHABET[usize::from(byte % 32)]));
    }
    text
}

/// The characters of a recovery code however it was typed.
fn recovery_digits(text: &str) -> Option<String> {
    let mut digits = String::with_capacity(RECOVERY_CHARS);
    for c in text.chars().filter(|c| !c.is_whitespace() && *c != '-') {
        let c = match c.to_ascii_uppercase() {
            'O' => '0',
            'I' | 'L' => '1',
            c => c,
        };
        if digits.len() == RECOVERY_CHARS || !RECOVERY_ALPHABET.contains(&u8::try_from(c).ok()?) {
            return None;
        }
        digits.push(c);
    }
    (digits.len() == RECOVERY_CHARS).then_some(digits)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXTS: [SecretKind; 3] = [SecretKind::Claim, SecretKind::Session, SecretKind::Token];

    #[test]
    fn a_secret_of_one_kind_is_none_of_another() {
        let pepper = Pepper::new([7; 32]);
        for kind in TEXTS {
            let secret = Secret::from_random(kind, [9; 32]);
            for other in TEXTS {
                let found = SecretHash::of(other, secret.expose(), &pepper);
                assert_eq!(found.is_some(), kind == other);
            }
            assert_ne!(
                pepper.hash(secret.expose().as_bytes()).as_bytes(),
                secret.hash(kind, &pepper).as_bytes(),
                "a key with the text of a secret is found by another hash"
            );
        }
    }

    #[test]
    fn a_recovery_code_is_read_however_it_is_typed() {
        let pepper = Pepper::new([7; 32]);
        let mut random = [0; 32];
        random[..5].copy_from_slice(&[1, 0, 31, 10, 0xff]);
        let code = Secret::from_random(SecretKind::RecoveryCode, random);
        assert_eq!(code.expose(), "10ZA-Z000-0000-0000");
        let hash = code.hash(SecretKind::RecoveryCode, &pepper);
        for text in ["10za z000 0000 0000", "lOZAZ00000000000", " iozA-Z000-0000-000o "] {
            let read = SecretHash::of(SecretKind::RecoveryCode, text, &pepper);
            assert_eq!(read, Some(hash), "{text}");
        }
        for text in ["", "10ZA-Z000-0000", "10ZA-Z000-0000-00000", "10ZU-Z000-0000-0000", "é"] {
            assert_eq!(SecretHash::of(SecretKind::RecoveryCode, text, &pepper), None, "{text}");
        }
    }

    #[test]
    fn secrets_do_not_print() {
        let secret = Secret::from_random(SecretKind::Token, [1; 32]);
        assert_eq!(format!("{secret:?}"), "[redacted]");
        assert!(secret.expose().starts_with("kst_"));
    }
}

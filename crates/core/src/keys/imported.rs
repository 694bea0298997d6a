//! API keys that another system issued, as text.
//!
//! # What this protects
//!
//! Whoever moves to Keystile does not want all callers to change their keys on one day. So a key may be taken
//! over as it is: any 5 to 255 visible ASCII characters. Such a text has no checksum and perhaps little
//! randomness. It is kept as a hash like any other, prints as `[redacted]`, and is known in listings by as
//! much of its beginning as it can spare.
//!
//! Not here: a text of Keystile's own form ([`crate::keys::text`]). It is a key of another Keystile, or one of
//! an owner's secrets, and neither becomes a key by being copied.

use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::keys::text::well_formed;

/// How many characters a text has.
const CHARS: RangeInclusive<usize> = 5..=255;
/// A shorter text shows nothing of itself: it is short enough to be guessed, and each character that is known
/// makes that some sixty times easier.
const HINTED_CHARS_MIN: usize = 16;
/// A longer one shows a quarter, and no more than this; fewer than four would tell few keys apart.
const HINT_CHARS: RangeInclusive<usize> = 4..=8;

/// The text of a key that another system issued.
#[derive(Clone, PartialEq, Eq)]
pub struct ImportedText(String);

/// Why a text cannot be taken over as a key. Says nothing of the text itself.
#[derive(Clone, Copy, Debug, thiserror::Error, PartialEq, Eq)]
pub enum InvalidImportedText {
    /// It is too short or too long.
    #[error("a key that is taken over has 5 to 255 characters, and this one has {0}")]
    Length(usize),
    /// It holds something that no header takes, or that does not show.
    #[error("character {place} of the key is not one of the visible ASCII characters")]
    Character {
        /// Where it stands, from 1.
        place: usize,
    },
    /// It is Keystile's own kind of secret.
    #[error("the key has the form of Keystile's own keys, which are issued and never taken over")]
    OwnForm,
}

impl ImportedText {
    /// The secret itself.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// The beginning by which people tell keys apart in listings: a quarter of the text, at most eight
    /// characters, so that at least twelve stay unknown.
    ///
    /// It ends before a character that a command line, a page or a message could take for its own. `None`
    /// where fewer than four characters are left, and for a text of fewer than sixteen, which cannot spare
    /// any.
    pub fn hint(&self) -> Option<&str> {
        let length = self.0.len();
        if length < HINTED_CHARS_MIN || !self.0.starts_with(|c: char| c.is_ascii_alphanumeric()) {
            return None;
        }
        let is_plain =
            |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
        let plain = self.0.bytes().take_while(is_plain).count();
        let shown = plain.min(length / 4).min(*HINT_CHARS.end());
        HINT_CHARS.contains(&shown).then(|| &self.0[..shown])
    }
}

impl FromStr for ImportedText {
    type Err = InvalidImportedText;

    fn from_str(text: &str) -> Result<Self, InvalidImportedText> {
        if let Some(place) = text.chars().position(|c| !c.is_ascii_graphic()) {
            return Err(InvalidImportedText::Character { place: place.saturating_add(1) });
        }
        if !CHARS.contains(&text.len()) {
            return Err(InvalidImportedText::Length(text.len()));
        }
        if well_formed(text.as_bytes()) {
            return Err(InvalidImportedText::OwnForm);
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Debug for ImportedText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

/// Goes from the command line to the server that takes it over.
impl Serialize for ImportedText {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for ImportedText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::text::{KeyPrefix, KeyText};

    fn hint(chars: usize) -> Option<String> {
        let text: String = ('a'..='z').cycle().take(chars).collect();
        text.parse::<ImportedText>().unwrap().hint().map(str::to_owned)
    }

    #[test]
    fn a_hint_leaves_twelve_characters_unknown_and_a_short_key_has_none() {
        for short in [5, 12, 15] {
            assert_eq!(hint(short), None);
        }
        let expected =
            [(16, "abcd"), (19, "abcd"), (20, "abcde"), (32, "abcdefgh"), (255, "abcdefgh")];
        for (chars, shown) in expected {
            assert_eq!(hint(chars).as_deref(), Some(shown));
            assert!(chars - shown.len() >= 12);
        }
    }

    #[test]
    fn a_hint_holds_nothing_that_a_command_line_reads() {
        let hint = |text: &str| text.parse::<ImportedText>().unwrap().hint().map(str::to_owned);
        assert_eq!(hint("sk_live-4.2;reboot;0123456789abcdef").as_deref(), Some("sk_live-"));
        assert_eq!(hint("abcde$(reboot)0123456789abcdef").as_deref(), Some("abcde"));
        assert_eq!(hint("abc;reboot;0123456789abcdef"), None);
        assert_eq!(hint("-x-0123456789abcdef"), None);
    }

    #[test]
    fn only_visible_ascii_of_some_length_is_taken_over() {
        let parse = |text: &str| text.parse::<ImportedText>().map(drop);
        assert_eq!(parse("abcd"), Err(InvalidImportedText::Length(4)));
        assert_eq!(parse(&"a".repeat(256)), Err(InvalidImportedText::Length(256)));
        assert_eq!(parse("abc def"), Err(InvalidImportedText::Character { place: 4 }));
        assert_eq!(parse("abcdé"), Err(InvalidImportedText::Character { place: 5 }));
        assert_eq!(parse("abcde\n"), Err(InvalidImportedText::Character { place: 6 }));
        assert_eq!(parse("!~a:/+=%"), Ok(()));
        assert_eq!(parse(&"~".repeat(255)), Ok(()));
    }

    #[test]
    fn a_key_of_this_or_another_keystile_is_not_taken_over_and_no_text_prints() {
        let own = KeyText::from_random(&KeyPrefix::default(), [7; 32]);
        let refused = own.expose().parse::<ImportedText>();
        assert_eq!(refused, Err(InvalidImportedText::OwnForm));
        let text: ImportedText = "sesame-open".parse().unwrap();
        assert_eq!(format!("{text:?}"), "[redacted]");
        let sent = serde_json::to_string(&text).unwrap();
        assert_eq!(serde_json::from_str::<ImportedText>(&sent).unwrap(), text);
        let error = serde_json::from_str::<ImportedText>("\"no key at all\"").unwrap_err();
        assert!(!error.to_string().contains("no key"), "{error}");
    }
}

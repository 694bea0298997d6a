//! Texts that owners give to things: names, notes and reasons, and what they may hold.
//!
//! # What this protects
//!
//! Two names that look the same are the same to their reader. So a text holds nothing that does not show, or
//! that changes how its neighbors read: no control or format characters, no overrides of the direction, no
//! tags, no blanks but the plain ones, nothing that Unicode has not assigned. What joins letters of a script
//! that needs it, or the parts of an emoji, may stand where it joins them. What is stored already, from
//! before this or by other ways, is shown with such characters written out ([`crate::text`]).

use std::fmt;

use icu_properties::CodePointMapData;
use icu_properties::props::{GeneralCategory, GeneralCategoryGroup};

use crate::text::{is_hidden, joins};

/// The longest name.
pub const NAME_CHARS_MAX: usize = 100;
/// The longest name of a passkey or of a device, which stand in lists next to each other.
pub const SHORT_NAME_CHARS_MAX: usize = 60;
/// The longest note; it is shown in full in listings that are read on paper.
pub const NOTE_CHARS_MAX: usize = 500;
/// The longest reason.
pub const REASON_CHARS_MAX: usize = 500;

/// What a text is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Label {
    /// What something is called: one line, never empty, without blanks around it.
    Name,
    /// Some lines about something; an empty one is none.
    Note,
    /// Why something was done, in one line, never empty.
    Reason,
}

/// What is wrong with a text; reads after what it is, as in "the name of a token".
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidLabel {
    /// There is nothing in it.
    #[error("is empty")]
    Empty,
    /// It is too long.
    #[error("has more than {chars_max} characters")]
    TooLong {
        /// As many may it have.
        chars_max: usize,
    },
    /// A name with blanks around it looks like one without.
    #[error("has blanks around it")]
    Blanks,
    /// Its first character would be drawn over what stands before the text.
    #[error("begins with {c}, which is drawn over what stands before it")]
    Mark {
        /// That character.
        c: CharacterName,
    },
    /// A character that may not stand there.
    #[error("holds {c} as character {place}, which does not show as itself")]
    Hidden {
        /// That character.
        c: CharacterName,
        /// Where it stands, from 1.
        place: usize,
    },
}

/// A character by its number and, where people know it, its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CharacterName(pub char);

impl fmt::Display for CharacterName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "U+{:04X} ({})", u32::from(self.0), named(self.0))
    }
}

fn named(c: char) -> &'static str {
    match c {
        '\t' => "tab",
        '\n' | '\r' => "line end",
        '\u{1b}' => "escape",
        '\u{a0}' | '\u{202f}' => "no-break space",
        '\u{ad}' => "soft hyphen",
        '\u{61c}' | '\u{200e}' | '\u{200f}' => "direction mark",
        '\u{200b}' => "zero-width space",
        '\u{200c}' => "zero-width non-joiner",
        '\u{200d}' => "zero-width joiner",
        '\u{2028}' | '\u{2029}' => "line separator",
        '\u{202a}'..='\u{202e}' => "direction override",
        '\u{2060}' => "word joiner",
        '\u{2066}'..='\u{2069}' => "direction isolate",
        '\u{2800}' | '\u{3164}' | '\u{ffa0}' | '\u{115f}' | '\u{1160}' => "blank letter",
        '\u{fe00}'..='\u{fe0f}' | '\u{e0100}'..='\u{e01ef}' => "variation selector",
        '\u{feff}' => "byte-order mark",
        '\u{e0000}'..='\u{e007f}' => "tag",
        c => match category(c) {
            GeneralCategory::Control => "control character",
            GeneralCategory::PrivateUse => "private character",
            GeneralCategory::Unassigned => "unassigned",
            GeneralCategory::SpaceSeparator => "another space",
            category if is_mark(category) => "combining mark",
            _ => "format character",
        },
    }
}

fn category(c: char) -> GeneralCategory {
    CodePointMapData::<GeneralCategory>::new().get(c)
}

fn is_mark(category: GeneralCategory) -> bool {
    GeneralCategoryGroup::Mark.contains(category)
}

/// Spaces that people type on purpose; the others cannot be told from them.
fn is_odd_space(c: char) -> bool {
    !matches!(c, ' ' | '\u{3000}') && category(c) == GeneralCategory::SpaceSeparator
}

impl Label {
    /// As many characters may such a text have, where nothing tighter is said.
    pub const fn chars_max(self) -> usize {
        match self {
            Self::Name => NAME_CHARS_MAX,
            Self::Note => NOTE_CHARS_MAX,
            Self::Reason => REASON_CHARS_MAX,
        }
    }

    /// Checks a text that somebody typed. Fails when it is empty (a note may be), too long, or would not
    /// show as what it is.
    pub fn check(self, text: &str) -> Result<(), InvalidLabel> {
        self.check_up_to(text, self.chars_max())
    }

    /// Like [`check`](Self::check), and fails when the text has more than `chars_max` characters.
    pub fn check_up_to(self, text: &str, chars_max: usize) -> Result<(), InvalidLabel> {
        let trimmed = text.trim();
        if self != Self::Note && trimmed.is_empty() {
            return Err(InvalidLabel::Empty);
        }
        if text.chars().nth(chars_max).is_some() {
            return Err(InvalidLabel::TooLong { chars_max });
        }
        let mut before = None;
        let mut chars = text.chars().enumerate().peekable();
        while let Some((at, c)) = chars.next() {
            let is_line_end = self == Self::Note && c == '\n';
            let may_stand = is_line_end
                || !(is_hidden(c) || is_odd_space(c))
                || joins(before, c, chars.peek().map(|(_, next)| *next));
            if !may_stand {
                return Err(InvalidLabel::Hidden { c: CharacterName(c), place: at + 1 });
            }
            before = Some(c);
        }
        if self == Self::Name && trimmed != text {
            return Err(InvalidLabel::Blanks);
        }
        match trimmed.chars().next() {
            Some(c) if is_mark(category(c)) => Err(InvalidLabel::Mark { c: CharacterName(c) }),
            Some(_) | None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_of_every_script_and_emoji_are_names() {
        for name in [
            "reader-app",
            "Zoë’s app (2)",
            "日本語　アプリ",
            "می\u{200c}خواهم",
            "क्\u{200d}ष",
            "ශ්\u{200d}රී",
            "שלום",
            "👨\u{200d}👩\u{200d}👧 family",
            "❤\u{fe0f}",
            "1\u{fe0f}\u{20e3}",
            "👍🏽",
            "🏳\u{fe0f}\u{200d}🌈",
            "🇩🇪",
            "e\u{301}",
        ] {
            assert_eq!(Label::Name.check(name), Ok(()), "{name}");
            assert_eq!(crate::text::printable(name), name, "it is shown as it is");
        }
        for note in ["", "first\nsecond", " "] {
            assert_eq!(Label::Note.check(note), Ok(()), "{note:?}");
        }
    }

    /// Names, and what is said of them.
    const REFUSED: &[(&str, &str)] = &[
        (
            "ad\u{200b}min",
            "holds U+200B (zero-width space) as character 3, which does not show as itself",
        ),
        (
            "\u{202e}nimda",
            "holds U+202E (direction override) as character 1, which does not show as itself",
        ),
        (
            "a\u{2066}b",
            "holds U+2066 (direction isolate) as character 2, which does not show as itself",
        ),
        (
            "ad\u{200d}min",
            "holds U+200D (zero-width joiner) as character 3, which does not show as itself",
        ),
        (
            "admin\u{200c}",
            "holds U+200C (zero-width non-joiner) as character 6, which does not show as itself",
        ),
        (
            "می\u{200c}",
            "holds U+200C (zero-width non-joiner) as character 3, which does not show as itself",
        ),
        (
            "a\u{fe0f}",
            "holds U+FE0F (variation selector) as character 2, which does not show as itself",
        ),
        (
            "👍\u{200d}",
            "holds U+200D (zero-width joiner) as character 2, which does not show as itself",
        ),
        ("x\u{e0041}", "holds U+E0041 (tag) as character 2, which does not show as itself"),
        (
            "葛\u{e0100}",
            "holds U+E0100 (variation selector) as character 2, which does not show as itself",
        ),
        ("a\u{a0}b", "holds U+00A0 (no-break space) as character 2, which does not show as itself"),
        (
            "a\u{2003}b",
            "holds U+2003 (another space) as character 2, which does not show as itself",
        ),
        (
            "a\u{e000}",
            "holds U+E000 (private character) as character 2, which does not show as itself",
        ),
        ("a\u{378}", "holds U+0378 (unassigned) as character 2, which does not show as itself"),
        ("a\u{fffe}", "holds U+FFFE (unassigned) as character 2, which does not show as itself"),
        ("a\nb", "holds U+000A (line end) as character 2, which does not show as itself"),
        ("a\u{1b}[2J", "holds U+001B (escape) as character 2, which does not show as itself"),
        ("\u{3164}", "holds U+3164 (blank letter) as character 1, which does not show as itself"),
        (
            "\u{2800}\u{2800}",
            "holds U+2800 (blank letter) as character 1, which does not show as itself",
        ),
        (
            "\u{301}a",
            "begins with U+0301 (combining mark), which is drawn over what stands before it",
        ),
        ("", "is empty"),
        ("   ", "is empty"),
        ("\u{3000}", "is empty"),
        (" a", "has blanks around it"),
        ("a\u{3000}", "has blanks around it"),
    ];

    #[test]
    fn what_does_not_show_as_itself_is_refused_and_named() {
        for (name, said) in REFUSED {
            let told = Label::Name.check(name).map_err(|error| error.to_string());
            assert_eq!(told, Err((*said).to_owned()), "{name:?}");
        }
        let long = "é".repeat(NAME_CHARS_MAX);
        assert_eq!(Label::Name.check(&long), Ok(()));
        let longer = long + "é";
        assert_eq!(Label::Name.check(&longer), Err(InvalidLabel::TooLong { chars_max: 100 }));
        assert!(Label::Reason.check("a\nb").is_err(), "a reason is one line");
        for empty in ["", "  ", "\u{3000}"] {
            assert_eq!(Label::Reason.check(empty), Err(InvalidLabel::Empty), "a reason says why");
        }
        assert!(Label::Note.check("a\rb").is_err());
    }

    proptest! {
        #[test]
        fn a_text_that_is_kept_shows_as_it_is(text in any::<String>()) {
            for label in [Label::Name, Label::Reason] {
                if label.check(&text).is_ok() {
                    prop_assert_eq!(crate::text::printable(&text), text.as_str());
                }
            }
        }
    }
}

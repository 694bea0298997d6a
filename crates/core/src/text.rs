//! Text from outside, made safe to show.
//!
//! Paths, user agents, names and reasons are chosen by strangers. Printed as they are, they could move the
//! cursor, repaint what was printed before, or read differently than they are. [`printable`] leaves what a
//! person can see and writes the rest as `\u{..}`.

use std::borrow::Cow;
use std::fmt::Write as _;

use icu_properties::props::{
    DefaultIgnorableCodePoint, Emoji, EmojiModifier, ExtendedPictographic, GeneralCategory,
    PrependedConcatenationMark, Script,
};
use icu_properties::{CodePointMapData, CodePointSetData};

/// The text with everything that does not show as itself written as `\u{..}`.
pub fn printable(text: &str) -> Cow<'_, str> {
    escaped(text, is_hidden)
}

/// Like [`printable`] for a page, which draws line ends and tabs as blanks.
pub fn printable_blanks(text: &str) -> Cow<'_, str> {
    escaped(text, |c| !matches!(c, '\r' | '\n' | '\t') && is_hidden(c))
}

/// Like [`printable`] for a message of ours that may have several lines.
pub fn printable_lines(text: &str) -> Cow<'_, str> {
    escaped(text, |c| c != '\n' && is_hidden(c))
}

/// At most so many characters of the text, with a sign where something is missing.
pub fn shortened(text: &str, chars_max: usize) -> Cow<'_, str> {
    match text.char_indices().nth(chars_max) {
        None => Cow::Borrowed(text),
        Some((end, _)) => Cow::Owned(format!("{}…", &text[..end])),
    }
}

/// Whether a character controls the terminal, changes how its neighbors read, or cannot be seen.
pub fn is_hidden(c: char) -> bool {
    if c.is_ascii() {
        return c.is_ascii_control();
    }
    // The blank letter of Braille has a look of its own for Unicode.
    if c == '\u{2800}' || CodePointSetData::new::<DefaultIgnorableCodePoint>().contains(c) {
        return true;
    }
    match CodePointMapData::<GeneralCategory>::new().get(c) {
        // Signs before numbers that do show.
        GeneralCategory::Format => {
            !CodePointSetData::new::<PrependedConcatenationMark>().contains(c)
        }
        GeneralCategory::Control
        | GeneralCategory::LineSeparator
        | GeneralCategory::ParagraphSeparator
        | GeneralCategory::PrivateUse
        | GeneralCategory::Unassigned => true,
        _ => false,
    }
}

/// Scripts in which a joiner or a non-joiner between two letters changes how these look.
const JOINING: &[Script] = &[
    Script::Adlam,
    Script::Arabic,
    Script::Bengali,
    Script::Devanagari,
    Script::Gujarati,
    Script::Gurmukhi,
    Script::Kannada,
    Script::Khmer,
    Script::Malayalam,
    Script::Mongolian,
    Script::Myanmar,
    Script::Nko,
    Script::Oriya,
    Script::Sinhala,
    Script::Syriac,
    Script::Tamil,
    Script::Telugu,
    Script::Tibetan,
];

/// Whether a character that cannot be seen itself does its work where it stands: a joiner between two
/// letters of a script that knows it or between two emoji, the selector of an emoji's look behind it.
pub fn joins(before: Option<char>, c: char, after: Option<char>) -> bool {
    let Some(before) = before else {
        return false;
    };
    let script = |c: char| CodePointMapData::<Script>::new().get(c);
    let joins_letters = || {
        let joined = script(before);
        JOINING.contains(&joined) && after.is_some_and(|after| script(after) == joined)
    };
    let pictures = CodePointSetData::new::<ExtendedPictographic>();
    match c {
        '\u{200c}' => joins_letters(),
        '\u{200d}' => {
            let is_behind_picture = before == '\u{fe0f}'
                || pictures.contains(before)
                || CodePointSetData::new::<EmojiModifier>().contains(before);
            joins_letters() || is_behind_picture && after.is_some_and(|c| pictures.contains(c))
        }
        '\u{fe0e}' | '\u{fe0f}' => CodePointSetData::new::<Emoji>().contains(before),
        _ => false,
    }
}

fn escaped(text: &str, hides: impl Fn(char) -> bool) -> Cow<'_, str> {
    if !text.contains(&hides) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 16);
    let (mut before, mut chars) = (None, text.chars().peekable());
    while let Some(c) = chars.next() {
        if hides(c) && !joins(before, c, chars.peek().copied()) {
            write!(shown, "\\u{{{:x}}}", u32::from(c)).expect("a string takes all that is written");
        } else {
            shown.push(c);
        }
        before = Some(c);
    }
    Cow::Owned(shown)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_shows_as_itself_stays() {
        for text in ["", "/bookmarks/41?a=b", "Zoë's 日本語 API", "Mozilla/5.0 (X11)", "a\\u{1b}"]
        {
            assert!(matches!(printable(text), Cow::Borrowed(shown) if shown == text));
        }
    }

    #[test]
    fn what_a_terminal_would_obey_is_written_out() {
        for (text, shown) in [
            ("\u{1b}[2Jgone", "\\u{1b}[2Jgone"),
            ("\u{1b}]0;title\u{7}", "\\u{1b}]0;title\\u{7}"),
            ("a\r\nb\tc\u{7f}", "a\\u{d}\\u{a}b\\u{9}c\\u{7f}"),
            ("\u{9b}31m", "\\u{9b}31m"),
            ("ab\u{202e}gpj.exe", "ab\\u{202e}gpj.exe"),
            ("ad\u{200b}min\u{feff}", "ad\\u{200b}min\\u{feff}"),
            ("\u{2066}x\u{2069}\u{2028}", "\\u{2066}x\\u{2069}\\u{2028}"),
            ("tag\u{e0041}", "tag\\u{e0041}"),
        ] {
            assert_eq!(printable(text), shown);
            assert!(!printable(&printable(text)).chars().any(is_hidden));
        }
    }

    #[test]
    fn a_message_keeps_its_lines_and_nothing_else() {
        assert_eq!(printable_lines("one\ntwo\u{1b}c"), "one\ntwo\\u{1b}c");
    }

    #[test]
    fn a_long_text_is_cut_between_characters() {
        assert_eq!(shortened("日本語", 3), "日本語");
        assert_eq!(shortened("日本語", 2), "日本…");
    }
}

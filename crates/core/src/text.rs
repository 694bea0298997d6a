//! Text from outside, made safe to show.
//!
//! Paths, user agents, names and reasons are chosen by strangers. Printed as they are, they could move the
//! cursor, repaint what was printed before, or read differently than they are. [`printable`] leaves what a
//! person can see and writes the rest as `\u{..}`.

use std::borrow::Cow;
use std::fmt::Write as _;

/// The text with everything that does not show as itself written as `\u{..}`.
pub fn printable(text: &str) -> Cow<'_, str> {
    escaped(text, is_hidden)
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
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
            | '\u{180b}'..='\u{180f}'
            // Zero-width and direction marks, line and paragraph separators, direction overrides.
            | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{2800}' | '\u{3164}' | '\u{feff}' | '\u{ffa0}'
            | '\u{fe00}'..='\u{fe0f}'
            | '\u{fff0}'..='\u{fffb}'
            // Musical format controls, shorthand format controls, tags and variation selectors.
            | '\u{1d173}'..='\u{1d17a}'
            | '\u{1bca0}'..='\u{1bca3}'
            | '\u{e0000}'..='\u{e0fff}')
}

fn escaped(text: &str, hides: impl Fn(char) -> bool) -> Cow<'_, str> {
    let Some(first) = text.find(&hides) else {
        return Cow::Borrowed(text);
    };
    let mut shown = String::with_capacity(text.len() + 16);
    shown.push_str(&text[..first]);
    for c in text[first..].chars() {
        if hides(c) {
            write!(shown, "\\u{{{:x}}}", u32::from(c)).expect("a string takes all that is written");
        } else {
            shown.push(c);
        }
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

//! Pieces of text that several kinds of channel share.

use super::{Shown, utf16};

/// The body of a message in channels that take plain text: the sentence, the facts, the last writes.
pub(crate) fn body(shown: &Shown) -> String {
    let mut text = shown.sentence.clone();
    for (name, value) in &shown.facts {
        text.push_str(&format!("\n{name}: {value}"));
    }
    if !shown.writes.is_empty() {
        text.push_str(&format!("\n{}:", shown.writes_heading()));
        for write in &shown.writes {
            text.push_str(&format!("\n{}", write.line()));
        }
    }
    text
}

/// The heading and the last writes, one a line.
pub(crate) fn last_writes(shown: &Shown) -> String {
    let lines = shown.writes.iter().map(|write| format!("\n{}", write.line()));
    format!("{}:{}", shown.writes_heading(), lines.collect::<String>())
}

/// As many of the parts, joined, as fit as a whole.
pub(crate) fn whole_within(
    parts: impl Iterator<Item = String>,
    between: &str,
    max: usize,
) -> String {
    let mut all = String::new();
    for part in parts {
        let between = if all.is_empty() { "" } else { between };
        if utf16(&all) + utf16(between) + utf16(&part) <= max {
            all.push_str(between);
            all.push_str(&part);
        }
    }
    all
}

/// A text as HTML shows it.
pub(crate) fn in_html(text: &str) -> String {
    askama::filters::escape(text, askama::filters::Html)
        .map_or_else(|never| match never {}, |escaped| escaped.to_string())
}

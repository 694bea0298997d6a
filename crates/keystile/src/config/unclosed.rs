//! The bracket that somebody forgot to close.
//!
//! The parser goes on inside the array and complains of every line below. What is wrong is one thing, and
//! it stands further up.

/// The place of the bracket or brace that is open where the parser met something that cannot be a part of
/// an array: the next header, the next key, or the end of the file.
pub(super) fn opener(text: &str, at: usize) -> Option<usize> {
    let at = text.floor_char_boundary(at);
    let opener = open_at(&text[..at])?;
    let is_on_another_line = text[opener..at].contains('\n');
    let ends_file = text[at..].trim().is_empty();
    (ends_file || (is_on_another_line && begins_something(text, at))).then_some(opener)
}

fn begins_something(text: &str, at: usize) -> bool {
    let start = text[..at].rfind('\n').map_or(0, |newline| newline + 1);
    let line = text[start..].lines().next().unwrap_or_default().trim();
    let is_name = |text: &str| {
        let text = text.trim();
        !text.is_empty()
            && text
                .chars()
                .all(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | '"' | '\''))
    };
    let header = line.split('#').next().unwrap_or_default().trim();
    let header = header.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let is_header = header.is_some_and(|inner| {
        is_name(inner.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(inner))
            && !inner.starts_with(['"', '\''])
    });
    is_header || line.split_once('=').is_some_and(|(key, _)| is_name(key))
}

/// The innermost bracket of a value that is open at the end of a text.
fn open_at(text: &str) -> Option<usize> {
    let (mut open, mut at) = (Vec::new(), 0);
    let mut is_line_start = true;
    while let Some(c) = text[at..].chars().next() {
        let rest = &text[at..];
        let mut step = c.len_utf8();
        match c {
            '#' => step = line_end(rest),
            // A header, and not a value.
            '[' if is_line_start && open.is_empty() => step = line_end(rest),
            '[' | '{' => open.push(at),
            ']' | '}' => drop(open.pop()),
            '"' | '\'' => step = string_end(rest, c),
            _ => {}
        }
        is_line_start = c == '\n' || (is_line_start && c.is_whitespace());
        at += step;
    }
    open.pop()
}

fn line_end(text: &str) -> usize {
    text.find('\n').unwrap_or(text.len())
}

/// Where a string ends that begins here; one on a single line ends with it at the latest.
fn string_end(text: &str, quote: char) -> usize {
    let triple = quote.to_string().repeat(3);
    if let Some(inner) = text.strip_prefix(&triple) {
        return inner.find(&triple).map_or(text.len(), |end| end + 2 * triple.len());
    }
    let mut is_escaped = false;
    for (place, c) in text.char_indices().skip(1) {
        match c {
            '\n' => return place,
            _ if is_escaped => is_escaped = false,
            '\\' if quote == '"' => is_escaped = true,
            _ if c == quote => return place + c.len_utf8(),
            _ => {}
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_bracket_is_found_that_was_not_closed() {
        let text = "[api.a]\nupstream = [\"]\", # ]\n  \"b\"\n\n[plan.open]\n";
        assert_eq!(opener(text, text.find("[plan").unwrap()), text.find("[\"]"));
        let text = "a = [\n 'x'\n 'y'\n]\n";
        assert_eq!(opener(text, text.find("'y'").unwrap()), None, "a missing comma");
        let text = "lock = { level = \"all\"\nkeyless = true\n";
        assert_eq!(opener(text, text.find("keyless").unwrap()), text.find('{'));
        let text = "a = [1, 2";
        assert_eq!(opener(text, text.len()), Some(4));
        assert_eq!(opener("a = [1]\nb = ?", 12), None);
    }

    proptest! {
        #[test]
        fn hostile_texts_never_panic(text in "[\\[\\]{}\"'#=a\n\\\\é]{0,40}", at in 0_usize..60) {
            let _ = opener(&text, at.min(text.len()));
        }
    }
}

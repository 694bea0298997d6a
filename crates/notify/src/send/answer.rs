//! What another machine answered, in words that are safe to show.

use keystile_core::notifications::delivery::AttemptOutcome;
use keystile_core::text::{printable, shortened};

/// Characters kept of what the other side said.
const SAID_CHARS_MAX: usize = 500;

/// Another attempt may succeed.
pub(crate) fn later(said: &str) -> AttemptOutcome {
    AttemptOutcome::Later { said: said_by(said), retry_after: None }
}

/// No attempt with the same settings will succeed.
pub(crate) fn never(said: &str) -> AttemptOutcome {
    AttemptOutcome::Never { said: said_by(said) }
}

/// Something to show from what another machine said.
pub(super) fn said_by(text: &str) -> String {
    // An answer may be 64 KiB of anything; one line of it says enough.
    let text = shortened(text.trim(), SAID_CHARS_MAX);
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let line = printable(&line);
    match line.char_indices().nth(SAID_CHARS_MAX) {
        None => line.into_owned(),
        Some(_) => shortened(&line, SAID_CHARS_MAX - 1).into_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_peer_says_is_one_short_line_safe_to_show() {
        assert_eq!(said_by("  a\r\nb\tc\u{1b}[2J\u{202e} "), "a b c\\u{1b}[2J\\u{202e}");
        let long = said_by(&"\u{202e}".repeat(10_000));
        assert_eq!(long.chars().count(), 500);
        assert_eq!(said_by(&"x".repeat(500)).len(), 500);
    }
}

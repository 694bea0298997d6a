//! Texts as a configuration holds them.

use keystile_core::text::printable;

/// A text of TOML: what JSON escapes in one, TOML reads as the same.
pub(super) fn quoted(text: &str) -> String {
    serde_json::to_string(&printable(text)).expect("a text can be written")
}

//! What the portal said, made safe to show.
//!
//! A [`Quoted`] is the only way for a text that is not ours into an error, and only a [`Quoter`], which
//! knows the secrets of the call, makes one. So a portal that repeats the access token puts it into no
//! message.

use std::fmt;

use keystile_core::text::{printable, shortened};

/// Characters kept of what the portal said.
const QUOTED_CHARS_MAX: usize = 300;

/// A text from outside in one short line, without the secrets of the call.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Quoted(String);

impl Quoted {
    /// The text; empty where nothing was said.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Quoted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Knows what must not be repeated.
pub(crate) struct Quoter {
    secrets: Vec<String>,
}

impl fmt::Debug for Quoter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Quoter")
    }
}

impl Quoter {
    pub(crate) fn hiding(secrets: impl IntoIterator<Item = String>) -> Self {
        Self { secrets: secrets.into_iter().filter(|secret| !secret.is_empty()).collect() }
    }

    pub(crate) fn quote(&self, text: &str) -> Quoted {
        let hide = |text: String, secret: &String| text.replace(secret.as_str(), "[redacted]");
        // Before it is cut, so that no half of a secret is left at the end.
        let text = self.secrets.iter().fold(text.to_owned(), hide);
        let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
        let line = printable(&line);
        Quoted(shortened(&line, QUOTED_CHARS_MAX).into_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quote_is_one_short_line_without_secrets() {
        let quoter = Quoter::hiding(["s3cret".to_owned(), String::new()]);
        let said = quoter.quote(" a\r\nb s3cret\u{1b}[2J as3cretb ");
        assert_eq!(said.as_str(), "a b [redacted]\\u{1b}[2J a[redacted]b");
        let long = quoter.quote(&format!("{}s3cret", "x".repeat(QUOTED_CHARS_MAX - 3)));
        assert!(!long.as_str().contains("s3c"), "{long}");
        assert_eq!(long.as_str().chars().count(), QUOTED_CHARS_MAX + 1);
        assert_eq!(format!("{quoter:?}"), "Quoter");
    }
}

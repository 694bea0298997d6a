//! Times as a person reads them: how long ago, and exactly.

use std::fmt::{self, Write};

use askama::filters::HtmlSafe;
use keystile_core::time::Timestamp;
use keystile_core::time::when::relative;

/// The moment that a page is made at.
#[derive(Clone, Debug)]
pub(crate) struct Clock {
    pub(crate) now: Timestamp,
}

/// A time element: relative, with the exact time as its title. Its parts hold nothing that needs escaping.
pub(crate) struct TimeElement(String);

impl fmt::Display for TimeElement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl HtmlSafe for TimeElement {}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    clippy::ref_option,
    clippy::unused_self,
    reason = "templates lend what they show"
)]
impl Clock {
    pub(crate) fn ago(&self, time: &Timestamp) -> TimeElement {
        let exact = time.readable();
        TimeElement(format!(
            "<time datetime=\"{time}\" title=\"{exact}\">{}</time>",
            relative(*time, self.now)
        ))
    }

    /// As [`Self::ago`] where there is a time, and a word where there is none.
    pub(crate) fn ago_or(&self, time: &Option<Timestamp>, otherwise: &str) -> TimeElement {
        if let Some(time) = time {
            return self.ago(time);
        }
        let mut word = String::new();
        // Writing to a String cannot fail.
        let _ = askama::filters::escape(otherwise, askama::filters::Html)
            .map(|escaped| write!(word, "{escaped}"));
        TimeElement(word)
    }

    /// The hour and minute.
    pub(crate) fn hour(&self, time: Timestamp) -> String {
        time.readable().get(11..16).unwrap_or_default().to_owned()
    }
}

//! Points in time as the command line reads and shows them.

pub(super) use keystile_core::time::when::relative;
pub use keystile_core::time::when::{InvalidWhen, When};
use keystile_core::time::{InvalidSpan, Span, Timestamp};

/// Reads the grace period of a rolled key in milliseconds; `0` means none.
pub(super) fn parse_grace(text: &str) -> Result<i64, InvalidSpan> {
    if text.trim() == "0" { Ok(0) } else { text.parse::<Span>().map(Span::millis) }
}

/// Both: exactly, and seen from now.
pub(super) fn exact_and_relative(time: Timestamp, now: Timestamp) -> String {
    format!("{} ({})", time.readable(), relative(time, now))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_grace_period_may_be_none() {
        assert_eq!(parse_grace("0"), Ok(0));
        assert_eq!(parse_grace("24 hours"), Ok(86_400_000));
        assert!(parse_grace("soon").is_err());
    }
}

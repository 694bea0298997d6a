//! The `3scale-limit-*` headers: how many more of the same call would pass, and until when.

use keystile_core::time::Timestamp;

use super::decide::{Decision, UsageReport};
use super::error::Rejection;
use super::period::Period;

/// What the headers say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LimitHeaders {
    /// No limit reaches the call: remaining and reset are -1, and there is no maximum.
    Unconstrained,
    /// By the limit that leaves the fewest calls; among equals, the one of the longest period.
    Constrained {
        /// How many identical calls would pass after this one.
        remaining: u64,
        /// How many seconds the window lasts, rounded up; `None`, for eternity, is sent as -1.
        reset_secs: Option<u64>,
        /// The limit.
        max: u64,
    },
}

impl LimitHeaders {
    /// The headers of a decision. `None` where it has none: a rejection for another reason than limits.
    pub fn of(decision: &Decision<'_>) -> Option<Self> {
        if !matches!(decision.rejection, None | Some(Rejection::LimitsExceeded)) {
            return None;
        }
        let constraints =
            decision.reached().filter_map(|report| Some((remaining_calls(report)?, report)));
        let tightest = constraints
            .min_by_key(|(remaining, report)| (*remaining, std::cmp::Reverse(report.limit.period)));
        Some(tightest.map_or(Self::Unconstrained, |(remaining, report)| Self::Constrained {
            remaining,
            reset_secs: reset_secs(report, decision.at),
            max: report.limit.max,
        }))
    }

    /// Names and values, as they are sent.
    pub fn fields(self) -> impl Iterator<Item = (&'static str, String)> {
        let (remaining, reset, max) = match self {
            Self::Unconstrained => (None, None, None),
            Self::Constrained { remaining, reset_secs, max } => {
                (Some(remaining), reset_secs, Some(max))
            }
        };
        let number = |number: Option<u64>| number.map_or("-1".to_owned(), |n| n.to_string());
        [("3scale-limit-remaining", number(remaining)), ("3scale-limit-reset", number(reset))]
            .into_iter()
            .chain(max.map(|max| ("3scale-limit-max-value", max.to_string())))
    }
}

/// How many identical calls a limit leaves; `None` for any number.
fn remaining_calls(report: &UsageReport<'_>) -> Option<u64> {
    match report.limit.max.saturating_sub(report.current) {
        0 => Some(0),
        left => left.checked_div(report.amount?.value()),
    }
}

fn reset_secs(report: &UsageReport<'_>, now: Timestamp) -> Option<u64> {
    let millis = u64::try_from(report.window.end.millis_since(now)).unwrap_or(0);
    (report.limit.period != Period::Eternity).then(|| millis.div_ceil(1000))
}

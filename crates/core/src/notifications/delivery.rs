//! Deliveries: how one comes to its end, and when it is tried again.
//!
//! A delivery is one message to one receiver of one channel. It is tried until the other side has it, says
//! that it never will, or three days have passed; then it stands in the console as failed.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::id::id;
use crate::time::{Span, Timestamp};

id!(DeliveryId, "delivery_", "a delivery");

/// How far a delivery has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub enum DeliveryState {
    /// It waits for its first or next attempt.
    Waiting,
    /// Somebody holds it and sends it.
    Sending,
    /// The other side has it.
    Sent,
    /// Nobody tries any more; an owner can send it again.
    Failed,
}

impl DeliveryState {
    /// Every state.
    pub const ALL: [Self; 4] = [Self::Waiting, Self::Sending, Self::Sent, Self::Failed];

    /// The stable name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Sending => "sending",
            Self::Sent => "sent",
            Self::Failed => "failed",
        }
    }
}

impl fmt::Display for DeliveryState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The text does not name a state of deliveries.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("{0:?} is not the state of a delivery: it is waiting, sending, sent or failed")]
pub struct InvalidDeliveryState(pub String);

impl FromStr for DeliveryState {
    type Err = InvalidDeliveryState;

    fn from_str(text: &str) -> Result<Self, InvalidDeliveryState> {
        let found = Self::ALL.into_iter().find(|state| state.name() == text);
        found.ok_or_else(|| InvalidDeliveryState(text.to_owned()))
    }
}

/// What came of one attempt, with what the other side said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AttemptOutcome {
    /// The other side has it.
    Sent {
        /// What it said.
        said: String,
    },
    /// Not this time.
    Later {
        /// What it said.
        said: String,
        /// When it asked to be tried again, where it did.
        retry_after: Option<Span>,
    },
    /// Not this message, however often it is tried.
    Never {
        /// What it said.
        said: String,
    },
    /// The receiver is no longer there, for this message and any other.
    Gone {
        /// What it said.
        said: String,
    },
}

impl AttemptOutcome {
    /// The stable name.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Sent { .. } => "sent",
            Self::Later { .. } => "later",
            Self::Never { .. } => "never",
            Self::Gone { .. } => "gone",
        }
    }

    /// What the other side said.
    pub fn said(&self) -> &str {
        match self {
            Self::Sent { said }
            | Self::Later { said, .. }
            | Self::Never { said }
            | Self::Gone { said } => said,
        }
    }
}

/// How long a delivery is tried: over a weekend, for a mail server that nobody looks after on one.
pub const TRIED_FOR: Span = Span::from_secs(3 * 86_400);

/// The pauses between the first attempts; the last one repeats.
const PAUSES: [Span; 8] = [
    Span::from_secs(10),
    Span::from_secs(30),
    Span::from_secs(2 * 60),
    Span::from_secs(5 * 60),
    Span::from_secs(15 * 60),
    Span::from_secs(30 * 60),
    Span::from_secs(3_600),
    Span::from_secs(2 * 3_600),
];

/// A side that asks for more patience than this is tried anyway.
const RETRY_AFTER_MAX: Span = Span::from_secs(6 * 3_600);

/// When a delivery that was first due at a time is tried again after so many attempts; `None` when it has
/// been tried for long enough. `random` spreads attempts, so that all that waited for one server do not
/// come back to it in one moment.
pub fn next_attempt(
    first_due: Timestamp,
    now: Timestamp,
    attempts: u32,
    asked: Option<Span>,
    random: u32,
) -> Option<Timestamp> {
    let end = first_due.plus(TRIED_FOR);
    if now >= end {
        return None;
    }
    let place = usize::try_from(attempts.saturating_sub(1)).unwrap_or(usize::MAX);
    let pause = PAUSES[place.min(PAUSES.len() - 1)];
    let pause = asked.map_or(pause, |asked| pause.max(asked.min(RETRY_AFTER_MAX))).millis();
    // From 80 % to 120 %.
    let jitter = pause / 5 * i64::from(random % 2_001) / 1_000 - pause / 5;
    // The last attempt is made at the very end.
    Some(Timestamp(now.0.saturating_add(pause).saturating_add(jitter)).min(end))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_delivery_is_tried_for_three_days_and_then_no_more() {
        let first_due = Timestamp(1_000);
        let (mut now, mut attempts) = (first_due, 0);
        loop {
            attempts += 1;
            match next_attempt(first_due, now, attempts, None, attempts * 977) {
                Some(next) => {
                    assert!(next > now);
                    now = next;
                }
                None => break,
            }
        }
        assert_eq!(now, first_due.plus(TRIED_FOR));
        assert!((35..60).contains(&attempts), "{attempts}");
    }

    proptest! {
        #[test]
        fn the_next_attempt_is_later_and_never_beyond_the_end(
            now in 0_i64..TRIED_FOR.millis(), attempts in 0_u32..100, asked in 1_u32..10_000_000, random: u32,
        ) {
            let asked = Span::from_millis(i64::from(asked));
            let next = next_attempt(Timestamp(0), Timestamp(now), attempts, asked, random).unwrap();
            prop_assert!(next.0 > now && next <= Timestamp(0).plus(TRIED_FOR));
        }
    }
}

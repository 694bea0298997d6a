//! What a lock on a key is: which calls it stops, who set it, and until when.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::time::{Span, Timestamp};

/// Which calls of a key a lock stops.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub enum LockLevel {
    /// Writes stop, reads keep flowing.
    Writes,
    /// Every call stops.
    All,
}

impl fmt::Display for LockLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Writes => "writes",
            Self::All => "all",
        })
    }
}

/// How a plan locks a key that goes over one of its write budgets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LockRule {
    /// The attempt past the budget is refused and the key goes on.
    Never,
    /// The attempt past the budget is refused and locks the key.
    Lock {
        /// Which calls the lock stops.
        level: LockLevel,
        /// How long it holds.
        until: LockUntil,
    },
}

/// How long a lock by a budget holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LockUntil {
    /// Until the owner unlocks the key.
    Unlocked,
    /// For a time that grows with each lock of the same key.
    For {
        /// The first lock's length.
        span: Span,
        /// Each further lock is this many times as long; 1 keeps it constant.
        growth: u32,
        /// No lock is longer than this.
        span_max: Span,
    },
}

impl LockUntil {
    /// When a lock set now opens by itself, for a key that was locked `earlier_locks` times.
    pub fn end(self, now: Timestamp, earlier_locks: u32) -> Option<Timestamp> {
        match self {
            Self::Unlocked => None,
            Self::For { span, growth, span_max } => {
                let factor = i64::from(growth).saturating_pow(earlier_locks.min(63));
                let millis = span.millis().saturating_mul(factor).min(span_max.millis());
                Some(Timestamp(now.0.saturating_add(millis)))
            }
        }
    }
}

/// Who did something: to a key or an application, or to what guards them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "by", content = "name")]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub enum Actor {
    /// A write budget of the key's plan; the name is the budget's.
    Budget(String),
    /// Somebody at the command line; the name is their account's on that machine, with its number.
    CommandLine(String),
    /// An owner at the console; the name is theirs.
    Owner(String),
    /// A program at the admin API; the name is its token's.
    Token(String),
    /// Somebody who followed a one-click link; the name says which.
    Link(String),
    /// Somebody who did not prove who they are.
    Stranger,
    /// The system that the server runs on, by a signal.
    System,
    /// The end of a lock that was set for a time.
    Time,
}

impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Budget(name) => write!(f, "budget {name}"),
            Self::CommandLine(account) => write!(f, "command line ({account})"),
            Self::Owner(name) => write!(f, "owner {name}"),
            Self::Token(name) => write!(f, "token {name}"),
            Self::Link(name) => write!(f, "link {name}"),
            Self::Stranger => f.write_str("somebody"),
            Self::System => f.write_str("system"),
            Self::Time => f.write_str("time"),
        }
    }
}

/// A lock that is on a key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Lock {
    /// Which calls it stops.
    pub level: LockLevel,
    /// Why, in a sentence for the owner.
    pub reason: String,
    /// Who set it.
    pub actor: Actor,
    /// Since when.
    pub since: Timestamp,
    /// When it opens by itself; `None` until the owner acts.
    pub until: Option<Timestamp>,
    /// The request that went over the budget, as in `DELETE /bookmarks/41 from 192.0.2.7`.
    pub evidence: Option<String>,
}

impl Lock {
    /// Whether the lock still holds at a time.
    pub fn holds_at(&self, now: Timestamp) -> bool {
        self.until.is_none_or(|until| now < until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_growing_lock_doubles_until_its_maximum() {
        let hour = Span::from_secs(3600);
        let until = LockUntil::For { span: hour, growth: 2, span_max: Span::from_secs(5 * 3600) };
        let ends: Vec<_> = [0, 1, 2, 3, 4_000_000_000]
            .map(|earlier| until.end(Timestamp(0), earlier).unwrap().0 / 3_600_000)
            .into();
        assert_eq!(ends, [1, 2, 4, 5, 5]);
        assert_eq!(LockUntil::Unlocked.end(Timestamp(0), 3), None);
    }
}

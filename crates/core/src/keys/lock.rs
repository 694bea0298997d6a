//! What a lock on a key is: which calls it stops, who set it, and until when.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::actor::Actor;
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

/// What a lock is on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub enum LockTarget {
    /// One key.
    #[default]
    Key,
    /// An application: all the keys that it has, and every one that it gets.
    Application,
}

/// A lock that is on a key or on an application.
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
    /// What it is on.
    #[serde(default)]
    pub on: LockTarget,
}

/// What a lock that was asked for made of the key's present one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LockChange {
    /// The key was not locked.
    New,
    /// The key was locked already, and now for more calls or for longer.
    Extended,
    /// The key was locked already for at least as much.
    Unchanged,
}

impl Lock {
    /// Whether the lock still holds at a time.
    pub fn holds_at(&self, now: Timestamp) -> bool {
        self.until.is_none_or(|until| now < until)
    }

    /// Of two locks that stop the same calls the one that is stricter, or else holds longer.
    pub fn stricter<'a>(one: Option<&'a Self>, other: Option<&'a Self>) -> Option<&'a Self> {
        let rank = |lock: &Self| (lock.level, lock.until.map_or(i64::MAX, |until| until.0));
        match (one, other) {
            (Some(one), Some(other)) => Some(if rank(other) > rank(one) { other } else { one }),
            (one, other) => one.or(other),
        }
    }

    /// The lock of a key or application that may carry one: the stricter level and the later end of the two, so that no
    /// lock ever weakens another. Where the present one is as strict, it stays as it is.
    #[must_use]
    pub fn joined_with(self, present: Option<Self>) -> (Self, LockChange) {
        let now = self.since;
        let Some(present) = present.filter(|present| present.holds_at(now)) else {
            return (self, LockChange::New);
        };
        let level = self.level.max(present.level);
        let until = match (self.until, present.until) {
            (Some(asked), Some(present)) => Some(asked.max(present)),
            (None, _) | (_, None) => None,
        };
        if (level, until) == (present.level, present.until) {
            return (present, LockChange::Unchanged);
        }
        (Self { level, until, since: present.since, ..self }, LockChange::Extended)
    }
}

/// What becomes of the budgets of a key that is unlocked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub enum Budgets {
    /// What was counted stays counted: no more is written in a window than the plan says.
    Keep,
    /// They begin anew; the owner answers for what is written beyond the plan.
    Reset,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_never_weakens_the_one_before() {
        let lock = |level, until: Option<i64>, since| Lock {
            level,
            reason: format!("asked at {since}"),
            actor: Actor::System,
            since: Timestamp(since),
            until: until.map(Timestamp),
            evidence: None,
            on: LockTarget::Key,
        };
        let levels = [LockLevel::Writes, LockLevel::All];
        for (present_level, asked_level) in levels.into_iter().flat_map(|a| levels.map(|b| (a, b)))
        {
            for present_until in [None, Some(4), Some(50), Some(90)] {
                for asked_until in [None, Some(50), Some(90)] {
                    let present = lock(present_level, present_until, 1);
                    let asked = lock(asked_level, asked_until, 5);
                    let (joined, change) = asked.clone().joined_with(Some(present.clone()));
                    if present_until == Some(4) {
                        assert_eq!((joined, change), (asked, LockChange::New));
                        continue;
                    }
                    for time in [5, 49, 50, 89, 90, i64::MAX].map(Timestamp) {
                        let stops = |lock: &Lock, level| lock.holds_at(time) && lock.level >= level;
                        for level in levels {
                            let either = stops(&present, level) || stops(&asked, level);
                            assert!(!either || stops(&joined, level), "{present:?} {asked:?}");
                        }
                    }
                    assert_eq!(joined == present, change == LockChange::Unchanged);
                    assert_eq!(joined.since, Timestamp(1));
                }
            }
        }
    }

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

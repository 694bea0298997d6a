//! Triggers: the events that rules can wait for, in one table.
//!
//! A trigger's row says everything that is particular to it: its name in the configuration, the type
//! under which webhooks announce it, which conditions a rule may add, whether it may wait, and the words
//! with which messages begin. A new trigger is a new row.

use serde::{Deserialize, Serialize};

use crate::notifications::digest::Urgency;

/// What a rule may say besides the event that it waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Condition {
    /// Which operations (`on`).
    Operations,
    /// How a write ended (`outcome`).
    Outcomes,
    /// Whose keys (`plans`, `applications`, `keys`).
    Keys,
    /// Which shares of a budget (`levels`).
    Levels,
}

macro_rules! triggers {
    ($(
        $(#[doc = $doc:literal])*
        $variant:ident {
            name: $name:literal $(, formerly: $former:literal)?,
            event_type: $type:literal $(, of_digests: $digest_type:literal)?,
            conditions: [$($condition:ident),*],
            urgency: $urgency:ident,
            state: $one:literal / $many:literal,
            happened: $happened_one:literal / $happened_many:literal,
        }
    )*) => {
        /// An event that rules can wait for.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        #[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
        pub enum Trigger {
            $($(#[doc = $doc])* $(#[serde(alias = $former)])? $variant,)*
        }

        impl Trigger {
            /// Every trigger.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// The stable name, as in the configuration.
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// The name under which earlier versions stored it, where that was another one.
            pub fn former_name(self) -> Option<&'static str> {
                match self { $(Self::$variant => [$(Some($former),)? None][0],)* }
            }

            /// The `type` of a webhook: words and dots, as Standard Webhooks asks for.
            pub fn event_type(self) -> &'static str {
                match self { $(Self::$variant => $type,)* }
            }

            /// The `type` of a webhook that stands for several of them.
            pub fn digest_event_type(self) -> &'static str {
                match self { $(Self::$variant => [$($digest_type,)? $type][0],)* }
            }

            /// What a rule may say besides.
            pub fn conditions(self) -> &'static [Condition] {
                match self { $(Self::$variant => &[$(Condition::$condition,)*],)* }
            }

            /// Whether a notification of it may wait.
            pub fn urgency(self) -> Urgency {
                match self { $(Self::$variant => Urgency::$urgency,)* }
            }

            /// The first words of a message about one of them, and about several after their number.
            pub fn state(self) -> (&'static str, &'static str) {
                match self { $(Self::$variant => ($one, $many),)* }
            }

            /// What a digest says after the number of them: of one, and of several.
            pub fn happened(self) -> (&'static str, &'static str) {
                match self { $(Self::$variant => ($happened_one, $happened_many),)* }
            }
        }
    };
}

triggers! {
    /// A write was executed.
    Write {
        name: "write",
        event_type: "write.happened", of_digests: "write.digest",
        conditions: [Operations, Outcomes, Keys],
        urgency: Grouped,
        state: "WRITE" / "WRITES",
        happened: "write was recorded" / "writes were recorded",
    }
    /// A key wrote for the first time.
    FirstWriteOfKey {
        name: "first_write_of_key",
        event_type: "write.first_of_key",
        conditions: [Operations, Outcomes, Keys],
        urgency: Grouped,
        state: "FIRST WRITE" / "FIRST WRITES",
        happened: "key wrote for the first time" / "keys wrote for the first time",
    }
    /// An operation was used for the first time by anybody.
    FirstWriteOfOperation {
        name: "first_write_of_operation",
        event_type: "write.first_of_operation",
        conditions: [Operations, Outcomes, Keys],
        urgency: Grouped,
        state: "FIRST WRITE" / "FIRST WRITES",
        happened: "operation was used for the first time" / "operations were used for the first time",
    }
    /// A key has used a share of a write budget.
    BudgetLevel {
        name: "budget_level",
        event_type: "budget.level",
        conditions: [Keys, Levels],
        urgency: Grouped,
        state: "BUDGET LEVEL" / "BUDGET LEVELS",
        happened: "budget level was reached" / "budget levels were reached",
    }
    /// A key was locked. It stops somebody, so it never waits.
    KeyLocked {
        name: "key_locked",
        event_type: "key.locked",
        conditions: [Keys],
        urgency: AtOnce,
        state: "LOCKED" / "LOCKS",
        happened: "lock was put on keys" / "locks were put on keys",
    }
    /// A key was unlocked.
    KeyUnlocked {
        name: "key_unlocked",
        event_type: "key.unlocked",
        conditions: [Keys],
        urgency: Grouped,
        state: "UNLOCKED" / "UNLOCKS",
        happened: "lock was taken off keys" / "locks were taken off keys",
    }
    /// The outcome of a write is unknown.
    WriteUnknown {
        name: "write_unknown",
        event_type: "write.unknown",
        conditions: [Operations, Keys],
        urgency: Grouped,
        state: "OUTCOME UNKNOWN" / "OUTCOMES UNKNOWN",
        happened: "write ended with an unknown outcome" / "writes ended with an unknown outcome",
    }
    /// A key or an address is refused over and over.
    RefusalBurst {
        name: "refusal_burst", formerly: "refused_storm",
        event_type: "refusal.burst",
        conditions: [Keys],
        urgency: Grouped,
        state: "REFUSAL BURST" / "REFUSAL BURSTS",
        happened: "burst of refusals began" / "bursts of refusals began",
    }
    /// The store cannot commit, or could not. It stops everybody, so it never waits.
    StorageFailure {
        name: "storage_failure", formerly: "store_trouble",
        event_type: "storage.failure",
        conditions: [],
        urgency: AtOnce,
        state: "STORAGE FAILURE" / "STORAGE FAILURES",
        happened: "storage failure was reported" / "storage failures were reported",
    }
    /// A delivery has failed for good.
    DeliveryFailed {
        name: "delivery_failed",
        event_type: "delivery.failed",
        conditions: [],
        urgency: Grouped,
        state: "NOT DELIVERED" / "NOT DELIVERED",
        happened: "message could not be delivered" / "messages could not be delivered",
    }
    /// An owner tried a channel.
    Test {
        name: "test",
        event_type: "test",
        conditions: [],
        urgency: AtOnce,
        state: "TEST" / "TESTS",
        happened: "test was sent" / "tests were sent",
    }
}

impl Trigger {
    /// Those of which every channel is notified unless a rule names them.
    pub const BY_DEFAULT: [Self; 3] = [Self::KeyLocked, Self::StorageFailure, Self::DeliveryFailed];

    /// Those that a rule can wait for.
    pub fn of_rules() -> impl Iterator<Item = Self> {
        Self::ALL.iter().copied().filter(|trigger| *trigger != Self::Test)
    }

    /// The trigger with a name of today.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|trigger| trigger.name() == name)
    }

    /// The trigger that is stored under a name, of today or of an earlier version.
    pub fn stored_as(name: &str) -> Option<Self> {
        let is_former = |trigger: &Self| trigger.former_name() == Some(name);
        Self::named(name).or_else(|| Self::ALL.iter().copied().find(is_former))
    }

    /// Whether a rule that waits for it may say this as well.
    pub fn takes(self, condition: Condition) -> bool {
        self.conditions().contains(&condition)
    }

    /// Whether it follows from a record of the journal.
    pub fn is_of_writes(self) -> bool {
        self.takes(Condition::Operations)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_trigger_has_names_of_its_own() {
        let is_word = |c: char| c.is_ascii_lowercase() || c == '_';
        let names: BTreeSet<_> = Trigger::ALL.iter().map(|trigger| trigger.name()).collect();
        let types: BTreeSet<_> = Trigger::ALL
            .iter()
            .flat_map(|trigger| [trigger.event_type(), trigger.digest_event_type()])
            .collect();
        assert_eq!((names.len(), types.len()), (Trigger::ALL.len(), Trigger::ALL.len() + 1));
        assert!(names.iter().all(|name| name.chars().all(is_word)));
        assert!(types.iter().all(|name| name.chars().all(|c| is_word(c) || c == '.')));
        for trigger in Trigger::ALL {
            assert_eq!(serde_json::to_value(trigger).unwrap(), trigger.name());
        }
    }

    #[test]
    fn names_of_earlier_versions_are_read_and_never_written() {
        for trigger in Trigger::ALL {
            for name in [Some(trigger.name()), trigger.former_name()].into_iter().flatten() {
                assert_eq!(Trigger::stored_as(name), Some(*trigger));
                let read: Trigger = serde_json::from_value(name.into()).unwrap();
                assert_eq!(read, *trigger);
            }
        }
        assert_eq!(Trigger::stored_as("refused_storm"), Some(Trigger::RefusalBurst));
        assert_eq!(Trigger::named("store_trouble"), None);
    }

    #[test]
    fn what_stops_somebody_never_waits() {
        let at_once =
            Trigger::ALL.iter().filter(|trigger| trigger.urgency() == Urgency::AtOnce).copied();
        let expected = [Trigger::KeyLocked, Trigger::StorageFailure, Trigger::Test];
        assert_eq!(at_once.collect::<Vec<_>>(), expected);
    }
}

//! How far 3scale is with following a lock, in words.

use keystile_engine::keys::source::FollowedLock;

use crate::drive::link::{Link, LockThere, Measure, Moved, Standing};
use crate::drive::measure::Undone;
use crate::drive::settings::OnLock;

/// 3scale itself goes on for so long, whatever it was asked.
const GATEWAYS: &str = "3scale's own gateways may go on for up to a minute";

impl OnLock {
    /// What a message about a lock says of it.
    pub(super) fn promise(&self, account: &str) -> Option<String> {
        match self {
            Self::Suspend => {
                Some(format!("{account} is asked to suspend the application; {GATEWAYS}."))
            }
            Self::ChangePlan(plan) => Some(format!(
                "{account} is asked to put the application on the plan {plan:?}; {GATEWAYS} by the plan \
                 before."
            )),
            Self::Nothing => None,
        }
    }
}

impl Link {
    /// The lock that is followed there, in words.
    pub(super) fn followed_lock(&self) -> Option<FollowedLock> {
        let lock = self.lock.as_ref()?;
        Some(FollowedLock {
            application: self.name.clone(),
            state: lock.state(),
            since: lock.since,
            attempts: lock.attempts,
            next: lock.next,
        })
    }
}

impl LockThere {
    fn state(&self) -> String {
        match (self.standing, &self.said) {
            (Standing::Asked, None) => "asked".to_owned(),
            (Standing::Asked, Some(said)) => format!("failed: {said}"),
            (Standing::Done, _) => self.measure.done(),
            (Standing::FoundSo, _) => self.measure.found_so(),
            (Standing::Overruled, _) => self.measure.overruled().to_owned(),
            (Standing::UndoAsked, None) => format!("asked to {}", self.measure.undo()),
            (Standing::UndoAsked, Some(said)) => {
                format!("failed to {}: {said}", self.measure.undo())
            }
        }
    }

    /// What is on record when it is done, or needs not to be.
    pub(super) fn done_event(&self, standing: Standing, name: &str) -> String {
        match (standing, &self.measure) {
            (Standing::Done, Measure::Suspend) => {
                format!("Suspended {name} in 3scale, because it is locked here; {GATEWAYS}.")
            }
            (Standing::Done, Measure::ChangePlan { plan, .. }) => format!(
                "Put {name} on the plan {plan:?} in 3scale, because it is locked here; {GATEWAYS} by the \
                 plan before."
            ),
            (Standing::Overruled, measure) => {
                format!("{name} is locked here, and was {} in 3scale.", measure.overruling())
            }
            (Standing::FoundSo | Standing::Asked | Standing::UndoAsked, Measure::Suspend) => {
                format!(
                    "{name} is locked here, and could not call in 3scale already: it is left as it is there."
                )
            }
            (
                Standing::FoundSo | Standing::Asked | Standing::UndoAsked,
                Measure::ChangePlan { plan, .. },
            ) => format!(
                "{name} is locked here, and is on the plan {plan:?} in 3scale already: it is left as it is \
                 there."
            ),
        }
    }

    /// What is on record when it is undone.
    pub(super) fn undone_event(&self, undone: Undone, name: &str) -> String {
        match (undone, &self.measure) {
            (Undone::LeftAsFound, measure) => format!(
                "{name} is not locked here any more; it was {} in 3scale meanwhile, and is left so.",
                measure.overruling()
            ),
            (Undone::AsBefore, Measure::Suspend) => {
                format!("Resumed {name} in 3scale: it is not locked here.")
            }
            (Undone::AsBefore, Measure::ChangePlan { .. }) => {
                let back = self.measure.undo();
                format!("Asked 3scale to {back}: {name} is not locked here.")
            }
        }
    }
}

impl Measure {
    fn done(&self) -> String {
        match self {
            Self::Suspend => "suspended there".to_owned(),
            Self::ChangePlan { plan, .. } => format!("put on the plan {plan:?} there"),
        }
    }

    fn found_so(&self) -> String {
        match self {
            Self::Suspend => "could not call there already".to_owned(),
            Self::ChangePlan { plan, .. } => format!("on the plan {plan:?} there already"),
        }
    }

    fn overruled(&self) -> &'static str {
        match self {
            Self::Suspend => "resumed there while it is locked here",
            Self::ChangePlan { .. } => "put on another plan there while it is locked here",
        }
    }

    /// What somebody did who did not keep to it.
    pub(super) fn overruling(&self) -> &'static str {
        match self {
            Self::Suspend => "resumed",
            Self::ChangePlan { .. } => "put on another plan",
        }
    }

    fn undo(&self) -> String {
        match self {
            Self::Suspend | Self::ChangePlan { moved: None, .. } => "resume".to_owned(),
            Self::ChangePlan { moved: Some(Moved { from_name, .. }), .. } => {
                format!("put it back on the plan {from_name:?}")
            }
        }
    }
}

//! What an application in 3scale asks for here, by what was last seen of it.
//!
//! Pure: who asks the portal, and who carries a step out, is elsewhere.

use crate::drive::link::{Access, Link, Measure, Standing};
use crate::portal::records::{Application, ApplicationState, PlanId};

/// Something to do here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// A key is new there: the one at a place of the list.
    Import { place: usize },
    /// A key here is no longer there.
    Revoke { key: String },
    /// Its plan there stands for another plan here.
    ChangePlan { plan: String },
    /// It may no longer call there, and not because of a lock here.
    Suspend,
    /// It may call there again.
    Resume,
    /// It was resumed there while a lock here holds.
    NoteOverruled,
    /// It was put on another plan there than a lock here asks for.
    NoteOtherPlan,
}

impl Step {
    /// Whether the portal is asked about the application once more before it is carried out.
    pub(super) fn asks_again(&self) -> bool {
        match self {
            Self::ChangePlan { .. }
            | Self::Suspend
            | Self::Resume
            | Self::NoteOverruled
            | Self::NoteOtherPlan => true,
            Self::Import { .. } | Self::Revoke { .. } => false,
        }
    }
}

/// What is known of the keys of an application there, in their order: the ids that they have here.
pub(super) type KnownKeys = [Option<String>];

/// Whether an application may call there.
pub(super) fn access(application: &Application) -> Access {
    if application.state == ApplicationState::Live && application.enabled {
        Access::Allowed
    } else {
        Access::Barred
    }
}

/// What changed. `plan` is the plan here that its plan there stands for, where it stands for one.
pub(super) fn steps(
    link: &Link,
    access: Access,
    plan: Option<&str>,
    keys: &KnownKeys,
) -> Vec<Step> {
    let mut steps = Vec::new();
    let is_new = |known: &Option<String>| known.as_ref().is_none_or(|id| !link.keys.contains(id));
    let new = keys.iter().enumerate().filter(|(_, known)| is_new(known));
    steps.extend(new.map(|(place, _)| Step::Import { place }));
    let gone = link.keys.iter().filter(|id| !keys.iter().any(|known| known.as_ref() == Some(id)));
    steps.extend(gone.map(|key| Step::Revoke { key: key.clone() }));
    if let Some(plan) = plan.filter(|plan| *plan != link.plan) {
        steps.push(Step::ChangePlan { plan: plan.to_owned() });
    }
    steps.extend(access_step(link, access));
    steps
}

/// What its access there asks for. A suspension that a lock here asked for is none of 3scale's own.
pub(super) fn access_step(link: &Link, access: Access) -> Option<Step> {
    match (link.access, access) {
        (Access::Allowed, Access::Barred) if link.is_suspended_for_lock() => None,
        (Access::Allowed, Access::Barred) => Some(Step::Suspend),
        (Access::Barred, Access::Allowed) => Some(Step::Resume),
        (Access::Allowed, Access::Allowed) => {
            let lock = link.lock.as_ref().filter(|lock| lock.measure == Measure::Suspend);
            let is_done = lock.is_some_and(|lock| lock.standing == Standing::Done);
            is_done.then_some(Step::NoteOverruled)
        }
        (Access::Barred, Access::Barred) => None,
    }
}

/// Whether its plan there is the one that a lock here asked for: no plan here follows from that.
pub(super) fn is_plan_of_lock(link: &Link, there: PlanId) -> bool {
    link.moved_for_lock().is_some_and(|moved| moved.to == there)
}

/// What its plan there asks for while a lock here holds, beside what the plan stands for.
pub(super) fn plan_step(link: &Link, there: PlanId) -> Option<Step> {
    let moved = link.moved_for_lock()?;
    let is_done = link.lock.as_ref().is_some_and(|lock| lock.standing == Standing::Done);
    (is_done && moved.to != there).then_some(Step::NoteOtherPlan)
}

#[cfg(test)]
mod tests {
    use keystile_core::time::Timestamp;

    use super::*;
    use crate::drive::link::{LockThere, Moved, Sent, Suspension};

    fn link(access: Access, standing: Option<Standing>) -> Link {
        let lock = standing.map(|standing| LockThere {
            measure: Measure::Suspend,
            standing,
            since: Timestamp(0),
            attempts: 0,
            next: None,
            sent: Sent::Not,
            said: None,
        });
        Link {
            application: "app_1".to_owned(),
            name: "Acme – Importer".to_owned(),
            keys: vec!["key_1".to_owned(), "key_2".to_owned()],
            plan: "open".to_owned(),
            access,
            suspension: Suspension::NotOurs,
            lock,
        }
    }

    fn known(ids: &[&str]) -> Vec<Option<String>> {
        ids.iter().map(|id| (!id.is_empty()).then(|| (*id).to_owned())).collect()
    }

    #[test]
    fn what_is_the_same_there_asks_for_nothing() {
        for access in [Access::Allowed, Access::Barred] {
            let link = link(access, None);
            assert_eq!(steps(&link, access, Some("open"), &known(&["key_2", "key_1"])), []);
            assert_eq!(steps(&link, access, None, &known(&["key_1", "key_2"])), []);
        }
    }

    #[test]
    fn keys_and_plans_follow_those_there() {
        let steps = steps(
            &link(Access::Allowed, None),
            Access::Allowed,
            Some("trusted"),
            &known(&["", "key_2", "key_9"]),
        );
        let plan = "trusted".to_owned();
        assert_eq!(
            steps,
            [
                Step::Import { place: 0 },
                Step::Import { place: 2 },
                Step::Revoke { key: "key_1".to_owned() },
                Step::ChangePlan { plan },
            ]
        );
    }

    #[test]
    fn a_suspension_there_is_followed_unless_a_lock_here_asked_for_it() {
        use Access::{Allowed, Barred};
        for (standing, there, step) in [
            (None, Barred, Some(Step::Suspend)),
            (Some(Standing::Asked), Barred, Some(Step::Suspend)),
            (Some(Standing::FoundSo), Barred, Some(Step::Suspend)),
            (Some(Standing::Overruled), Barred, Some(Step::Suspend)),
            (Some(Standing::Done), Barred, None),
            (Some(Standing::UndoAsked), Barred, None),
            (Some(Standing::Done), Allowed, Some(Step::NoteOverruled)),
            (Some(Standing::Overruled), Allowed, None),
            (Some(Standing::UndoAsked), Allowed, None),
            (Some(Standing::Asked), Allowed, None),
        ] {
            assert_eq!(
                access_step(&link(Allowed, standing), there),
                step,
                "{standing:?} {there:?}"
            );
        }
        assert_eq!(access_step(&link(Barred, None), Allowed), Some(Step::Resume));
        let mut unsure = link(Allowed, Some(Standing::Asked));
        unsure.lock.as_mut().unwrap().sent = Sent::Perhaps;
        assert_eq!(access_step(&unsure, Barred), None);
    }
    #[test]
    fn a_plan_that_a_lock_here_asked_for_is_none_of_3scales_own() {
        let [own, of_lock, another] = [1, 2, 3].map(PlanId::new);
        let moved = Moved { from: own, from_name: "Basic".to_owned(), to: of_lock };
        let measure = Measure::ChangePlan { plan: "Read only".to_owned(), moved: Some(moved) };
        for (standing, sent, is_ours, is_overruled) in [
            (Standing::Asked, Sent::Not, false, false),
            (Standing::Asked, Sent::Perhaps, true, false),
            (Standing::Done, Sent::Not, true, true),
            (Standing::UndoAsked, Sent::Not, true, false),
            (Standing::FoundSo, Sent::Not, false, false),
            (Standing::Overruled, Sent::Not, false, false),
        ] {
            let mut link = link(Access::Allowed, Some(standing));
            let lock = link.lock.as_mut().unwrap();
            (lock.measure, lock.sent) = (measure.clone(), sent);
            assert_eq!(is_plan_of_lock(&link, of_lock), is_ours, "{standing:?}");
            assert!(!is_plan_of_lock(&link, another));
            assert_eq!(plan_step(&link, of_lock), None);
            let noted = is_overruled.then_some(Step::NoteOtherPlan);
            assert_eq!(plan_step(&link, another), noted, "{standing:?}");
            // It may still be suspended there by somebody, and that is followed.
            assert_eq!(access_step(&link, Access::Barred), Some(Step::Suspend));
            assert_eq!(access_step(&link, Access::Allowed), None);
        }
    }
}

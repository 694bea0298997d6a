//! What an application in 3scale asks for here, by what was last seen of it.
//!
//! Pure: who asks the portal, and who carries a step out, is elsewhere.

use crate::drive::link::{Access, Link, Standing};
use crate::portal::records::{Application, ApplicationState};

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
            let standing = link.lock.as_ref().map(|lock| lock.standing);
            (standing == Some(Standing::Suspended)).then_some(Step::NoteOverruled)
        }
        (Access::Barred, Access::Barred) => None,
    }
}

#[cfg(test)]
mod tests {
    use keystile_core::time::Timestamp;

    use super::*;
    use crate::drive::link::{LockThere, Sent, Suspension};

    fn link(access: Access, standing: Option<Standing>) -> Link {
        let lock = standing.map(|standing| LockThere {
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
            (Some(Standing::FoundBarred), Barred, Some(Step::Suspend)),
            (Some(Standing::Overruled), Barred, Some(Step::Suspend)),
            (Some(Standing::Suspended), Barred, None),
            (Some(Standing::ResumeAsked), Barred, None),
            (Some(Standing::Suspended), Allowed, Some(Step::NoteOverruled)),
            (Some(Standing::Overruled), Allowed, None),
            (Some(Standing::ResumeAsked), Allowed, None),
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
}

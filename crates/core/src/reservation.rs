//! What is decided when a write asks for room, in the transaction that makes it durable.
//!
//! The decision on the request came from memory, some time ago. Here key, application and budgets are as
//! they are on record, and what is said holds.

use crate::actor::Actor;
use crate::budget::{Exhausted, ExhaustedBy, Subject};
use crate::decision::locked;
use crate::journal::RequestFacts;
use crate::keys::application::ApplicationState;
use crate::keys::key::KeyState;
use crate::keys::lock::{Lock, LockLevel, LockRule, LockUntil};
use crate::policy::Budget;
use crate::refusal::{Reason, Refusal};
use crate::time::Timestamp;

pub mod id;

/// The lock check that counts: whether a key may write now.
///
/// # Errors
/// When the key is revoked or locked, however little the lock stops, or its application is suspended.
pub fn recheck(
    key: KeyState,
    application: ApplicationState,
    now: Timestamp,
) -> Result<(), Refusal> {
    match (key, application) {
        (KeyState::Revoked, _) => Err(Reason::KeyRevoked.into()),
        (KeyState::Active | KeyState::Locked(_), ApplicationState::Suspended) => {
            Err(Reason::ApplicationSuspended.into())
        }
        (KeyState::Locked(lock), ApplicationState::Active) => Err(locked(lock, now)),
        (KeyState::Active, ApplicationState::Active) => Ok(()),
    }
}

/// The lock, as its level and its length, that an attempt past a budget puts on whoever made it, by the lock
/// rule of the plan; `None` where the attempt is only refused. Only a key is locked, and only for what its
/// holder did.
pub fn lock_past_budget(
    rule: LockRule,
    subject: Subject,
    exhausted: &Exhausted,
) -> Option<(LockLevel, LockUntil)> {
    match (rule, subject, exhausted.by) {
        (LockRule::Lock { level, until }, Subject::Key(_), ExhaustedBy::Caller) => {
            Some((level, until))
        }
        (LockRule::Never, _, _)
        | (LockRule::Lock { .. }, Subject::Application(_) | Subject::Address(_), _)
        | (LockRule::Lock { .. }, Subject::Key(_), ExhaustedBy::Delay) => None,
    }
}

/// The refusal of an attempt past a budget that locks nobody.
pub fn refusal(exhausted: &Exhausted) -> Refusal {
    let retry_after_secs = exhausted.fits_in_secs;
    Refusal { retry_after_secs, ..Refusal::new(Reason::BudgetExhausted) }
}

/// Why an attempt past a budget would be refused, were its API not only observed.
pub fn objection(rule: LockRule, subject: Subject) -> Reason {
    match (rule, subject) {
        (LockRule::Lock { .. }, Subject::Key(_)) => Reason::KeyLocked,
        (LockRule::Never, _)
        | (LockRule::Lock { .. }, Subject::Application(_) | Subject::Address(_)) => {
            Reason::BudgetExhausted
        }
    }
}

/// The lock of a key that went over a budget, and which budgets locked `earlier_locks` times before.
pub fn budget_lock(
    budget: &Budget,
    (level, until): (LockLevel, LockUntil),
    earlier_locks: u32,
    facts: &RequestFacts,
    now: Timestamp,
) -> Lock {
    Lock {
        level,
        reason: format!("went over its write budget {}, {}", budget.name, budget.quota),
        actor: Actor::Budget(budget.name.clone()),
        since: now,
        until: until.end(now, earlier_locks),
        evidence: Some(format!("{} {} from {}", facts.method, facts.path, facts.address)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::refusal::LockNotice;

    const LOCKS: LockRule = LockRule::Lock { level: LockLevel::Writes, until: LockUntil::Unlocked };

    #[test]
    fn any_lock_stops_a_write_and_revocation_and_suspension_come_before_it() {
        let now = Timestamp(1_000);
        let lock = |level| KeyState::Locked(LockNotice { level, until: None });
        let states = [KeyState::Active, lock(LockLevel::Writes), lock(LockLevel::All)];
        for state in states {
            let suspended = recheck(state, ApplicationState::Suspended, now).unwrap_err();
            assert_eq!(suspended.reason, Reason::ApplicationSuspended);
        }
        assert!(recheck(KeyState::Active, ApplicationState::Active, now).is_ok());
        for level in [LockLevel::Writes, LockLevel::All] {
            let refusal = recheck(lock(level), ApplicationState::Active, now).unwrap_err();
            assert_eq!(refusal.reason, Reason::KeyLocked);
            assert_eq!(refusal.lock, Some(LockNotice { level, until: None }));
        }
        for application in [ApplicationState::Active, ApplicationState::Suspended] {
            let refusal = recheck(KeyState::Revoked, application, now).unwrap_err();
            assert_eq!(refusal.reason, Reason::KeyRevoked);
        }
    }

    #[test]
    fn only_a_key_is_locked_and_only_for_what_its_holder_did() {
        let address = Subject::Address("192.0.2.7".parse().unwrap());
        let subjects = [Subject::Key(1), Subject::Application(1), address];
        for subject in subjects {
            for by in [ExhaustedBy::Caller, ExhaustedBy::Delay] {
                let exhausted = Exhausted { place: 0, by, fits_in_secs: Some(7) };
                assert_eq!(refusal(&exhausted).retry_after_secs, Some(7));
                for rule in [LOCKS, LockRule::Never] {
                    let locks =
                        rule == LOCKS && subject == Subject::Key(1) && by == ExhaustedBy::Caller;
                    let lock = lock_past_budget(rule, subject, &exhausted);
                    assert_eq!(lock.is_some(), locks, "{subject:?} {by:?} {rule:?}");
                }
            }
        }
    }
}

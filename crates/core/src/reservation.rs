//! What is decided when a write asks for room, in the transaction that makes it durable.
//!
//! The decision on the request came from memory, some time ago. Here key, application and budgets are as
//! they are on record, and what is said holds.

use crate::actor::Actor;
use crate::budget::{Exhausted, ExhaustedBy, Per, Subject};
use crate::decision::locked;
use crate::journal::RequestFacts;
use crate::keys::application::ApplicationState;
use crate::keys::key::KeyState;
use crate::keys::lock::{Lock, LockLevel, LockRule, LockTarget, LockUntil};
use crate::policy::{Budget, Plan};
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

/// The lock that an attempt past a budget brings about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LockPastBudget {
    /// What of the one who made the attempt is locked.
    pub on: LockTarget,
    /// Which calls stop.
    pub level: LockLevel,
    /// For how long.
    pub until: LockUntil,
}

/// The lock that a key's attempt past a budget brings about, by the lock rule of the plan; `None` where the
/// attempt is only refused. Past a budget of its own the key locks. Past one that several keys share its
/// application does: were it the key, the others would run into the same budget one by one, and a new key
/// would be a way around the lock. A plan's budget locks the application whose write did not fit, and no
/// other. Only what somebody did locks.
pub fn lock_past_budget(
    rule: LockRule,
    subject: Subject,
    exhausted: &Exhausted,
) -> Option<LockPastBudget> {
    let on = match subject {
        Subject::Key(_) => LockTarget::Key,
        Subject::Application(_) | Subject::Plan => LockTarget::Application,
        Subject::Address(_) => return None,
    };
    match (rule, exhausted.by) {
        (LockRule::Lock { level, until }, ExhaustedBy::Caller) => {
            Some(LockPastBudget { on, level, until })
        }
        (LockRule::Never, _) | (LockRule::Lock { .. }, ExhaustedBy::Delay) => None,
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
        (LockRule::Lock { .. }, Subject::Key(_) | Subject::Application(_) | Subject::Plan) => {
            Reason::KeyLocked
        }
        (LockRule::Never, _) | (LockRule::Lock { .. }, Subject::Address(_)) => {
            Reason::BudgetExhausted
        }
    }
}

/// The lock of a key or application that went over a budget of a plan, and which budgets locked
/// `earlier_locks` times before.
pub fn budget_lock(
    (plan, budget): (&Plan, &Budget),
    lock: LockPastBudget,
    earlier_locks: u32,
    facts: &RequestFacts,
    now: Timestamp,
) -> Lock {
    let LockPastBudget { on, level, until } = lock;
    Lock {
        level,
        reason: reason_of(plan, budget),
        actor: Actor::Budget(budget.name.clone()),
        since: now,
        until: until.end(now, earlier_locks),
        evidence: Some(format!("{} {} from {}", facts.method, facts.path, facts.address)),
        on,
    }
}

fn reason_of(plan: &Plan, budget: &Budget) -> String {
    let Budget { name, quota, per, .. } = budget;
    match per {
        Per::Key => format!("went over its write budget {name}, {quota}"),
        Per::Application => {
            format!(
                "the application went over its write budget {name}, {quota} for all of its keys"
            )
        }
        Per::Plan => format!(
            "went over the write budget {name}, {quota} for all keys of the plan {}",
            plan.name()
        ),
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
        let notice = |level| LockNotice { level, until: None, on: LockTarget::Key };
        let lock = |level| KeyState::Locked(notice(level));
        let states = [KeyState::Active, lock(LockLevel::Writes), lock(LockLevel::All)];
        for state in states {
            let suspended = recheck(state, ApplicationState::Suspended, now).unwrap_err();
            assert_eq!(suspended.reason, Reason::ApplicationSuspended);
        }
        assert!(recheck(KeyState::Active, ApplicationState::Active, now).is_ok());
        for level in [LockLevel::Writes, LockLevel::All] {
            let refusal = recheck(lock(level), ApplicationState::Active, now).unwrap_err();
            assert_eq!(refusal.reason, Reason::KeyLocked);
            assert_eq!(refusal.lock, Some(notice(level)));
        }
        for application in [ApplicationState::Active, ApplicationState::Suspended] {
            let refusal = recheck(KeyState::Revoked, application, now).unwrap_err();
            assert_eq!(refusal.reason, Reason::KeyRevoked);
        }
    }

    #[test]
    fn who_shares_a_budget_is_locked_together_and_only_for_what_callers_did() {
        let address = Subject::Address("192.0.2.7".parse().unwrap());
        let subjects = [
            (Subject::Key(1), Some(LockTarget::Key)),
            (Subject::Application(1), Some(LockTarget::Application)),
            (Subject::Plan, Some(LockTarget::Application)),
            (address, None),
        ];
        for (subject, on) in subjects {
            for by in [ExhaustedBy::Caller, ExhaustedBy::Delay] {
                let exhausted = Exhausted { place: 0, by, fits_in_secs: Some(7) };
                assert_eq!(refusal(&exhausted).retry_after_secs, Some(7));
                for rule in [LOCKS, LockRule::Never] {
                    let locked = on.filter(|_| rule == LOCKS && by == ExhaustedBy::Caller);
                    let lock = lock_past_budget(rule, subject, &exhausted);
                    assert_eq!(lock.map(|lock| lock.on), locked, "{subject:?} {by:?} {rule:?}");
                }
            }
        }
    }
}

//! The decision on one request: a permit, or a refusal.
//!
//! # What this protects
//!
//! [`decide`] is the only function that makes a [`Permit`], and nothing is forwarded without one, so a
//! door that forgets a check does not compile. Whoever forwards a write must turn the permit into
//! a reservation first; the store checks lock and budgets again there, in the transaction that
//! makes the write durable. What `decide` refuses from memory is only ever refused earlier, never
//! admitted more.

use std::sync::Arc;

use http::Method;
use smallvec::SmallVec;

use crate::key::KeyId;
use crate::lock::LockLevel;
use crate::policy::api::{Charge, Mode, OperationMatch};
use crate::policy::operation::CountRule;
use crate::policy::{ApiRef, Plan, Policy};
use crate::rate::RateState;
use crate::refusal::{LockNotice, Reason, Refusal};
use crate::time::Timestamp;

/// Whether a key may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyState {
    /// It may.
    Active,
    /// Some or all of its calls are stopped.
    Locked(LockNotice),
    /// It may never be used again.
    Revoked,
}

/// Whether an application may call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub enum ApplicationState {
    /// It may.
    Active,
    /// The owner stopped all its keys.
    Suspended,
}

/// Who calls, as far as the request tells.
#[derive(Clone, Copy, Debug)]
pub enum Caller<'a> {
    /// Nobody said; the counters are the address's.
    Keyless {
        /// The address's use of the keyless plan's rate limits.
        rate: &'a RateState,
        /// What such a caller lacks where no keyless plan includes the operation.
        lacks: Reason,
    },
    /// A key that was never issued here.
    Unknown,
    /// A key that was.
    Key {
        /// Which one.
        id: KeyId,
        /// Whether it may be used.
        state: KeyState,
        /// Whether its application may call.
        application: ApplicationState,
        /// The name of its plan.
        plan: &'a str,
        /// Its use of the plan's rate limits.
        rate: &'a RateState,
    },
}

/// A request, as far as the decision needs it.
#[derive(Clone, Copy, Debug)]
pub struct Call<'a> {
    /// The API that it is for.
    pub api: ApiRef<'a>,
    /// What the policy says of its operation.
    pub operation: &'a OperationMatch,
    /// Who calls.
    pub caller: Caller<'a>,
    /// What speaks against the request, whoever calls.
    pub objection: Option<&'a Refusal>,
    /// The time on the store's clock.
    pub now: Timestamp,
}

/// That a request may pass. Only [`decide`] makes one.
#[derive(Debug)]
#[must_use = "a permit that is not used means that a permitted request was dropped"]
pub struct Permit {
    charge: Charge,
    plan: Option<Arc<Plan>>,
    budgets: SmallVec<[usize; 4]>,
    count: CountRule,
    objection: Option<Refusal>,
}

impl Permit {
    /// What the call takes from each of its budgets.
    pub fn charge(&self) -> &Charge {
        &self.charge
    }

    /// The plan that permits it; `None` when an API is only observed and the caller has none.
    pub fn plan(&self) -> Option<&Arc<Plan>> {
        self.plan.as_ref()
    }

    /// The places of the plan's write budgets that count it.
    pub fn budgets(&self) -> &[usize] {
        &self.budgets
    }

    /// Which writes stay counted.
    pub fn count(&self) -> CountRule {
        self.count
    }

    /// Why the request would have been refused, were its API not only observed.
    pub fn objection(&self) -> Option<&Refusal> {
        self.objection.as_ref()
    }

    /// Settles what the body costs: zero for a body that only reads.
    pub fn with_cost(mut self, cost: u32) -> Self {
        self.charge = if cost == 0 { Charge::Nothing } else { Charge::Writes(cost) };
        self
    }
}

/// Decides on a request, from memory.
///
/// Takes the call from the rate limits that apply, and changes nothing else.
pub fn decide(policy: &Policy, call: &Call<'_>) -> Result<Permit, Refusal> {
    let plan = plan_of(policy, call.caller);
    match (check(plan, call), call.api.api.spec().mode) {
        (Ok(()), _) => Ok(permit(plan, call, None)),
        (Err(refusal), Mode::Enforce) => Err(refusal),
        (Err(refusal), Mode::Observe | Mode::Off) => Ok(permit(plan, call, Some(refusal))),
    }
}

fn plan_of<'a>(policy: &'a Policy, caller: Caller<'_>) -> Option<&'a Arc<Plan>> {
    match caller {
        Caller::Keyless { .. } => policy.keyless_plan(),
        Caller::Unknown => None,
        Caller::Key { plan, .. } => policy.plan(plan),
    }
}

fn permit(plan: Option<&Arc<Plan>>, call: &Call<'_>, objection: Option<Refusal>) -> Permit {
    let budgets = match (plan, &call.operation.charge) {
        (None, _) | (_, Charge::Nothing) => SmallVec::new(),
        (Some(plan), Charge::Writes(_) | Charge::ByBody(_)) => (0..plan.budgets().len())
            .filter(|place| plan.counts(*place, call.api.place, &call.operation.either))
            .collect(),
    };
    Permit {
        charge: call.operation.charge.clone(),
        plan: plan.cloned(),
        budgets,
        count: call.operation.count,
        objection,
    }
}

fn check(plan: Option<&Arc<Plan>>, call: &Call<'_>) -> Result<(), Refusal> {
    if let Some(objection) = call.objection {
        return Err(objection.clone());
    }
    let allows = |plan: &&Arc<Plan>| plan.allows(call.api.place, &call.operation.exact);
    let (plan, rate) = match call.caller {
        // A caller without a key is asked for one, whether the operation exists for others or not.
        Caller::Keyless { rate, lacks } => {
            (plan.filter(allows).ok_or_else(|| lacking(lacks, call))?, rate)
        }
        Caller::Unknown => return Err(Reason::KeyUnknown.into()),
        Caller::Key { state, application, rate, .. } => {
            check_state(state, application, &call.operation.charge, call.now)?;
            (plan.filter(allows).ok_or(Reason::OperationNotInPlan)?, rate)
        }
    };
    rate.admit(&plan.spec().rate_limits, call.now)
        .map_err(|seconds| Refusal::new(Reason::RateLimited).retry_after_secs(seconds))
}

fn lacking(reason: Reason, call: &Call<'_>) -> Refusal {
    match reason {
        Reason::KeyMissing => {
            Refusal::new(reason).because(call.api.api.spec().credential.how_to_send())
        }
        _ => reason.into(),
    }
}

fn check_state(
    state: KeyState,
    application: ApplicationState,
    charge: &Charge,
    now: Timestamp,
) -> Result<(), Refusal> {
    match (state, application) {
        (KeyState::Revoked, _) => Err(Reason::KeyRevoked.into()),
        (KeyState::Active | KeyState::Locked(_), ApplicationState::Suspended) => {
            Err(Reason::ApplicationSuspended.into())
        }
        (KeyState::Active, ApplicationState::Active) => Ok(()),
        // Where only the body tells whether the call writes, the store holds the lock against it.
        (KeyState::Locked(lock), ApplicationState::Active) => match (lock.level, charge) {
            (LockLevel::Writes, Charge::Nothing | Charge::ByBody(_)) => Ok(()),
            (LockLevel::All, _) | (LockLevel::Writes, Charge::Writes(_)) => Err(locked(lock, now)),
        },
    }
}

/// The refusal of a call by a locked key; waiting helps only where the lock ends by itself.
pub fn locked(lock: LockNotice, now: Timestamp) -> Refusal {
    let retry_after_secs = lock.until.map(|until| until.seconds_from(now));
    Refusal { lock: Some(lock), retry_after_secs, ..Refusal::new(Reason::KeyLocked) }
}

/// The places of a plan's budgets that count a write that is on record, for rebuilding a ledger.
/// A write of an API that the policy no longer has counts in every budget.
pub fn budgets_of_record(
    policy: &Policy,
    plan: &Plan,
    api: &str,
    method: &str,
    path: &str,
) -> SmallVec<[usize; 4]> {
    let all = 0..plan.budgets().len();
    let (Some(api), Ok(method)) = (policy.api_named(api), Method::from_bytes(method.as_bytes()))
    else {
        return all.collect();
    };
    let folded = crate::request::grammar::fold_path(path);
    let found = api.api.operation(&method, path, &folded);
    all.filter(|place| plan.counts(*place, api.place, &found.either)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_for_a_time_says_how_long_to_wait_and_one_until_unlocked_does_not() {
        let now = Timestamp(1_000);
        let until = |until| locked(LockNotice { level: LockLevel::All, until }, now);
        assert_eq!(until(Some(Timestamp(61_000))).retry_after_secs, Some(60));
        assert_eq!(until(None).retry_after_secs, None);
    }
}

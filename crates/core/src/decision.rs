//! The decision on one request: a permit, or a refusal.
//!
//! # What this protects
//!
//! [`decide`] is the only function that makes a [`Permit`], and nothing is forwarded without one, so a
//! door that forgets a check does not compile. What is permitted is told apart by type: a read may be
//! forwarded, a write needs a reservation first, and a body has to be counted, which makes it one of the
//! two. The store checks lock and budgets again in the transaction that makes a write durable. What
//! `decide` refuses from memory is only ever refused earlier, never admitted more.
//!
//! Nobody else makes a permit, and nobody changes what one costs; `tests/compile_fail` of the engine holds
//! that.

use std::sync::Arc;

use http::Method;
use smallvec::SmallVec;

use crate::cost::{BodyCharge, CountedCall, cost_of};
use crate::keys::application::ApplicationState;
use crate::keys::key::{KeyId, KeyState};
use crate::keys::lock::LockLevel;
use crate::policy::api::{Charge, Mode, OperationMatch};
use crate::policy::operation::CountRule;
use crate::policy::{ApiRef, Plan, Policy};
use crate::rate::RateState;
use crate::refusal::{LockNotice, Reason, Refusal};
use crate::time::Timestamp;

/// Who calls, as far as the request tells.
#[derive(Clone, Copy, Debug)]
pub enum CallerState<'a> {
    /// Nobody said; the counters are the address's.
    Keyless {
        /// The address's use of the keyless plan's rate limits.
        rate: &'a RateState,
        /// What such a caller lacks where no keyless plan includes the operation.
        lacks: &'a Refusal,
    },
    /// A key that was never issued here.
    Unknown {
        /// Why it is refused: it is not known, or whoever may know it does not answer.
        why: &'a Refusal,
    },
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
    pub caller: CallerState<'a>,
    /// What speaks against the request, whoever calls.
    pub objection: Option<&'a Refusal>,
    /// The time on the store's clock.
    pub now: Timestamp,
}

/// That a request may pass. Only [`decide`], and counting a body that it permitted, make one.
#[derive(Debug)]
#[must_use = "a permit that is not used means that a permitted request was dropped"]
pub enum Permit {
    /// It reads, and may be forwarded.
    Read(PermittedRead),
    /// It writes, and may be forwarded once its write is reserved.
    Write(PermittedWrite),
    /// Only its body tells.
    Body(PermittedBody),
}

impl Permit {
    /// Why the request would have been refused, were its API not only observed.
    pub fn objection(&self) -> Option<Reason> {
        match self {
            Self::Read(permit) => permit.objection,
            Self::Write(permit) => permit.terms.objection,
            Self::Body(permit) => permit.terms.objection,
        }
    }
}

/// A call that may read.
#[derive(Debug)]
pub struct PermittedRead {
    plan: Option<Arc<Plan>>,
    objection: Option<Reason>,
}

/// A call that may write, with all that its reservation needs to know of it.
#[derive(Debug)]
pub struct PermittedWrite {
    cost: u32,
    terms: WriteTerms,
}

/// A call whose body tells what it costs.
#[derive(Debug)]
pub struct PermittedBody {
    charge: BodyCharge,
    terms: WriteTerms,
}

/// What is decided of a write besides its cost.
#[derive(Debug)]
struct WriteTerms {
    mode: Mode,
    plan: Option<Arc<Plan>>,
    budgets: SmallVec<[usize; 4]>,
    count: CountRule,
    objection: Option<Reason>,
}

impl PermittedRead {
    /// The plan that permits it; `None` when an API is only observed and the caller has none.
    pub fn plan(&self) -> Option<&Arc<Plan>> {
        self.plan.as_ref()
    }

    /// The plan that permits it, when nothing else is needed any more.
    pub fn into_plan(self) -> Option<Arc<Plan>> {
        self.plan
    }

    /// Why the request would have been refused, were its API not only observed.
    pub fn objection(&self) -> Option<Reason> {
        self.objection
    }
}

impl PermittedWrite {
    /// What it takes from each of its budgets; never zero.
    pub fn cost(&self) -> u32 {
        self.cost
    }

    /// How strictly its API is guarded.
    pub fn mode(&self) -> Mode {
        self.terms.mode
    }

    /// The plan that permits it; `None` when an API is only observed and the caller has none.
    pub fn plan(&self) -> Option<&Arc<Plan>> {
        self.terms.plan.as_ref()
    }

    /// The places of the plan's write budgets that count it.
    pub fn budgets(&self) -> &[usize] {
        &self.terms.budgets
    }

    /// Which writes stay counted.
    pub fn count(&self) -> CountRule {
        self.terms.count
    }

    /// Why the request would have been refused, were its API not only observed.
    pub fn objection(&self) -> Option<Reason> {
        self.terms.objection
    }
}

impl PermittedBody {
    /// Counts the body: it reads, or it writes.
    ///
    /// # Errors
    /// When the body cannot be counted, and its operation does not say what such a body costs.
    pub fn count(self, call: &CountedCall<'_>) -> Result<Permit, Refusal> {
        let cost = cost_of(&self.charge, call)?;
        Ok(self.terms.permit(cost))
    }
}

impl WriteTerms {
    /// The permit of a call with a cost: what costs nothing reads.
    fn permit(self, cost: u32) -> Permit {
        if cost == 0 {
            // What a body that reads would have been refused for was never on record.
            Permit::Read(PermittedRead { plan: self.plan, objection: None })
        } else {
            Permit::Write(PermittedWrite { cost, terms: self })
        }
    }
}

/// Decides on a request, from memory.
///
/// Takes the call from the rate limits that apply, and changes nothing else. A request of an API that is
/// not guarded passes as a read, whatever it is.
///
/// # Errors
/// When the request may not pass.
pub fn decide(policy: &Policy, call: &Call<'_>) -> Result<Permit, Refusal> {
    let mode = call.api.api.spec().mode;
    if mode == Mode::Off {
        return Ok(Permit::Read(PermittedRead { plan: None, objection: None }));
    }
    let plan = plan_of(policy, call.caller);
    match (check(plan, call), mode) {
        (Ok(()), _) => Ok(permit(plan, call, None)),
        (Err(refusal), Mode::Enforce) => Err(refusal),
        (Err(refusal), Mode::Observe | Mode::Off) => Ok(permit(plan, call, Some(refusal.reason))),
    }
}

fn plan_of<'a>(policy: &'a Policy, caller: CallerState<'_>) -> Option<&'a Arc<Plan>> {
    match caller {
        CallerState::Keyless { .. } => policy.keyless_plan(),
        CallerState::Unknown { .. } => None,
        CallerState::Key { plan, .. } => policy.plan(plan),
    }
}

fn permit(plan: Option<&Arc<Plan>>, call: &Call<'_>, objection: Option<Reason>) -> Permit {
    let terms = || WriteTerms {
        mode: call.api.api.spec().mode,
        plan: plan.cloned(),
        budgets: budgets(plan, call),
        count: call.operation.count,
        objection,
    };
    match &call.operation.charge {
        Charge::Nothing => Permit::Read(PermittedRead { plan: plan.cloned(), objection }),
        Charge::Writes(cost) => terms().permit(*cost),
        Charge::ByBody(charge) => {
            Permit::Body(PermittedBody { charge: charge.clone(), terms: terms() })
        }
    }
}

/// The places of the plan's budgets that count a call.
fn budgets(plan: Option<&Arc<Plan>>, call: &Call<'_>) -> SmallVec<[usize; 4]> {
    let counts = |plan: &Arc<Plan>| {
        (0..plan.budgets().len())
            .filter(|place| plan.counts(*place, call.api.place, &call.operation.either))
            .collect()
    };
    plan.map(counts).unwrap_or_default()
}

fn check(plan: Option<&Arc<Plan>>, call: &Call<'_>) -> Result<(), Refusal> {
    if let Some(objection) = call.objection {
        return Err(objection.clone());
    }
    let allows = |plan: &&Arc<Plan>| plan.allows(call.api.place, &call.operation.exact);
    let (plan, rate) = match call.caller {
        // A caller without a key is asked for one, whether the operation exists for others or not.
        CallerState::Keyless { rate, lacks } => {
            (plan.filter(allows).ok_or_else(|| lacking(lacks, call))?, rate)
        }
        CallerState::Unknown { why } => return Err(why.clone()),
        CallerState::Key { state, application, rate, .. } => {
            check_state(state, application, &call.operation.charge, call.now)?;
            (plan.filter(allows).ok_or(Reason::OperationNotInPlan)?, rate)
        }
    };
    rate.admit(&plan.spec().rate_limits, call.now)
        .map_err(|seconds| Refusal::new(Reason::RateLimited).retry_after_secs(seconds))
}

fn lacking(refusal: &Refusal, call: &Call<'_>) -> Refusal {
    if refusal.reason == Reason::KeyMissing {
        return Refusal::new(refusal.reason).because(call.api.api.spec().credential.how_to_send());
    }
    refusal.clone()
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
    use crate::keys::lock::LockTarget;

    #[test]
    fn a_lock_for_a_time_says_how_long_to_wait_and_one_until_unlocked_does_not() {
        let now = Timestamp(1_000);
        let until =
            |until| locked(LockNotice { level: LockLevel::All, until, on: LockTarget::Key }, now);
        assert_eq!(until(Some(Timestamp(61_000))).retry_after_secs, Some(60));
        assert_eq!(until(None).retry_after_secs, None);
    }
}

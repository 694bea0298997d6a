//! What a caller whose request is refused gets, and how refusals go on record.

use std::borrow::Cow;
use std::fmt::Write;

use keystile_core::journal::{Outcome, RequestFacts};
use keystile_core::policy::Plan;
use keystile_core::problem::{AnswerField, Problem};
use keystile_core::refusal::{Reason, Refusal};
use keystile_store::BudgetStanding;
use metrics::counter;

use crate::admission::identity::Identity;
use crate::engine::Engine;

/// A request that may not pass; it is on record.
#[derive(Debug)]
pub struct Refused {
    /// What its caller is told.
    pub problem: Box<Problem>,
    /// How the budgets stand that had no room for it.
    pub budgets: Option<[AnswerField; 2]>,
    /// Whether another request may follow on the caller's connection.
    pub next: NextRequest,
}

/// What may follow a refused request on its connection, where requests follow each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NextRequest {
    /// Another request, once the body of this one has been read.
    MayFollow,
    /// Nothing: the head had no one reading, so where it ends is not sure either.
    CannotBeTold,
}

impl Refused {
    pub(super) fn new(refusal: Refusal, base: &str) -> Self {
        let problem = Box::new(Problem::new(refusal, base));
        Self { problem, budgets: None, next: NextRequest::MayFollow }
    }
}

impl Engine {
    /// Counts a refusal, and puts it on record within a second.
    pub(crate) fn note_refused(&self, identity: &Identity, reason: Reason, facts: RequestFacts) {
        count_refusal(&facts.api, reason);
        self.refused.add(identity, reason, Outcome::Refused, facts);
    }

    /// Puts on record that a read would have been refused, were its API not only observed.
    pub(crate) fn note_objection(&self, identity: &Identity, reason: Reason, facts: RequestFacts) {
        self.refused.add(identity, reason, Outcome::Applied, facts);
    }

    /// Writes down the refusals that wait.
    pub fn write_refused(&self) {
        let refused = self.refused.take();
        if !refused.is_empty() {
            self.refusal_bursts.note(&refused, self.store.now());
            self.store.record_refused(refused);
        }
    }
}

/// Counts an answer that Keystile gave itself, for the metrics.
pub fn count_refusal(api: &str, reason: Reason) {
    counter!("keystile_refusals_total", "api" => api.to_owned(), "reason" => reason.name())
        .increment(1);
}

/// `RateLimit-Policy` and `RateLimit` fields (draft-ietf-httpapi-ratelimit-headers) for the budgets that
/// counted a call; `None` where none did.
pub(super) fn budget_fields(plan: &Plan, standings: &[BudgetStanding]) -> Option<[AnswerField; 2]> {
    if standings.is_empty() {
        return None;
    }
    let (mut policies, mut limits) = (String::new(), String::new());
    for standing in standings {
        let budget = &plan.budgets()[standing.place];
        let separator = if policies.is_empty() { "" } else { ", " };
        let _ = write!(
            policies,
            "{separator}\"{}\";q={};w={}",
            budget.name, budget.quota.amount, standing.window_secs
        );
        let _ = write!(
            limits,
            "{separator}\"{}\";r={};t={}",
            budget.name, standing.remaining, standing.reset_secs
        );
    }
    Some([("ratelimit-policy", Cow::Owned(policies)), ("ratelimit", Cow::Owned(limits))])
}

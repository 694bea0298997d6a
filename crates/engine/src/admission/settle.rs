//! Settling a write: what became of it goes on record. A failure of the store is logged and repaired then, for
//! the write has happened: a record that stays pending ends as `unknown` at the next start.

use std::sync::Arc;

use keystile_core::journal::{Outcome, RecordId};
use keystile_core::policy::Plan;
use keystile_core::policy::api::Api;
use keystile_core::problem::{AnswerField, Problem};
use keystile_core::refusal::Refusal;
use keystile_core::time::Timestamp;
use keystile_store::departure::WriteDeparture;
use keystile_store::reservation::{Reserved, Settlement};
use keystile_store::{BudgetStanding, Store};

use crate::admission::refused::{budget_fields, count_refusal};

/// A write that is on record and may be under way. Settle it when its outcome is known; dropped without
/// that, its outcome is `unknown`, and it stays counted.
#[derive(Debug)]
#[must_use = "an open write counts; settle it"]
pub struct OpenWrite {
    store: Arc<Store>,
    /// `None` once settled, and for a write at an observed API that could not be recorded.
    reserved: Option<Box<Reserved>>,
    /// What it ends as where nobody settles it: nothing is sent before there is a grant.
    unsettled: Outcome,
    api: Arc<Api>,
    /// Scheme and authority that it was sent to.
    base: String,
}

/// Whether a write that has no answer may have reached its upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sent {
    /// Proven not to.
    No,
    /// Some of it may have left.
    Perhaps,
}

/// What is known of an exchange when the head of its answer has come, or will not come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ExchangeStats {
    /// From the intent until then.
    pub duration_ms: u64,
    /// The request body's length, where known.
    pub request_bytes: Option<u64>,
}

impl OpenWrite {
    /// A write that the store has on record, of which nothing was sent.
    pub(super) fn reserved(
        store: Arc<Store>,
        reserved: Option<Box<Reserved>>,
        api: Arc<Api>,
        base: String,
    ) -> Self {
        Self { store, reserved, unsettled: Outcome::NotSent, api, base }
    }

    /// What the store gave, for whoever settles it later.
    pub(super) fn into_reserved(mut self) -> Option<Box<Reserved>> {
        self.reserved.take()
    }

    /// Says that it is sent from now on; gives what notes when its first byte leaves.
    pub(super) fn about_to_leave(&mut self) -> Option<Arc<WriteDeparture>> {
        self.unsettled = Outcome::Unknown;
        self.reserved.as_ref().map(|reserved| reserved.departure.clone())
    }

    /// The write's record.
    pub fn id(&self) -> Option<RecordId> {
        self.reserved.as_ref().map(|reserved| reserved.id)
    }

    /// When it was recorded.
    pub fn time(&self) -> Option<Timestamp> {
        self.reserved.as_ref().map(|reserved| reserved.time)
    }

    /// The plan that it counts in, and how that plan's budgets stand after it.
    pub fn standings(&self) -> Option<(&Plan, &[BudgetStanding])> {
        let reserved = self.reserved.as_ref()?;
        Some((reserved.plan.as_deref()?, &reserved.standings))
    }

    /// How its budgets stand after it, as fields of its answer.
    pub fn budget_fields(&self) -> Option<[AnswerField; 2]> {
        let (plan, standings) = self.standings()?;
        budget_fields(plan, standings)
    }

    /// Writes down what became of the write.
    pub fn settle(mut self, settlement: Settlement) {
        if let Some(reserved) = self.reserved.take() {
            self.store.settle(reserved, settlement);
        }
    }

    /// Ends a write that has no answer of the upstream's, and says what its caller is told instead.
    pub fn fail(self, refusal: Refusal, sent: Sent, stats: ExchangeStats) -> Problem {
        let reason = refusal.reason;
        count_refusal(self.api.name(), reason);
        let (outcome, unknown) = match sent {
            Sent::No => (Outcome::NotSent, None),
            Sent::Perhaps => (Outcome::Unknown, self.id()),
        };
        let problem = Problem::new(refusal, &self.base).of_unknown_write(unknown);
        self.settle(Settlement {
            outcome,
            status: Some(reason.status()),
            duration_ms: stats.duration_ms,
            request_bytes: stats.request_bytes,
            response_bytes: None,
        });
        problem
    }
}

impl Drop for OpenWrite {
    fn drop(&mut self) {
        if let Some(reserved) = self.reserved.take() {
            let unsettled = Settlement { outcome: self.unsettled, ..Settlement::NOT_SENT };
            self.store.settle(reserved, unsettled);
        }
    }
}

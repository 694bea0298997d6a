//! Reserving room for a write, and settling it.
//!
//! Before the upstream is called, a failure of the store refuses the write: nothing unrecorded is sent.
//! After it, a failure of the store is logged and repaired: the write has happened, and its record,
//! if it stays pending, ends as `unknown` at the next start.

use std::sync::Arc;

use keystile_core::decision::Permit;
use keystile_core::journal::{Outcome, RecordId, RequestFacts};
use keystile_core::policy::{Plan, Policy};
use keystile_core::refusal::{Reason, Refusal};
use keystile_core::time::Timestamp;
use keystile_store::BudgetStanding;
use keystile_store::Store;
use keystile_store::sqlite::journal::Settlement;
use keystile_store::sqlite::ledger::reserve::{ReserveRequest, Reserved, Subject};
use keystile_store::sqlite::ledger::sending::Sending;
use keystile_store::sqlite::writer::completion_queue::CompletionQueue;

use crate::Engine;
use crate::admission::authorize::Identity;

/// How long a caller is asked to wait while the store cannot commit.
const RETRY_SECS: u64 = 5;

/// A write that may be sent, once. Settle it when its outcome is known; dropped without that, its
/// outcome is `unknown`, and it stays counted.
#[derive(Debug)]
#[must_use = "a reservation is a write that counts; settle it"]
pub struct Reservation {
    store: Arc<Store>,
    /// `None` once settled, and for a write at an observed API that could not be recorded.
    reserved: Option<Box<Reserved>>,
}

/// A write that was refused after its permit, with what its answer tells of the budgets.
#[derive(Debug)]
pub struct Refused {
    /// Why.
    pub refusal: Refusal,
    /// The plan whose budgets stand like this.
    pub plan: Option<Arc<Plan>>,
    /// How they stand.
    pub standings: Vec<BudgetStanding>,
    /// Whether it is on record already.
    pub is_recorded: bool,
}

impl Engine {
    /// Takes room for a write from its budgets and records its intent, durably. The answer comes through
    /// the completions of the core that asks.
    pub async fn reserve(
        &self,
        policy: &Arc<Policy>,
        identity: &Identity,
        permit: Permit,
        cost: u32,
        facts: RequestFacts,
        completions: &Arc<CompletionQueue>,
    ) -> Result<Reservation, Refused> {
        let is_observed = policy
            .api_named(&facts.api)
            .is_some_and(|api| api.api.spec().mode != keystile_core::policy::api::Mode::Enforce);
        let subject = match identity {
            Identity::Key(key) => Subject::Key(key.clone()),
            Identity::Keyless => Subject::Address(facts.address),
            Identity::Unknown => Subject::Nobody,
        };
        let request =
            ReserveRequest { subject, permit, cost, policy: policy.clone(), facts, is_observed };
        match self.store.reserve_through(request, completions).await {
            Ok(Ok(reserved)) => {
                if let (Identity::Key(key), Some(plan)) = (identity, &reserved.plan) {
                    self.near.note(key, plan, &reserved.standings);
                }
                Ok(Reservation { store: self.store.clone(), reserved: Some(reserved) })
            }
            Ok(Err(refused)) => Err(Refused {
                refusal: refused.refusal,
                plan: refused.plan,
                standings: refused.standings,
                is_recorded: refused.is_recorded,
            }),
            // An observed API is never in its callers' way; the log says that the store fails.
            Err(_) if is_observed => Ok(Reservation { store: self.store.clone(), reserved: None }),
            Err(_) => Err(Refused {
                refusal: Refusal::new(Reason::StoreUnavailable).retry_after_secs(RETRY_SECS),
                plan: None,
                standings: Vec::new(),
                is_recorded: false,
            }),
        }
    }
}

impl Reservation {
    /// The write's record.
    pub fn id(&self) -> Option<RecordId> {
        self.reserved.as_ref().map(|reserved| reserved.id)
    }

    /// Where it is noted that its first byte has left, which is when it counts.
    pub fn sending(&self) -> Option<Arc<Sending>> {
        self.reserved.as_ref().map(|reserved| reserved.sending.clone())
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

    /// Writes down what became of the write.
    pub fn settle(mut self, settlement: Settlement) {
        if let Some(reserved) = self.reserved.take() {
            self.store.settle(reserved, settlement);
        }
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        if let Some(reserved) = self.reserved.take() {
            let unknown = Settlement { outcome: Outcome::Unknown, ..Settlement::NOT_SENT };
            self.store.settle(reserved, unknown);
        }
    }
}

//! Reserving room for a write, and settling it.
//!
//! Before the upstream is called, a failure of the store refuses the write: nothing unrecorded is sent.
//! After it, a failure of the store is logged and repaired: the write has happened, and its record,
//! if it stays pending, ends as `unknown` at the next start.

use std::sync::Arc;

use keystile_core::journal::{Outcome, RecordId, RequestFacts};
use keystile_core::policy::Plan;
use keystile_core::policy::api::{Api, Mode};
use keystile_core::problem::{AnswerField, Problem};
use keystile_core::refusal::{Reason, Refusal};
use keystile_core::time::Timestamp;
use keystile_store::completion_queue::CompletionQueue;
use keystile_store::reservation::{
    ReserveRefused, ReserveRequest, Reserved, Sender, Settlement, Subject,
};
use keystile_store::{BudgetStanding, Store};

use crate::admission::identity::Identity;
use crate::admission::permit::{AdmittedRequest, Attempt, SendGrant, WritePermit};
use crate::admission::refused::{Refused, budget_fields, count_refusal};
use crate::engine::Engine;

/// How long a caller is asked to wait while the store cannot commit.
const RETRY_SECS: u64 = 5;

/// Room for one write, on record. Take its grant to send it; dropped without that, the write was not sent,
/// and its room is given back.
#[derive(Debug)]
#[must_use = "a reservation is a write that counts; take its grant"]
pub struct Reservation {
    request: AdmittedRequest,
    write: OpenWrite,
}

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

impl Engine {
    /// Takes room for a write from its budgets and records its intent, durably. The answer comes through
    /// the completions of the core that asks.
    ///
    /// # Errors
    /// When a lock or a budget refuses it, which is on record then, or nothing can be recorded.
    pub async fn reserve(
        &self,
        permit: WritePermit,
        completions: &Arc<CompletionQueue>,
    ) -> Result<Reservation, Refused> {
        self.reserve_for(permit, Sender::OurDoor, Some(completions)).await
    }

    pub(super) async fn reserve_for(
        &self,
        permit: WritePermit,
        sender: Sender,
        completions: Option<&Arc<CompletionQueue>>,
    ) -> Result<Reservation, Refused> {
        let WritePermit { attempt: Attempt { mut request, policy, facts, base }, permit } = permit;
        request.plan = permit.plan().cloned();
        let is_observed = permit.mode() != Mode::Enforce;
        let subject = match &request.identity {
            Identity::Key(key) => Subject::Key(key.clone()),
            Identity::Keyless => Subject::Address(request.address),
            Identity::Unknown => Subject::Nobody,
        };
        let wanted = ReserveRequest { subject, permit, policy, facts: facts.clone(), sender };
        let answer = match completions {
            Some(completions) => self.store.reserve_through(wanted, completions).await,
            None => self.store.reserve(wanted).await,
        };
        let reserved = match answer {
            Ok(Ok(reserved)) => Ok(Some(reserved)),
            Ok(Err(refused)) => Err(*refused),
            // An observed API is never in its callers' way; the log says that the store fails.
            Err(_) if is_observed => Ok(None),
            Err(_) => Err(unavailable()),
        };
        let reserved = match reserved {
            Ok(reserved) => reserved,
            Err(refused) => return Err(self.refuse_reserved(&request, facts, &base, refused)),
        };
        if let (Identity::Key(key), Some(reserved)) = (&request.identity, &reserved)
            && let Some(plan) = &reserved.plan
        {
            self.fullest_budgets.note(key, plan, &reserved.standings);
        }
        let api = request.api.clone();
        let store = self.store.clone();
        let write = OpenWrite { store, reserved, unsettled: Outcome::NotSent, api, base };
        Ok(Reservation { request, write })
    }
}

impl Engine {
    /// Puts a write on record that the store refused, unless it did so itself.
    fn refuse_reserved(
        &self,
        request: &AdmittedRequest,
        facts: Arc<RequestFacts>,
        base: &str,
        refused: ReserveRefused,
    ) -> Refused {
        let ReserveRefused { refusal, plan, standings, is_recorded } = refused;
        if is_recorded {
            count_refusal(&facts.api, refusal.reason);
        } else {
            self.note_refused(&request.identity, refusal.reason, Arc::unwrap_or_clone(facts));
        }
        let budgets = plan.and_then(|plan| budget_fields(&plan, &standings));
        Refused { budgets, ..Refused::new(refusal, base) }
    }
}

fn unavailable() -> ReserveRefused {
    ReserveRefused {
        refusal: Refusal::new(Reason::StoreUnavailable).retry_after_secs(RETRY_SECS),
        plan: None,
        standings: Vec::new(),
        is_recorded: false,
    }
}

impl Reservation {
    /// What is permitted.
    pub fn request(&self) -> &AdmittedRequest {
        &self.request
    }

    /// Its record.
    pub(super) fn id(&self) -> Option<RecordId> {
        self.write.id()
    }

    pub(super) fn budget_fields(&self) -> Option<[AnswerField; 2]> {
        self.write.budget_fields()
    }

    /// What the store gave, for whoever settles it later.
    pub(super) fn into_reserved(mut self) -> Option<Box<Reserved>> {
        self.write.reserved.take()
    }

    /// The right to send it, and what has to be settled then.
    pub fn grant(self) -> (SendGrant, AdmittedRequest, OpenWrite) {
        let Self { request, mut write } = self;
        write.unsettled = Outcome::Unknown;
        let sending = write.reserved.as_ref().map(|reserved| reserved.sending.clone());
        (SendGrant::of_write(sending), request, write)
    }
}

impl OpenWrite {
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

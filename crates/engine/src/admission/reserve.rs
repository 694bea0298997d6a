//! Reserving room for a write, before the upstream is called. A failure of the store refuses the write:
//! nothing unrecorded is sent.

use std::sync::Arc;

use keystile_core::journal::{RecordId, RequestFacts};
use keystile_core::policy::api::Mode;
use keystile_core::problem::AnswerField;
use keystile_core::refusal::{Reason, Refusal};
use keystile_store::completion_queue::CompletionQueue;
use keystile_store::reservation::{Requester, ReserveRefused, ReserveRequest, Reserved, Sender};

use crate::admission::identity::Identity;
use crate::admission::permit::{AdmittedRequest, Attempt, SendGrant, WritePermit};
use crate::admission::refused::{Refused, budget_fields, count_refusal};
use crate::admission::settle::OpenWrite;
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
        let requester = match &request.identity {
            Identity::Key(key) => Requester::Key(key.clone()),
            Identity::Keyless => Requester::Address(request.address),
            Identity::Unknown => Requester::Nobody,
        };
        let wanted = ReserveRequest { requester, permit, policy, facts: facts.clone(), sender };
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
        let write = OpenWrite::reserved(self.store.clone(), reserved, request.api.clone(), base);
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
    pub(super) fn into_reserved(self) -> Option<Box<Reserved>> {
        self.write.into_reserved()
    }

    /// The right to send it, and what has to be settled then.
    pub fn grant(self) -> (SendGrant, AdmittedRequest, OpenWrite) {
        let Self { request, mut write } = self;
        let grant = SendGrant::of_write(write.about_to_leave());
        (grant, request, write)
    }
}

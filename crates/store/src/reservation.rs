//! Room for writes: what is asked of the store before a write is sent, its answer, and what became of it.

use std::net::IpAddr;
use std::sync::Arc;

pub use keystile_core::budget::BudgetStanding;
use keystile_core::budget::{Debit, Debits, Writer};
use keystile_core::decision::PermittedWrite;
use keystile_core::journal::{Outcome, RecordId, RequestFacts};
use keystile_core::policy::api::Mode;
use keystile_core::policy::operation::CountRule;
use keystile_core::policy::{Plan, Policy};
use keystile_core::refusal::{Reason, Refusal};
use keystile_core::request::address::counted_address;
use keystile_core::time::Timestamp;

use crate::departure::WriteDeparture;
use crate::key_cache::KeyEntry;

/// Whose budgets a write counts in.
#[derive(Clone, Debug)]
pub enum Requester {
    /// A key's.
    Key(Arc<KeyEntry>),
    /// An address's, for a caller without a key.
    Address(IpAddr),
    /// Nobody's: an unknown key at an API that is only observed.
    Nobody,
}

impl Requester {
    /// Who it is to budgets, where they count it.
    pub(crate) fn writer(&self) -> Option<Writer> {
        match self {
            Self::Key(key) => Some(Writer::Key { key: key.row, application: key.application.row }),
            Self::Address(address) => Some(Writer::Address(counted_address(*address))),
            Self::Nobody => None,
        }
    }
}

/// A write that has a permit and asks for room.
#[derive(Debug)]
pub struct ReserveRequest {
    /// Whose budgets it counts in.
    pub requester: Requester,
    /// What it may do, and at what cost.
    pub permit: PermittedWrite,
    /// The policy that permitted it.
    pub policy: Arc<Policy>,
    /// What it is, for its record. Whoever asks keeps it too, for the case that it is refused.
    pub facts: Arc<RequestFacts>,
    /// Who sends it.
    pub sender: Sender,
}

/// Who sends a write that was reserved, and so learns what becomes of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sender {
    /// A door of this server: left open by a crash, its outcome is unknown.
    OurDoor,
    /// Somebody else's gateway: what is not settled was handed over.
    OtherGateway,
}

impl ReserveRequest {
    /// Whether its API is only observed, so that nothing may refuse it.
    pub(crate) fn is_observed(&self) -> bool {
        self.permit.mode() != Mode::Enforce
    }
}

/// What a write took from budgets of another plan than its own.
#[derive(Debug)]
pub(crate) struct DebitElsewhere {
    pub(crate) plan: Arc<Plan>,
    pub(crate) debit: Debit,
}

/// Room for one write, on record: the write may be sent, once.
#[derive(Debug)]
pub struct Reserved {
    /// Its record.
    pub id: RecordId,
    /// When it was recorded.
    pub time: Timestamp,
    /// The plan that it counts in.
    pub plan: Option<Arc<Plan>>,
    /// How its budgets stand after it.
    pub standings: Vec<BudgetStanding>,
    /// Which writes stay counted.
    pub count: CountRule,
    pub(crate) policy: Arc<Policy>,
    /// Its subject in the journal.
    pub(crate) subject: i64,
    /// What it took from budgets.
    pub(crate) debits: Debits,
    /// What it took from budgets of other plans, which it does not have to fit into.
    pub(crate) elsewhere: Vec<DebitElsewhere>,
    pub(crate) cost: u32,
    pub(crate) is_observed: bool,
    /// When it began to leave, which is when it counts.
    pub departure: Arc<WriteDeparture>,
}

impl Reserved {
    /// What becomes of it when whoever asked has left before the answer came: it was not sent. Only at an
    /// API that is observed it may have been, without its record.
    pub(crate) fn given_up(self: Box<Self>) -> (Box<Self>, Settlement) {
        let outcome = if self.is_observed { Outcome::Unknown } else { Outcome::NotSent };
        (self, Settlement { outcome, ..Settlement::NOT_SENT })
    }
}

/// A write that was refused, by its budget or by a lock that came in between.
#[derive(Clone, Debug)]
pub struct ReserveRefused {
    /// Why.
    pub refusal: Refusal,
    /// The plan that it would have counted in.
    pub plan: Option<Arc<Plan>>,
    /// How its budgets stand.
    pub standings: Vec<BudgetStanding>,
    /// Whether the refusal is on record already, because it locked the key or its application.
    pub is_recorded: bool,
}

/// What became of a request for room.
pub type ReserveAnswer = Result<Box<Reserved>, Box<ReserveRefused>>;

impl Reserved {
    /// What the outcome of the write gives back to its budgets.
    pub(crate) fn is_given_back(&self, outcome: Outcome) -> bool {
        match outcome {
            Outcome::NotSent => true,
            Outcome::RefusedByUpstream => self.count == CountRule::Applied,
            Outcome::Pending
            | Outcome::Applied
            | Outcome::Unknown
            | Outcome::Refused
            | Outcome::HandedOver => false,
        }
    }
}

/// What became known of a write after its intent was recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settlement {
    /// What became of it.
    pub outcome: Outcome,
    /// The status that the caller got.
    pub status: Option<u16>,
    /// From the intent to the answer's head.
    pub duration_ms: u64,
    /// The request body's length, where known.
    pub request_bytes: Option<u64>,
    /// The answer body's length, where known.
    pub response_bytes: Option<u64>,
}

impl Settlement {
    /// The write was given up before anything was sent.
    pub const NOT_SENT: Self = Self {
        outcome: Outcome::NotSent,
        status: None,
        duration_ms: 0,
        request_bytes: None,
        response_bytes: None,
    };
}

/// A refusal, or several of one kind in one line.
#[derive(Clone, Debug)]
pub struct RefusedRecord {
    /// Whose key it was, where known.
    pub key: Option<Arc<KeyEntry>>,
    /// The first of them.
    pub facts: RequestFacts,
    /// Why.
    pub reason: Reason,
    /// Whether it was refused, or passed because its API is only observed.
    pub outcome: Outcome,
    /// How many.
    pub count: u32,
}

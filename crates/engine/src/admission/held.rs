//! Writes that somebody else's gateway sends: reserved here, and settled by whoever has the id.
//!
//! A door that answers yes to another gateway never sees what the upstream answers. It gives the id of the
//! reservation away, and whoever brings it back says what became of the write. What nobody settles in time
//! ends as `handed_over`, and stays counted; so does what a crash leaves open.

use keystile_core::journal::{Outcome, RecordId};
use keystile_core::problem::AnswerField;
use keystile_core::reservation::id::ReservationId;
use keystile_core::time::{Span, Timestamp};
use keystile_store::reservation::{Reserved, Sender, Settlement};

use crate::admission::permit::WritePermit;
use crate::admission::refused::Refused;
use crate::engine::Engine;

/// How long another gateway has to say what became of a write. After a crash a write is taken to have begun
/// within a minute of its reservation, so nothing may be open for longer.
pub const SETTLE_WITHIN: Span = Span::from_secs(60);

/// A write that another gateway may send.
#[derive(Debug)]
pub struct HeldWrite {
    /// By which it is settled; `None` for a write at an observed API that could not be recorded.
    pub id: Option<ReservationId>,
    /// Its record.
    pub record: Option<RecordId>,
    /// How its budgets stand after it.
    pub budgets: Option<[AnswerField; 2]>,
}

/// Why a write cannot be settled by an id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SettleError {
    /// It was settled before, was handed over, or never was.
    #[error("no open reservation has this id")]
    NotOpen,
    /// A write that was reserved cannot end like this.
    #[error("a write that was reserved cannot end as {0}")]
    NoSuchEnd(Outcome),
}

impl Engine {
    /// Reserves a write that somebody else's gateway sends. Settle it by its id.
    ///
    /// # Errors
    /// When a lock or a budget refuses it, which is on record then, or nothing can be recorded.
    pub async fn reserve_by_id(&self, permit: WritePermit) -> Result<HeldWrite, Refused> {
        let reservation = self.reserve_for(permit, Sender::OtherGateway, None).await?;
        let (record, budgets) = (reservation.id(), reservation.budget_fields());
        let Some(reserved) = reservation.into_reserved() else {
            return Ok(HeldWrite { id: None, record, budgets });
        };
        let due = self.store.now().plus(SETTLE_WITHIN);
        let id = ReservationId::from_random(keystile_store::random());
        if let Some(first) = self.held.keep(id, reserved, due) {
            self.hand_over(first);
        }
        Ok(HeldWrite { id: Some(id), record, budgets })
    }

    /// Writes down what became of a write that somebody else's gateway sent.
    ///
    /// # Errors
    /// When no open reservation has this id, or a write cannot end so.
    pub fn settle_by_id(
        &self,
        id: ReservationId,
        settlement: Settlement,
    ) -> Result<(), SettleError> {
        match settlement.outcome {
            Outcome::Applied
            | Outcome::RefusedByUpstream
            | Outcome::NotSent
            | Outcome::Unknown
            | Outcome::HandedOver => {}
            Outcome::Pending | Outcome::Refused => {
                return Err(SettleError::NoSuchEnd(settlement.outcome));
            }
        }
        let reserved = self.held.take(id).ok_or(SettleError::NotOpen)?;
        self.store.settle(reserved, settlement);
        Ok(())
    }

    /// Ends what nobody had settled by `now`, which maintenance and tests say.
    #[doc(hidden)]
    pub fn hand_over_overdue(&self, now: Timestamp) {
        while let Some(reserved) = self.held.next_overdue(now) {
            self.hand_over(reserved);
        }
    }

    fn hand_over(&self, reserved: Box<Reserved>) {
        let handed_over = Settlement { outcome: Outcome::HandedOver, ..Settlement::NOT_SENT };
        self.store.settle(reserved, handed_over);
    }
}

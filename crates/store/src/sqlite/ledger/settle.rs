//! Settling: what became of a write goes on record, and what it did not use goes back to its budgets.

use keystile_core::budget::Departure;
use keystile_core::journal::Outcome;

use crate::error::Result;
use crate::reservation::{Reserved, Settlement};
use crate::sqlite::journal::record;
use crate::sqlite::ledger::Terms;
use crate::sqlite::writer::write_tx::WriteTx;

/// Writes down what became of a write, and gives back what it did not use.
pub(crate) fn settle(
    work: &mut WriteTx<'_>,
    reserved: &Reserved,
    settlement: &Settlement,
) -> Result<()> {
    let id = reserved.id.0;
    record::settle(work.connection, id, settlement)?;
    if settlement.outcome != Outcome::NotSent {
        // Where nobody noted it.
        reserved.departure.note();
    }
    let terms = reserved.plan.as_ref().map(|plan| Terms { policy: &reserved.policy, plan });
    let is_given_back = reserved.is_given_back(settlement.outcome);
    if reserved.cost > 0
        && !is_given_back
        && let Some(began) = reserved.departure.began()
    {
        let row = (reserved.subject, id);
        work.memory.index.set_time(work.connection, row, began)?;
        if let Some(terms) = terms {
            for debit in reserved.debits.iter() {
                work.memory.ledger.note_departures(debit.subject, terms);
            }
        }
    }
    if is_given_back && reserved.cost > 0 {
        record::forgive(work.connection, id)?;
        work.memory.index.forgive(work.connection, reserved.subject, id)?;
        let key = work.memory.rows.key(reserved.subject);
        let application = key.map(|key| key.application.row);
        work.memory.ledger.give_back_all(reserved, application);
    }
    work.memory.open.remove(&id);
    Ok(())
}

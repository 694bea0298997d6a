//! Debiting: what a write costs is taken from the budgets of its subject, from all that count it or from none.

use std::sync::Arc;

use keystile_core::budget::{Debit, Exhausted, Hold};

use crate::departure::WriteDeparture;
use crate::error::Result;
use crate::reservation::BudgetStanding;
use crate::sqlite::ledger::Terms;
use crate::sqlite::writer::write_tx::{WriteTx, WriterState};

/// What becomes of a debit that does not fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PastBudget {
    /// Nothing is taken.
    Refused,
    /// It is taken all the same, because its API is only observed.
    Counted,
}

/// What came of a debit.
pub(crate) struct Debited {
    /// Why it did not fit, where it did not.
    pub(crate) exhausted: Option<Exhausted>,
    /// How the budgets stand after it.
    pub(crate) standings: Vec<BudgetStanding>,
}

/// Takes a debit for the next record of the journal, which has to follow in the same transaction.
pub(crate) fn debit_all(
    work: &mut WriteTx<'_>,
    terms: Terms<'_>,
    debit: &Debit,
    departure: &Arc<WriteDeparture>,
    past: PastBudget,
) -> Result<Debited> {
    let (now, zone) = (work.now, terms.policy.time_zone());
    let WriterState { ledger, index, open, last_id, .. } = &mut *work.memory;
    let account = ledger.open(work.connection, (index, open), debit.subject, terms, now)?;
    let exhausted = account.check(&debit.amounts, now, zone).err();
    if exhausted.is_none() || past == PastBudget::Counted {
        let (record, departure) = (*last_id + 1, departure.clone());
        account.debit(Hold { record, reserved: now, amounts: debit.amounts.clone(), departure });
    }
    Ok(Debited { exhausted, standings: account.standings(debit.places(), now, zone) })
}

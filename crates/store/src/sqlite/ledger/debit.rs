//! Debiting: what a write costs is taken from budgets, whosever they are, from all that count it or from none.

use std::sync::Arc;

use keystile_core::budget::{Debits, Exhausted, Hold, Subject};

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
    /// Whose budget it did not fit into, and why, where it did not.
    pub(crate) exhausted: Option<(Subject, Exhausted)>,
    /// How the budgets stand after it.
    pub(crate) standings: Vec<BudgetStanding>,
}

/// Takes debits for the next record of the journal, which has to follow in the same transaction.
pub(crate) fn debit_all(
    work: &mut WriteTx<'_>,
    terms: Terms<'_>,
    debits: &Debits,
    departure: &Arc<WriteDeparture>,
    past: PastBudget,
) -> Result<Debited> {
    let (now, zone) = (work.now, terms.policy.time_zone());
    let connection = work.connection;
    let WriterState { ledger, index, open, last_id, .. } = &mut *work.memory;
    let mut exhausted = None;
    for debit in debits.iter() {
        let account = ledger.open(connection, (index, open), debit.subject, terms, now)?;
        if let Err(over) = account.check(&debit.amounts, now, zone) {
            exhausted = Some((debit.subject, over));
            break;
        }
    }
    let is_taken = exhausted.is_none() || past == PastBudget::Counted;
    let mut standings = Vec::new();
    for debit in debits.iter() {
        let account = ledger.open(connection, (index, open), debit.subject, terms, now)?;
        if is_taken {
            let (record, departure) = (*last_id + 1, departure.clone());
            account.debit(Hold {
                record,
                reserved: now,
                amounts: debit.amounts.clone(),
                departure,
            });
        }
        standings.extend(account.standings(debit.places(), now, zone));
    }
    standings.sort_unstable_by_key(|standing| standing.place);
    Ok(Debited { exhausted, standings })
}

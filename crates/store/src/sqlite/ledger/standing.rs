//! How budgets stand, for owners who ask.

use std::sync::Arc;

use keystile_core::budget::{Per, Subject, Writer};
use keystile_core::policy::{Plan, Policy};

use crate::error::Result;
use crate::keys::CountedBudget;
use crate::sqlite::ledger::Terms;
use crate::sqlite::writer::write_tx::{WriteTx, WriterState};

/// Whose budgets of a plan are asked about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Whose {
    /// All that count what a key writes.
    Key(Writer),
    /// Those that count what an application's keys write together, by its row number: its own, and the plan's.
    Application(i64),
    /// The plan's own.
    Plan,
}

impl Whose {
    fn subject(self, per: Per) -> Option<Subject> {
        match (self, per) {
            (Self::Key(writer), _) => Some(writer.subject(per)),
            (Self::Application(row), Per::Application) => Some(Subject::Application(row)),
            (Self::Application(_) | Self::Plan, Per::Plan) => Some(Subject::Plan),
            (Self::Application(_), Per::Key) | (Self::Plan, Per::Key | Per::Application) => None,
        }
    }
}

/// How some budgets of a plan stand, in the plan's order.
pub(crate) fn budgets(
    tx: &mut WriteTx<'_>,
    whose: Whose,
    policy: &Policy,
    plan: &Arc<Plan>,
) -> Result<Vec<CountedBudget>> {
    let WriterState { ledger, index, open, .. } = &mut *tx.memory;
    let terms = Terms { policy, plan };
    let mut counted = Vec::new();
    for (place, budget) in plan.budgets().iter().enumerate() {
        let Some(subject) = whose.subject(budget.per) else {
            continue;
        };
        let account = ledger.open(tx.connection, (index, open), subject, terms, tx.now)?;
        let standings = account.standings(std::iter::once(place), tx.now, policy.time_zone());
        counted.extend(standings.into_iter().map(|standing| CountedBudget {
            name: budget.name.clone(),
            quota: budget.quota,
            per: budget.per,
            used: standing.used,
            frees_at: (standing.used > 0).then_some(standing.frees_at),
        }));
    }
    Ok(counted)
}

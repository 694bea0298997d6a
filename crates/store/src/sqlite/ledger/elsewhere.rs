//! What a write counts besides the budgets of its own plan: keys of its application can be on other plans, and the
//! budgets that they share there count it too. It was not asked whether it fits there, because its key is not
//! held to those budgets.

use std::sync::Arc;

use keystile_core::budget::{BudgetAmount, Debit, Hold, Per, Subject};
use keystile_core::decision::budgets_of_record;
use keystile_core::policy::Plan;

use crate::departure::WriteDeparture;
use crate::error::Result;
use crate::reservation::{DebitElsewhere, ReserveRequest, Reserved};
use crate::sqlite::ledger::account::{OpenAccount, Terms};
use crate::sqlite::ledger::{Ledger, amounts};

/// A write that was taken from the budgets of its own plan.
#[derive(Clone, Copy, Debug)]
pub(super) struct Taken<'a> {
    pub(super) application: i64,
    pub(super) request: &'a ReserveRequest,
    /// What its record says beside its cost.
    pub(super) beside_cost: Option<&'a str>,
    pub(super) record: i64,
    pub(super) reserved: keystile_core::time::Timestamp,
    pub(super) departure: &'a Arc<WriteDeparture>,
}

impl Taken<'_> {
    /// What it takes from the budgets that the application's keys share on another plan.
    fn amounts_on(&self, plan: &Plan) -> Result<Vec<BudgetAmount>> {
        let (policy, facts) = (&self.request.policy, &self.request.facts);
        let counting = budgets_of_record(policy, plan, &facts.api, &facts.method, &facts.path);
        let is_shared = |place: usize| plan.budgets()[place].per == Per::Application;
        let counting: Vec<usize> = counting.into_iter().filter(|place| is_shared(*place)).collect();
        let cost = self.request.permit.cost();
        let taken = amounts::on_record(plan.budgets(), &counting, cost, self.beside_cost)?;
        Ok(taken.into_iter().filter(|taken| is_shared(taken.place)).collect())
    }
}

impl Ledger {
    /// Counts a write in the accounts of its application by other plans than its own.
    pub(super) fn debit_elsewhere(
        &mut self,
        own: Option<&Plan>,
        taken: &Taken<'_>,
    ) -> Result<Vec<DebitElsewhere>> {
        let subject = Subject::Application(taken.application);
        let Some(accounts) = self.accounts.get_mut(&subject) else {
            return Ok(Vec::new());
        };
        // An account of a policy that is no longer in force is counted anew when it is asked for.
        let policy = &taken.request.policy;
        let is_in_force = |open: &mut OpenAccount| {
            policy.plan(open.plan.name()).is_some_and(|plan| Arc::ptr_eq(plan, &open.plan))
        };
        accounts.retain(is_in_force);
        let mut debits = Vec::new();
        for open in accounts.iter_mut() {
            if own.is_some_and(|own| own.name() == open.plan.name()) {
                continue;
            }
            let amounts = taken.amounts_on(&open.plan)?;
            if amounts.is_empty() {
                continue;
            }
            let debit = Debit { subject, amounts: amounts.into_iter().collect() };
            open.account.debit(Hold {
                record: taken.record,
                reserved: taken.reserved,
                amounts: debit.amounts.clone(),
                departure: taken.departure.clone(),
            });
            debits.push(DebitElsewhere { plan: open.plan.clone(), debit });
        }
        Ok(debits)
    }

    /// Gives back what a write took, on its own plan and elsewhere. An account of its application that was
    /// opened since counted it from the journal, and is forgotten.
    pub(crate) fn give_back_all(&mut self, reserved: &Reserved, application: Option<i64>) {
        let (record, departure) = (reserved.id.0, &*reserved.departure);
        let policy = &reserved.policy;
        if let Some(plan) = &reserved.plan {
            for debit in reserved.debits.iter() {
                self.give_back(debit, Terms { policy, plan }, record, departure);
            }
        }
        for DebitElsewhere { plan, debit } in &reserved.elsewhere {
            self.give_back(debit, Terms { policy, plan }, record, departure);
        }
        let Some(subject) = application.map(Subject::Application) else {
            return;
        };
        let is_own = reserved.debits.iter().any(|debit| debit.subject == subject);
        let own = reserved.plan.as_ref().filter(|_| is_own).map(|plan| plan.name());
        if let Some(accounts) = self.accounts.get_mut(&subject) {
            accounts.retain(|open| {
                let name = open.plan.name();
                let mut elsewhere = reserved.elsewhere.iter();
                own == Some(name) || elsewhere.any(|other| other.plan.name() == name)
            });
        }
    }
}

//! A debit on record: what a write took from each budget, where that is not one cost for all that count it.
//!
//! A record names budgets, because their places in a plan may be others when it is read. Every budget of the plan
//! is named, also one that the write took nothing from, so that under the same plan the debit comes out as
//! it was. A budget that is not named was added or renamed later: it is charged the record's cost, where it
//! counts the operation, which may be too much and is never too little.

use std::collections::BTreeMap;

use keystile_core::budget::{Amounts, BudgetAmount, Debits};
use keystile_core::policy::{Budget, Plan};

use crate::error::{Error, Result};

/// What the record of a debit says beside its cost; `None` where it takes that from each budget that counts
/// it, and from no other.
pub(crate) fn beside_cost(
    amounts: &[BudgetAmount],
    plan: &Plan,
    counting: &[usize],
    cost: u32,
) -> Option<String> {
    if *amounts == *Debits::of_each(counting, cost) {
        return None;
    }
    let mut named: BTreeMap<&str, u32> =
        plan.budgets().iter().map(|budget| (budget.name.as_str(), 0)).collect();
    for taken in amounts {
        if let Some(budget) = plan.budgets().get(taken.place) {
            named.insert(&budget.name, taken.amount);
        }
    }
    Some(serde_json::to_string(&named).expect("amounts are names and numbers"))
}

/// What a record takes from some budgets: its cost from those that count it, unless it says otherwise.
pub(crate) fn on_record(
    budgets: &[Budget],
    counting: &[usize],
    cost: u32,
    beside_cost: Option<&str>,
) -> Result<Amounts> {
    let of_each = || counting.iter().map(|place| BudgetAmount { place: *place, amount: cost });
    let Some(text) = beside_cost else {
        return Ok(of_each().collect());
    };
    let named: BTreeMap<String, u32> = serde_json::from_str(text)
        .map_err(|error| Error::Corrupt(format!("the amounts of a record: {error}")))?;
    let own = |(place, budget): (usize, &Budget)| {
        let amount = *named.get(&budget.name)?;
        (amount > 0).then_some(BudgetAmount { place, amount })
    };
    let unnamed = of_each().filter(|taken| !named.contains_key(&budgets[taken.place].name));
    Ok(budgets.iter().enumerate().filter_map(own).chain(unnamed).collect())
}

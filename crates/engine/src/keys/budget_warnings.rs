//! Keys that have used half of a write budget or more: what an owner wants to see before they lock.
//!
//! Kept in memory from what each write found when it was counted; after a start it fills with the next
//! writes. Who asks gets the budgets as they stand now.

use std::sync::Arc;

use keystile_core::owners::scope::Scope;

use crate::command::{Authorized, Command, Failure, FailureKind, Running};
use crate::engine::Engine;
use crate::keys::key::BudgetView;

/// A key and the budget that it has used most of.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct BudgetWarning {
    /// Its id.
    pub key: String,
    /// Its application's name.
    pub application: String,
    /// Its plan.
    pub plan: String,
    /// That budget.
    pub budget: BudgetView,
}

/// The active keys nearest to the end of a write budget, fullest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListBudgetWarnings;

impl Command for ListBudgetWarnings {
    type Answer = Vec<BudgetWarning>;
    const SCOPE: Scope = Scope::Read;

    fn run<'a>(self, engine: &'a Arc<Engine>, _: &'a Authorized) -> Running<'a, Self::Answer> {
        Box::pin(engine.budget_warnings())
    }
}

impl Engine {
    async fn budget_warnings(&self) -> Result<Vec<BudgetWarning>, Failure> {
        let mut warnings = Vec::new();
        for key in self.fullest_budgets.fullest() {
            match self.budget_warning(&key).await? {
                Some(warning) => warnings.push(warning),
                None => self.fullest_budgets.forget(&key),
            }
        }
        warnings.sort_by_key(|warning| std::cmp::Reverse(percent_used(&warning.budget)));
        Ok(warnings)
    }

    /// `None` for a key that has room again, or needs a decision rather than a warning.
    async fn budget_warning(&self, key: &str) -> Result<Option<BudgetWarning>, Failure> {
        let row = match self.key_row(key).await {
            Ok(row) => row,
            Err(failure) if failure.kind == FailureKind::Missing => return Ok(None),
            Err(failure) => return Err(failure),
        };
        if row.state_at(self.store.now()) != "active" {
            return Ok(None);
        }
        let budgets = self.budgets_of(&row).await?.into_iter();
        let fullest =
            budgets.filter(|budget| budget.used >= budget.remaining).max_by_key(percent_used);
        Ok(fullest.map(|budget| BudgetWarning {
            key: row.id,
            application: row.application,
            plan: row.plan,
            budget,
        }))
    }
}

fn percent_used(budget: &BudgetView) -> u64 {
    budget.used * 100 / (budget.used + budget.remaining).max(1)
}

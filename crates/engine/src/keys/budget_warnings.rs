//! Keys that have used half of a write budget or more: what an owner wants to see before they lock.
//!
//! Kept in memory from what each write found when it was counted; after a start it fills with the next
//! writes. Who asks gets the budgets as they stand now.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use keystile_core::policy::Plan;
use keystile_store::BudgetStanding;
use keystile_store::key_cache::KeyEntry;

use crate::Engine;
use crate::command::Failure;
use crate::keys::key::BudgetView;

/// More keys than this are not kept; the first hundred already tell that something is going on.
const KEPT_MAX: usize = 1_000;
/// So many are looked up and shown.
const SHOWN_MAX: usize = 10;

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

/// What share of its fullest budget each such key had used at its last write, in percent.
#[derive(Debug, Default)]
pub(crate) struct BudgetWarnings(Mutex<HashMap<String, u64>>);

impl BudgetWarnings {
    /// Takes note of how a key's budgets stand after a write.
    pub(crate) fn note(&self, key: &KeyEntry, plan: &Plan, standings: &[BudgetStanding]) {
        let percent = |standing: &BudgetStanding| {
            let quota = u64::from(plan.budgets()[standing.place].quota.amount).max(1);
            standing.used * 100 / quota
        };
        let most = standings.iter().map(percent).max().unwrap_or(0);
        if most < 50 {
            return;
        }
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let id = key.id.to_string();
        if kept.len() < KEPT_MAX || kept.contains_key(&id) {
            kept.insert(id, most);
        }
    }

    fn fullest(&self) -> Vec<String> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut keys: Vec<_> = kept.iter().map(|(id, percent)| (*percent, id.clone())).collect();
        keys.sort_unstable_by(|a, b| b.cmp(a));
        keys.into_iter().take(SHOWN_MAX).map(|(_, id)| id).collect()
    }

    fn forget(&self, key: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(key);
    }
}

impl Engine {
    /// The active keys nearest to the end of a write budget, fullest first.
    pub async fn budget_warnings(&self) -> Result<Vec<BudgetWarning>, Failure> {
        let mut near = Vec::new();
        for key in self.near.fullest() {
            match self.near_budget(&key).await? {
                Some(found) => near.push(found),
                None => self.near.forget(&key),
            }
        }
        near.sort_by_key(|near| {
            let BudgetView { used, remaining, .. } = near.budget;
            std::cmp::Reverse(used * 100 / (used + remaining).max(1))
        });
        Ok(near)
    }

    /// `None` for a key that is no longer near, or needs a decision rather than a warning.
    async fn near_budget(&self, key: &str) -> Result<Option<BudgetWarning>, Failure> {
        let Ok(row) = self.key_row(key).await else {
            return Ok(None);
        };
        if row.state_at(self.store.now()) != "active" {
            return Ok(None);
        }
        let budgets = self.budgets_of(&row).await?;
        let fullest = budgets
            .into_iter()
            .filter(|budget| budget.used * 2 >= budget.used + budget.remaining)
            .max_by_key(|budget| budget.used * 100 / (budget.used + budget.remaining).max(1));
        Ok(fullest.map(|budget| BudgetWarning {
            key: row.id,
            application: row.application,
            plan: row.plan,
            budget,
        }))
    }
}

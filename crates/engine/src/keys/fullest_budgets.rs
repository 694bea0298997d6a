//! Which keys have used most of a write budget, as their writes found when they were counted.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use keystile_core::policy::Plan;
use keystile_store::BudgetStanding;
use keystile_store::key_cache::KeyEntry;

/// More keys than this are not kept; the first hundred already tell that something is going on.
const KEPT_MAX: usize = 1_000;
/// So many are looked up and shown.
const SHOWN_MAX: usize = 10;

/// What share of its fullest budget each such key had used at its last write, in percent.
#[derive(Debug, Default)]
pub(crate) struct FullestBudgets(Mutex<HashMap<String, u64>>);

impl FullestBudgets {
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

    pub(super) fn fullest(&self) -> Vec<String> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut keys: Vec<_> = kept.iter().map(|(id, percent)| (*percent, id.clone())).collect();
        keys.sort_unstable_by(|a, b| b.cmp(a));
        keys.into_iter().take(SHOWN_MAX).map(|(_, id)| id).collect()
    }

    pub(super) fn forget(&self, key: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(key);
    }
}

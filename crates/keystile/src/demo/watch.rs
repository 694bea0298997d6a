//! What an owner would look at: the journal and the states of the keys, asked for over and over.
//!
//! # How
//!
//! Budgets are known as they stand now, a line wants them as they stood after its write. So the journal is read
//! before and after the budgets: once nothing came in between, what the later writes of the same key took
//! is subtracted, and each line has its own exact count.

use std::collections::HashMap;
use std::sync::Arc;

use keystile_core::journal::{Outcome, RecordId, WriteRecord};
use keystile_core::owners::principal::Principal;
use keystile_engine::Engine;
use keystile_engine::journal::{ListRecords, Order, RecordFilter};
use keystile_engine::keys::key::{BudgetView, KeyView, ListKeys, ShowKey};

/// Records asked for at a time.
const PAGE: u32 = 200;
/// Under a stream of writes without a gap, counts may be a little high rather than late.
const TRIES: u32 = 8;

/// Who asks.
pub(super) fn principal() -> Principal {
    Principal::CommandLine { account: "demo".to_owned() }
}

/// How a write budget stood after a write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Standing {
    /// What counted.
    pub(super) used: u64,
    /// As in `20 per minute`.
    pub(super) quota: String,
}

/// Something to tell.
#[derive(Clone, Debug)]
pub(super) enum Sight {
    /// A write, or a refusal.
    Record(Box<WriteRecord>, Option<Standing>),
    /// A key whose state or lock is another than before.
    Key(Box<KeyView>),
}

/// Follows a server from now on.
#[derive(Debug)]
pub(super) struct Watch {
    engine: Arc<Engine>,
    last: RecordId,
    /// Writes whose outcome is not known yet.
    pending: Vec<(WriteRecord, Option<Standing>)>,
    keys: HashMap<String, KeyView>,
}

impl Watch {
    /// Begins to watch; keys that are there already are no news.
    pub(super) async fn begin(engine: Arc<Engine>) -> anyhow::Result<Self> {
        let mut watch =
            Self { engine, last: RecordId(0), pending: Vec::new(), keys: HashMap::new() };
        watch.changed_keys().await?;
        Ok(watch)
    }

    /// What is new.
    pub(super) async fn look(&mut self) -> anyhow::Result<Vec<Sight>> {
        // Asked for first but told last: a lock is seen after the request that caused it.
        let keys = self.changed_keys().await?;
        let mut sights = self.settled().await?;
        for (record, standing) in self.new_records().await? {
            if record.outcome == Outcome::Pending {
                self.pending.push((record, standing));
            } else {
                sights.push(Sight::Record(Box::new(record), standing));
            }
        }
        sights.extend(keys.into_iter().map(|key| Sight::Key(Box::new(key))));
        Ok(sights)
    }

    async fn records(&self, order: Order) -> anyhow::Result<Vec<WriteRecord>> {
        let filter = RecordFilter { order, limit: PAGE, ..RecordFilter::default() };
        Ok(self.engine.execute(&principal(), ListRecords { filter }).await?)
    }

    /// Those of the pending writes that ended.
    async fn settled(&mut self) -> anyhow::Result<Vec<Sight>> {
        let mut sights = Vec::new();
        for (record, standing) in std::mem::take(&mut self.pending) {
            // What retention took in the meantime is told as it was.
            let record = self.records(Order::Only(record.id)).await?.pop().unwrap_or(record);
            if record.outcome == Outcome::Pending {
                self.pending.push((record, standing));
            } else {
                sights.push(Sight::Record(Box::new(record), standing));
            }
        }
        Ok(sights)
    }

    async fn new_records(&mut self) -> anyhow::Result<Vec<(WriteRecord, Option<Standing>)>> {
        let mut records = self.records(Order::After(self.last)).await?;
        let mut budgets = HashMap::new();
        for _ in 0..TRIES {
            let Some(last) = records.last().map(|record| record.id) else {
                break;
            };
            self.last = last;
            budgets.clear();
            for key in records.iter().filter_map(|record| record.key.as_deref()) {
                if !budgets.contains_key(key)
                    && let Some(budget) = self.fullest_budget(key).await?
                {
                    budgets.insert(key.to_owned(), budget);
                }
            }
            let more = self.records(Order::After(last)).await?;
            if more.is_empty() {
                break;
            }
            records.extend(more);
        }
        Ok(with_standings(records, budgets))
    }

    /// The budget of a key that has the smallest part of its quota left.
    async fn fullest_budget(&self, key: &str) -> anyhow::Result<Option<BudgetView>> {
        let show = ShowKey { key: key.to_owned() };
        let details = self.engine.execute(&principal(), show).await?;
        let per_mille =
            |budget: &BudgetView| budget.used * 1000 / (budget.used + budget.remaining).max(1);
        Ok(details.budgets.into_iter().rev().max_by_key(per_mille))
    }

    async fn changed_keys(&mut self) -> anyhow::Result<Vec<KeyView>> {
        let keys = self.engine.execute(&principal(), ListKeys::default()).await?;
        let mut changed = Vec::new();
        for key in keys {
            let before = self.keys.insert(key.id.clone(), key.clone());
            if before.is_some_and(|before| (&before.state, &before.lock) != (&key.state, &key.lock))
            {
                changed.push(key);
            }
        }
        Ok(changed)
    }
}

/// Gives each record the budget of its key as it stood after it; the budgets stand as after the last record.
fn with_standings(
    records: Vec<WriteRecord>,
    mut budgets: HashMap<String, BudgetView>,
) -> Vec<(WriteRecord, Option<Standing>)> {
    let mut told: Vec<_> = records
        .into_iter()
        .rev()
        .map(|record| {
            let budget = record.key.as_ref().and_then(|key| budgets.get_mut(key));
            let standing = budget.map(|budget| {
                let standing = Standing { used: budget.used, quota: budget.quota.clone() };
                budget.used = budget.used.saturating_sub(u64::from(record.cost));
                standing
            });
            (record, standing)
        })
        .collect();
    told.reverse();
    told
}

#[cfg(test)]
mod tests {
    use super::*;
    use keystile_core::time::Timestamp;

    fn record(id: i64, key: Option<&str>, cost: u32) -> WriteRecord {
        WriteRecord {
            id: RecordId(id),
            time: Timestamp(0),
            key: key.map(str::to_owned),
            application: None,
            plan: None,
            api: "bookmarks".to_owned(),
            operation: "POST /bookmarks".to_owned(),
            method: "POST".to_owned(),
            path: "/bookmarks".to_owned(),
            address: "127.0.0.1".to_owned(),
            user_agent: None,
            request_bytes: None,
            response_bytes: None,
            status: Some(201),
            duration_ms: None,
            outcome: Outcome::Applied,
            reason: None,
            cost,
            count: 1,
        }
    }

    #[test]
    fn each_write_of_a_batch_has_its_own_count() {
        let budget = |used| BudgetView {
            name: String::new(),
            quota: "20 per minute".to_owned(),
            per: keystile_core::budget::Per::Key,
            used,
            remaining: 20 - used,
            frees_at: None,
        };
        let records = vec![
            record(1, Some("a"), 1),
            record(2, Some("b"), 1),
            record(3, Some("a"), 1),
            record(4, None, 1),
            // A refusal takes nothing.
            record(5, Some("a"), 0),
        ];
        let budgets = HashMap::from([("a".to_owned(), budget(20)), ("b".to_owned(), budget(3))]);
        let used: Vec<_> = with_standings(records, budgets)
            .into_iter()
            .map(|(record, standing)| (record.id.0, standing.map(|standing| standing.used)))
            .collect();
        assert_eq!(used, [(1, Some(19)), (2, Some(3)), (3, Some(20)), (4, None), (5, Some(20))]);
    }
}

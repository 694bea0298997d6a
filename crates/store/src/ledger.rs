//! The ledger: what each key has used of its budgets, counted by the writer alone.
//!
//! # How
//!
//! The journal is the ledger's durable form: a row that says what a write cost is the debit, and it is
//! committed before the write is sent. The counters in memory follow from the rows. They are rebuilt
//! from them when a key first writes after a start or after its plan changed, and after a failed
//! commit, so there is no second copy that could disagree.

use std::collections::HashMap;
use std::sync::Arc;

use keystile_core::budget::Counter;
use keystile_core::decision::budgets_of_record;
use keystile_core::policy::{Plan, Policy};
use keystile_core::time::Timestamp;
use rusqlite::{Connection, params};

use crate::error::Result;
use crate::index::SubjectIndex;
use crate::journal;

/// What one subject has used.
#[derive(Debug)]
struct Account {
    /// Budgets are counted in the order of this plan; another plan means another account.
    plan: Arc<Plan>,
    counters: Vec<Counter>,
    /// Records up to this one are not in the counters, because the owner reset them.
    counts_after: i64,
}

/// The accounts of all subjects that have written since the start.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    accounts: HashMap<i64, Account>,
}

/// A write that asks for room.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Debit<'a> {
    pub(crate) subject: i64,
    pub(crate) policy: &'a Policy,
    pub(crate) plan: &'a Arc<Plan>,
    /// The places of the budgets that count it.
    pub(crate) budgets: &'a [usize],
    pub(crate) cost: u32,
}

/// How a budget stands, for RateLimit fields and for messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BudgetStanding {
    /// The budget's place in its plan.
    pub place: usize,
    /// What counts now.
    pub used: u64,
    /// What is left of the quota.
    pub remaining: u64,
    /// When something of it comes back; now, where nothing is used.
    pub frees_at: Timestamp,
    /// The same in seconds.
    pub reset_secs: u64,
}

impl Ledger {
    /// Forgets everything that is not in the journal.
    pub(crate) fn clear(&mut self) {
        self.accounts.clear();
    }

    /// Forgets one subject, which is then counted anew from the journal.
    pub(crate) fn forget(&mut self, subject: i64) {
        self.accounts.remove(&subject);
    }

    /// Makes sure that the subject's account is that of the plan.
    pub(crate) fn open(
        &mut self,
        connection: &Connection,
        index: &SubjectIndex,
        debit: &Debit<'_>,
        now: Timestamp,
    ) -> Result<()> {
        if self
            .accounts
            .get(&debit.subject)
            .is_some_and(|account| Arc::ptr_eq(&account.plan, debit.plan))
        {
            return Ok(());
        }
        let counts_after = counts_after(connection, debit.subject)?;
        let counters = count_again(connection, index, debit, counts_after, now)?;
        self.accounts
            .insert(debit.subject, Account { plan: debit.plan.clone(), counters, counts_after });
        Ok(())
    }

    /// The place of the first budget that has no room for the debit.
    pub(crate) fn exhausted(&mut self, debit: &Debit<'_>, now: Timestamp) -> Option<usize> {
        let account = self.accounts.get_mut(&debit.subject)?;
        debit.budgets.iter().copied().find(|place| {
            let quota = account.plan.budgets()[*place].quota;
            let used = account.counters[*place].used(quota.window, now, debit.policy.time_zone());
            used.saturating_add(u64::from(debit.cost)) > u64::from(quota.amount)
        })
    }

    /// Takes the cost from all the budgets.
    pub(crate) fn take(&mut self, debit: &Debit<'_>, now: Timestamp) {
        if let Some(account) = self.accounts.get_mut(&debit.subject) {
            for place in debit.budgets {
                let window = account.plan.budgets()[*place].quota.window;
                account.counters[*place].add(window, now, debit.cost, debit.policy.time_zone());
            }
        }
    }

    /// Gives back what a record took at a time.
    pub(crate) fn give_back(&mut self, debit: &Debit<'_>, id: i64, at: Timestamp) {
        if self.accounts.get(&debit.subject).is_some_and(|account| id <= account.counts_after) {
            return;
        }
        if let Some(account) = self.accounts.get_mut(&debit.subject)
            && Arc::ptr_eq(&account.plan, debit.plan)
        {
            for place in debit.budgets {
                let window = account.plan.budgets()[*place].quota.window;
                account.counters[*place].release(window, at, debit.cost, debit.policy.time_zone());
            }
        } else {
            // Counted by another plan's windows meanwhile: the journal knows.
            self.forget(debit.subject);
        }
    }

    /// How the budgets of the debit stand.
    pub(crate) fn standings(&mut self, debit: &Debit<'_>, now: Timestamp) -> Vec<BudgetStanding> {
        let Some(account) = self.accounts.get_mut(&debit.subject) else {
            return Vec::new();
        };
        let zone = debit.policy.time_zone();
        let standing = |place: &usize| {
            let quota = account.plan.budgets()[*place].quota;
            let counter = &mut account.counters[*place];
            let used = counter.used(quota.window, now, zone);
            let frees_at = counter.first_leaves_at(quota.window, zone).unwrap_or(now);
            BudgetStanding {
                place: *place,
                used,
                frees_at,
                remaining: u64::from(quota.amount).saturating_sub(used),
                reset_secs: frees_at.seconds_from(now),
            }
        };
        debit.budgets.iter().map(standing).collect()
    }

    /// Seconds until a budget has room for the debit; `None` when it never has.
    pub(crate) fn room_in_secs(
        &self,
        debit: &Debit<'_>,
        place: usize,
        now: Timestamp,
    ) -> Option<u64> {
        let account = self.accounts.get(&debit.subject)?;
        let quota = account.plan.budgets()[place].quota;
        let at =
            account.counters[place].fits_at(quota, debit.cost, now, debit.policy.time_zone())?;
        Some(at.seconds_from(now))
    }
}

/// Counts a subject's writes from the journal.
fn count_again(
    connection: &Connection,
    index: &SubjectIndex,
    debit: &Debit<'_>,
    after: i64,
    now: Timestamp,
) -> Result<Vec<Counter>> {
    let budgets = debit.plan.budgets();
    let mut counters = vec![Counter::default(); budgets.len()];
    let Some(longest) = budgets.iter().map(|budget| budget.quota.window.span_max().millis()).max()
    else {
        return Ok(counters);
    };
    let since = Timestamp(now.0.saturating_sub(longest.saturating_add(longest / 30)));
    let zone = debit.policy.time_zone();
    let everywhere: Vec<usize> =
        (0..budgets.len()).filter(|place| !budgets[*place].is_scoped).collect();
    let is_scoped = everywhere.len() < budgets.len();
    for (id, time, cost) in index.debits(connection, debit.subject, after, since)? {
        let places =
            if is_scoped { scoped_places(connection, debit, id)? } else { everywhere.clone() };
        for place in places {
            counters[place].add(budgets[place].quota.window, time, cost, zone);
        }
    }
    for (place, counter) in counters.iter_mut().enumerate() {
        counter.used(budgets[place].quota.window, now, zone);
    }
    Ok(counters)
}

fn scoped_places(connection: &Connection, debit: &Debit<'_>, id: i64) -> Result<Vec<usize>> {
    let operation = journal::operation_of(connection, id)?;
    Ok(match operation {
        Some((api, method, path)) => {
            budgets_of_record(debit.policy, debit.plan, &api, &method, &path).into_vec()
        }
        None => Vec::new(),
    })
}

fn counts_after(connection: &Connection, subject: i64) -> Result<i64> {
    let mut statement = connection.prepare_cached("SELECT counts_after FROM key WHERE id = ?1")?;
    let mut rows = statement.query(params![subject])?;
    Ok(rows.next()?.map(|row| row.get(0)).transpose()?.unwrap_or(0))
}

//! The ledger: what each key has used of its budgets, counted by the writer alone.
//!
//! # How
//!
//! The journal is the ledger's durable form: a row that says what a write cost is the debit, and it is
//! committed before the write is sent. The counters in memory follow from the rows. They are rebuilt
//! from them when a key first writes after a start or after its plan changed, and after a failed
//! commit, so there is no second copy that could disagree.
//!
//! A write counts from the moment when it begins to leave ([`crate::sending`]), and is on hold until then.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

use keystile_core::budget::Counter;
use keystile_core::decision::budgets_of_record;
use keystile_core::policy::Policy;
use keystile_core::time::Timestamp;
use rusqlite::{Connection, params};

use crate::error::Result;
use crate::reservation::BudgetStanding;
use crate::sending::{BEGINS_WITHIN_MILLIS, Sending};
use crate::sqlite::journal::order;
use crate::sqlite::journal::record;
use crate::sqlite::journal::subject_index::SubjectIndex;
use crate::sqlite::ledger::account::{Account, Hold};
use crate::sqlite::ledger::debit::Debit;

pub(crate) mod account;
pub(crate) mod debit;
pub mod reserve;
pub use crate::sending;

/// Where the writes of all subjects are found: by subject, and those that are under way.
pub(crate) type Rows<'a> = (&'a SubjectIndex, &'a BTreeMap<i64, Arc<Sending>>);

/// The accounts of all subjects that have written since the start.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    accounts: HashMap<i64, Account>,
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
        rows: Rows<'_>,
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
        let account = count_again(connection, rows, debit, counts_after, now)?;
        self.accounts.insert(debit.subject, account);
        Ok(())
    }

    /// The place of the first budget that has no room for the debit.
    pub(crate) fn exhausted(&mut self, debit: &Debit<'_>, now: Timestamp) -> Option<usize> {
        let account = self.accounts.get_mut(&debit.subject)?;
        account.note_sent(debit.policy);
        debit.budgets.iter().copied().find(|place| {
            let quota = account.plan.budgets()[*place].quota;
            let used = account.counters[*place].used(quota.window, now, debit.policy.time_zone());
            used.saturating_add(u64::from(debit.cost)) > u64::from(quota.amount)
        })
    }

    /// Whether a budget that has no room for the debit would have some, had every write been sent when it
    /// was reserved: then the gate or its upstream is slow, and the caller did not go over.
    pub(crate) fn is_only_late(&self, debit: &Debit<'_>, place: usize, now: Timestamp) -> bool {
        self.accounts.get(&debit.subject).is_some_and(|account| {
            let window = account.plan.budgets()[place].quota.window;
            let late = account.late(place, window, now, debit.policy);
            let counted = account.counters[place].counted();
            counted.saturating_sub(late).saturating_add(u64::from(debit.cost))
                <= u64::from(account.plan.budgets()[place].quota.amount)
        })
    }

    /// Takes the cost from all the budgets, for a record that is about to be sent.
    pub(crate) fn hold(
        &mut self,
        debit: &Debit<'_>,
        id: i64,
        sending: &Arc<Sending>,
        now: Timestamp,
    ) {
        if let Some(account) = self.accounts.get_mut(&debit.subject) {
            let (budgets, sending) = (debit.budgets.into(), sending.clone());
            account.hold(Hold { id, reserved: now, sending, budgets, cost: debit.cost });
        }
    }

    /// Counts what a subject has begun to send from then on.
    pub(crate) fn note_sent(&mut self, subject: i64, policy: &Policy) {
        if let Some(account) = self.accounts.get_mut(&subject) {
            account.note_sent(policy);
        }
    }

    /// Gives back what a record took.
    pub(crate) fn give_back(&mut self, debit: &Debit<'_>, id: i64, sending: &Sending) {
        if self.accounts.get(&debit.subject).is_some_and(|account| id <= account.counts_after) {
            return;
        }
        let is_known = self.accounts.get_mut(&debit.subject).is_some_and(|account| {
            Arc::ptr_eq(&account.plan, debit.plan) && account.give_back(debit, id, sending)
        });
        if !is_known {
            // Counted by another plan's windows, or anew, meanwhile: the journal knows.
            self.forget(debit.subject);
        }
    }

    /// How the budgets of the debit stand.
    pub(crate) fn standings(&mut self, debit: &Debit<'_>, now: Timestamp) -> Vec<BudgetStanding> {
        let Some(account) = self.accounts.get_mut(&debit.subject) else {
            return Vec::new();
        };
        let zone = debit.policy.time_zone();
        account.note_sent(debit.policy);
        let standing = |place: &usize| {
            let quota = account.plan.budgets()[*place].quota;
            let counter = &mut account.counters[*place];
            let used = counter.used(quota.window, now, zone);
            let frees_at = counter.first_leaves_at(quota.window, now, zone).unwrap_or(now);
            BudgetStanding {
                place: *place,
                used,
                frees_at,
                remaining: u64::from(quota.amount).saturating_sub(used),
                reset_secs: frees_at.seconds_from(now),
                window_secs: now.plus(quota.window.length_at(now, zone)).seconds_from(now),
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
    (index, open): Rows<'_>,
    debit: &Debit<'_>,
    after: i64,
    now: Timestamp,
) -> Result<Account> {
    let budgets = debit.plan.budgets();
    let zone = debit.policy.time_zone();
    let mut account = Account {
        plan: debit.plan.clone(),
        counters: vec![Counter::default(); budgets.len()],
        on_hold: Vec::new(),
        late: VecDeque::new(),
        counts_after: after,
        counted_to: 0,
    };
    let since = budgets.iter().map(|budget| budget.quota.window.counts_since(now, zone)).min();
    let Some(since) = since else {
        return Ok(account);
    };
    let since = Timestamp(since.0.saturating_sub(BEGINS_WITHIN_MILLIS));
    let everywhere: Vec<usize> =
        (0..budgets.len()).filter(|place| !budgets[*place].is_scoped).collect();
    let is_scoped = everywhere.len() < budgets.len();
    let rows = index.debits(connection, debit.subject, after, since)?;
    for (id, time, cost) in rows {
        let places =
            if is_scoped { scoped_places(connection, debit, id)? } else { everywhere.clone() };
        if let Some(sending) = open.get(&id) {
            let (sending, budgets) = (sending.clone(), places.into());
            account.hold(Hold { id, reserved: time, sending, budgets, cost });
        } else {
            for place in places {
                account.counters[place].add(budgets[place].quota.window, time, cost, zone);
            }
        }
    }
    account.counted_to = order::last(connection)?.0;
    account.note_sent(debit.policy);
    for (place, counter) in account.counters.iter_mut().enumerate() {
        counter.used(budgets[place].quota.window, now, zone);
    }
    Ok(account)
}

fn scoped_places(connection: &Connection, debit: &Debit<'_>, id: i64) -> Result<Vec<usize>> {
    let operation = record::operation_of(connection, id)?;
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

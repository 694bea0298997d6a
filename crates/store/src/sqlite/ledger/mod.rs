//! The ledger: what each subject has used of its budgets, counted by the writer alone.
//!
//! # How
//!
//! The journal is the ledger's durable form: a row that says what a write cost is the debit, and it is
//! committed before the write is sent. The accounts in memory follow from the rows. They are rebuilt
//! from them when a subject first writes after a start or after its plan changed, and after a failed
//! commit, so there is no second copy that could disagree.
//!
//! What an account decides is core's ([`keystile_core::budget::Account`]); here it is loaded and kept.
//! A row has one cost for all budgets that count it; a debit of other amounts has them beside it
//! ([`amounts`]).

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use keystile_core::budget::{Account, Debit, Departure, Hold, Subject};
use keystile_core::decision::budgets_of_record;
use keystile_core::policy::{Plan, Policy};
use keystile_core::time::Timestamp;
use rusqlite::Connection;

use crate::departure::{BEGINS_WITHIN_MILLIS, WriteDeparture};
use crate::error::Result;
use crate::sqlite::journal::subject_index::{RecordedDebit, SubjectIndex};
use crate::sqlite::journal::{order, record, subject};

mod amounts;
mod debit;
pub(crate) mod reserve;
pub(crate) mod settle;

/// Where the writes of all subjects are found: by subject, and those that are under way.
pub(crate) type Rows<'a> = (&'a SubjectIndex, &'a BTreeMap<i64, Arc<WriteDeparture>>);

/// By what a subject's writes are counted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Terms<'a> {
    pub(crate) policy: &'a Policy,
    pub(crate) plan: &'a Arc<Plan>,
}

/// The accounts of all subjects that have written since the start.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    accounts: HashMap<Subject, OpenAccount>,
}

/// An account, and what it was loaded from.
#[derive(Debug)]
struct OpenAccount {
    account: Account<Arc<WriteDeparture>>,
    /// Its budgets are in the order of this plan; another plan means another account.
    plan: Arc<Plan>,
    /// Records up to this one were counted from the journal, as far as they count.
    counted_to: i64,
}

impl Ledger {
    /// Forgets everything that is not in the journal.
    pub(crate) fn clear(&mut self) {
        self.accounts.clear();
    }

    /// Forgets one subject, which is then counted anew from the journal.
    pub(crate) fn forget(&mut self, subject: Subject) {
        self.accounts.remove(&subject);
    }

    /// The account of a subject by the terms, counted from the journal where it is not there.
    pub(crate) fn open(
        &mut self,
        connection: &Connection,
        rows: Rows<'_>,
        subject: Subject,
        terms: Terms<'_>,
        now: Timestamp,
    ) -> Result<&mut Account<Arc<WriteDeparture>>> {
        let known = self.accounts.get(&subject);
        if known.is_none_or(|known| !Arc::ptr_eq(&known.plan, terms.plan)) {
            let account = load(connection, rows, subject, terms, now)?;
            self.accounts.insert(subject, account);
        }
        let open = self.accounts.get_mut(&subject).expect("it was there, or was just put there");
        Ok(&mut open.account)
    }

    /// Counts what a subject has begun to send from then on.
    pub(crate) fn note_departures(&mut self, subject: Subject, policy: &Policy) {
        if let Some(open) = self.accounts.get_mut(&subject) {
            open.account.note_departures(policy.time_zone());
        }
    }

    /// Gives back what a record took.
    pub(crate) fn give_back(
        &mut self,
        debit: &Debit,
        terms: Terms<'_>,
        record: i64,
        departure: &WriteDeparture,
    ) {
        let Some(open) = self.accounts.get_mut(&debit.subject) else {
            return;
        };
        let counted_at = departure.began().filter(|_| record > open.counted_to);
        let zone = terms.policy.time_zone();
        let is_known = Arc::ptr_eq(&open.plan, terms.plan)
            && open.account.give_back(record, &debit.amounts, counted_at, zone);
        if !is_known {
            // Counted by another plan's windows, or anew, meanwhile: the journal knows.
            self.forget(debit.subject);
        }
    }
}

/// Counts a subject's writes from the journal.
fn load(
    connection: &Connection,
    (index, under_way): Rows<'_>,
    subject: Subject,
    terms: Terms<'_>,
    now: Timestamp,
) -> Result<OpenAccount> {
    let (plan, zone) = (terms.plan.clone(), terms.policy.time_zone());
    let budgets = plan.budgets();
    let mut account = Account::new(budgets.iter().map(|budget| budget.quota));
    let since = budgets.iter().map(|budget| budget.quota.window.counts_since(now, zone)).min();
    let Some(since) = since else {
        return Ok(OpenAccount { account, plan, counted_to: 0 });
    };
    let since = Timestamp(since.0.saturating_sub(BEGINS_WITHIN_MILLIS));
    let everywhere: Vec<usize> =
        (0..budgets.len()).filter(|place| !budgets[*place].is_scoped).collect();
    let is_scoped = everywhere.len() < budgets.len();
    for (number, after) in subject::numbers(connection, subject)? {
        for debit in index.debits(connection, number, after, since)? {
            let RecordedDebit { id, time, cost, amounts } = debit;
            let counting =
                if is_scoped { scoped_places(connection, terms, id)? } else { everywhere.clone() };
            let amounts = amounts::on_record(budgets, &counting, cost, amounts.as_deref())?;
            if let Some(departure) = under_way.get(&id) {
                let departure = departure.clone();
                account.debit(Hold { record: id, reserved: time, amounts, departure });
            } else {
                amounts.into_iter().for_each(|taken| account.add(taken, time, zone));
            }
        }
    }
    let counted_to = order::last(connection)?.0;
    account.note_departures(zone);
    account.forget_past(now, zone);
    Ok(OpenAccount { account, plan, counted_to })
}

fn scoped_places(connection: &Connection, terms: Terms<'_>, id: i64) -> Result<Vec<usize>> {
    let operation = record::operation_of(connection, id)?;
    Ok(match operation {
        Some((api, method, path)) => {
            budgets_of_record(terms.policy, terms.plan, &api, &method, &path).into_vec()
        }
        None => Vec::new(),
    })
}

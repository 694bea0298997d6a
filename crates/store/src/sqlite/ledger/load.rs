//! Counting an account from the journal: which records count in whose budgets.
//!
//! - In a **key's** budgets counts everything that the key wrote, on whatever plan it was then.
//! - In budgets that an **application's** keys share counts everything that its keys wrote, each on whatever
//!   plan it was or is, revoked ones too. So neither a new key, nor a rolled one, nor a plan that is changed
//!   to and fro makes room.
//! - In budgets that all of a **plan** share counts what was written on it, by whomever.
//!
//! An owner's reset says from which record on a key's or an application's records count.

use keystile_core::budget::{Account, Hold, Subject};
use keystile_core::decision::budgets_of_record;
use keystile_core::policy::Plan;
use keystile_core::time::Timestamp;
use rusqlite::{Connection, OptionalExtension};

use crate::departure::BEGINS_WITHIN_MILLIS;
use crate::error::Result;
use crate::sqlite::journal::subject_index::{RecordedDebit, SubjectIndex};
use crate::sqlite::journal::{order, record, subject};
use crate::sqlite::ledger::account::{OpenAccount, Rows, Terms};
use crate::sqlite::ledger::amounts;

/// Counts a subject's writes from the journal.
pub(super) fn load(
    connection: &Connection,
    (index, under_way): Rows<'_>,
    subject: Subject,
    terms: Terms<'_>,
    now: Timestamp,
) -> Result<OpenAccount> {
    let (plan, zone) = (terms.plan.clone(), terms.policy.time_zone());
    let budgets = plan.budgets();
    let own: Vec<usize> =
        (0..budgets.len()).filter(|place| subject.has(budgets[*place].per)).collect();
    let mut account = Account::new(budgets.iter().map(|budget| budget.quota));
    let since = own.iter().map(|place| budgets[*place].quota.window.counts_since(now, zone)).min();
    let Some(since) = since else {
        return Ok(OpenAccount { account, plan, counted_to: 0 });
    };
    let since = Timestamp(since.0.saturating_sub(BEGINS_WITHIN_MILLIS));
    let is_scoped = own.iter().any(|place| budgets[*place].is_scoped);
    for RecordedDebit { id, time, cost, amounts } in
        recorded(connection, index, subject, &plan, since)?
    {
        let counting = if is_scoped {
            let mut counting = scoped_places(connection, terms, id)?;
            counting.retain(|place| own.contains(place));
            counting
        } else {
            own.clone()
        };
        let mut amounts = amounts::on_record(budgets, &counting, cost, amounts.as_deref())?;
        amounts.retain(|taken| own.contains(&taken.place));
        if let Some(departure) = under_way.get(&id) {
            let departure = departure.clone();
            account.debit(Hold { record: id, reserved: time, amounts, departure });
        } else {
            amounts.into_iter().for_each(|taken| account.add(taken, time, zone));
        }
    }
    let counted_to = order::last(connection)?.0;
    account.note_departures(zone);
    account.forget_past(now, zone);
    Ok(OpenAccount { account, plan, counted_to })
}

/// The records that count for a subject on a plan, since a time.
fn recorded(
    connection: &Connection,
    index: &SubjectIndex,
    subject: Subject,
    plan: &Plan,
    since: Timestamp,
) -> Result<Vec<RecordedDebit>> {
    match subject {
        Subject::Key(row) => {
            let mut statement =
                connection.prepare_cached("SELECT counts_after FROM key WHERE id = ?1")?;
            let after: Option<i64> = statement.query_row([row], |row| row.get(0)).optional()?;
            index.debits(connection, &[row], after.unwrap_or(0), since)
        }
        Subject::Address(address) => {
            index.debits(connection, &[subject::address_number(address)], 0, since)
        }
        Subject::Application(row) => of_application(connection, index, row, since),
        Subject::Plan => index.debits_of_plan(connection, plan.name(), since),
    }
}

fn of_application(
    connection: &Connection,
    index: &SubjectIndex,
    application: i64,
    since: Timestamp,
) -> Result<Vec<RecordedDebit>> {
    let mut statement =
        connection.prepare_cached("SELECT counts_after FROM application WHERE id = ?1")?;
    let after: Option<i64> = statement.query_row([application], |row| row.get(0)).optional()?;
    // By the index `key_application`.
    let mut statement = connection.prepare_cached("SELECT id FROM key WHERE application = ?1")?;
    let keys: Vec<i64> =
        statement.query_map([application], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
    index.debits(connection, &keys, after.unwrap_or(0), since)
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

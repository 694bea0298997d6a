//! The ledger: what each subject has used of its budgets, counted by the writer alone.
//!
//! # How
//!
//! The journal is the ledger's durable form: a row that says what a write cost is the debit, and it is
//! committed before the write is sent. The accounts in memory follow from the rows. They are rebuilt
//! from them when a subject first writes after a start or after its plan changed, and after a failed
//! commit, so there is no second copy that could disagree ([`load`]).
//!
//! A subject is a key, an application, an address, or everybody on a plan. A write takes from the accounts
//! of up to three of them, from all or from none ([`debit`]). Which rows count in whose account is in
//! [`load`]. Keys of one application can be on different plans, and what each writes counts in the budgets that
//! they share on any of them ([`elsewhere`]).
//!
//! What an account decides is core's ([`keystile_core::budget::Account`]); here it is loaded and kept.
//! A row has one cost for all budgets that count it; a debit of other amounts has them beside it
//! ([`amounts`]).

use std::collections::HashMap;
use std::sync::Arc;

use keystile_core::budget::{Account, Debit, Departure, Subject};
use keystile_core::policy::Plan;
use keystile_core::time::Timestamp;
use rusqlite::Connection;
use smallvec::SmallVec;

use crate::departure::WriteDeparture;
use crate::error::Result;
use crate::sqlite::ledger::account::{OpenAccount, Rows};

mod account;
mod amounts;
mod debit;
mod elsewhere;
mod load;
pub(crate) mod reserve;
pub(crate) mod settle;
pub(crate) mod standing;

pub(crate) use account::Terms;

/// The accounts of all subjects that have written since the start.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    /// A key or an address has one account, by the plan that it last wrote on. An application has one for
    /// each plan on which its keys share budgets, and so have the plans themselves, all under one subject.
    accounts: HashMap<Subject, SmallVec<[OpenAccount; 1]>>,
    /// How often something of all this was changed.
    changes: u64,
}

impl Ledger {
    /// Forgets everything that is not in the journal.
    pub(crate) fn clear(&mut self) {
        self.changes += 1;
        self.accounts.clear();
    }

    /// Forgets one subject, which is then counted anew from the journal.
    pub(crate) fn forget(&mut self, subject: Subject) {
        self.changes += 1;
        self.accounts.remove(&subject);
    }

    /// A number that is another one after whatever was changed.
    pub(crate) fn changes(&self) -> u64 {
        self.changes
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
        // Whoever opens an account may change it.
        self.changes += 1;
        let accounts = self.accounts.entry(subject).or_default();
        let place = match place_of(accounts, subject, terms.plan) {
            Some(place) if Arc::ptr_eq(&accounts[place].plan, terms.plan) => place,
            Some(place) => {
                accounts[place] = load::load(connection, rows, subject, terms, now)?;
                place
            }
            None => {
                accounts.push(load::load(connection, rows, subject, terms, now)?);
                accounts.len() - 1
            }
        };
        Ok(&mut accounts[place].account)
    }

    /// The account of a subject by a plan, as it was opened last; `None` where it was not.
    fn opened(&mut self, subject: Subject, plan: &Plan) -> Option<&mut OpenAccount> {
        let accounts = self.accounts.get_mut(&subject)?;
        let place = place_of(accounts, subject, plan)?;
        accounts.get_mut(place)
    }

    /// Counts what a subject has begun to send from then on.
    pub(crate) fn note_departures(&mut self, subject: Subject, terms: Terms<'_>) {
        if let Some(open) = self.opened(subject, terms.plan) {
            open.account.note_departures(terms.policy.time_zone());
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
        self.changes += 1;
        let Some(open) = self.opened(debit.subject, terms.plan) else {
            return;
        };
        let counted_at = departure.began().filter(|_| record > open.counted_to);
        let zone = terms.policy.time_zone();
        let is_known = Arc::ptr_eq(&open.plan, terms.plan)
            && open.account.give_back(record, &debit.amounts, counted_at, zone);
        if !is_known {
            // Counted by another plan's windows, or anew, meanwhile: the journal knows.
            self.forget_account(debit.subject, terms.plan);
        }
    }

    fn forget_account(&mut self, subject: Subject, plan: &Plan) {
        if let Some(accounts) = self.accounts.get_mut(&subject)
            && let Some(place) = place_of(accounts, subject, plan)
        {
            accounts.remove(place);
        }
    }
}

/// Where a subject's account by a plan is, or the one that has to make room for it.
fn place_of(accounts: &[OpenAccount], subject: Subject, plan: &Plan) -> Option<usize> {
    match subject {
        // What a key wrote counts on whatever plan it is, so that there is one account at a time.
        Subject::Key(_) | Subject::Address(_) => (!accounts.is_empty()).then_some(0),
        Subject::Application(_) | Subject::Plan => {
            accounts.iter().position(|open| open.plan.name() == plan.name())
        }
    }
}

//! What one subject has used of its budgets, and whether a debit still fits.
//!
//! # How
//!
//! An account knows neither a clock nor where records are kept. Whoever holds it adds what is on record,
//! asks [`Account::check`], and then holds the debit or refuses the write. A debit is on hold until its
//! write has begun to leave, which its [`Departure`] tells, and counts from then on.

use std::collections::VecDeque;
use std::sync::Arc;

use super::counter::Counter;
use super::debit::{Amounts, BudgetAmount};
use super::quota::{Quota, Window};
use crate::time::Timestamp;
use jiff::tz::TimeZone;

/// A write that began to leave this long after its reservation was late.
const LATE_MILLIS: i64 = 15;
/// So many late writes are remembered; further ones count as if the caller had sent them then.
const LATE_MAX: usize = 1_000;

/// Whether and when a reserved write began to leave.
pub trait Departure {
    /// When it began to leave; `None` while it has not.
    fn began(&self) -> Option<Timestamp>;
}

impl<D: Departure + ?Sized> Departure for Arc<D> {
    fn began(&self) -> Option<Timestamp> {
        (**self).began()
    }
}

/// A debit of a write that may be about to leave.
#[derive(Debug)]
pub struct Hold<D> {
    /// The number of its record.
    pub record: i64,
    /// When it was reserved.
    pub reserved: Timestamp,
    /// What it takes from which budgets.
    pub amounts: Amounts,
    /// When its write began to leave.
    pub departure: D,
}

impl<D> Hold<D> {
    fn amount_of(&self, place: usize) -> Option<u32> {
        self.amounts.iter().find(|taken| taken.place == place).map(|taken| taken.amount)
    }
}

/// What one subject has used of the budgets of a plan.
#[derive(Debug)]
pub struct Account<D> {
    /// In the order of the plan.
    budgets: Vec<(Quota, Counter)>,
    /// Debits whose writes had not begun to leave when they were last looked at.
    on_hold: Vec<Hold<D>>,
    /// Debits whose writes began to leave late, the latest last.
    late: VecDeque<Hold<D>>,
}

/// Why a debit does not fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exhausted {
    /// The place of the first budget that has no room for it.
    pub place: usize,
    /// What used the budget up.
    pub by: ExhaustedBy,
    /// Seconds until it fits, rounded up; `None` where it never does.
    pub fits_in_secs: Option<u64>,
}

/// What used a budget up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExhaustedBy {
    /// The caller did.
    Caller,
    /// Only that writes left later than they were reserved: the gate or its upstream is slow, and the
    /// caller did not go over.
    Delay,
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
    /// The same in seconds, rounded up.
    pub reset_secs: u64,
    /// The window's length in seconds, rounded up; of a calendar period as it really is.
    pub window_secs: u64,
}

impl<D: Departure> Account<D> {
    /// An account of which nothing is used.
    pub fn new(quotas: impl Iterator<Item = Quota>) -> Self {
        Self {
            budgets: quotas.map(|quota| (quota, Counter::default())).collect(),
            on_hold: Vec::new(),
            late: VecDeque::new(),
        }
    }

    /// Counts an amount whose write began to leave at a time, now or long ago. A place that the plan does
    /// not have is passed over.
    pub fn add(&mut self, taken: BudgetAmount, at: Timestamp, zone: &TimeZone) {
        if let Some((quota, counter)) = self.budgets.get_mut(taken.place) {
            counter.add(quota.window, at, taken.amount, zone);
        }
    }

    /// Takes a debit, whether or not it fits. It is on hold at first.
    pub fn debit(&mut self, hold: Hold<D>) {
        for taken in &hold.amounts {
            if let Some((_, counter)) = self.budgets.get_mut(taken.place) {
                counter.hold(taken.amount);
            }
        }
        self.on_hold.push(hold);
    }

    fn drop_hold(&mut self, hold: &Hold<D>) {
        for taken in &hold.amounts {
            if let Some((_, counter)) = self.budgets.get_mut(taken.place) {
                counter.drop_hold(taken.amount);
            }
        }
    }

    /// Counts the writes that have begun to leave from when they did.
    pub fn note_departures(&mut self, zone: &TimeZone) {
        let mut place = 0;
        while let Some(hold) = self.on_hold.get(place) {
            let Some(began) = hold.departure.began() else {
                place = place.saturating_add(1);
                continue;
            };
            // Their order says nothing.
            let hold = self.on_hold.swap_remove(place);
            self.drop_hold(&hold);
            for taken in &hold.amounts {
                self.add(*taken, began, zone);
            }
            if began.millis_since(hold.reserved) > LATE_MILLIS {
                if self.late.len() >= LATE_MAX {
                    self.late.pop_front();
                }
                self.late.push_back(hold);
            }
        }
    }

    /// Whether all amounts of a debit fit into their budgets now. Changes nothing that counts.
    ///
    /// # Errors
    /// Where one does not fit: the first such budget, and why.
    pub fn check(
        &mut self,
        amounts: &[BudgetAmount],
        now: Timestamp,
        zone: &TimeZone,
    ) -> Result<(), Exhausted> {
        self.note_departures(zone);
        for taken in amounts {
            let Some((quota, counter)) = self.budgets.get_mut(taken.place) else {
                continue;
            };
            let amount = u64::from(taken.amount);
            let used = counter.used(quota.window, now, zone);
            if used.saturating_add(amount) <= u64::from(quota.amount) {
                continue;
            }
            let fits_at = counter.fits_at(*quota, taken.amount, now, zone);
            let (window, limit) = (quota.window, u64::from(quota.amount));
            let in_time = used.saturating_sub(self.late(taken.place, window, now, zone));
            let is_by_delay = in_time.saturating_add(amount) <= limit;
            return Err(Exhausted {
                place: taken.place,
                by: if is_by_delay { ExhaustedBy::Delay } else { ExhaustedBy::Caller },
                fits_in_secs: fits_at.map(|at| at.seconds_from(now)),
            });
        }
        Ok(())
    }

    /// What counts in a budget now only because it was not sent when it was reserved.
    fn late(&self, place: usize, window: Window, now: Timestamp, zone: &TimeZone) -> u64 {
        let late_amount = |hold: &Hold<D>| {
            let amount = hold.amount_of(place)?;
            let is_late = !window.holds(hold.reserved, now, zone)
                && hold.departure.began().is_none_or(|began| window.holds(began, now, zone));
            is_late.then_some(u64::from(amount))
        };
        let holds = self.on_hold.iter().chain(&self.late);
        holds.filter_map(late_amount).fold(0, u64::saturating_add)
    }

    /// Gives back a debit that is on hold, or whose write began to leave at a time and is known to be
    /// counted there; `false` where neither is known, so that the account has to be counted anew.
    pub fn give_back(
        &mut self,
        record: i64,
        amounts: &[BudgetAmount],
        counted_at: Option<Timestamp>,
        zone: &TimeZone,
    ) -> bool {
        self.note_departures(zone);
        self.late.retain(|hold| hold.record != record);
        if let Some(place) = self.on_hold.iter().position(|hold| hold.record == record) {
            let hold = self.on_hold.swap_remove(place);
            self.drop_hold(&hold);
            return true;
        }
        let Some(began) = counted_at else {
            return false;
        };
        for taken in amounts {
            if let Some((quota, counter)) = self.budgets.get_mut(taken.place) {
                counter.release(quota.window, began, taken.amount, zone);
            }
        }
        true
    }

    /// How some budgets stand.
    pub fn standings(
        &mut self,
        places: impl Iterator<Item = usize>,
        now: Timestamp,
        zone: &TimeZone,
    ) -> Vec<BudgetStanding> {
        self.note_departures(zone);
        let mut standing = |place: usize| {
            let (quota, counter) = self.budgets.get_mut(place)?;
            let used = counter.used(quota.window, now, zone);
            let frees_at = counter.first_leaves_at(quota.window, now, zone).unwrap_or(now);
            Some(BudgetStanding {
                place,
                used,
                frees_at,
                remaining: u64::from(quota.amount).saturating_sub(used),
                reset_secs: frees_at.seconds_from(now),
                window_secs: now.plus(quota.window.length_at(now, zone)).seconds_from(now),
            })
        };
        places.filter_map(&mut standing).collect()
    }

    /// Forgets what no longer counts at a time.
    pub fn forget_past(&mut self, now: Timestamp, zone: &TimeZone) {
        for (quota, counter) in &mut self.budgets {
            counter.used(quota.window, now, zone);
        }
    }
}

#[cfg(test)]
mod tests;

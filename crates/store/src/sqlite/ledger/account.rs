//! What one subject has used of the budgets of its plan.

use std::collections::VecDeque;
use std::sync::Arc;

use keystile_core::budget::{Counter, Window};
use keystile_core::policy::{Plan, Policy};
use keystile_core::time::Timestamp;
use smallvec::SmallVec;

use crate::sending::Sending;
use crate::sqlite::ledger::debit::Debit;

/// A write that began to leave this long after its reservation was late.
const LATE_MILLIS: i64 = 15;
/// So many late writes are remembered; further ones count as if the caller had sent them then.
const LATE_MAX: usize = 1_000;

/// What one subject has used.
#[derive(Debug)]
pub(crate) struct Account {
    /// Budgets are counted in the order of this plan; another plan means another account.
    pub(crate) plan: Arc<Plan>,
    pub(crate) counters: Vec<Counter>,
    /// Writes that had not begun to leave when they were last looked at.
    pub(crate) on_hold: Vec<Hold>,
    /// Writes that began to leave late, the latest last.
    pub(crate) late: VecDeque<Hold>,
    /// Records up to this one are not in the counters, because the owner reset them.
    pub(crate) counts_after: i64,
    /// Records up to this one were counted from the journal.
    pub(crate) counted_to: i64,
}

/// A write that may be about to leave.
#[derive(Debug)]
pub(crate) struct Hold {
    pub(crate) id: i64,
    pub(crate) reserved: Timestamp,
    pub(crate) sending: Arc<Sending>,
    pub(crate) budgets: SmallVec<[usize; 4]>,
    pub(crate) cost: u32,
}

impl Account {
    pub(crate) fn hold(&mut self, hold: Hold) {
        for place in &hold.budgets {
            self.counters[*place].hold(hold.cost);
        }
        self.on_hold.push(hold);
    }

    /// Counts what has begun to leave from then on.
    pub(crate) fn note_sent(&mut self, policy: &Policy) {
        let began = self.on_hold.extract_if(.., |hold| hold.sending.began().is_some());
        for (hold, began) in began.filter_map(|hold| hold.sending.began().map(|at| (hold, at))) {
            for place in &hold.budgets {
                let window = self.plan.budgets()[*place].quota.window;
                self.counters[*place].drop_hold(hold.cost);
                self.counters[*place].add(window, began, hold.cost, policy.time_zone());
            }
            if began.millis_since(hold.reserved) > LATE_MILLIS {
                if self.late.len() >= LATE_MAX {
                    self.late.pop_front();
                }
                self.late.push_back(hold);
            }
        }
    }

    /// What counts in a budget now only because it was not sent when it was reserved.
    pub(crate) fn late(
        &self,
        place: usize,
        window: Window,
        now: Timestamp,
        policy: &Policy,
    ) -> u64 {
        let zone = policy.time_zone();
        let is_late = |hold: &&Hold| {
            hold.budgets.contains(&place)
                && !window.holds(hold.reserved, now, zone)
                && hold.sending.began().is_none_or(|began| window.holds(began, now, zone))
        };
        let writes = self.on_hold.iter().chain(&self.late);
        writes.filter(is_late).map(|hold| u64::from(hold.cost)).sum()
    }

    /// Gives back what a record took; whether it is known where that was counted.
    pub(crate) fn give_back(&mut self, debit: &Debit<'_>, id: i64, sending: &Sending) -> bool {
        self.note_sent(debit.policy);
        self.late.retain(|hold| hold.id != id);
        if let Some(place) = self.on_hold.iter().position(|hold| hold.id == id) {
            let hold = self.on_hold.swap_remove(place);
            for place in &hold.budgets {
                self.counters[*place].drop_hold(hold.cost);
            }
            return true;
        }
        let Some(began) = sending.began().filter(|_| id > self.counted_to) else {
            return false;
        };
        for place in debit.budgets {
            let window = self.plan.budgets()[*place].quota.window;
            self.counters[*place].release(window, began, debit.cost, debit.policy.time_zone());
        }
        true
    }
}

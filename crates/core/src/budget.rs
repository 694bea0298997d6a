//! Quotas over time windows, and the counters and accounts that hold a key to them exactly.
//!
//! # What this protects
//!
//! In any interval of a window's length at most the quota is sent (promise P1). A write counts from the
//! moment when it begins to leave the gate, and from its reservation until then. A rolling window keeps a
//! few writes by the millisecond and more of them in at most 64 slices; a slice is held until it has
//! wholly left the window, and then a little longer, for what is between the gate and the upstream.
//! Capacity therefore comes back late, by at most one sixtieth of the window, and never early.

#![deny(clippy::arithmetic_side_effects)]

mod account;
mod calendar;
mod counter;
mod debit;
mod quota;

pub use self::account::{Account, BudgetStanding, Departure, Exhausted, ExhaustedBy, Hold};
pub use self::counter::Counter;
pub use self::debit::{Amounts, BudgetAmount, Debit, Debits, InvalidPer, Per, Subject, Writer};
pub use self::quota::{CalendarUnit, InvalidQuota, Quota, Window};

#[cfg(test)]
mod tests;

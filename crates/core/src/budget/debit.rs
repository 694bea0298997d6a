//! What a write takes from the budgets that count it, and whose they are.

use std::net::IpAddr;

use smallvec::SmallVec;

/// Whose budgets something counts in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Subject {
    /// A key's, by its number.
    Key(i64),
    /// An application's, by its number: those of all of its keys together.
    Application(i64),
    /// An address's, for a caller without a key; the part of it that is counted.
    Address(IpAddr),
}

/// An amount of one budget.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BudgetAmount {
    /// The budget's place in its plan.
    pub place: usize,
    /// What is taken from it.
    pub amount: u32,
}

/// What a write takes from budgets: an amount of each that counts it, all or none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Debit {
    /// Whose they are.
    pub subject: Subject,
    /// No budget is named twice.
    pub amounts: SmallVec<[BudgetAmount; 4]>,
}

impl Debit {
    /// The same amount of each of some budgets.
    pub fn of_each(subject: Subject, places: &[usize], amount: u32) -> Self {
        let amounts = places.iter().map(|place| BudgetAmount { place: *place, amount }).collect();
        Self { subject, amounts }
    }

    /// What it takes from the budget at a place of the plan.
    pub fn amount_of(&self, place: usize) -> u32 {
        self.amounts.iter().find(|taken| taken.place == place).map_or(0, |taken| taken.amount)
    }

    /// The places of its budgets.
    pub fn places(&self) -> impl Iterator<Item = usize> + '_ {
        self.amounts.iter().map(|taken| taken.place)
    }
}

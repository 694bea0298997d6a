//! What a write takes from the budgets that count it, and whose they are.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use smallvec::SmallVec;

/// Whose writes a budget counts together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub enum Per {
    /// Those of one key, or of one address where a caller has none.
    #[default]
    Key,
    /// Those of all keys of an application.
    Application,
    /// Those of all callers on the plan.
    Plan,
}

impl Per {
    /// All of them, from the narrowest to the widest.
    pub const ALL: [Self; 3] = [Self::Key, Self::Application, Self::Plan];

    /// Its name, as in the configuration.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Key => "key",
            Self::Application => "application",
            Self::Plan => "plan",
        }
    }
}

impl fmt::Display for Per {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The text does not say whose writes a budget counts.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("a budget is per \"key\", \"application\" or \"plan\", not per {0:?}")]
pub struct InvalidPer(pub String);

impl FromStr for Per {
    type Err = InvalidPer;

    fn from_str(text: &str) -> Result<Self, InvalidPer> {
        let found = Self::ALL.into_iter().find(|per| per.name() == text);
        found.ok_or_else(|| InvalidPer(text.to_owned()))
    }
}

/// Whose budgets something counts in. Only together with a plan does it name budgets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Subject {
    /// A key's, by its number.
    Key(i64),
    /// An application's, by its number: those of all of its keys together.
    Application(i64),
    /// An address's, for a caller without a key; the part of it that is counted.
    Address(IpAddr),
    /// The plan's own: those of everybody on it together.
    Plan,
}

impl Subject {
    /// Whether the budgets of a kind are its own.
    pub fn has(self, per: Per) -> bool {
        match self {
            Self::Key(_) => per == Per::Key,
            Self::Application(_) => per == Per::Application,
            // Who has no key has no application either, and is as little as can be counted.
            Self::Address(_) => per != Per::Plan,
            Self::Plan => per == Per::Plan,
        }
    }
}

/// Who writes, as far as budgets tell writers apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Writer {
    /// A key of an application, both by their numbers.
    Key {
        /// The key.
        key: i64,
        /// Its application.
        application: i64,
    },
    /// A caller without a key, by the part of its address that is counted.
    Address(IpAddr),
}

impl Writer {
    /// Whose budgets of a kind count what it writes.
    pub fn subject(self, per: Per) -> Subject {
        match (self, per) {
            (_, Per::Plan) => Subject::Plan,
            (Self::Key { key, .. }, Per::Key) => Subject::Key(key),
            (Self::Key { application, .. }, Per::Application) => Subject::Application(application),
            (Self::Address(address), Per::Key | Per::Application) => Subject::Address(address),
        }
    }
}

/// An amount of one budget.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BudgetAmount {
    /// The budget's place in its plan.
    pub place: usize,
    /// What is taken from it.
    pub amount: u32,
}

/// What is taken from some budgets of a plan; no budget is named twice.
pub type Amounts = SmallVec<[BudgetAmount; 4]>;

/// What a write takes from the budgets of one subject.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Debit {
    /// Whose they are.
    pub subject: Subject,
    /// What it takes from which of them.
    pub amounts: Amounts,
}

impl Debit {
    /// The places of its budgets.
    pub fn places(&self) -> impl Iterator<Item = usize> + '_ {
        self.amounts.iter().map(|taken| taken.place)
    }
}

/// What a write takes from budgets, whosever they are: an amount of each that counts it, all or none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Debits(SmallVec<[Debit; 1]>);

impl Debits {
    /// The same amount of each of some budgets.
    pub fn of_each(places: &[usize], amount: u32) -> Amounts {
        places.iter().map(|place| BudgetAmount { place: *place, amount }).collect()
    }

    /// Amounts sorted by whose budgets they are taken from: those of who writes come first, and a plan's last.
    /// `per` tells of the budget at a place whose writes it counts together.
    pub fn new(writer: Writer, amounts: &[BudgetAmount], per: impl Fn(usize) -> Per) -> Self {
        let mut debits = SmallVec::new();
        for kind in Per::ALL {
            let own = amounts.iter().copied().filter(|taken| per(taken.place) == kind);
            let own: Amounts = own.collect();
            // Who writes is named also where nothing is taken: an account of another plan's budgets ends then.
            if kind == Per::Key || !own.is_empty() {
                debits.push(Debit { subject: writer.subject(kind), amounts: own });
            }
        }
        Self(debits)
    }

    /// One for each subject.
    pub fn iter(&self) -> impl Iterator<Item = &Debit> {
        self.0.iter()
    }

    /// What they take from the budget at a place of the plan.
    pub fn amount_of(&self, place: usize) -> u32 {
        let taken = self.0.iter().flat_map(|debit| &debit.amounts);
        taken.filter(|taken| taken.place == place).fold(0, |sum, taken| sum.max(taken.amount))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_taken_from_whose_budgets_they_are_and_the_narrowest_comes_first() {
        let kinds = [Per::Plan, Per::Key, Per::Application, Per::Key];
        let amounts = Debits::of_each(&[0, 1, 2, 3], 7);
        let writer = Writer::Key { key: 5, application: 9 };
        let debits = Debits::new(writer, &amounts, |place| kinds[place]);
        let sorted: Vec<(Subject, Vec<usize>)> =
            debits.iter().map(|debit| (debit.subject, debit.places().collect())).collect();
        let expected = [
            (Subject::Key(5), vec![1, 3]),
            (Subject::Application(9), vec![2]),
            (Subject::Plan, vec![0]),
        ];
        assert_eq!(sorted, expected);
        assert_eq!([0, 1, 2, 3, 4].map(|place| debits.amount_of(place)), [7, 7, 7, 7, 0]);
        let address = Writer::Address("192.0.2.7".parse().unwrap());
        let subjects = Debits::new(address, &amounts, |place| kinds[place]);
        let kinds_of = |debit: &Debit| debit.places().map(|place| kinds[place]).collect::<Vec<_>>();
        let has = |debit: &Debit| kinds_of(debit).into_iter().all(|kind| debit.subject.has(kind));
        assert!(subjects.iter().all(has));
        let nothing = Debits::new(writer, &[], |_| Per::Key);
        assert_eq!(
            nothing.iter().map(|debit| debit.subject).collect::<Vec<_>>(),
            [Subject::Key(5)]
        );
    }

    #[test]
    fn what_a_budget_counts_reads_back_as_it_is_written() {
        for per in Per::ALL {
            assert_eq!(per.name().parse(), Ok(per));
            assert_eq!(serde_json::to_value(per).unwrap(), per.name());
        }
        assert!("keys".parse::<Per>().is_err());
    }
}

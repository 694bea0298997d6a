//! The policy as a table: which plan may call which operation, and what counts it.
//!
//! Each row is a method and path template that some rule names. Its cells come from the same functions
//! that decide requests, asked about a path that meets the template.

use std::collections::BTreeSet;

use http::Method;

use crate::policy::api::Charge;
use crate::policy::{ApiRef, Plan, Policy};
use crate::request::grammar::fold_path;

/// The methods of a rule that names none.
const USUAL: [Method; 5] = [Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE];

/// One operation, and what each plan says of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// The API's name.
    pub api: String,
    /// As in `DELETE /bookmarks/{id}`.
    pub operation: String,
    /// Whether a call reads or writes, and at what cost.
    pub charge: Charge,
    /// In the order of the plans that were asked about.
    pub cells: Vec<Cell>,
}

/// What a plan says of an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cell {
    /// It does not include it.
    Refused,
    /// It includes it, and so many of its write budgets count it.
    Allowed {
        /// How many.
        budgets: usize,
    },
}

/// The table of a policy, for some of its plans.
pub fn rows(policy: &Policy, plans: &[&Plan]) -> Vec<Row> {
    let mut rows = Vec::new();
    for (place, api) in policy.apis().iter().enumerate() {
        let of_api = ApiRef { api, place };
        let mut named = BTreeSet::new();
        for pattern in api.patterns() {
            let methods = if pattern.methods().is_empty() { &USUAL[..] } else { pattern.methods() };
            for method in methods {
                let path = pattern.template().example();
                if named.insert((pattern.template().to_string(), method.to_string())) {
                    let label = format!("{method} {}", pattern.template());
                    rows.push(row(of_api, plans, label, method, &path));
                }
            }
        }
    }
    rows
}

fn row(of_api: ApiRef<'_>, plans: &[&Plan], operation: String, method: &Method, path: &str) -> Row {
    let found = of_api.api.operation(method, path, &fold_path(path));
    let is_write = found.charge != Charge::Nothing;
    let cell = |plan: &&Plan| {
        if !plan.allows(of_api.place, &found.exact) {
            return Cell::Refused;
        }
        let counting = (0..plan.budgets().len())
            .filter(|budget| is_write && plan.counts(*budget, of_api.place, &found.either));
        Cell::Allowed { budgets: counting.count() }
    };
    Row {
        api: of_api.api.name().to_owned(),
        operation,
        cells: plans.iter().map(cell).collect(),
        charge: found.charge,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::budget::Per;
    use crate::keys::lock::LockRule;
    use crate::policy::api::tests::spec;
    use crate::policy::{BudgetSpec, PlanSpec};

    fn plan(name: &str, allow: &str, budgets: &[(&str, &[&str])]) -> PlanSpec {
        PlanSpec {
            name: name.to_owned(),
            is_keyless: false,
            allow: vec![allow.parse().unwrap()],
            write_budgets: budgets
                .iter()
                .map(|(quota, on)| BudgetSpec {
                    name: None,
                    quota: quota.parse().unwrap(),
                    on: on.iter().map(|pattern| pattern.parse().unwrap()).collect(),
                    per: Per::Key,
                })
                .collect(),
            rate_limits: Vec::new(),
            lock: LockRule::Never,
        }
    }

    #[test]
    fn each_cell_is_what_a_request_would_be_told() {
        let plans = vec![
            plan("open", "b: *", &[("20 per day", &[]), ("2 per day", &["b: DELETE /b/{id}"])]),
            plan("reader", "b: GET *", &[]),
        ];
        let policy = Policy::new(vec![spec("b", Vec::new())], plans, jiff::tz::TimeZone::UTC);
        let asked = ["open", "reader"].map(|name| &**policy.plan(name).unwrap());
        let rows = rows(&policy, &asked);
        let cells = |operation: &str| {
            rows.iter().find(|row| row.operation == operation).map(|row| row.cells.clone())
        };
        let allowed = |budgets| Cell::Allowed { budgets };
        assert_eq!(cells("DELETE /b/{id}"), Some(vec![allowed(2), Cell::Refused]));
        assert_eq!(cells("DELETE *"), Some(vec![allowed(1), Cell::Refused]));
        assert_eq!(cells("GET *"), Some(vec![allowed(0), allowed(0)]));
        assert_eq!(rows.len(), 6, "each operation once");
    }
}

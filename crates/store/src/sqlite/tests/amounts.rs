//! A debit whose amounts differ is counted as it was made, whatever happens to the process in between.

use keystile_core::budget::{Amounts, BudgetAmount};
use keystile_core::journal::Outcome;
use keystile_core::keys::hash::KeyHash;
use keystile_core::keys::lock::LockRule;
use keystile_core::policy::PlanSpec;
use keystile_core::refusal::Reason;

use crate::reservation::ReserveAnswer;
use crate::sqlite::ledger::reserve::reserve_amounts;
use crate::sqlite::tests::make::{plan, requester, write};
use crate::sqlite::tests::test_store::TestStore;

const POST: (&str, &str, &str) = ("notes", "POST", "/notes");

fn metered() -> PlanSpec {
    let budgets: &[(&str, &[&str])] =
        &[("100 per day", &[]), ("1000 per week", &[]), ("50 per hour", &["*: DELETE *"])];
    plan("metered", budgets, LockRule::Never)
}

/// Reserves a write of cost 1 that takes amounts of its own from budgets at some places.
fn take(fixture: &TestStore, key: KeyHash, amounts: &[(usize, u32)]) -> ReserveAnswer {
    let entry = fixture.entry(key);
    let request = write(&fixture.policy, requester(&entry), POST, 1);
    let amounts =
        amounts.iter().map(|(place, amount)| BudgetAmount { place: *place, amount: *amount });
    let amounts: Amounts = amounts.collect();
    fixture.change(move |work| reserve_amounts(work, &request, &amounts)).unwrap()
}

/// What a crash leaves: the files as they are. A stop would end the merge into the list by subject.
fn crashed(fixture: &TestStore) -> TestStore {
    let folder = tempfile::tempdir().unwrap();
    for file in ["keystile.db", "keystile.db-wal", "pepper"] {
        std::fs::copy(fixture.path().join(file), folder.path().join(file)).unwrap();
    }
    TestStore::at(folder, fixture)
}

#[test]
fn differing_amounts_of_one_debit_are_counted_again_after_a_crash_and_after_a_stop() {
    let mut fixture = TestStore::new(&[metered()]);
    let key = fixture.issue("metered");
    // The third budget counts the operation of neither, and is named all the same.
    take(&fixture, key, &[(0, 3), (1, 400), (2, 7)]).unwrap();
    take(&fixture, key, &[(1, 1)]).unwrap();
    fixture.reserve(key).unwrap();
    let used = [4, 402, 7];
    assert_eq!(fixture.used(key), used);
    fixture.reload_policy();
    assert_eq!(fixture.used(key), used, "counted anew while they are under way");
    let mut copy = crashed(&fixture);
    assert_eq!(copy.used(key), used, "after a crash");
    copy.reopen();
    assert_eq!(copy.used(key), used, "after a stop, which merges them");
    let refused = take(&copy, key, &[(0, 1), (1, 599)]).unwrap_err();
    assert_eq!(refused.refusal.reason, Reason::BudgetExhausted);
    take(&copy, key, &[(0, 1), (1, 598)]).unwrap();
}

#[test]
fn differing_amounts_are_given_back_whole() {
    let mut fixture = TestStore::new(&[metered()]);
    let key = fixture.issue("metered");
    let reserved = take(&fixture, key, &[(0, 3), (1, 400)]).unwrap();
    take(&fixture, key, &[(0, 2), (1, 5)]).unwrap();
    fixture.settle(reserved, Outcome::NotSent);
    assert_eq!(fixture.used(key), [2, 5, 0]);
    fixture.reopen();
    assert_eq!(fixture.used(key), [2, 5, 0]);
}

#[test]
fn amounts_follow_the_names_of_budgets_and_a_new_budget_counts_the_cost() {
    let mut fixture = TestStore::new(&[metered()]);
    let key = fixture.issue("metered");
    take(&fixture, key, &[(0, 3), (1, 400)]).unwrap();
    fixture.stop();
    let budgets: &[(&str, &[&str])] =
        &[("1000 per week", &[]), ("500 per month", &[]), ("100 per day", &[])];
    let other = plan("metered", budgets, LockRule::Never);
    let changed = TestStore::on(fixture.path(), &[other]);
    assert_eq!(changed.used(key), [400, 1, 3]);
}

//! The journal by subject: whatever has been merged of it, counts come out the same.

use keystile_core::journal::Outcome;
use keystile_core::keys::hash::KeyHash;
use keystile_core::keys::lock::LockRule;

use crate::journal::RecordQuery;
use crate::sqlite::tests::make::{plan, refusals};
use crate::sqlite::tests::test_store::{TestStore, wait};

/// So many rows wait before the writer merges while it is busy.
const TAIL_MAX: usize = 65_536;

fn fixture() -> (TestStore, KeyHash) {
    let fixture = TestStore::new(&[
        plan("never", &[("200 per day", &[]), ("150 per week", &["*: DELETE *"])], LockRule::Never),
        plan("other", &[], LockRule::Never),
    ]);
    let key = fixture.issue("never");
    (fixture, key)
}

/// Rows of nobody come before the key's in a merge, rows of a later key after them.
fn fill(fixture: &TestStore, many: usize) {
    let other = fixture.entry(fixture.issue("other"));
    for _ in 0..many.div_ceil(2_000) {
        fixture.store().record_refused(refusals(None, 1_000));
        fixture.store().record_refused(refusals(Some(&other), 1_000));
    }
    wait(fixture.store().flush()).unwrap();
}

fn merged_to(fixture: &TestStore) -> i64 {
    let sql = "SELECT coalesce((SELECT value FROM meta WHERE name = 'indexed_to'), 0)";
    let text = fixture
        .store()
        .read(|read| Ok(read.query_row(sql, [], |row| row.get::<_, rusqlite::types::Value>(0))?));
    match text.unwrap() {
        rusqlite::types::Value::Text(text) => text.parse().unwrap(),
        _ => 0,
    }
}

fn merged_rows(fixture: &TestStore) -> i64 {
    let sql = "SELECT count(*) FROM journal_by_subject";
    fixture.store().read(|read| Ok(read.query_row(sql, [], |row| row.get(0))?)).unwrap()
}

/// Counts anew from the journal rather than from memory.
fn counted_anew(fixture: &mut TestStore, key: KeyHash) -> Vec<u64> {
    fixture.reload_policy();
    fixture.used(key)
}

#[test]
fn what_is_given_back_before_while_and_after_it_is_merged_counts_no_more() {
    let (mut fixture, key) = fixture();
    let mut reserved = fixture.reserve_many(key, 90);
    for _ in 0..30 {
        reserved.push(fixture.ask(key, ("notes", "DELETE", "/notes/1"), 2).unwrap().unwrap());
    }
    assert_eq!(fixture.used(key), [150, 60]);
    fixture.settle(reserved.remove(0), Outcome::NotSent);
    assert_eq!(counted_anew(&mut fixture, key), [149, 60]);
    fill(&fixture, TAIL_MAX);
    let (mut used, mut seen_merging) = (149, false);
    // Each commit is followed by one step of the merge.
    for _ in 0..200 {
        let rows = merged_rows(&fixture);
        seen_merging |= rows > 0 && merged_to(&fixture) == 0;
        if merged_to(&fixture) > 0 {
            break;
        }
        if reserved.len() > 40 {
            fixture.settle(reserved.remove(0), Outcome::NotSent);
            used -= 1;
        }
        assert_eq!(counted_anew(&mut fixture, key), [used, 60]);
    }
    assert!(seen_merging, "no step of a merge was seen");
    assert!(merged_to(&fixture) > 0, "the merge never ended");
    for reserved in reserved.drain(30..) {
        fixture.settle(reserved, Outcome::NotSent);
    }
    let in_memory = fixture.used(key);
    assert_eq!(counted_anew(&mut fixture, key), in_memory);
    for reserved in reserved.drain(..10) {
        fixture.settle(reserved, Outcome::Applied);
    }
    fixture.reopen();
    assert_eq!(fixture.used(key), in_memory);
    let costs: u64 = fixture.journal().iter().map(|record| u64::from(record.cost)).sum();
    assert_eq!(costs, in_memory[0]);
}

#[test]
fn a_restart_in_the_middle_of_a_merge_repeats_it() {
    let (fixture, key) = fixture();
    let reserved = fixture.reserve_many(key, 20);
    fill(&fixture, TAIL_MAX);
    while merged_rows(&fixture) == 0 {
        wait(fixture.store().flush()).unwrap();
    }
    // A copy of the files is what a crash leaves; a stop would end the merge.
    assert_eq!(merged_to(&fixture), 0);
    let crashed = tempfile::tempdir().unwrap();
    for file in ["keystile.db", "keystile.db-wal", "pepper"] {
        std::fs::copy(fixture.path().join(file), crashed.path().join(file)).unwrap();
    }
    drop(reserved);
    let before = fixture.journal().len();
    let mut copy = TestStore::at(crashed, &fixture);
    assert_eq!(copy.used(key), [20, 0]);
    assert_eq!(copy.journal().len(), before);
    copy.reserve_many(key, 3);
    copy.reopen();
    assert_eq!(copy.used(key), [23, 0]);
    let row = copy.row(key).row;
    let query = RecordQuery { subject: Some(row), limit: 1_000, ..RecordQuery::default() };
    assert_eq!(copy.list(&query).len(), 23);
}

#[test]
fn a_stop_leaves_nothing_unmerged() {
    let (mut fixture, key) = fixture();
    fixture.reserve_many(key, 5);
    fill(&fixture, 6_000);
    fixture.stop();
    fixture.start();
    assert_eq!(merged_to(&fixture), 6_005);
    assert_eq!(merged_rows(&fixture), 6_005);
    assert_eq!(fixture.used(key), [5, 0]);
}

#[test]
fn a_scoped_budget_counts_merged_rows_of_its_operations_only() {
    let (mut fixture, key) = fixture();
    for _ in 0..4 {
        fixture.ask(key, ("notes", "DELETE", "/notes/1"), 3).unwrap().unwrap();
        fixture.ask(key, ("drafts", "DELETE", "/x"), 1).unwrap().unwrap();
        fixture.reserve(key).unwrap();
    }
    fixture.reopen();
    assert_eq!(fixture.used(key), [20, 16]);
    fixture.reserve(key).unwrap();
    assert_eq!(counted_anew(&mut fixture, key), [21, 16]);
}

//! A node closes what was its own, and leaves alone what another has under way.

use keystile_core::journal::Outcome;
use keystile_core::keys::lock::LockRule;
use rusqlite::{Connection, params};

use crate::sqlite::tests::make::plan;
use crate::sqlite::tests::test_store::TestStore;

fn outcomes(fixture: &TestStore) -> Vec<Outcome> {
    fixture.journal().iter().map(|record| record.outcome).collect()
}

/// Changes the stopped store past Keystile.
fn change(fixture: &TestStore, sql: &str, time: i64) {
    let database = Connection::open(fixture.path().join("keystile.db")).unwrap();
    assert_eq!(database.execute(sql, params![time]).unwrap(), 1);
}

#[test]
fn a_write_of_another_node_stays_open_until_that_nodes_lease_has_run_out() {
    let mut fixture = TestStore::new(&[plan("never", &[("10 per day", &[])], LockRule::Never)]);
    let key = fixture.issue("never");
    drop(fixture.reserve_many(key, 3));
    let now = fixture.store().now().0;
    fixture.stop();
    change(&fixture, "INSERT INTO node VALUES (7, 'elsewhere', ?1)", now + 3_600_000);
    change(&fixture, "UPDATE journal SET node = 7 WHERE id = 2 AND time <= ?1", now);
    assert_eq!(fixture.start().left_unknown, 2);
    let expected = [Outcome::Unknown, Outcome::Pending, Outcome::Unknown];
    assert_eq!(outcomes(&fixture), expected);
    // It counts meanwhile, and later records do not hide it.
    assert_eq!(fixture.used(key), [3]);
    drop(fixture.reserve_many(key, 1));
    assert_eq!(fixture.reopen().left_unknown, 1);
    assert_eq!(outcomes(&fixture)[1], Outcome::Pending);
    fixture.stop();
    change(&fixture, "UPDATE node SET lease_until = ?1 WHERE id = 7", now - 1);
    assert_eq!(fixture.start().left_unknown, 1);
    assert_eq!(outcomes(&fixture), [Outcome::Unknown; 4]);
    assert_eq!(fixture.used(key), [4]);
}

#[test]
fn a_restart_is_the_same_node_and_takes_its_lease_over_at_once() {
    let mut fixture = TestStore::new(&[plan("never", &[("10 per day", &[])], LockRule::Never)]);
    let nodes = |fixture: &TestStore| -> Vec<(i64, i64)> {
        let database = Connection::open(fixture.path().join("keystile.db")).unwrap();
        let mut statement = database.prepare("SELECT id, lease_until FROM node").unwrap();
        let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
        rows.collect::<rusqlite::Result<_>>().unwrap()
    };
    let key = fixture.issue("never");
    drop(fixture.reserve_many(key, 2));
    let before = nodes(&fixture);
    assert!(before.len() == 1 && before[0].1 > fixture.store().now().0);
    assert_eq!(fixture.reopen().left_unknown, 2);
    let after = nodes(&fixture);
    assert_eq!((after.len(), after[0].0), (1, before[0].0));
}

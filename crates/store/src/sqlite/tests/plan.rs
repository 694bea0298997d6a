//! A key that gets another plan is counted by it from the next write on, and nothing is forgotten.

use crate::applications::Progress;
use crate::sqlite::tests::make::{LOCKS, owner, plan};
use crate::sqlite::tests::test_store::TestStore;

fn fixture() -> TestStore {
    TestStore::new(&[
        plan("small", &[("3 per day", &[])], LOCKS),
        plan("large", &[("5 per day", &[])], LOCKS),
    ])
}

#[test]
fn what_was_written_on_the_plan_before_counts_on_the_next() {
    let mut fixture = fixture();
    let key = fixture.issue("small");
    fixture.reserve_many(key, 3);
    let entry = fixture.entry(key);
    fixture.change(move |work| work.set_key_plan(&entry, "large", &owner())).unwrap();
    fixture.reserve_many(key, 1);
    fixture.reopen();
    assert_eq!(&*fixture.entry(key).plan(), "large");
    assert_eq!(fixture.used(key), [4]);
    fixture.reserve_many(key, 1);
    assert!(fixture.reserve(key).is_err());
    assert_eq!(fixture.events_named(key, "key_plan_changed"), 1);
}

#[test]
fn a_smaller_plan_holds_from_the_next_write_on() {
    let fixture = fixture();
    let key = fixture.issue("large");
    fixture.reserve_many(key, 4);
    let entry = fixture.entry(key);
    fixture.change(move |work| work.set_key_plan(&entry, "small", &owner())).unwrap();
    assert!(fixture.reserve(key).is_err());
    assert!(fixture.is_locked(key));
}

#[test]
fn an_application_takes_along_the_keys_on_its_plan_and_no_others() {
    let fixture = fixture();
    let keys: Vec<_> = (0..7).map(|_| fixture.issue("small")).collect();
    let special = fixture.entry(keys[3]);
    fixture.change(move |work| work.set_key_plan(&special, "special", &owner())).unwrap();
    let revoked = fixture.entry(keys[5]);
    fixture.change(move |work| work.revoke_key(&revoked, &owner(), "leaked")).unwrap();
    let row = fixture.row(keys[0]).application_row;
    let (mut after, mut changed) = (0, 0);
    loop {
        let (keys, progress) = fixture
            .change(move |work| work.set_application_plan(row, "large", (after, 2), &owner()))
            .unwrap();
        changed += keys;
        match progress {
            Progress::Unfinished { after: last } => after = last,
            Progress::Done => break,
        }
    }
    assert_eq!(changed, 5);
    let plans: Vec<_> = keys.iter().map(|key| fixture.row(*key).plan).collect();
    assert_eq!(plans, ["large", "large", "large", "special", "large", "small", "large"]);
    assert_eq!(&*fixture.entry(keys[0]).plan(), "large");
}

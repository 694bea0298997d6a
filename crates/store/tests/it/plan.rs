//! A key that gets another plan is counted by it from the next write on, and nothing is forgotten.

use keystile_store::sqlite::keys::change::Progress;

use crate::make::{LOCKS, owner, plan};
use crate::test_store::TestStore;

fn bench() -> TestStore {
    TestStore::new(&[
        plan("small", &[("3 per day", &[])], LOCKS),
        plan("large", &[("5 per day", &[])], LOCKS),
    ])
}

#[test]
fn what_was_written_on_the_plan_before_counts_on_the_next() {
    let mut bench = bench();
    let key = bench.issue("small");
    bench.reserve_many(key, 3);
    let entry = bench.entry(key);
    bench.change(move |work| work.set_key_plan(&entry, "large", &owner())).unwrap();
    bench.reserve_many(key, 1);
    bench.reopen();
    assert_eq!(&*bench.entry(key).plan(), "large");
    assert_eq!(bench.used(key), [4]);
    bench.reserve_many(key, 1);
    assert!(bench.reserve(key).is_err());
    assert_eq!(bench.events_named(key, "key_plan_changed"), 1);
}

#[test]
fn a_smaller_plan_holds_from_the_next_write_on() {
    let bench = bench();
    let key = bench.issue("large");
    bench.reserve_many(key, 4);
    let entry = bench.entry(key);
    bench.change(move |work| work.set_key_plan(&entry, "small", &owner())).unwrap();
    assert!(bench.reserve(key).is_err());
    assert!(bench.is_locked(key));
}

#[test]
fn an_application_takes_along_the_keys_on_its_plan_and_no_others() {
    let bench = bench();
    let keys: Vec<_> = (0..7).map(|_| bench.issue("small")).collect();
    let special = bench.entry(keys[3]);
    bench.change(move |work| work.set_key_plan(&special, "special", &owner())).unwrap();
    let revoked = bench.entry(keys[5]);
    bench.change(move |work| work.revoke_key(&revoked, &owner(), "leaked")).unwrap();
    let row = bench.row(keys[0]).application_row;
    let (mut after, mut changed) = (0, 0);
    loop {
        let (keys, progress) = bench
            .change(move |work| work.set_application_plan(row, "large", (after, 2), &owner()))
            .unwrap();
        changed += keys;
        match progress {
            Progress::Unfinished { after: last } => after = last,
            Progress::Done => break,
        }
    }
    assert_eq!(changed, 5);
    let plans: Vec<_> = keys.iter().map(|key| bench.row(*key).plan).collect();
    assert_eq!(plans, ["large", "large", "large", "special", "large", "small", "large"]);
    assert_eq!(&*bench.entry(keys[0]).plan(), "large");
}

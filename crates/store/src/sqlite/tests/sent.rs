//! Writes that went out are counted once, from a place in the journal on.

use keystile_core::journal::Outcome;
use keystile_core::keys::hash::KeyHash;
use keystile_core::keys::key::KeyId;
use keystile_core::keys::lock::LockRule;
use keystile_core::request::call_method::CallMethod;
use proptest::prelude::*;
use uuid::Uuid;

use crate::keys::{ImportedKey, NewKeyRow};
use crate::sent::writes::{JournalPosition, PageLimits, SentWritesPage};
use crate::sqlite::tests::make::{owner, plan};
use crate::sqlite::tests::test_store::{TestStore, wait};

fn fixture() -> (TestStore, KeyHash) {
    let fixture = TestStore::new(&[plan("large", &[("10000 per day", &[])], LockRule::Never)]);
    let key = import(&fixture, "reader", "elsewhere");
    (fixture, key)
}

fn import(fixture: &TestStore, application: &str, origin: &str) -> KeyHash {
    let hash = fixture.store().pepper().hash(format!("{application} {origin}").as_bytes());
    let key = NewKeyRow {
        id: KeyId::new(Uuid::now_v7()),
        hash,
        prefix: format!("imported_{application}"),
        plan: "large".to_owned(),
        origin: Some(origin.to_owned()),
    };
    let new = ImportedKey { application: application.to_owned(), key, note: None };
    wait(fixture.store().import_key(new, owner())).unwrap();
    hash
}

fn count(fixture: &TestStore, from: &JournalPosition, records: u32) -> SentWritesPage {
    wait(fixture.store().flush()).unwrap();
    let limits = PageLimits { records, counts: 10 };
    wait(fixture.store().sent_writes("elsewhere".to_owned(), from.clone(), limits)).unwrap()
}

/// How many were sent, and how many perhaps.
fn sums(page: &SentWritesPage) -> (u64, u64) {
    let sum = |of: fn(&crate::sent::writes::SentWrites) -> u64| page.writes.iter().map(of).sum();
    (sum(|writes| writes.sent), sum(|writes| writes.perhaps_sent))
}

#[test]
fn what_went_out_counts_by_application_and_method_and_nothing_else_does() {
    let (fixture, key) = fixture();
    let others = [import(&fixture, "other", "another"), fixture.issue("large")];
    let start = wait(fixture.store().journal_end()).unwrap();
    for outcome in
        [Outcome::Applied, Outcome::RefusedByUpstream, Outcome::Unknown, Outcome::NotSent]
    {
        let reserved = fixture.ask(key, ("notes", "DELETE", "/notes/1"), 7).unwrap().unwrap();
        fixture.settle(reserved, outcome);
    }
    let reserved = fixture.reserve(key).unwrap();
    fixture.settle(reserved, Outcome::Applied);
    for other in others {
        let reserved = fixture.reserve(other).unwrap();
        fixture.settle(reserved, Outcome::Applied);
    }
    let page = count(&fixture, &start, 100);
    let counted: Vec<_> = page.writes.iter().map(|writes| (writes.method, writes.sent)).collect();
    assert_eq!(counted, [(CallMethod::Post, 1), (CallMethod::Delete, 3)]);
    let id = fixture.entry(key).application.id.to_string();
    assert!(page.writes.iter().all(|writes| writes.application == id && writes.perhaps_sent == 0));
    assert_eq!(sums(&count(&fixture, &page.position, 100)), (0, 0));
}

#[test]
fn a_write_under_way_is_counted_when_it_is_settled_and_holds_the_others_up_only_for_a_moment() {
    let (fixture, key) = fixture();
    let start = wait(fixture.store().journal_end()).unwrap();
    let slow = fixture.reserve(key).unwrap();
    let reserved = fixture.reserve(key).unwrap();
    fixture.settle(reserved, Outcome::Applied);
    let held = count(&fixture, &start, 100);
    assert_eq!((sums(&held), &held.position), ((0, 0), &start));
    std::thread::sleep(std::time::Duration::from_millis(1_100));
    let page = count(&fixture, &start, 100);
    assert_eq!(sums(&page), (1, 0));
    let still = count(&fixture, &page.position, 100);
    assert_eq!((sums(&still), &still.position), ((0, 0), &page.position));
    fixture.settle(slow, Outcome::Applied);
    let settled = count(&fixture, &page.position, 100);
    assert_eq!(sums(&settled), (1, 0));
    assert_eq!(sums(&count(&fixture, &settled.position, 100)), (0, 0));
}

#[test]
fn what_a_crash_leaves_open_may_have_gone_out() {
    let (mut fixture, key) = fixture();
    let start = wait(fixture.store().journal_end()).unwrap();
    let open = fixture.reserve_many(key, 2);
    let folder = tempfile::tempdir().unwrap();
    for file in ["keystile.db", "keystile.db-wal", "pepper"] {
        std::fs::copy(fixture.path().join(file), folder.path().join(file)).unwrap();
    }
    let copy = TestStore::at(folder, &fixture);
    assert_eq!(sums(&count(&copy, &start, 100)), (0, 2));
    drop(open);
    fixture.reopen();
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 20, ..ProptestConfig::default() })]

    /// Pages of any size, begun at any moment, together count each write once.
    #[test]
    fn pages_count_each_write_once(steps in prop::collection::vec((0_u8..3, 1_u32..5), 1..40)) {
        let (fixture, key) = fixture();
        let mut position = wait(fixture.store().journal_end()).unwrap();
        let (mut open, mut sent, mut counted) = (Vec::new(), 0, 0);
        for (step, limit) in steps {
            match step {
                0 => open.push(fixture.reserve(key).unwrap()),
                1 => if let Some(reserved) = open.pop() {
                    fixture.settle(reserved, Outcome::Applied);
                    sent += 1;
                },
                _ => {
                    let page = count(&fixture, &position, limit);
                    counted += sums(&page).0;
                    position = page.position;
                }
            }
        }
        for reserved in open {
            fixture.settle(reserved, Outcome::Applied);
            sent += 1;
        }
        loop {
            let page = count(&fixture, &position, 3);
            counted += sums(&page).0;
            position = page.position;
            if !page.is_full {
                break;
            }
        }
        prop_assert_eq!(counted, sent);
    }
}

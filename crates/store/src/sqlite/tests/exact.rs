//! A budget admits exactly its quota, whatever comes at once.

use std::sync::Arc;

use keystile_core::actor::Actor;
use keystile_core::journal::Outcome;
use keystile_core::keys::key::KeyState;
use keystile_core::keys::lock::LockRule;
use keystile_core::refusal::Reason;
use tokio::task::JoinSet;

use crate::reservation::{Requester, ReserveAnswer};
use crate::sqlite::tests::make::{LOCKS, plan, requester, write};
use crate::sqlite::tests::test_store::{TestStore, wait};

const POST: (&str, &str, &str) = ("notes", "POST", "/notes");
const DELETE: (&str, &str, &str) = ("notes", "DELETE", "/notes/1");

/// Asks for many writes at once, from several threads.
fn burst(
    fixture: &TestStore,
    subject: &Requester,
    threads: usize,
    each: usize,
) -> Vec<ReserveAnswer> {
    let ask = || {
        wait(async {
            let mut asked = JoinSet::new();
            for _ in 0..each {
                let request = write(&fixture.policy, subject.clone(), POST, 1);
                let store = fixture.store().clone();
                asked.spawn(async move { store.reserve(request).await.unwrap() });
            }
            asked.join_all().await
        })
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(ask)).collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    })
}

#[test]
fn of_500_writes_at_once_a_quota_of_10_admits_10_and_locks_once() {
    let mut fixture = TestStore::new(&[plan("small", &[("10 per day", &[])], LOCKS)]);
    let key = fixture.issue("small");
    let answers = burst(&fixture, &requester(&fixture.entry(key)), 4, 125);

    let (admitted, refused): (Vec<_>, Vec<_>) = answers.into_iter().partition(Result::is_ok);
    assert_eq!((admitted.len(), refused.len()), (10, 490));
    let refused: Vec<_> = refused.into_iter().filter_map(Result::err).collect();
    assert!(refused.iter().all(|refused| refused.refusal.reason == Reason::KeyLocked));
    assert!(refused.iter().all(|refused| refused.refusal.lock.is_some()));
    assert_eq!(refused.iter().filter(|refused| refused.is_recorded).count(), 1);

    let journal = fixture.journal();
    assert_eq!(journal.len(), 11);
    assert!(
        journal[..10].iter().all(|record| record.outcome == Outcome::Pending && record.cost == 1)
    );
    let attempt = &journal[10];
    assert_eq!((attempt.outcome, attempt.reason), (Outcome::Refused, Some(Reason::KeyLocked)));
    assert_eq!((attempt.status, attempt.cost), (Some(403), 0));

    let row = fixture.row(key);
    let lock = row.lock.unwrap();
    assert_eq!(lock.actor, Actor::Budget("writes-day".to_owned()));
    assert_eq!(lock.reason, "went over its write budget writes-day, 10 per day");
    assert_eq!(lock.evidence.as_deref(), Some("POST /notes from 192.0.2.7"));
    assert_eq!((row.locks, fixture.events_named(key, "key_locked")), (1, 1));
    drop(admitted);
    fixture.reopen();
    assert!(fixture.is_locked(key));
}

#[test]
fn ids_and_times_of_a_burst_rise_together_and_remaining_counts_down() {
    let fixture = TestStore::new(&[plan("small", &[("60 per day", &[])], LOCKS)]);
    let key = fixture.issue("small");
    let mut admitted: Vec<_> = burst(&fixture, &requester(&fixture.entry(key)), 3, 40)
        .into_iter()
        .filter_map(Result::ok)
        .collect();
    admitted.sort_by_key(|reserved| reserved.id);
    assert!(admitted.is_sorted_by_key(|reserved| reserved.time));
    let remaining: Vec<_> =
        admitted.iter().map(|reserved| reserved.standings[0].remaining).collect();
    assert_eq!(remaining, (0..60).rev().collect::<Vec<_>>());
}

#[test]
fn no_budget_is_charged_when_one_of_several_refuses() {
    let budgets: &[(&str, &[&str])] =
        &[("10 per day", &[]), ("3 per 2 days", &["notes: DELETE *"])];
    let fixture = TestStore::new(&[plan("two", budgets, LockRule::Never)]);
    let key = fixture.issue("two");
    for _ in 0..3 {
        let reserved = fixture.ask(key, DELETE, 1).unwrap().unwrap();
        assert_eq!(reserved.standings.len(), 2);
    }
    let refused = fixture.ask(key, DELETE, 1).unwrap().unwrap_err();
    assert_eq!(refused.refusal.reason, Reason::BudgetExhausted);
    assert_eq!(fixture.used(key), [3, 3]);
    // What the scoped budget does not speak of goes on, up to the other one.
    for _ in 0..7 {
        assert_eq!(fixture.reserve(key).unwrap().standings.len(), 1);
    }
    assert!(fixture.reserve(key).is_err());
    assert_eq!(fixture.used(key), [10, 3]);
}

#[test]
fn a_write_that_costs_more_than_is_left_is_refused_whole() {
    let fixture = TestStore::new(&[plan("never", &[("10 per day", &[])], LockRule::Never)]);
    let key = fixture.issue("never");
    assert_eq!(fixture.ask(key, POST, 7).unwrap().unwrap().standings[0].remaining, 3);
    assert!(fixture.ask(key, POST, 4).unwrap().is_err());
    assert_eq!(fixture.used(key), [7]);
    assert!(fixture.ask(key, POST, 3).unwrap().is_ok());
    assert_eq!(fixture.journal().iter().map(|record| record.cost).collect::<Vec<_>>(), [7, 3]);
}

#[test]
fn a_plan_that_never_locks_refuses_and_says_when_there_is_room() {
    let fixture = TestStore::new(&[plan("never", &[("2 per hour", &[])], LockRule::Never)]);
    let key = fixture.issue("never");
    fixture.reserve_many(key, 2);
    let refused = fixture.reserve(key).unwrap_err();
    assert_eq!(refused.refusal.reason, Reason::BudgetExhausted);
    let seconds = refused.refusal.retry_after_secs.unwrap();
    assert!((3600..=3661).contains(&seconds), "{seconds} s");
    assert!(!refused.is_recorded);
    assert_eq!((refused.standings[0].used, refused.standings[0].remaining), (2, 0));
    // What never fits is not worth waiting for.
    assert_eq!(fixture.ask(key, POST, 3).unwrap().unwrap_err().refusal.retry_after_secs, None);
    assert_eq!(fixture.state(key), KeyState::Active);
    assert_eq!(fixture.events_named(key, "key_locked"), 0);
}

#[test]
fn a_quota_of_nothing_locks_at_the_first_write() {
    let fixture = TestStore::new(&[plan("none", &[("0 per day", &[])], LOCKS)]);
    let key = fixture.issue("none");
    assert!(fixture.reserve(key).is_err());
    assert!(fixture.is_locked(key));
}

#[test]
fn callers_without_a_key_are_counted_by_address_and_never_locked() {
    let mut fixture = TestStore::new(&[plan("keyless", &[("5 per day", &[])], LOCKS)]);
    let address = Requester::Address("198.51.100.4".parse().unwrap());
    let answers = burst(&fixture, &address, 2, 20);
    assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 5);
    let refused = answers.into_iter().find_map(Result::err).unwrap();
    assert_eq!(refused.refusal.reason, Reason::BudgetExhausted);
    assert!(refused.refusal.retry_after_secs.is_some());
    // Another address has its own budget; a /64 of IPv6 is one caller.
    assert!(fixture.reserve_from("198.51.100.5").is_ok());
    for host in 1..=5 {
        assert!(fixture.reserve_from(&format!("2001:db8:1:1::{host}")).is_ok());
    }
    assert!(fixture.reserve_from("2001:db8:1:1::6").is_err());
    fixture.reopen();
    assert!(fixture.reserve_from("198.51.100.4").is_err());
    assert!(fixture.reserve_from("2001:db8:1:1:ffff::1").is_err());
    assert!(fixture.journal().iter().all(|record| record.key.is_none()));
}

#[test]
fn an_observed_api_counts_and_objects_but_never_refuses() {
    let plans = [plan("small", &[("2 per day", &[])], LOCKS)];
    let fixture = TestStore::new(&plans);
    let observing =
        Arc::into_inner(crate::sqlite::tests::make::policy(&plans)).unwrap().observing();
    let observing = Arc::new(observing);
    let key = fixture.issue("small");
    for _ in 0..4 {
        let request = write(&observing, requester(&fixture.entry(key)), POST, 1);
        assert!(wait(fixture.store().reserve(request)).unwrap().is_ok());
    }
    let reasons: Vec<_> = fixture.journal().iter().map(|record| record.reason).collect();
    assert_eq!(reasons, [None, None, Some(Reason::KeyLocked), Some(Reason::KeyLocked)]);
    assert_eq!((fixture.state(key), fixture.used(key)), (KeyState::Active, vec![4]));
}

#[test]
fn two_policies_in_use_at_once_share_one_count() {
    let mut fixture = TestStore::new(&[plan("small", &[("10 per day", &[])], LOCKS)]);
    let key = fixture.issue("small");
    let old = fixture.policy.clone();
    fixture.reload_policy();
    let mut admitted = 0;
    for turn in 0..15 {
        let policy: &Arc<_> = if turn % 2 == 0 { &old } else { &fixture.policy };
        let request = write(policy, requester(&fixture.entry(key)), POST, 1);
        admitted += usize::from(wait(fixture.store().reserve(request)).unwrap().is_ok());
    }
    assert_eq!(admitted, 10);
}

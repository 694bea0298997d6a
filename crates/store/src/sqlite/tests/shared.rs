//! Budgets that several keys share: exact over all of them, and locked together.

use std::sync::Arc;

use keystile_core::actor::Actor;
use keystile_core::budget::Per;
use keystile_core::journal::Outcome;
use keystile_core::keys::hash::KeyHash;
use keystile_core::keys::key::KeyState;
use keystile_core::keys::lock::{Budgets, LockRule, LockTarget};
use keystile_core::policy::PlanSpec;
use keystile_core::refusal::Reason;
use tokio::task::JoinSet;

use crate::error::Error;
use crate::reservation::Requester;
use crate::reservation::ReserveAnswer;
use crate::sqlite::tests::make::{LOCKS, locks_for, sharing, write};
use crate::sqlite::tests::test_store::{TestStore, wait};

const POST: (&str, &str, &str) = ("notes", "POST", "/notes");

fn of_application(quota: &str) -> PlanSpec {
    sharing("team", &[(quota, &[], Per::Application)], LOCKS)
}

/// Asks for writes with several keys at once, from several threads.
fn burst(fixture: &TestStore, keys: &[KeyHash], callers: usize, each: usize) -> Vec<ReserveAnswer> {
    let ask = |caller: usize| {
        let entry = fixture.entry(keys[caller % keys.len()]);
        wait(async {
            let mut asked = JoinSet::new();
            for _ in 0..each {
                let request = write(&fixture.policy, Requester::Key(entry.clone()), POST, 1);
                let store = fixture.store().clone();
                asked.spawn(async move { store.reserve(request).await.unwrap() });
            }
            asked.join_all().await
        })
    };
    let ask = &ask;
    std::thread::scope(|scope| {
        let callers: Vec<_> = (0..callers).map(|caller| scope.spawn(move || ask(caller))).collect();
        callers.into_iter().flat_map(|caller| caller.join().unwrap()).collect()
    })
}

fn reason(answer: ReserveAnswer) -> Reason {
    answer.unwrap_err().refusal.reason
}

#[test]
fn sixty_four_callers_over_ten_keys_of_an_application_forward_100_of_a_budget_of_100_ten_times() {
    for _ in 0..10 {
        let mut fixture = TestStore::new(&[of_application("100 per day")]);
        let keys: Vec<_> = (0..10).map(|_| fixture.issue_for("reader", "team")).collect();
        let answers = burst(&fixture, &keys, 64, 5);
        let (admitted, refused): (Vec<_>, Vec<_>) = answers.into_iter().partition(Result::is_ok);
        assert_eq!((admitted.len(), refused.len()), (100, 220));
        let refused: Vec<_> = refused.into_iter().filter_map(Result::err).collect();
        assert!(refused.iter().all(|refused| refused.refusal.reason == Reason::KeyLocked));
        assert_eq!(refused.iter().filter(|refused| refused.is_recorded).count(), 1);
        let on = |key: &KeyHash| match fixture.state(*key) {
            KeyState::Locked(lock) => Some(lock.on),
            KeyState::Active | KeyState::Revoked => None,
        };
        assert!(keys.iter().all(|key| on(key) == Some(LockTarget::Application)));
        let lock = fixture.application("reader").lock.unwrap();
        assert_eq!(lock.actor, Actor::Budget("application-writes-day".to_owned()));
        assert_eq!(
            lock.reason,
            "the application went over its write budget application-writes-day, 100 per day for all of its keys"
        );
        let events: usize =
            keys.iter().map(|key| fixture.events_named(*key, "application_locked")).sum();
        assert_eq!(events, 1, "one event, however many keys");
        drop(admitted);
        fixture.reopen();
        assert!(keys.iter().all(|key| fixture.is_locked(*key)));
        assert_eq!(fixture.used(keys[0]), [100]);
        assert_eq!(fixture.store().keys().locked_applications(), 1);
    }
}

#[test]
fn no_key_is_a_way_around_a_budget_that_its_application_has_used_up() {
    let mut fixture = TestStore::new(&[of_application("3 per day")]);
    let first = fixture.issue_for("reader", "team");
    let other = fixture.issue_for("writer", "team");
    fixture.reserve_many(first, 2);
    // A rolled key and a new one go on where the application is.
    let rolled = fixture.roll(first);
    let added = fixture.issue_for("reader", "team");
    fixture.reserve(added).unwrap();
    fixture.reopen();
    assert_eq!(reason(fixture.reserve(rolled)), Reason::KeyLocked);
    let again = fixture.roll(rolled);
    for key in [added, fixture.issue_for("reader", "team"), again] {
        assert_eq!(reason(fixture.reserve(key)), Reason::KeyLocked);
        assert!(fixture.is_locked(key), "also one that was issued after the lock");
        assert_eq!(fixture.row(key).lock, None, "the lock is not its own");
        assert_eq!(
            fixture.row(key).lock_at(fixture.store().now()).unwrap().on,
            LockTarget::Application
        );
    }
    fixture.reserve(other).unwrap();
    assert_eq!(fixture.used(other), [1]);
}

#[test]
fn revoked_keys_and_plans_changed_to_and_fro_free_nothing() {
    let plans = [
        of_application("5 per day"),
        sharing("larger", &[("7 per day", &[], Per::Application)], LOCKS),
        sharing("apart", &[("2 per day", &[], Per::Key)], LockRule::Never),
    ];
    let mut fixture = TestStore::new(&plans);
    let (first, second) =
        (fixture.issue_for("reader", "team"), fixture.issue_for("reader", "team"));
    fixture.reserve_many(first, 3);
    wait(fixture.store().revoke_key(TestStore::edit(first))).unwrap();
    fixture.reserve(second).unwrap();
    assert_eq!(fixture.used(second), [4]);
    // What was written goes along to another plan, and what is written there comes back.
    fixture.put_application_on("reader", "larger");
    assert_eq!(fixture.used(second), [4]);
    fixture.reserve(second).unwrap();
    fixture.reopen();
    assert_eq!(fixture.used(second), [5]);
    fixture.put_application_on("reader", "team");
    assert_eq!(fixture.used(second), [5]);
    assert_eq!(reason(fixture.reserve(second)), Reason::KeyLocked);
    // A key with a plan of its own counts all the same: it is one of the application's.
    fixture.unlock_application("reader", Budgets::Reset);
    let third = fixture.issue_for("reader", "team");
    fixture.put_on(second, "apart");
    fixture.reset(second);
    fixture.reserve_many(second, 2);
    assert_eq!((fixture.used(second), fixture.used(third)), (vec![2], vec![2]));
    assert_eq!(reason(fixture.reserve(second)), Reason::BudgetExhausted);
    fixture.reserve_many(third, 3);
    fixture.reopen();
    assert_eq!(fixture.used(third), [5]);
    assert_eq!(reason(fixture.reserve(third)), Reason::KeyLocked);
    assert!(fixture.is_locked(second), "all keys of the application are locked");
}

#[test]
fn a_plan_has_one_budget_over_all_of_its_applications_and_locks_the_one_whose_write_did_not_fit() {
    let mut fixture = TestStore::new(&[sharing("free", &[("20 per day", &[], Per::Plan)], LOCKS)]);
    let keys: Vec<_> =
        ["a", "a", "b", "b", "c"].iter().map(|name| fixture.issue_for(name, "free")).collect();
    let admitted = burst(&fixture, &keys[..4], 8, 2).into_iter().flatten().count();
    assert_eq!(admitted, 16);
    fixture.reopen();
    fixture.reserve_many(keys[2], 4);
    assert_eq!(reason(fixture.reserve(keys[0])), Reason::KeyLocked);
    let locked: Vec<_> = keys.iter().map(|key| fixture.is_locked(*key)).collect();
    assert_eq!(locked, [true, true, false, false, false], "whoever writes within it goes on");
    let lock = fixture.application("a").lock.unwrap();
    assert_eq!(
        lock.reason,
        "went over the write budget plan-writes-day, 20 per day for all keys of the plan free"
    );
    assert_eq!(reason(fixture.reserve(keys[4])), Reason::KeyLocked);
    fixture.reopen();
    assert_eq!(fixture.used(keys[3]), [20]);
}

#[test]
fn budgets_of_key_application_and_plan_are_charged_together_or_not_at_all() {
    let budgets: &[(&str, &[&str], Per)] = &[
        ("9 per day", &[], Per::Plan),
        ("3 per day", &[], Per::Key),
        ("6 per day", &["notes: DELETE *"], Per::Application),
        ("5 per day", &[], Per::Application),
    ];
    let mut fixture = TestStore::new(&[sharing("all", budgets, LockRule::Never)]);
    let keys: Vec<_> = ["a", "a", "b"].iter().map(|name| fixture.issue_for(name, "all")).collect();
    let delete = ("notes", "DELETE", "/notes/1");
    let reserved = fixture.ask(keys[0], delete, 3).unwrap().unwrap();
    let places: Vec<_> = reserved.standings.iter().map(|standing| standing.place).collect();
    assert_eq!(places, [0, 1, 2, 3], "in the order of the plan");
    assert_eq!(reason(fixture.reserve(keys[0])), Reason::BudgetExhausted);
    assert_eq!(fixture.used(keys[0]), [3, 3, 3, 3], "a refusal charges nobody");
    assert_eq!(reason(fixture.ask(keys[1], POST, 3).unwrap()), Reason::BudgetExhausted);
    fixture.ask(keys[1], POST, 2).unwrap().unwrap();
    fixture.ask(keys[2], POST, 3).unwrap().unwrap();
    assert_eq!(fixture.used(keys[1]), [8, 2, 3, 5]);
    assert_eq!(fixture.used(keys[2]), [8, 3, 0, 3]);
    fixture.settle(reserved, Outcome::NotSent);
    assert_eq!(fixture.used(keys[1]), [5, 2, 0, 2], "and gives back to all of them");
    fixture.reopen();
    assert_eq!(fixture.used(keys[1]), [5, 2, 0, 2]);
    assert!(fixture.application("a").lock.is_none(), "the plan never locks");
}

#[test]
fn unlocking_takes_the_lock_off_all_keys_and_keeps_what_was_counted() {
    let fixture = TestStore::new(&[of_application("2 per day")]);
    let keys: Vec<_> = (0..3).map(|_| fixture.issue_for("reader", "team")).collect();
    fixture.reserve_many(keys[0], 2);
    assert_eq!(reason(fixture.reserve(keys[1])), Reason::KeyLocked);
    let of_one = wait(fixture.store().unlock_key(TestStore::edit(keys[1]), Budgets::Keep));
    assert!(matches!(of_one, Err(Error::LockedApplication(name)) if name == "reader"));
    let entry = fixture.entry(keys[2]);
    fixture.change(move |tx| tx.lock_key(&entry, super::change::lock(tx)).map(drop)).unwrap();
    assert!(fixture.unlock_application("reader", Budgets::Keep).was_locked);
    let locked: Vec<_> = keys.iter().map(|key| fixture.is_locked(*key)).collect();
    assert_eq!(locked, [false, false, true], "a lock of its own stays on a key");
    assert!(!fixture.unlock_application("reader", Budgets::Keep).was_locked);
    assert_eq!(reason(fixture.reserve(keys[0])), Reason::KeyLocked, "it is used up still");
    fixture.unlock_application("reader", Budgets::Reset);
    assert_eq!(fixture.used(keys[0]), [0]);
    fixture.reserve_many(keys[0], 2);
    // A key's own reset leaves what it wrote in a budget that others share.
    fixture.reset(keys[0]);
    assert_eq!(fixture.used(keys[1]), [2]);
}

#[test]
fn a_lock_of_an_application_for_a_time_opens_by_itself() {
    let plan = sharing("team", &[("1 per day", &[], Per::Application)], locks_for(40));
    let fixture = TestStore::new(&[plan]);
    let key = fixture.issue_for("reader", "team");
    fixture.reserve(key).unwrap();
    assert_eq!(reason(fixture.reserve(key)), Reason::KeyLocked);
    assert!(fixture.is_locked(key));
    std::thread::sleep(std::time::Duration::from_millis(60));
    assert_eq!(fixture.state(key), KeyState::Active);
    fixture.change(crate::sqlite::keys::lock::open_expired).unwrap();
    assert!(fixture.application("reader").lock.is_none());
    assert_eq!(fixture.store().keys().locked_applications(), 0);
}

#[test]
fn listings_show_keys_of_a_locked_application_as_locked() {
    use crate::keys::KeyQuery;
    let fixture = TestStore::new(&[of_application("0 per day")]);
    let keys: Vec<_> = (0..3).map(|_| fixture.issue_for("reader", "team")).collect();
    let free = fixture.issue_for("writer", "team");
    assert_eq!(reason(fixture.reserve(keys[0])), Reason::KeyLocked);
    let listed = |query: KeyQuery| {
        let found = wait(fixture.store().list_keys(KeyQuery { limit: 9, ..query })).unwrap();
        found.into_iter().map(|listed| listed.key.hash).collect::<Vec<_>>()
    };
    let in_state =
        |state: &str| listed(KeyQuery { state: Some(state.into()), ..KeyQuery::default() });
    assert_eq!(in_state("locked"), keys);
    assert_eq!(in_state("active"), [free]);
    let on = |on| listed(KeyQuery { locked_on: Some(on), ..KeyQuery::default() });
    assert_eq!((on(LockTarget::Application), on(LockTarget::Key)), (keys, Vec::new()));
    assert_eq!(wait(fixture.store().count_keys()).unwrap(), [1, 3, 0]);
    let locked = wait(fixture.store().locked_applications(9)).unwrap();
    assert_eq!(locked.iter().map(|row| row.name.as_str()).collect::<Vec<_>>(), ["reader"]);
}

#[test]
fn a_command_that_fails_costs_nobody_their_account() {
    let fixture = TestStore::new(&[of_application("5 per day")]);
    let key = fixture.issue_for("reader", "team");
    fixture.reserve(key).unwrap();
    let changes = || fixture.change(|tx| Ok(tx.memory.ledger.changes())).unwrap();
    let before = changes();
    let failed: Result<(), _> = fixture.change(|_| Err(Error::Stale("key".to_owned())));
    failed.unwrap_err();
    assert_eq!(changes(), before);
}

#[test]
fn what_a_key_writes_on_another_plan_counts_in_the_budgets_of_all_and_is_given_back_to_all() {
    let plans = [
        of_application("9 per day"),
        sharing("other", &[("9 per day", &["*: DELETE *"], Per::Application)], LOCKS),
        sharing("alone", &[("100 per day", &[], Per::Key)], LOCKS),
    ];
    let mut fixture = TestStore::new(&plans);
    let [key, stays, alone] =
        ["team", "other", "alone"].map(|plan| fixture.issue_for("reader", plan));
    let counted = |fixture: &TestStore| {
        let row = fixture.application("reader").row;
        ["team", "other"].map(|plan| {
            let plan = fixture.policy.plan(plan).unwrap().clone();
            let (store, policy) = (fixture.store(), Arc::clone(&fixture.policy));
            wait(store.application_budgets(row, policy, plan)).unwrap()[0].used
        })
    };
    let delete = ("notes", "DELETE", "/notes/1");
    fixture.ask(stays, delete, 1).unwrap().unwrap();
    assert_eq!(counted(&fixture), [1, 1]);
    // Permitted on the one plan, and reserved when its key is on the other.
    let overtaken = write(&fixture.policy, Requester::Key(fixture.entry(key)), delete, 4);
    fixture.put_on(key, "other");
    let reserved = wait(fixture.store().reserve(overtaken)).unwrap().unwrap();
    let of_alone = fixture.ask(alone, delete, 3).unwrap().unwrap();
    let post = fixture.ask(alone, POST, 1).unwrap().unwrap();
    assert_eq!(counted(&fixture), [9, 8], "the one counts deletions only");
    fixture.settle(post, Outcome::NotSent);
    of_alone.departure.note();
    fixture.settle(of_alone, Outcome::NotSent);
    assert_eq!(counted(&fixture), [5, 5]);
    fixture.reload_policy();
    assert_eq!(counted(&fixture), [5, 5], "counted anew, while one is under way");
    fixture.settle(reserved, Outcome::NotSent);
    assert_eq!(counted(&fixture), [1, 1]);
    fixture.reopen();
    assert_eq!(counted(&fixture), [1, 1]);
}

//! A burst of writes past a budget: exactly the budget is forwarded, one lock, and reads as the level says (P1, P3).

use std::num::NonZeroUsize;

use keystile_core::journal::Outcome;
use keystile_core::keys::lock::{Budgets, LockLevel, LockRule, LockUntil};
use keystile_core::refusal::Reason;
use tokio::task::JoinSet;

use crate::harness::{
    Answer, Caller, Caller2, Reply, TestGate, Upstream, api, eventually, plan, request2, settings,
};

fn gate(upstream: &Upstream, level: LockLevel) -> TestGate {
    let mut plan = plan("tight", &["10 per day"]);
    plan.lock = LockRule::Lock { level, until: LockUntil::Unlocked };
    let mut settings = settings();
    settings.workers = NonZeroUsize::new(2);
    TestGate::open(vec![api(&[upstream.origin()])], vec![plan], settings)
}

/// 10 applied, 490 refused because the key locked, and that on record.
async fn exactly_ten(gate: &TestGate, upstream: &Upstream, key: &str, answers: &[Answer]) {
    assert_eq!(answers.len(), 500);
    let applied = answers.iter().filter(|answer| answer.status == 200).count();
    let locked = answers
        .iter()
        .filter(|answer| answer.status == 403 && answer.refusal().1 == "key_locked")
        .count();
    assert_eq!((applied, locked), (10, 490));
    assert_eq!(upstream.seen().len(), 10);
    assert_eq!(gate.used(key).await, 10);
    assert_eq!(gate.events(key, "key_locked").await, 1);
    let records = gate.records().await;
    let count = |outcome| {
        records
            .iter()
            .filter(|record| record.outcome == outcome)
            .map(|record| record.count)
            .sum::<u32>()
    };
    assert_eq!((count(Outcome::Applied), count(Outcome::Refused)), (10, 490));
    let refused = records.iter().filter(|record| record.outcome == Outcome::Refused);
    assert!(refused.into_iter().all(|record| record.reason == Some(Reason::KeyLocked)));
}

async fn burst1(gate: &TestGate, key: &str) -> Vec<Answer> {
    let mut calls = JoinSet::new();
    for number in 0..500 {
        let (address, key) = (gate.address, key.to_owned());
        calls.spawn(async move {
            let mut caller = Caller::connect(address).await;
            caller.call("DELETE", &format!("/{number}"), &key, b"").await
        });
    }
    calls.join_all().await
}

#[tokio::test]
async fn of_500_parallel_deletes_exactly_the_budget_is_forwarded() {
    let upstream = Upstream::ok().await;
    let gate = gate(&upstream, LockLevel::Writes);
    let key = gate.key("tight").await;
    let answers = burst1(&gate, &key).await;
    exactly_ten(&gate, &upstream, &key, &answers).await;
    assert_eq!(gate.call("GET", "/x", &key, b"").await.status, 200, "reads flow on");
}

#[tokio::test]
async fn of_500_parallel_deletes_over_http2_exactly_the_budget_is_forwarded() {
    let upstream = Upstream::ok().await;
    let gate = gate(&upstream, LockLevel::All);
    let key = gate.key("tight").await;
    let mut calls = JoinSet::new();
    for _ in 0..4 {
        let caller = Caller2::connect(gate.address).await;
        for number in 0..125 {
            let (mut caller, key) = (caller.share(), key.clone());
            calls.spawn(async move {
                caller.call(request2("DELETE", &format!("/{number}"), &key), b"").await.unwrap()
            });
        }
    }
    let answers = calls.join_all().await;
    exactly_ten(&gate, &upstream, &key, &answers).await;
    let answer = gate.call("GET", "/x", &key, b"").await;
    assert_eq!(answer.refusal(), (403, "key_locked".to_owned()), "this lock stops reads too");
    assert_eq!(answer.problem()["level"], "all");
}

#[tokio::test]
async fn a_slow_upstream_does_not_widen_a_budget() {
    let upstream =
        Upstream::start(|_| Reply::ok().after(std::time::Duration::from_millis(500))).await;
    let gate = gate(&upstream, LockLevel::Writes);
    let key = gate.key("tight").await;
    let answers = burst1(&gate, &key).await;
    exactly_ten(&gate, &upstream, &key, &answers).await;
}

#[tokio::test]
async fn a_lock_tells_what_helps_and_holds_until_it_is_opened() {
    let upstream = Upstream::ok().await;
    let gate = gate(&upstream, LockLevel::Writes);
    let key = gate.key("tight").await;
    for _ in 0..10 {
        assert_eq!(gate.call("DELETE", "/x", &key, b"").await.status, 200);
    }
    let answer = gate.call("DELETE", "/eleventh", &key, b"").await;
    let problem = answer.problem();
    assert_eq!(
        (answer.status, &problem["reason"], &problem["level"]),
        (403, &"key_locked".into(), &"writes".into())
    );
    assert!(problem["unlock"].as_str().unwrap().contains("owner"), "{problem}");
    assert_eq!(answer.field("retry-after"), None, "waiting does not help");
    let lock = gate.details(&key).await.key.lock.unwrap();
    assert_eq!(lock.evidence.as_deref(), Some("DELETE /eleventh from 127.0.0.1"));
    gate.unlock(&key, Budgets::Keep).await;
    assert_eq!(
        gate.call("DELETE", "/x", &key, b"").await.status,
        403,
        "what was counted stays counted"
    );
    gate.unlock(&key, Budgets::Reset).await;
    assert_eq!(gate.call("DELETE", "/x", &key, b"").await.status, 200);
    assert_eq!(upstream.seen().len(), 11);
}

#[tokio::test]
async fn a_lock_by_hand_acts_on_the_next_request_of_an_open_connection() {
    let upstream = Upstream::ok().await;
    let gate = gate(&upstream, LockLevel::Writes);
    let key = gate.key("tight").await;
    let mut caller = gate.caller().await;
    assert_eq!(caller.call("DELETE", "/x", &key, b"").await.status, 200);
    for (level, read) in [(LockLevel::Writes, 200), (LockLevel::All, 403)] {
        gate.lock(&key, level, None).await;
        assert_eq!(caller.call("DELETE", "/x", &key, b"").await.status, 403);
        assert_eq!(caller.call("GET", "/x", &key, b"").await.status, read);
    }
    gate.unlock(&key, Budgets::Keep).await;
    assert_eq!(caller.call("DELETE", "/x", &key, b"").await.status, 200);
}

#[tokio::test]
async fn a_lock_for_a_time_opens_by_itself() {
    let upstream = Upstream::ok().await;
    let gate = gate(&upstream, LockLevel::Writes);
    let key = gate.key("tight").await;
    gate.lock(&key, LockLevel::Writes, Some(400)).await;
    let answer = gate.call("DELETE", "/x", &key, b"").await;
    assert!(answer.problem()["unlock"].as_str().unwrap().starts_with("It opens by itself at 20"));
    let opens = async || gate.call("DELETE", "/x", &key, b"").await.status == 200;
    eventually("the lock opens", opens).await;
}

#[tokio::test]
async fn a_plan_that_never_locks_only_refuses() {
    let upstream = Upstream::ok().await;
    let mut gentle = plan("gentle", &["2 per hour"]);
    gentle.lock = LockRule::Never;
    let gate = TestGate::open(vec![api(&[upstream.origin()])], vec![gentle], settings());
    let key = gate.key("gentle").await;
    for status in [200, 200, 429, 429] {
        assert_eq!(gate.call("DELETE", "/x", &key, b"").await.status, status);
    }
    let answer = gate.call("DELETE", "/x", &key, b"").await;
    assert_eq!(answer.refusal(), (429, "budget_exhausted".to_owned()));
    assert!(answer.field("retry-after").is_some());
    assert_eq!(gate.events(&key, "key_locked").await, 0);
}

#[tokio::test]
async fn refused_attempts_with_a_key_never_lock_it() {
    let upstream = Upstream::ok().await;
    let mut narrow = plan("tight", &["3 per day"]);
    narrow.allow = vec!["notes: PUT /mine".parse().unwrap()];
    let gate = TestGate::open(vec![api(&[upstream.origin()])], vec![narrow], settings());
    let key = gate.key("tight").await;
    for _ in 0..20 {
        assert_eq!(gate.call("DELETE", "/other", &key, b"").await.status, 403);
        assert_eq!(gate.call("PUT", "/a/../mine", &key, b"").await.status, 400);
    }
    assert_eq!(gate.used(&key).await, 0);
    assert_eq!(gate.call("PUT", "/mine", &key, b"").await.status, 200);
}

//! Budgets that the keys of an application share, over real sockets: exact whatever key a write comes with.

use std::num::NonZeroUsize;

use keystile_core::budget::Per;
use keystile_core::journal::Outcome;
use keystile_core::version::Expected;
use keystile_engine::keys::application_edit::ChangeApplicationPlan;
use keystile_engine::keys::create::RollKey;
use tokio::task::JoinSet;

use crate::harness::{Answer, Caller, TestGate, Upstream, api, plan, settings};

/// The plans `team` and `other`, on each of which the keys of an application share 100 writes a day.
fn gate(upstream: &Upstream) -> TestGate {
    let shared = |name| {
        let mut plan = plan(name, &["100 per day"]);
        plan.write_budgets[0].per = Per::Application;
        plan
    };
    let mut settings = settings();
    settings.workers = NonZeroUsize::new(2);
    TestGate::open(vec![api(&[upstream.origin()])], vec![shared("team"), shared("other")], settings)
}

/// Some writes of each of 64 callers, who share some keys.
fn callers(gate: &TestGate, keys: &[String], each: usize) -> JoinSet<Vec<Answer>> {
    let mut calls = JoinSet::new();
    for caller in 0..64 {
        let (address, key) = (gate.address, keys[caller % keys.len()].clone());
        calls.spawn(async move {
            let mut caller = Caller::connect(address).await;
            let mut answers = Vec::new();
            for number in 0..each {
                answers.push(caller.call("DELETE", &format!("/{number}"), &key, b"").await);
            }
            answers
        });
    }
    calls
}

async fn ten_keys(gate: &TestGate) -> Vec<String> {
    let mut keys = Vec::new();
    for _ in 0..10 {
        keys.push(gate.key("team").await);
    }
    keys
}

fn applied(answers: &[Answer]) -> usize {
    answers.iter().filter(|answer| answer.status == 200).count()
}

#[tokio::test]
async fn sixty_four_callers_with_ten_keys_of_one_application_forward_exactly_its_budget() {
    let upstream = Upstream::ok().await;
    let gate = gate(&upstream);
    let keys = ten_keys(&gate).await;
    let answers = callers(&gate, &keys, 4).join_all().await.concat();
    let locked = answers.iter().filter(|answer| answer.status == 403);
    let locked: Vec<_> = locked.map(|answer| answer.refusal().1).collect();
    assert_eq!((applied(&answers), locked.len()), (100, 156));
    assert!(locked.iter().all(|reason| reason == "key_locked"));
    assert_eq!(upstream.seen().len(), 100);
    let answer = gate.call("DELETE", "/x", &keys[9], b"").await;
    let detail = "All keys of this application are locked for writes. Reads still work.";
    assert_eq!(answer.problem()["detail"], detail);
    assert_eq!(gate.call("GET", "/x", &keys[9], b"").await.status, 200, "reads flow on");
    // A key that is new is under the lock from its first call on.
    let new = gate.key("team").await;
    assert_eq!(gate.call("DELETE", "/x", &new, b"").await.refusal().1, "key_locked");
    let records = gate.records().await;
    let refused = records.iter().filter(|record| record.outcome == Outcome::Refused);
    assert_eq!(refused.map(|record| record.count).sum::<u32>(), 158);
}

#[tokio::test]
async fn keys_that_are_rolled_and_added_and_plans_that_change_in_the_middle_let_no_write_more_through()
 {
    let upstream = Upstream::ok().await;
    let gate = gate(&upstream);
    let keys = ten_keys(&gate).await;
    let first = callers(&gate, &keys, 3);
    let mut more = Vec::new();
    for (turn, key) in keys.iter().take(6).enumerate() {
        let (key, expected) = (key.clone(), Expected::Any);
        more.push(gate.execute(RollKey { key, grace_millis: 1, expected }).await.key);
        more.push(gate.key("team").await);
        let change = ChangeApplicationPlan {
            application: "app on team".to_owned(),
            plan: ["other", "team"][turn % 2].to_owned(),
            expected: Expected::Any,
        };
        gate.execute(change).await;
    }
    let others = callers(&gate, &more, 3).join_all().await.concat();
    let first = first.join_all().await.concat();
    assert_eq!(applied(&first) + applied(&others), 100);
    assert_eq!(upstream.seen().len(), 100);
    assert_eq!(gate.details(&more[0]).await.budgets[0].used, 100);
}

#[tokio::test]
async fn answers_say_how_a_shared_budget_stands() {
    let upstream = Upstream::ok().await;
    let gate = gate(&upstream);
    let (first, second) = (gate.key("team").await, gate.key("team").await);
    gate.call("DELETE", "/x", &first, b"").await;
    let answer = gate.call("DELETE", "/x", &second, b"").await;
    let fields = [answer.field("ratelimit-policy"), answer.field("ratelimit")];
    let [policy, standing] = fields.map(|field| field.unwrap().to_owned());
    assert_eq!(policy, "\"application-writes-day\";q=100;w=86400");
    assert!(standing.starts_with("\"application-writes-day\";r=98;t="), "{standing}");
}

//! Another policy comes into force while requests flow.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use keystile_core::policy::api::Mode;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::harness::{
    Caller, Caller2, Reply, TestGate, Upstream, api, eventually, plan, request2, settings,
};

#[tokio::test]
async fn no_request_fails_while_the_policy_is_replaced() {
    let (one, two) = (Upstream::ok().await, Upstream::ok().await);
    let plans = |budget| vec![plan("open", &[budget])];
    let gate = TestGate::open(vec![api(&[one.origin()])], plans("100000 per day"), settings());
    let key = gate.key("open").await;
    let stop = Arc::new(AtomicBool::new(false));
    let mut callers = JoinSet::new();
    for number in 0..6 {
        let (address, key, stop) = (gate.address, key.clone(), stop.clone());
        callers.spawn(async move {
            let mut served = 0;
            if number % 3 == 0 {
                let mut caller = Caller2::connect(address).await;
                while !stop.load(Ordering::Relaxed) {
                    let answer = caller.call(request2("DELETE", "/x", &key), b"").await.unwrap();
                    assert_eq!(answer.status, 200, "{answer:?}");
                    served += 1;
                }
                return served;
            }
            let mut caller = Caller::connect(address).await;
            while !stop.load(Ordering::Relaxed) {
                for (method, body) in [("GET", &b""[..]), ("POST", b"body")] {
                    let answer = caller.call(method, "/x", &key, body).await;
                    assert_eq!(answer.status, 200, "{answer:?}");
                    served += 1;
                }
            }
            served
        });
    }
    for number in 0..40 {
        tokio::time::sleep(Duration::from_millis(25)).await;
        let upstream = if number % 4 < 2 { &two } else { &one };
        let budget = if number % 2 == 0 { "90000 per day" } else { "100000 per day" };
        gate.replace_policy(vec![api(&[upstream.origin()])], plans(budget));
    }
    stop.store(true, Ordering::Relaxed);
    let served: usize = callers.join_all().await.into_iter().sum();
    assert!(served > 100, "{served}");
    assert_eq!(one.seen().len() + two.seen().len(), served);
    assert!(!two.seen().is_empty());
}

#[tokio::test]
async fn a_request_finishes_under_the_policy_that_permitted_it_and_the_next_one_meets_the_new() {
    let release = Arc::new(Semaphore::new(0));
    let held = release.clone();
    let upstream = Upstream::start(move |_| Reply::ok().once_released(&held)).await;
    let gate = TestGate::open(
        vec![api(&[upstream.origin()])],
        vec![plan("open", &["5 per day"])],
        settings(),
    );
    let key = gate.key("open").await;
    let mut caller = gate.caller().await;
    let mut narrow = plan("open", &["5 per day"]);
    narrow.allow = vec!["notes: GET *".parse().unwrap()];
    let call = caller.call("DELETE", "/x", &key, b"");
    let replace = async {
        eventually("the request arrives", async || !upstream.seen().is_empty()).await;
        gate.replace_policy(vec![api(&[upstream.origin()])], vec![narrow]);
        release.add_permits(1);
    };
    let (answer, ()) = tokio::join!(call, replace);
    assert_eq!(answer.status, 200);
    assert_eq!(
        caller.call("DELETE", "/x", &key, b"").await.refusal(),
        (403, "operation_not_in_plan".to_owned())
    );
}

#[tokio::test]
async fn what_was_counted_stays_counted_under_a_new_policy() {
    let upstream = Upstream::ok().await;
    let gate = TestGate::open(
        vec![api(&[upstream.origin()])],
        vec![plan("open", &["5 per day"])],
        settings(),
    );
    let key = gate.key("open").await;
    for _ in 0..3 {
        assert_eq!(gate.call("DELETE", "/x", &key, b"").await.status, 200);
    }
    gate.replace_policy(vec![api(&[upstream.origin()])], vec![plan("open", &["4 per day"])]);
    assert_eq!(gate.call("DELETE", "/x", &key, b"").await.status, 200);
    assert_eq!(
        gate.call("DELETE", "/x", &key, b"").await.refusal(),
        (403, "key_locked".to_owned())
    );
    assert_eq!(upstream.seen().len(), 4);
}

#[tokio::test]
async fn a_key_whose_plan_is_gone_may_do_nothing() {
    let upstream = Upstream::ok().await;
    let gate = TestGate::simple(&upstream);
    let key = gate.key("open").await;
    gate.replace_policy(vec![api(&[upstream.origin()])], vec![plan("other", &[])]);
    for method in ["GET", "DELETE"] {
        assert_eq!(
            gate.call(method, "/x", &key, b"").await.refusal(),
            (403, "operation_not_in_plan".to_owned())
        );
    }
    let mut off = api(&[upstream.origin()]);
    off.mode = Mode::Off;
    gate.replace_policy(vec![off], vec![plan("other", &[])]);
    assert_eq!(gate.call("DELETE", "/x", &key, b"").await.status, 200);
}

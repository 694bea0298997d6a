//! An orderly end: what is under way finishes, nothing new begins.

use std::sync::Arc;
use std::time::{Duration, Instant};

use keystile_core::journal::Outcome;
use keystile_core::time::Span;
use keystile_proxy::Gate;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;

use crate::harness::{
    Caller2, Reply, TestGate, Upstream, api, eventually, plan, request, request2, settings,
};

fn gate(upstream: &Upstream, drain_ms: i64) -> TestGate {
    let mut settings = settings();
    settings.drain_timeout = Span::from_millis(drain_ms).unwrap();
    TestGate::open(vec![api(&[upstream.origin()])], vec![plan("open", &["100 per day"])], settings)
}

async fn drain(gate: Gate) -> Duration {
    let began = Instant::now();
    tokio::task::spawn_blocking(move || gate.drain()).await.unwrap();
    began.elapsed()
}

async fn arrived(upstream: &Upstream, count: usize) {
    eventually("the requests arrive", async || upstream.seen().len() == count).await;
}

/// An upstream that answers when the test lets it.
async fn held() -> (Upstream, Arc<Semaphore>) {
    let release = Arc::new(Semaphore::new(0));
    let held = release.clone();
    (Upstream::start(move |_| Reply::ok().once_released(&held)).await, release)
}

#[tokio::test]
async fn what_is_under_way_finishes_and_new_connections_are_refused() {
    let (upstream, release) = held().await;
    let mut gate = gate(&upstream, 5000);
    let key = gate.key("open").await;
    let (mut read, mut write) = (gate.caller().await, gate.caller().await);
    let mut second = Caller2::connect(gate.address).await;
    read.send(&request("GET", "/x", &key, b"")).await;
    write.send(&request("DELETE", "/x", &key, b"")).await;
    let over_http2 = second.send(request2("GET", "/x", &key), b"").await.unwrap();
    arrived(&upstream, 3).await;
    let draining = tokio::spawn(drain(gate.gate.take().unwrap()));
    let refuses = async || TcpStream::connect(gate.address).await.is_err();
    eventually("nothing listens any more", refuses).await;
    assert!(!draining.is_finished(), "it waits for what is under way");
    release.add_permits(1);
    assert_eq!(read.answer().await.unwrap().status, 200);
    assert!(read.rest().await.is_empty(), "the connection ends with its answer");
    assert_eq!(write.answer().await.unwrap().status, 200);
    assert_eq!(over_http2.await.unwrap().status(), 200);
    drop(second);
    let took = draining.await.unwrap();
    assert!(took < Duration::from_secs(3), "{took:?}");
    assert_eq!(gate.outcomes().await, [Outcome::Applied]);
}

#[tokio::test]
async fn idle_and_silent_connections_do_not_delay_the_end() {
    let upstream = Upstream::ok().await;
    let mut gate = gate(&upstream, 5000);
    let key = gate.key("open").await;
    let mut idle = gate.caller().await;
    assert_eq!(idle.call("GET", "/x", &key, b"").await.status, 200);
    let mut idle2 = Caller2::connect(gate.address).await;
    assert_eq!(idle2.call(request2("GET", "/x", &key), b"").await.unwrap().status, 200);
    let _silent = gate.caller().await;
    let running = gate.gate.as_ref().unwrap();
    eventually("all are accepted", async || running.connections() == 3).await;
    let took = drain(gate.gate.take().unwrap()).await;
    assert!(took < Duration::from_millis(1500), "{took:?}");
}

#[tokio::test]
async fn what_does_not_finish_in_time_is_cut() {
    let upstream = Upstream::start(|_| Reply::Never).await;
    let mut gate = gate(&upstream, 500);
    let key = gate.key("open").await;
    let mut caller = gate.caller().await;
    caller.send(&request("DELETE", "/x", &key, b"")).await;
    arrived(&upstream, 1).await;
    let took = drain(gate.gate.take().unwrap()).await;
    assert!((500..2000).contains(&took.as_millis()), "{took:?}");
    assert!(caller.answer().await.is_none());
    assert_eq!(
        gate.outcomes().await,
        [Outcome::Unknown],
        "its outcome is on record, and it counts"
    );
    assert_eq!(gate.used(&key).await, 1);
}

/// The caller has gone, so no connection is left to wait for, but the outcome of its write is.
#[tokio::test]
async fn a_write_whose_caller_has_gone_is_waited_for() {
    let (upstream, release) = held().await;
    let mut gate = gate(&upstream, 5000);
    let key = gate.key("open").await;
    let mut caller = gate.caller().await;
    caller.send(&request("DELETE", "/x", &key, b"")).await;
    arrived(&upstream, 1).await;
    drop(caller);
    let draining = tokio::spawn(drain(gate.gate.take().unwrap()));
    let refuses = async || TcpStream::connect(gate.address).await.is_err();
    eventually("nothing listens any more", refuses).await;
    assert!(!draining.is_finished(), "it waits for the outcome");
    release.add_permits(1);
    draining.await.unwrap();
    assert_eq!(gate.outcomes().await, [Outcome::Applied]);
}

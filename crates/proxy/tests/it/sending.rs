//! However long a write waits for its connection, no interval of a window sees more than the quota (P1).

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use keystile_core::journal::Outcome;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::harness::{Answer, Authority, Reply, TestGate, Upstream, api, plan, settings};

/// Takes connections at once and passes them on after some milliseconds: a slow handshake.
async fn slow_to_shake_hands(to: SocketAddr, millis: Arc<AtomicU64>) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        loop {
            let (mut caller, _) = listener.accept().await.unwrap();
            let wait = Duration::from_millis(millis.load(Ordering::SeqCst));
            tokio::spawn(async move {
                tokio::time::sleep(wait).await;
                let mut upstream = TcpStream::connect(to).await.unwrap();
                // Either end may break off.
                let _ = tokio::io::copy_bidirectional(&mut caller, &mut upstream).await;
            });
        }
    });
    port
}

fn begin(gate: &TestGate, key: &str, many: usize) -> JoinSet<Answer> {
    let mut calls = JoinSet::new();
    for _ in 0..many {
        let (address, key) = (gate.address, key.to_owned());
        calls.spawn(async move {
            let mut caller = crate::harness::Caller::connect(address).await;
            caller.call("DELETE", "/x", &key, b"").await
        });
    }
    calls
}

fn statuses(answers: &[Answer]) -> Vec<u16> {
    let mut statuses: Vec<u16> = answers.iter().map(|answer| answer.status).collect();
    statuses.sort_unstable();
    statuses
}

fn most_in_two_seconds(arrivals: &[Instant]) -> usize {
    let mut arrivals = arrivals.to_vec();
    arrivals.sort_unstable();
    let within = |first: &Instant| {
        let in_window =
            |at: &&Instant| *at >= first && at.duration_since(*first) <= Duration::from_secs(2);
        arrivals.iter().filter(in_window).count()
    };
    arrivals.iter().map(within).max().unwrap_or(0)
}

#[tokio::test]
async fn a_slow_handshake_lets_no_more_through_in_any_window_and_locks_nobody() {
    let authority = Authority::new();
    let arrivals = Arc::new(Mutex::new(Vec::new()));
    let log = arrivals.clone();
    let upstream = Upstream::start_tls(authority.acceptor("localhost", &["http/1.1"]), move |_| {
        log.lock().unwrap().push(Instant::now());
        Reply::ok()
    })
    .await;
    let millis = Arc::new(AtomicU64::new(2_500));
    let port = slow_to_shake_hands(upstream.address, millis.clone()).await;
    let mut api = api(&[format!("https://localhost:{port}")]);
    api.upstream.trusted_certificates = Some(authority.file());
    api.upstream.connect_timeout = keystile_core::time::Span::from_secs(10);
    let gate = TestGate::open(vec![api], vec![plan("tight", &["5 per 2 seconds"])], settings());
    let key = gate.key("tight").await;

    let first = begin(&gate, &key, 5);
    tokio::time::sleep(Duration::from_millis(2_200)).await;
    millis.store(300, Ordering::SeqCst);
    // By now the first would have left the window, had they been sent at once.
    let second = begin(&gate, &key, 5).join_all().await;
    let first = first.join_all().await;
    assert_eq!(statuses(&first), [200; 5]);
    assert!(statuses(&second).iter().all(|status| *status == 429), "{:?}", statuses(&second));
    assert_eq!(second[0].refusal().1, "budget_exhausted");
    tokio::time::sleep(Duration::from_millis(2_100)).await;
    let third = begin(&gate, &key, 5).join_all().await;
    assert_eq!(statuses(&third), [200; 5]);

    assert!(most_in_two_seconds(&arrivals.lock().unwrap()) <= 5);
    assert_eq!(gate.events(&key, "key_locked").await, 0, "the caller did not go over");
    let outcomes = gate.outcomes().await;
    assert!(outcomes.iter().all(|outcome| [Outcome::Applied, Outcome::Refused].contains(outcome)));
    // Whoever does go over is locked as ever.
    let over = begin(&gate, &key, 1).join_all().await;
    assert_eq!(over[0].refusal(), (403, "key_locked".to_owned()));
}

#[tokio::test]
async fn a_handshake_that_never_ends_gives_the_write_back_and_locks_nobody() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = silent.local_addr().unwrap().port();
    let mut api = api(&[format!("https://localhost:{port}")]);
    api.upstream.connect_timeout = keystile_core::time::Span::from_secs(1);
    let gate = TestGate::open(vec![api], vec![plan("tight", &["2 per second"])], settings());
    let key = gate.key("tight").await;
    for _ in 0..2 {
        let answers = begin(&gate, &key, 2).join_all().await;
        assert_eq!(statuses(&answers), [502; 2]);
    }
    assert_eq!(gate.outcomes().await, [Outcome::NotSent; 4]);
    assert_eq!(gate.used(&key).await, 0, "given back");
    assert_eq!(gate.events(&key, "key_locked").await, 0);
}

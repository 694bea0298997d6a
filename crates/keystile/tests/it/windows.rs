//! In any interval as long as its window, a budget lets no more pass, also while the server is killed.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use keystile_core::time::Timestamp;

use crate::harness::{Dice, TestServer, pause, wait_until};

const QUOTA: usize = 12;
const WINDOW: Duration = Duration::from_secs(2);
const PLAN: &str = "[plan.open]\nallow = \"bookmarks: *\"\nwrite_budget = \"12 per 2 seconds\"\nnever_lock = true\n";

/// No `QUOTA + 1` of these are within a window.
fn assert_never_over(mut times: Vec<Duration>, slack: Duration) {
    times.sort_unstable();
    for run in times.windows(QUOTA + 1) {
        let length = run[QUOTA].checked_sub(run[0]).unwrap();
        assert!(length + slack >= WINDOW, "P1: {} writes in {length:?}", QUOTA + 1);
    }
}

#[test]
fn no_window_holds_more_than_the_quota_across_kills() {
    let mut server = TestServer::new(PLAN).started();
    let key = server.issue("app", "open");
    let caller = server.caller(&key);
    let (is_over, start) = (AtomicBool::new(false), Instant::now());
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while !is_over.load(Ordering::Relaxed) {
                    if !caller.call("POST", "/a").is_ok_and(|answer| answer.status == 200) {
                        pause(5);
                    }
                }
            });
        }
        let mut dice = Dice(u64::from(std::process::id()));
        while start.elapsed() < Duration::from_secs(9) {
            pause(100 + dice.roll(1_200));
            server.kill();
            server.start();
        }
        // Room comes back: what was used leaves the window.
        let before = server.upstream.writes();
        wait_until("more passes", || server.upstream.writes() >= before + QUOTA);
        is_over.store(true, Ordering::Relaxed);
    });
    let millis = |time: &serde_json::Value| {
        let time: Timestamp = time.as_str().unwrap().parse().unwrap();
        Duration::from_millis(time.0.unsigned_abs())
    };
    let recorded = server
        .journal()
        .iter()
        .filter(|row| row["cost"] == 1)
        .map(|row| millis(&row["time"]))
        .collect();
    assert_never_over(recorded, Duration::ZERO);
    let arrivals: Vec<_> =
        server.upstream.received().iter().map(|write| write.at.duration_since(start)).collect();
    println!("{} writes", arrivals.len());
    assert!(arrivals.len() > 3 * QUOTA);
    // A write arrives a moment after it was counted, the first of a window perhaps later than the last.
    assert_never_over(arrivals, Duration::from_millis(700));
}

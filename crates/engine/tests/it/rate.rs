//! Rate limits that several cores take from at the same time.

use std::sync::atomic::{AtomicI64, Ordering};

use keystile_core::rate::RateState;
use keystile_core::time::Timestamp;

const START: i64 = 1_700_000_000_000;

#[test]
fn many_threads_together_admit_exactly_the_amount_at_once_and_never_more_later() {
    let (state, limits) = (RateState::default(), ["50 per second".parse().unwrap()]);
    let clock = AtomicI64::new(START);
    // Admitted calls, by the time that each saw and by the last time that any had been given.
    let threads: Vec<Vec<(i64, i64)>> = std::thread::scope(|scope| {
        let run = || {
            let mut admitted = Vec::new();
            for turn in 0..20_000 {
                let now = clock.fetch_add(i64::from(turn % 7 == 0), Ordering::SeqCst);
                if state.admit(&limits, Timestamp(now)).is_ok() {
                    admitted.push((now, clock.load(Ordering::SeqCst)));
                }
            }
            admitted
        };
        let spawned: Vec<_> = (0..4).map(|_| scope.spawn(run)).collect();
        spawned.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let mut all = threads.concat();
    all.sort_unstable_by_key(|&(_, answered)| answered);
    // A thread may sleep between its look at the clock and its call, which is counted when it wakes: what is certain is
    // that a call counted between the two.
    for (place, &(_, end)) in all.iter().enumerate() {
        let near = all[..=place].iter().rev().take_while(|&&(_, answered)| answered > end - 900);
        let crowd = near.filter(|&&(seen, _)| seen > end - 900).count();
        assert!(crowd <= 50, "{crowd} in 900 ms");
    }
    let passed = clock.load(Ordering::SeqCst) - START;
    let least = usize::try_from(passed * 50 / 1_100).unwrap();
    assert!(all.len() >= least, "{} in {passed} ms", all.len());

    let (state, at) = (RateState::default(), Timestamp(START));
    let admitted: usize = std::thread::scope(|scope| {
        let burst = || (0..100).filter(|_| state.admit(&limits, at).is_ok()).count();
        let spawned: Vec<_> = (0..8).map(|_| scope.spawn(burst)).collect();
        spawned.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    assert_eq!(admitted, 50);
}

//! Many writes at once, and a budget that holds to the last one.

use std::sync::Barrier;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::harness::{Call, Caller, TestServer, wait_until};

const CALLERS: usize = 500;
const TEN_DELETES: &str = "[plan.open]\nallow = \"bookmarks: *\"\n\
    write_budget = [\"5000 per day\", { quota = \"10 per day\", on = \"bookmarks: DELETE *\" }]\n";

/// What came back.
#[derive(Debug, Default)]
struct Counts {
    passed: AtomicUsize,
    locked: AtomicUsize,
    broken: AtomicUsize,
}

impl Counts {
    fn counts(&self) -> [usize; 3] {
        [&self.passed, &self.locked, &self.broken].map(|count| count.load(Ordering::Relaxed))
    }
}

/// All connect first, and then send at once. `meanwhile` runs while they wait for answers.
fn burst(caller: &Caller, path: &str, meanwhile: impl FnOnce()) -> [usize; 3] {
    let (tally, start) = (Counts::default(), Barrier::new(CALLERS + 1));
    std::thread::scope(|scope| {
        for number in 0..CALLERS {
            let (tally, start) = (&tally, &start);
            scope.spawn(move || {
                let connection = caller.connect();
                start.wait();
                let answer = connection
                    .and_then(|call| call.send(caller, "DELETE", &format!("{path}/{number}")))
                    .and_then(Call::answer);
                let count = match answer.map(|answer| answer.status_and_reason()) {
                    Ok((200, _)) => &tally.passed,
                    Ok((403, reason)) if reason == "key_locked" => &tally.locked,
                    Ok(other) => panic!("{other:?}"),
                    Err(_) => &tally.broken,
                };
                count.fetch_add(1, Ordering::Relaxed);
            });
        }
        start.wait();
        meanwhile();
    });
    tally.counts()
}

#[test]
fn of_500_parallel_deletes_on_a_budget_of_10_exactly_10_arrive_and_the_key_locks_once() {
    let server = TestServer::new(TEN_DELETES).started();
    let key = server.issue("app", "open");
    let counts = burst(&server.caller(&key), "/bookmarks", || {});
    assert_eq!(counts, [10, 490, 0]);
    assert_eq!(server.upstream.writes(), 10);
    assert_eq!(server.events(&key, "key_locked"), 1);
    let journal = server.journal();
    let total = |outcome: &str| -> u64 {
        let rows = journal.iter().filter(|row| row["outcome"] == outcome);
        rows.map(|row| row["count"].as_u64().unwrap()).sum()
    };
    assert_eq!((total("applied"), total("refused")), (10, 490));
    assert_eq!(journal.iter().filter(|row| row["cost"] == 1).count(), 10);
}

#[test]
fn of_500_parallel_deletes_with_kill_9_in_the_middle_at_most_10_arrive() {
    let mut server = TestServer::new(TEN_DELETES).started();
    let key = server.issue("app", "open");
    let caller = server.caller(&key);
    let upstream = server.upstream.clone();
    let [passed, ..] = burst(&caller, "/slow/40", || {
        wait_until("some have arrived", || upstream.writes() > 0);
        server.kill();
    });
    // What was on its way to the upstream still arrives.
    upstream.wait_until_deserted();
    let before = server.upstream.writes();
    assert!((passed..=10).contains(&before));
    server.start();
    assert!(server.journal().iter().all(|row| row["outcome"] != "pending"));
    let [more, locked, broken] = burst(&caller, "/again", || {});
    assert_eq!((more + locked, broken), (CALLERS, 0));
    let counted: Vec<_> = server.journal().into_iter().filter(|row| row["cost"] == 1).collect();
    assert_eq!(counted.len(), 10, "what was under way stays counted");
    assert!(server.upstream.writes() <= 10);
    assert_eq!(server.upstream.writes(), before + more);
    assert_eq!(server.key(&key)["state"], "locked");
    assert_eq!(server.events(&key, "key_locked"), 1);
}

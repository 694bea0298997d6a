//! What was answered before the process was killed is on record after.
//!
//! The parent starts this test binary again as a child that writes as fast as it can and says what it
//! was answered; it kills the child at any moment, opens what is left, and compares.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};
use std::time::Duration;

use keystile_core::budget::Per;
use keystile_core::journal::{Outcome, WriteRecord};
use keystile_core::keys::key::KeyState;
use keystile_core::keys::lock::{Budgets, LockRule};
use keystile_core::policy::PlanSpec;
use tokio::task::JoinSet;

use crate::Store;
use crate::keys::KeyRow;
use crate::sqlite::tests::make::{
    LOCKS, owner, plan, policy, requester, settlement, sharing, write,
};
use crate::sqlite::tests::test_store::{Dice, TestStore, open, wait};

const DIRECTORY: &str = "KEYSTILE_TEST_CRASH_DIRECTORY";
/// The texts of the keys, of which the first locks.
const KEYS: [&[u8]; 2] = [b"locking", b"never"];
const QUOTA: u64 = 150;

fn plans() -> Vec<PlanSpec> {
    let shared: &[(&str, &[&str], Per)] =
        &[("150 per day", &[], Per::Application), ("1000000 per day", &[], Per::Plan)];
    vec![
        plan("locking", &[("150 per day", &[])], LOCKS),
        plan("never", &[("1000000 per day", &[])], LockRule::Never),
        sharing("shared", shared, LOCKS),
    ]
}

/// Writes with several keys at once until it is killed. A line goes out only after its answer came in.
#[test]
fn child_that_is_killed() {
    let Ok(directory) = std::env::var(DIRECTORY) else {
        return;
    };
    let (store, _) = open(directory.as_ref()).unwrap();
    let keys = KEYS.map(|text| store.pepper().hash(text));
    let policy = policy(&plans());
    let say = |line: &str| {
        let mut out = std::io::stdout().lock();
        out.write_all(line.as_bytes()).unwrap();
        out.flush().unwrap();
    };
    wait(async {
        let mut asked = JoinSet::new();
        let ask = |asked: &mut JoinSet<_>, key: usize| {
            let entry = store.keys().find(&keys[key]).unwrap();
            let request = write(&policy, requester(&entry), ("notes", "POST", "/notes"), 1);
            let store: std::sync::Arc<Store> = store.clone();
            asked.spawn(async move { (key, store.reserve(request).await.unwrap()) });
        };
        for place in 0..8 {
            ask(&mut asked, place % 2);
        }
        while let Some(answer) = asked.join_next().await {
            let (key, answer) = answer.unwrap();
            match answer {
                Ok(reserved) => {
                    say(&format!("\nadmitted {key} {}\n", reserved.id.0));
                    if reserved.id.0 % 2 == 0 {
                        store.settle(reserved, settlement(Outcome::Applied));
                    }
                }
                Err(_) => say(&format!("\nlocked {key}\n")),
            }
            ask(&mut asked, key);
        }
    });
}

/// What a child said before it was killed.
#[derive(Default)]
struct Said {
    admitted: [BTreeSet<i64>; 2],
    is_locked: bool,
}

fn run_and_kill(fixture: &TestStore, lines_max: usize, pause: Duration) -> Said {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "sqlite::tests::crash::child_that_is_killed",
            "--nocapture",
            "--test-threads=1",
        ])
        .env(DIRECTORY, fixture.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut said = Said::default();
    let mut heard = 0;
    let lines = BufReader::new(child.stdout.take().unwrap());
    for line in lines.split(b'\n') {
        let line = String::from_utf8(line.unwrap()).unwrap();
        match line.split(' ').collect::<Vec<_>>().as_slice() {
            ["admitted", key, id] => {
                let (key, id): (usize, i64) = (key.parse().unwrap(), id.parse().unwrap());
                assert!(said.admitted[key].insert(id), "the id {id} was given out twice");
                heard += 1;
            }
            ["locked", "0"] => {
                said.is_locked = true;
                heard += 1;
            }
            _ => {}
        }
        if heard == lines_max {
            std::thread::sleep(pause);
            child.kill().unwrap();
            heard += 1;
        }
    }
    assert!(!child.wait().unwrap().success());
    assert!(heard > lines_max, "the child ended by itself");
    said
}

/// What counts of a key's records since its last reset.
fn charged(journal: &[WriteRecord], key: &KeyRow) -> u64 {
    let counts = |record: &&WriteRecord| {
        record.key.as_ref() == Some(&key.id) && record.id.0 > key.counts_after
    };
    journal.iter().filter(counts).map(|record| u64::from(record.cost)).sum()
}

#[test]
fn no_admitted_write_and_no_lock_is_lost_when_the_process_is_killed() {
    let mut fixture = TestStore::new(&plans());
    let keys = [fixture.issue_text("locking", KEYS[0]), fixture.issue_text("never", KEYS[1])];
    let mut dice = Dice(0x2545_F491_4F6C_DD1D);
    let (mut last_id, mut locks, mut left_unknown) = (0, 0, 0);
    for _ in 0..20 {
        fixture.stop();
        let pause = Duration::from_micros(u64::try_from(dice.roll(4_000)).unwrap());
        let said = run_and_kill(&fixture, 1 + dice.roll(160), pause);
        left_unknown += fixture.start().left_unknown;

        let journal = fixture.journal();
        assert!(journal.iter().all(|record| record.outcome != Outcome::Pending));
        let [locking, never] = keys.map(|key| fixture.row(key));
        for (row, admitted) in [(&locking, &said.admitted[0]), (&never, &said.admitted[1])] {
            let on_record: BTreeSet<_> = journal
                .iter()
                .filter(|record| {
                    record.key.as_ref() == Some(&row.id) && record.outcome != Outcome::Refused
                })
                .map(|record| record.id.0)
                .collect();
            assert!(on_record.is_superset(admitted), "an admitted write is not on record");
            assert!(admitted.iter().all(|id| *id > last_id), "an id was given out again");
        }
        last_id = journal.last().unwrap().id.0;

        let charged = charged(&journal, &locking);
        assert!(charged <= QUOTA);
        assert_eq!(fixture.used(keys[0]), [charged]);
        assert_eq!(locking.lock.is_some(), matches!(fixture.state(keys[0]), KeyState::Locked(_)));
        if said.is_locked {
            assert!(locking.lock.is_some(), "the lock is lost");
            assert_eq!(charged, QUOTA);
            locks += 1;
            let entry = fixture.entry(keys[0]);
            fixture
                .change(move |work| {
                    work.reset_budgets(&entry)?;
                    work.unlock_key(&entry, &owner(), "go on")
                })
                .unwrap();
        }
    }
    assert!(locks > 0, "no round came as far as a lock");
    assert!(left_unknown > 0, "no round was killed with writes under way");
    assert_eq!(
        fixture.events_named(keys[0], "key_locked"),
        fixture.events_named(keys[0], "key_unlocked") + usize::from(fixture.is_locked(keys[0]))
    );
}

#[test]
fn a_budget_that_two_keys_share_is_exact_and_their_lock_holds_when_the_process_is_killed() {
    let mut fixture = TestStore::new(&plans());
    let keys = KEYS.map(|text| fixture.issue_to("team", "shared", text));
    let mut dice = Dice(0x9E37_79B9_7F4A_7C15);
    let (mut counts_after, mut locks) = (0, 0);
    for _ in 0..16 {
        fixture.stop();
        let pause = Duration::from_micros(u64::try_from(dice.roll(4_000)).unwrap());
        let said = run_and_kill(&fixture, 1 + dice.roll(200), pause);
        fixture.start();
        let journal = fixture.journal();
        let on_record: BTreeSet<_> = journal
            .iter()
            .filter(|record| record.outcome != Outcome::Refused)
            .map(|record| record.id.0)
            .collect();
        assert!(said.admitted.iter().all(|admitted| on_record.is_superset(admitted)));
        let counting = journal.iter().filter(|record| record.id.0 > counts_after);
        let charged: u64 = counting.map(|record| u64::from(record.cost)).sum();
        let all: u64 = journal.iter().map(|record| u64::from(record.cost)).sum();
        assert!(charged <= QUOTA, "{charged} of both keys");
        assert_eq!(keys.map(|key| fixture.used(key)), [[charged, all], [charged, all]]);
        let is_locked = fixture.application("team").lock.is_some();
        assert_eq!(keys.map(|key| fixture.is_locked(key)), [is_locked, is_locked]);
        if said.is_locked {
            assert!(is_locked, "the lock is lost");
            assert_eq!(charged, QUOTA);
            locks += 1;
            fixture.unlock_application("team", Budgets::Reset);
            counts_after = journal.last().unwrap().id.0;
        }
    }
    assert!(locks > 0, "no round came as far as a lock");
}

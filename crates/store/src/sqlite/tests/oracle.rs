//! Whatever happens in whatever order, the store agrees with a model that just adds up.

use keystile_core::budget::Departure;
use keystile_core::journal::Outcome;
use keystile_core::keys::hash::KeyHash;
use keystile_core::keys::lock::LockRule;
use keystile_core::refusal::Reason;
use proptest::prelude::*;

use crate::reservation::{ReserveAnswer, Reserved};
use crate::sqlite::tests::make::{LOCKS, plan};
use crate::sqlite::tests::test_store::TestStore;

const HOUR: i64 = 3_600_000;

#[derive(Clone, Copy, Debug)]
enum Step {
    Reserve { key: usize, operation: usize, cost: u32 },
    Settle { which: usize, outcome: Outcome },
    Unlock(usize),
    Reset(usize),
    Reopen,
    ReopenLater(i64),
    ReloadPolicy,
}

const OPERATIONS: [(&str, &str, &str); 4] = [
    ("notes", "POST", "/notes"),
    ("notes", "DELETE", "/notes/1"),
    ("drafts", "POST", "/drafts"),
    ("drafts", "DELETE", "/drafts/1"),
];

/// Quota, window in milliseconds, and whether it counts deletions only.
type ModelBudget = (u64, i64, bool);

/// The plans of the first and the second key.
const BUDGETS: [&[ModelBudget]; 2] =
    [&[(12, 24 * HOUR, false), (5, 40 * HOUR, true)], &[(7, 6 * HOUR, false)]];

#[derive(Clone, Copy)]
struct Write {
    time: i64,
    cost: u64,
    is_deletion: bool,
}

#[derive(Default)]
struct Model {
    writes: [Vec<Option<Write>>; 2],
    is_locked: [bool; 2],
    open: Vec<(Box<Reserved>, usize, usize, bool)>,
}

impl Model {
    /// What one budget holds of the writes since a time.
    fn used(&self, key: usize, budget: ModelBudget, since: i64) -> u64 {
        let counts = |write: &&Write| write.time > since && (!budget.2 || write.is_deletion);
        self.writes[key].iter().flatten().filter(counts).map(|write| write.cost).sum()
    }

    /// Whether all budgets have room; `late` is how much longer they may hold what they hold.
    fn has_room(&self, key: usize, write: Write, late: impl Fn(i64) -> i64) -> bool {
        BUDGETS[key].iter().filter(|budget| !budget.2 || write.is_deletion).all(|budget| {
            let since = write.time - budget.1 - late(budget.1);
            self.used(key, *budget, since) + write.cost <= budget.0
        })
    }

    fn check(
        &mut self,
        key: usize,
        write: Write,
        is_draft: bool,
        asked: i64,
        answer: ReserveAnswer,
    ) {
        match answer {
            Ok(reserved) => {
                let write = Write { time: reserved.time.0, ..write };
                assert!(!self.is_locked[key], "a locked key was admitted");
                assert!(
                    self.has_room(key, write, |_| 0),
                    "more than the quota was admitted in a window"
                );
                self.writes[key].push(Some(write));
                self.open.push((reserved, key, self.writes[key].len() - 1, is_draft));
            }
            Err(refused) if self.is_locked[key] => {
                assert_eq!(refused.refusal.reason, Reason::KeyLocked);
            }
            Err(refused) => {
                let write = Write { time: asked, ..write };
                assert!(
                    !self.has_room(key, write, |window| window / 60 + 2),
                    "refused with room left"
                );
                let reason = [Reason::KeyLocked, Reason::BudgetExhausted][key];
                assert_eq!((refused.refusal.reason, refused.is_recorded), (reason, key == 0));
                self.is_locked[key] = key == 0;
            }
        }
    }

    fn settle(&mut self, fixture: &TestStore, which: usize, outcome: Outcome) {
        if self.open.is_empty() {
            return;
        }
        let (reserved, key, place, is_draft) = self.open.swap_remove(which % self.open.len());
        fixture.settle(reserved, outcome);
        if outcome == Outcome::NotSent || (outcome == Outcome::RefusedByUpstream && is_draft) {
            self.writes[key][place] = None;
        }
    }
}

fn fixture() -> (TestStore, [KeyHash; 2]) {
    let deletions: &[&str] = &["*: DELETE *"];
    let fixture = TestStore::new(&[
        plan("two", &[("12 per day", &[]), ("5 per 40 hours", deletions)], LOCKS),
        plan("one", &[("7 per 6 hours", &[])], LockRule::Never),
    ]);
    let keys = [fixture.issue("two"), fixture.issue("one")];
    (fixture, keys)
}

fn step() -> impl Strategy<Value = Step> {
    let outcome = prop_oneof![
        Just(Outcome::Applied),
        Just(Outcome::NotSent),
        Just(Outcome::RefusedByUpstream),
        Just(Outcome::Unknown)
    ];
    prop_oneof![
        24 => (0..2_usize, 0..4_usize, 1..4_u32)
            .prop_map(|(key, operation, cost)| Step::Reserve { key, operation, cost }),
        10 => (any::<usize>(), outcome).prop_map(|(which, outcome)| Step::Settle { which, outcome }),
        2 => (0..2_usize).prop_map(Step::Unlock),
        1 => (0..2_usize).prop_map(Step::Reset),
        1 => Just(Step::Reopen),
        2 => (0..15 * HOUR).prop_map(Step::ReopenLater),
        2 => Just(Step::ReloadPolicy),
    ]
}

fn run(fixture: &mut TestStore, keys: [KeyHash; 2], model: &mut Model, step: Step) {
    match step {
        Step::Reserve { key, operation, cost } => {
            let operation = OPERATIONS[operation];
            let asked = fixture.store().now().0;
            let answer = fixture.ask(keys[key], operation, cost).unwrap();
            let write =
                Write { time: asked, cost: u64::from(cost), is_deletion: operation.1 == "DELETE" };
            model.check(key, write, operation.0 == "drafts", asked, answer);
        }
        Step::Settle { which, outcome } => model.settle(fixture, which, outcome),
        Step::Unlock(key) => {
            fixture.unlock(keys[key]);
            model.is_locked[key] = false;
        }
        Step::Reset(key) => {
            fixture.reset(keys[key]);
            model.writes[key].iter_mut().for_each(|write| *write = None);
        }
        Step::Reopen => {
            let under_way = model.open.drain(..).count();
            assert_eq!(fixture.reopen().left_unknown, under_way);
        }
        Step::ReopenLater(millis) => {
            model.open.clear();
            fixture.reopen_later(millis);
        }
        Step::ReloadPolicy => fixture.reload_policy(),
    }
    for (key, hash) in keys.into_iter().enumerate() {
        assert_eq!(fixture.is_locked(hash), model.is_locked[key]);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_interleaving_agrees_with_a_model(steps in proptest::collection::vec(step(), 1..80)) {
        let (mut fixture, keys) = fixture();
        let mut model = Model::default();
        for step in steps {
            run(&mut fixture, keys, &mut model, step);
        }
        // In the end the counters in memory are those that the journal gives.
        let in_memory = keys.map(|key| fixture.used(key));
        fixture.reopen();
        prop_assert_eq!(keys.map(|key| fixture.used(key)), in_memory);
    }
}

/// In real time, where the counters in memory let go of what leaves the window.
#[test]
fn a_short_window_never_admits_more_and_frees_within_a_sixtieth() {
    let windows = [(6_u64, 1_000), (9, 2_000)];
    let fixture = TestStore::new(&[plan(
        "brief",
        &[("6 per second", &[]), ("9 per 2 seconds", &[])],
        LockRule::Never,
    )]);
    let key = fixture.issue("brief");
    let start = fixture.store().now().0;
    let (mut admitted, mut refused): (Vec<(i64, u64)>, u32) = (Vec::new(), 0);
    let used = |admitted: &[(i64, u64)], since: i64| -> u64 {
        admitted.iter().filter(|(time, _)| *time > since).map(|(_, cost)| cost).sum()
    };
    for turn in 0_u32.. {
        let asked = fixture.store().now().0;
        if asked > start + 4_300 {
            break;
        }
        let cost = 1 + u32::from(turn % 5 == 0);
        if let Ok(reserved) = fixture.ask(key, OPERATIONS[0], cost).unwrap() {
            if turn % 7 == 0 {
                fixture.settle(reserved, Outcome::NotSent);
                continue;
            }
            reserved.departure.note();
            let sent = reserved.departure.began().unwrap().0;
            admitted.push((sent, u64::from(cost)));
            for (quota, window) in windows {
                assert!(used(&admitted, reserved.time.0 - window) <= quota);
            }
        } else {
            refused += 1;
            let is_full = |(quota, window): (u64, i64)| {
                used(&admitted, asked - window - window / 60 - 2) + u64::from(cost) > quota
            };
            assert!(windows.into_iter().any(is_full), "refused with room left");
        }
        std::thread::sleep(std::time::Duration::from_millis(3));
    }
    assert!(
        admitted.len() >= 15 && refused > 100,
        "{} admitted, {refused} refused",
        admitted.len()
    );
}

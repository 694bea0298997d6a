//! Budgets of keys, applications and plans agree with a model that just adds up, whatever becomes of the keys.

use keystile_core::budget::Per;
use keystile_core::journal::Outcome;
use keystile_core::keys::hash::KeyHash;
use keystile_core::keys::lock::Budgets;
use keystile_core::refusal::Reason;
use proptest::prelude::*;

use crate::reservation::Reserved;
use crate::sqlite::tests::make::{LOCKS, sharing};
use crate::sqlite::tests::test_store::{TestStore, wait};

const PLANS: [&str; 2] = ["open", "team"];
const APPLICATIONS: [&str; 2] = ["reader", "writer"];
const OPERATIONS: [(&str, &str, &str); 2] =
    [("notes", "POST", "/notes"), ("notes", "DELETE", "/notes/1")];

/// Quota, whether it counts deletions only, and whose writes count together.
type ModelBudget = (u64, bool, Per);

const BUDGETS: [&[ModelBudget]; 2] = [
    &[(14, false, Per::Plan), (6, false, Per::Key), (9, false, Per::Application)],
    &[(11, false, Per::Application), (4, true, Per::Application), (12, true, Per::Plan)],
];

#[derive(Clone, Copy, Debug)]
enum Step {
    Reserve { key: usize, operation: usize, cost: u32 },
    Settle { which: usize, outcome: Outcome },
    Add { application: usize, plan: usize },
    Roll(usize),
    Revoke(usize),
    PutKey { key: usize, plan: usize },
    PutApplication { application: usize, plan: usize },
    Unlock(usize),
    UnlockApplication { application: usize, budgets: Budgets },
    Reopen,
    ReloadPolicy,
}

struct ModelKey {
    hash: KeyHash,
    application: usize,
    plan: usize,
    is_locked: bool,
    has_ended: bool,
}

#[derive(Clone, Copy)]
struct Write {
    key: usize,
    plan: usize,
    cost: u64,
    is_deletion: bool,
}

#[derive(Clone, Copy, Default)]
struct ModelApplication {
    plan: usize,
    is_locked: bool,
    /// Writes before this one no longer count in what its keys share.
    counts_from: usize,
}

#[derive(Default)]
struct Model {
    keys: Vec<ModelKey>,
    applications: [ModelApplication; 2],
    writes: Vec<Option<Write>>,
    open: Vec<(Box<Reserved>, usize)>,
}

impl Model {
    /// What a budget of a plan holds for a key on it.
    fn used(&self, key: usize, plan: usize, (_, only_deletions, per): ModelBudget) -> u64 {
        let application = self.keys[key].application;
        let shared_from = self.applications[application].counts_from;
        let counts = |place: usize, write: &Write| match per {
            Per::Key => write.key == key,
            Per::Plan => write.plan == plan,
            Per::Application => {
                place >= shared_from && self.keys[write.key].application == application
            }
        };
        let writes = self.writes.iter().enumerate();
        let counted = writes.filter_map(|(place, write)| Some((place, write.as_ref()?)));
        let counted = counted.filter(|(place, write)| {
            (!only_deletions || write.is_deletion) && counts(*place, write)
        });
        counted.map(|(_, write)| write.cost).sum()
    }

    /// Whose budget has no room for a write, the narrowest first.
    fn over(&self, write: Write) -> Option<Per> {
        let counting = BUDGETS[write.plan].iter().filter(|budget| !budget.1 || write.is_deletion);
        let full = counting
            .filter(|budget| self.used(write.key, write.plan, **budget) + write.cost > budget.0);
        full.map(|budget| budget.2).min_by_key(|per| *per as usize)
    }

    fn is_locked(&self, key: usize) -> bool {
        let key = &self.keys[key];
        key.is_locked || self.applications[key.application].is_locked
    }

    fn reserve(&mut self, fixture: &TestStore, key: usize, operation: usize, cost: u32) {
        let operation = OPERATIONS[operation];
        let answer = fixture.ask(self.keys[key].hash, operation, cost).unwrap();
        let plan = self.keys[key].plan;
        let write =
            Write { key, plan, cost: u64::from(cost), is_deletion: operation.1 == "DELETE" };
        let over = if self.is_locked(key) { None } else { self.over(write) };
        match answer {
            Ok(reserved) => {
                assert!(!self.is_locked(key) && over.is_none(), "admitted past {over:?}");
                self.writes.push(Some(write));
                self.open.push((reserved, self.writes.len() - 1));
            }
            Err(refused) => {
                assert_eq!(refused.refusal.reason, Reason::KeyLocked);
                assert!(self.is_locked(key) || over.is_some(), "refused with room left");
                match over {
                    Some(Per::Key) => self.keys[key].is_locked = true,
                    Some(Per::Application | Per::Plan) => {
                        self.applications[self.keys[key].application].is_locked = true;
                    }
                    None => {}
                }
            }
        }
    }

    fn add(&mut self, hash: KeyHash, application: usize, plan: usize, is_locked: bool) {
        self.keys.push(ModelKey { hash, application, plan, is_locked, has_ended: false });
    }

    /// A key that has not ended, where there is one.
    fn live(&self, which: usize) -> Option<usize> {
        let live: Vec<_> = (0..self.keys.len()).filter(|key| !self.keys[*key].has_ended).collect();
        (!live.is_empty()).then(|| live[which % live.len()])
    }

    fn compare(&self, fixture: &TestStore) {
        for (place, key) in self.keys.iter().enumerate().filter(|(_, key)| !key.has_ended) {
            assert_eq!(fixture.is_locked(key.hash), self.is_locked(place));
            let used: Vec<_> = BUDGETS[key.plan]
                .iter()
                .map(|budget| self.used(place, key.plan, *budget))
                .collect();
            assert_eq!(fixture.used(key.hash), used, "of key {place} on {}", PLANS[key.plan]);
        }
    }
}

fn run(fixture: &mut TestStore, model: &mut Model, step: Step) {
    match step {
        Step::Reserve { key, operation, cost } => {
            if let Some(key) = model.live(key) {
                model.reserve(fixture, key, operation, cost);
            }
        }
        Step::Settle { which, outcome } => {
            if !model.open.is_empty() {
                let (reserved, place) = model.open.swap_remove(which % model.open.len());
                fixture.settle(reserved, outcome);
                if outcome == Outcome::NotSent {
                    model.writes[place] = None;
                }
            }
        }
        Step::Add { application, plan } => {
            let hash = fixture.issue_for(APPLICATIONS[application], PLANS[plan]);
            model.add(hash, application, plan, false);
        }
        Step::Unlock(key) => {
            if let Some(key) = model.live(key) {
                fixture.unlock(model.keys[key].hash);
                model.keys[key].is_locked = false;
            }
        }
        Step::UnlockApplication { application, budgets } => {
            fixture.unlock_application(APPLICATIONS[application], budgets);
            model.applications[application].is_locked = false;
            if budgets == Budgets::Reset {
                model.applications[application].counts_from = model.writes.len();
            }
        }
        Step::Reopen => {
            model.open.clear();
            fixture.reopen();
        }
        Step::ReloadPolicy => fixture.reload_policy(),
        Step::Roll(_) | Step::Revoke(_) | Step::PutKey { .. } | Step::PutApplication { .. } => {
            change_keys(fixture, model, step);
        }
    }
}

/// What becomes of keys: the part that must make no room.
fn change_keys(fixture: &TestStore, model: &mut Model, step: Step) {
    match step {
        Step::Roll(key) => {
            if let Some(key) = model.live(key) {
                let hash = fixture.roll(model.keys[key].hash);
                let ModelKey { application, plan, is_locked, .. } = model.keys[key];
                model.keys[key].has_ended = true;
                model.add(hash, application, plan, is_locked);
            }
        }
        Step::Revoke(key) => {
            if let Some(key) = model.live(key) {
                let edit = TestStore::edit(model.keys[key].hash);
                wait(fixture.store().revoke_key(edit)).unwrap();
                model.keys[key].has_ended = true;
            }
        }
        Step::PutKey { key, plan } => {
            if let Some(key) = model.live(key) {
                fixture.put_on(model.keys[key].hash, PLANS[plan]);
                model.keys[key].plan = plan;
            }
        }
        Step::PutApplication { application, plan } => {
            fixture.put_application_on(APPLICATIONS[application], PLANS[plan]);
            let before = model.applications[application].plan;
            for key in model.keys.iter_mut().filter(|key| key.application == application) {
                if key.plan == before {
                    key.plan = plan;
                }
            }
            model.applications[application].plan = plan;
        }
        Step::Reserve { .. }
        | Step::Settle { .. }
        | Step::Add { .. }
        | Step::Unlock(_)
        | Step::UnlockApplication { .. }
        | Step::Reopen
        | Step::ReloadPolicy => unreachable!("it changes no key"),
    }
}

fn step() -> impl Strategy<Value = Step> {
    let outcome =
        prop_oneof![Just(Outcome::Applied), Just(Outcome::NotSent), Just(Outcome::Unknown)];
    let budgets = prop_oneof![2 => Just(Budgets::Keep), 1 => Just(Budgets::Reset)];
    let (one, any) = (|| 0..2_usize, any::<usize>);
    prop_oneof![
        30 => (any(), one(), 1..3_u32)
            .prop_map(|(key, operation, cost)| Step::Reserve { key, operation, cost }),
        10 => (any(), outcome).prop_map(|(which, outcome)| Step::Settle { which, outcome }),
        2 => (one(), one()).prop_map(|(application, plan)| Step::Add { application, plan }),
        2 => any().prop_map(Step::Roll),
        1 => any().prop_map(Step::Revoke),
        3 => (any(), one()).prop_map(|(key, plan)| Step::PutKey { key, plan }),
        2 => (one(), one())
            .prop_map(|(application, plan)| Step::PutApplication { application, plan }),
        3 => any().prop_map(Step::Unlock),
        4 => (one(), budgets).prop_map(|(application, budgets)| {
            Step::UnlockApplication { application, budgets }
        }),
        2 => Just(Step::Reopen),
        2 => Just(Step::ReloadPolicy),
    ]
}

fn fixture() -> (TestStore, Model) {
    let deletions: &[&str] = &["*: DELETE *"];
    let plans = PLANS.iter().zip(BUDGETS).map(|(name, budgets)| {
        let quotas: Vec<_> =
            budgets.iter().map(|(amount, ..)| format!("{amount} per day")).collect();
        let budgets = budgets.iter().zip(&quotas).map(|((_, only_deletions, per), quota)| {
            (quota.as_str(), if *only_deletions { deletions } else { &[] }, *per)
        });
        sharing(name, &budgets.collect::<Vec<_>>(), LOCKS)
    });
    let fixture = TestStore::new(&plans.collect::<Vec<_>>());
    let mut model = Model::default();
    for (application, plan) in [(0, 0), (1, 1), (0, 0), (1, 0)] {
        let hash = fixture.issue_for(APPLICATIONS[application], PLANS[plan]);
        if model.keys.iter().all(|key| key.application != application) {
            model.applications[application].plan = plan;
        }
        model.add(hash, application, plan, false);
    }
    (fixture, model)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn shared_budgets_agree_with_a_model(steps in proptest::collection::vec(step(), 1..120)) {
        let (mut fixture, mut model) = fixture();
        for step in steps {
            run(&mut fixture, &mut model, step);
            model.compare(&fixture);
        }
        // In the end the accounts in memory are those that the journal gives.
        fixture.reopen();
        model.compare(&fixture);
    }
}

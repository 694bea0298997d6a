//! The lock of an application that went over a budget which its keys share: one, for all of them, and told once.

use std::sync::Arc;

use jiff::tz::TimeZone;
use keystile_core::budget::Per;
use keystile_core::keys::lock::{Budgets, LockLevel, LockRule, LockUntil};
use keystile_core::notifications::channel::{Audience, ChannelRule, ChannelSettings, ChannelSpec};
use keystile_core::notifications::trigger::Trigger;
use keystile_core::notifications::watch::{WatchRule, WatchRules};
use keystile_core::policy::api::Mode;
use keystile_core::policy::{PlanSpec, Policy};
use keystile_core::refusal::Reason;
use keystile_core::version::Expected;
use keystile_engine::admission::relayed::RelayedWrite;
use keystile_engine::keys::application_lock::UnlockApplication;
use keystile_engine::keys::create::CreateKeys;
use keystile_engine::notifications::claimed::ClaimedDelivery;
use keystile_store::key_cache::KeyEntry;
use keystile_store::keys::KeyRef;

use crate::admission;
use crate::test_engine::{TestEngine, address, settings, shell, wait};

/// The keys of an application share ten writes a day, on which a rule waits for half of them.
fn fixture() -> TestEngine {
    let fixture = TestEngine::new();
    let keyless = admission::policy(Mode::Enforce, "10 per day");
    let anybody = keyless.plan("anybody").unwrap().spec().clone();
    let mut budgets = anybody.write_budgets.clone();
    budgets[0].per = Per::Application;
    let team = PlanSpec {
        name: "team".to_owned(),
        is_keyless: false,
        write_budgets: budgets,
        lock: LockRule::Lock { level: LockLevel::Writes, until: LockUntil::Unlocked },
        ..anybody
    };
    let apis = keyless.apis().iter().map(|api| api.spec().clone()).collect();
    fixture.engine().replace_policy(Policy::new(apis, vec![team], TimeZone::UTC), settings());
    let channel = ChannelRule {
        name: "ops".to_owned(),
        spec: ChannelSpec::new(
            "webhook",
            "https://hooks.example.org".to_owned(),
            Audience::One,
            ChannelSettings::default(),
        ),
        per_hour_max: 60,
        allowed_networks: Vec::new(),
    };
    let tell = || vec!["ops".to_owned()];
    let half =
        WatchRule { levels: vec![50], ..WatchRule::new("half", Trigger::BudgetLevel, tell()) };
    let opened = WatchRule::new("opened", Trigger::KeyUnlocked, tell());
    let watching = WatchRules::new(vec![half, opened], vec![channel], TimeZone::UTC);
    fixture.engine().store().set_watching(Arc::new(watching));
    fixture
}

fn keys(fixture: &TestEngine) -> Vec<Arc<KeyEntry>> {
    let (application, plan) = ("reader".to_owned(), Some("team".to_owned()));
    let issued = fixture.execute(&shell(), CreateKeys { application, plan, count: 10 }).unwrap();
    let store = fixture.engine().store();
    let entry = |id: String| {
        let row = wait(store.key(KeyRef::Named(id))).unwrap();
        store.keys().find(&row.hash).unwrap()
    };
    issued.into_iter().map(|key| entry(key.id)).collect()
}

fn write(fixture: &TestEngine, key: &Arc<KeyEntry>) -> Result<(), Reason> {
    let (key, address) = (key.clone(), address());
    let write = RelayedWrite { api: "notes", key, operation: "post", cost: 1, address };
    let engine = fixture.engine();
    wait(engine.reserve_relayed(write)).map(|reserved| reserved.unwrap().hand_over(engine))
}

fn claimed(fixture: &TestEngine, trigger: Trigger) -> Vec<ClaimedDelivery> {
    let engine = fixture.engine();
    wait(engine.run_maintenance());
    let all = wait(engine.claim_deliveries("ops", 50));
    all.into_iter().filter(|one| one.notice.trigger == trigger).collect()
}

#[test]
fn ten_keys_that_are_locked_together_are_one_message_whose_link_unlocks_all_of_them() {
    let fixture = fixture();
    let keys = keys(&fixture);
    for key in &keys {
        write(&fixture, key).unwrap();
    }
    for key in &keys {
        assert_eq!(write(&fixture, key), Err(Reason::KeyLocked));
    }
    let told = claimed(&fixture, Trigger::KeyLocked);
    assert_eq!(told.len(), 1, "{told:?}");
    let notice = &told[0].notice;
    let application = notice.application.as_ref().unwrap();
    assert_eq!((application.name.as_str(), notice.budget.as_ref().unwrap().used), ("reader", 10));
    let unlock = format!("https://console.example.org/applications/{}/unlock", application.id);
    assert_eq!(told[0].links.unlock.as_ref(), Some(&unlock));
    let kinds = fixture.event_kinds();
    let count = |name: &str| kinds.iter().filter(|kind| *kind == name).count();
    assert_eq!((count("application_locked"), count("key_locked")), (1, 0));
    assert_eq!(count("budget_level_reached"), 1, "one level, whoever's write reached it");

    let (application, expected) = (application.id.clone(), Expected::Any);
    let unlock = UnlockApplication { application, budgets: Budgets::Reset, expected };
    let done = fixture.execute(&shell(), unlock).unwrap().done;
    assert!(done.starts_with("Unlocked reader, and with it all of its keys"), "{done}");
    for key in &keys {
        write(&fixture, key).unwrap();
    }
    let kinds = fixture.event_kinds();
    assert_eq!(kinds.iter().filter(|kind| *kind == "application_unlocked").count(), 1);
}

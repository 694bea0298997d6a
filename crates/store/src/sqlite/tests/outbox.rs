//! What is to be told is in the outbox exactly when it is true, and comes to one end.

use std::sync::Arc;

use jiff::tz::TimeZone;
use keystile_core::actor::Actor;
use keystile_core::keys::lock::{Lock, LockLevel, LockTarget};
use keystile_core::notifications::channel::{Audience, ChannelRule, ChannelSettings, ChannelSpec};
use keystile_core::notifications::delivery::{AttemptOutcome, DeliveryState, TRIED_FOR};
use keystile_core::notifications::subscription::SubscriptionId;
use keystile_core::notifications::trigger::Trigger;
use keystile_core::notifications::watch::{WatchRule, WatchRules};
use keystile_core::owners::secret::PasswordHash;
use uuid::Uuid;

use crate::deliveries::{DeliveryQuery, DeliveryRow};
use crate::error::Error;
use crate::owners::NewCredential;
use crate::owners::devices::NewSubscription;
use crate::sqlite::notifications::outbox;
use crate::sqlite::tests::make::{LOCKS, owner, plan};
use crate::sqlite::tests::test_store::{TestStore, wait};

pub(crate) fn channel(name: &str, kind: &'static str, audience: Audience) -> ChannelRule {
    let allowed_networks = Vec::new();
    let spec = ChannelSpec::new(kind, String::new(), audience, ChannelSettings::default());
    ChannelRule { name: name.to_owned(), spec, per_hour_max: 60, allowed_networks }
}

pub(crate) fn hook(name: &str) -> ChannelRule {
    channel(name, "webhook", Audience::One)
}

/// Rules in force on two webhooks, `one` and `two`.
pub(crate) fn watch(fixture: &TestStore, rules: Vec<WatchRule>) {
    watch_on(fixture, rules, vec![hook("one"), hook("two")]);
}

pub(crate) fn watch_on(fixture: &TestStore, rules: Vec<WatchRule>, channels: Vec<ChannelRule>) {
    fixture.store().set_watching(Arc::new(WatchRules::new(rules, channels, TimeZone::UTC)));
    let from = fixture.store().watch_from();
    if fixture.store().watching().watches_writes() {
        fixture.change(move |work| work.begin_watching(from)).unwrap();
    }
}

pub(crate) fn on(channel: &str) -> Vec<String> {
    vec![channel.to_owned()]
}

/// All deliveries, earliest first.
pub(crate) fn deliveries(fixture: &TestStore) -> Vec<DeliveryRow> {
    let query = DeliveryQuery { limit: u32::MAX, ..DeliveryQuery::default() };
    let mut found = fixture.store().read(|read| outbox::list(read, &query)).unwrap();
    found.reverse();
    found
}

fn claim(fixture: &TestStore, channel: &'static str) -> Vec<DeliveryRow> {
    fixture.change(move |work| work.claim_deliveries(channel, 10)).unwrap()
}

fn record(fixture: &TestStore, claimed: &DeliveryRow, outcome: AttemptOutcome) -> DeliveryState {
    let (id, claim) = (claimed.id, claimed.attempts);
    fixture.change(move |work| work.record_attempt(id, claim, &outcome, 5, 7)).unwrap()
}

fn sent() -> AttemptOutcome {
    AttemptOutcome::Sent { said: "250 ok".to_owned() }
}

fn later() -> AttemptOutcome {
    AttemptOutcome::Later { said: "451 try later".to_owned(), retry_after: None }
}

fn lock(fixture: &TestStore) -> Lock {
    Lock {
        level: LockLevel::Writes,
        reason: "seen to".to_owned(),
        actor: owner(),
        since: fixture.store().now(),
        until: None,
        evidence: None,
        on: LockTarget::Key,
    }
}

#[test]
fn a_lock_is_told_once_on_every_channel() {
    let fixture = TestStore::new(&[plan("open", &[("3 per day", &[])], LOCKS)]);
    watch(&fixture, Vec::new());
    let key = fixture.issue("open");
    fixture.reserve_many(key, 3);
    for _ in 0..5 {
        fixture.reserve(key).unwrap_err();
    }
    let told = deliveries(&fixture);
    let channels: Vec<_> = told.iter().map(|delivery| delivery.channel.as_str()).collect();
    assert_eq!(channels, ["one", "two"]);
    let notice = &told[0].notice;
    assert_eq!(notice.trigger, Trigger::KeyLocked);
    let budget = notice.budget.as_ref().unwrap();
    assert_eq!((budget.used, budget.amount), (3, 3));
    assert_eq!(notice.key.as_ref().unwrap().application, "open");
    fixture.unlock(key);
    assert_eq!(deliveries(&fixture).len(), 2, "an unlock is told only where a rule says so");
    let (entry, lock) = (fixture.entry(key), lock(&fixture));
    fixture.change(move |work| work.lock_key(&entry, lock).map(|_| ())).unwrap();
    assert_eq!(deliveries(&fixture).len(), 4, "the next lock is told as well");
}

#[test]
fn what_did_not_come_true_is_not_told() {
    let fixture = TestStore::new(&[plan("open", &[], LOCKS)]);
    watch(&fixture, Vec::new());
    let (entry, lock) = (fixture.entry(fixture.issue("open")), lock(&fixture));
    let failed: Result<(), Error> = fixture.change(move |work| {
        work.lock_key(&entry, lock)?;
        Err(Error::Unavailable)
    });
    assert!(failed.is_err());
    assert!(deliveries(&fixture).is_empty());
}

#[test]
fn a_crash_between_claim_and_record_repeats_once_under_the_same_id() {
    let mut fixture = TestStore::new(&[plan("open", &[("1 per day", &[])], LOCKS)]);
    watch_on(&fixture, Vec::new(), vec![hook("one")]);
    let key = fixture.issue("open");
    fixture.reserve_many(key, 1);
    fixture.reserve(key).unwrap_err();
    let first = claim(&fixture, "one").remove(0);
    assert!(claim(&fixture, "one").is_empty(), "it is claimed");
    // The message has gone out; nobody could write that down.
    fixture.reopen();
    let second = claim(&fixture, "one").remove(0);
    assert_eq!((second.id, second.attempts), (first.id, 2));
    assert_eq!(record(&fixture, &second, sent()), DeliveryState::Sent);
    fixture.reopen();
    assert!(claim(&fixture, "one").is_empty());
    // One who comes back late changes nothing.
    assert_eq!(record(&fixture, &first, later()), DeliveryState::Sent);
    assert_eq!(deliveries(&fixture).len(), 1);
}

#[test]
fn a_claim_that_nobody_comes_back_to_is_free_again() {
    let mut fixture = TestStore::new(&[plan("open", &[], LOCKS)]);
    watch_on(&fixture, Vec::new(), vec![hook("one")]);
    let (entry, lock) = (fixture.entry(fixture.issue("open")), lock(&fixture));
    fixture.change(move |work| work.lock_key(&entry, lock).map(|_| ())).unwrap();
    let held = claim(&fixture, "one").remove(0);
    assert!(
        fixture
            .store()
            .read(|read| outbox::due_channels(read, fixture.store().now()))
            .unwrap()
            .is_empty()
    );
    fixture.reopen_later(crate::deliveries::LEASE.millis() + 1);
    let again = claim(&fixture, "one").remove(0);
    assert_eq!(record(&fixture, &held, later()), DeliveryState::Sending, "not its claim any more");
    assert_eq!(record(&fixture, &again, sent()), DeliveryState::Sent);
}

#[test]
fn what_is_not_delivered_in_three_days_is_told_on_the_other_channels_and_can_be_sent_again() {
    let mut fixture = TestStore::new(&[plan("open", &[], LOCKS)]);
    let only_one = WatchRule::new("locks", Trigger::KeyLocked, on("one"));
    watch(&fixture, vec![only_one.clone()]);
    let (entry, lock) = (fixture.entry(fixture.issue("open")), lock(&fixture));
    fixture.change(move |work| work.lock_key(&entry, lock).map(|_| ())).unwrap();
    let held = claim(&fixture, "one").remove(0);
    assert_eq!(record(&fixture, &held, later()), DeliveryState::Waiting);
    assert!(claim(&fixture, "one").is_empty(), "it waits");
    fixture.reopen_later(TRIED_FOR.millis());
    watch(&fixture, vec![only_one]);
    let last = claim(&fixture, "one").remove(0);
    assert_eq!(record(&fixture, &last, later()), DeliveryState::Failed);
    let told = deliveries(&fixture);
    let other = told.last().unwrap();
    assert_eq!(
        (told.len(), other.channel.as_str(), other.kind),
        (2, "two", Trigger::DeliveryFailed)
    );
    assert!(other.notice.detail.contains("451 try later"), "{}", other.notice.detail);
    // Were the other one dead too, that is the end of it.
    let other = claim(&fixture, "two").remove(0);
    let never = AttemptOutcome::Never { said: "no".to_owned() };
    assert_eq!(record(&fixture, &other, never), DeliveryState::Failed);
    assert_eq!(deliveries(&fixture).len(), 2);

    let id = held.id;
    fixture.change(move |work| work.resend_delivery(id)).unwrap();
    let again = claim(&fixture, "one").remove(0);
    assert_eq!(again.id, id);
    assert_eq!(record(&fixture, &again, sent()), DeliveryState::Sent);
    fixture.change(move |work| work.resend_delivery(id)).unwrap_err();
    assert_eq!(fixture.store().read(|read| outbox::attempts(read, again.row)).unwrap().len(), 3);
}

#[test]
fn a_channel_that_is_gone_is_off_until_a_test_arrives() {
    let fixture = TestStore::new(&[plan("open", &[], LOCKS)]);
    watch(&fixture, Vec::new());
    let lock_another = || {
        let (entry, lock) = (fixture.entry(fixture.issue("open")), lock(&fixture));
        fixture.change(move |work| work.lock_key(&entry, lock).map(|_| ())).unwrap();
    };
    lock_another();
    let held = claim(&fixture, "one").remove(0);
    let gone = AttemptOutcome::Gone { said: "410 Gone".to_owned() };
    assert_eq!(record(&fixture, &held, gone), DeliveryState::Failed);
    lock_another();
    let on_one = |fixture: &TestStore| {
        let told = deliveries(fixture);
        told.into_iter().filter(|delivery| delivery.channel == "one").collect::<Vec<_>>()
    };
    let hopeless = on_one(&fixture).pop().unwrap();
    assert_eq!(hopeless.state, DeliveryState::Failed);
    assert!(hopeless.last_said.unwrap().contains("410 Gone"));
    fixture.change(|work| work.test_channel(&hook("one"), None).map(drop)).unwrap();
    let test = claim(&fixture, "one").remove(0);
    record(&fixture, &test, sent());
    lock_another();
    assert_eq!(on_one(&fixture).pop().unwrap().state, DeliveryState::Waiting);
}

#[test]
fn each_receiver_has_a_delivery_and_a_device_that_is_gone_is_forgotten() {
    let fixture = TestStore::new(&[plan("open", &[], LOCKS)]);
    let to = vec!["a@example.org".to_owned(), "b@example.org".to_owned()];
    let mail = channel("mail", "email", Audience::Addresses(to));
    let phone = channel("phone", "web_push", Audience::Devices);
    watch_on(&fixture, Vec::new(), vec![mail, phone]);
    let lock_another = || {
        let (entry, lock) = (fixture.entry(fixture.issue("open")), lock(&fixture));
        fixture.change(move |work| work.lock_key(&entry, lock).map(|_| ())).unwrap();
    };
    lock_another();
    let told = deliveries(&fixture);
    assert_eq!(told.len(), 3);
    assert_eq!(told[1].receiver.as_deref(), Some("b@example.org"));
    assert_eq!(told[2].state, DeliveryState::Failed, "no device, which is to be seen");

    let credential = NewCredential::Password(PasswordHash::new("$argon2id$x".to_owned()));
    let ada = crate::sqlite::tests::owner::claim(&fixture, "ada", credential).unwrap();
    let device = NewSubscription {
        id: SubscriptionId::new(Uuid::now_v7()),
        owner: ada.id,
        push_address: "https://push.example.org/1".to_owned(),
        p256dh: "p".to_owned(),
        auth: "a".to_owned(),
        label: "ada's phone".to_owned(),
    };
    // The same browser again.
    let again = NewSubscription { id: SubscriptionId::new(Uuid::now_v7()), ..device.clone() };
    for one in [device, again] {
        wait(fixture.store().subscribe_device(one, Actor::System)).unwrap();
    }
    assert_eq!(wait(fixture.store().devices()).unwrap().len(), 1);
    lock_another();
    let push = claim(&fixture, "phone").remove(0);
    record(&fixture, &push, AttemptOutcome::Gone { said: "410".to_owned() });
    assert!(wait(fixture.store().devices()).unwrap().is_empty());
}

#[test]
fn a_level_of_a_budget_is_told_once_per_window() {
    let mut fixture = TestStore::new(&[plan("open", &[("10 per day", &[])], LOCKS)]);
    let levels = vec![50, 80];
    let rule = WatchRule { levels, ..WatchRule::new("near", Trigger::BudgetLevel, on("one")) };
    let nobody = |trigger| WatchRule::new("none", trigger, Vec::new());
    let rules = vec![
        WatchRule { window: keystile_core::time::Span::from_secs(1), ..rule },
        nobody(Trigger::KeyLocked),
    ];
    watch(&fixture, rules.clone());
    let key = fixture.issue("open");
    fixture.reserve_many(key, 5);
    let told = deliveries(&fixture);
    assert_eq!(told.len(), 1);
    let budget = told[0].notice.budget.clone().unwrap();
    assert_eq!((budget.level, budget.used, budget.amount), (Some(50), 5, 10));
    // Given back and used again: the level was told.
    let reserved = fixture.reserve(key).unwrap();
    fixture.settle(reserved, keystile_core::journal::Outcome::NotSent);
    fixture.reserve_many(key, 1);
    assert_eq!(fixture.events_named(key, "budget_level_reached"), 1);
    fixture.reserve_many(key, 2);
    assert_eq!(fixture.events_named(key, "budget_level_reached"), 2, "80 % is another level");
    fixture.reopen_later(86_400_000 + 3_600_000);
    watch(&fixture, rules);
    fixture.reserve_many(key, 5);
    assert_eq!(fixture.events_named(key, "budget_level_reached"), 3, "another window");
}

//! What owners are told, and what a link in it can do.

use std::sync::Arc;

use keystile_core::actor::Actor;
use keystile_core::keys::key::KeyId;
use keystile_core::keys::lock::{Budgets, LockLevel};
use keystile_core::notifications::channel::{Audience, ChannelRule, ChannelSettings, ChannelSpec};
use keystile_core::notifications::delivery::{AttemptOutcome, DeliveryState};
use keystile_core::notifications::trigger::Trigger;
use keystile_core::notifications::watch::{WatchRule, WatchRules};
use keystile_core::owners::principal::Principal;
use keystile_core::version::Expected;
use keystile_engine::checks::Checks;
use keystile_engine::command::Failure;
use keystile_engine::findings::ListChannelFindings;
use keystile_engine::keys::create::CreateKeys;
use keystile_engine::keys::edit::RevokeKey;
use keystile_engine::keys::key::{KeyView, ShowKey};
use keystile_engine::keys::lock::{LockKey, UnlockKey};
use keystile_engine::notifications::action_link::{ACTION_PATH, Act};
use keystile_engine::notifications::claimed::{ClaimedDelivery, Receiver};
use keystile_engine::notifications::delivery::{
    DeliveryFilter, ListChannels, ListDeliveries, ResendDelivery, ShowDelivery, TestChannel,
};
use keystile_engine::notifications::stop_digests::{ResumeDigests, STOP_PATH};
use uuid::Uuid;

use crate::test_engine::{TestEngine, shell, wait};

const DAY: i64 = 86_400_000;

fn key(fixture: &TestEngine) -> KeyView {
    let command =
        CreateKeys { application: "scraper".to_owned(), plan: Some("open".to_owned()), count: 1 };
    let keys = fixture.execute(&shell(), command).unwrap();
    view(fixture, &keys[0].id)
}

fn view(fixture: &TestEngine, id: &str) -> KeyView {
    fixture.execute(&shell(), ShowKey { key: id.to_owned() }).unwrap().key
}

fn carry_out<C: keystile_engine::command::Command>(
    fixture: &TestEngine,
    command: C,
) -> Result<C::Answer, Failure> {
    let principal = Principal::CommandLine { account: "owner".to_owned() };
    wait(fixture.engine().execute(&principal, command))
}

/// A token for a key, as a message would carry it.
fn token(fixture: &TestEngine, key: &KeyView) -> String {
    let id: KeyId = key.id.parse().unwrap();
    let engine = fixture.engine();
    let url = engine.action_link(Act::Lock, id, engine.store().now(), Uuid::now_v7());
    let start = format!("https://console.example.org{ACTION_PATH}");
    url.strip_prefix(&start).unwrap().to_owned()
}

fn unlock(fixture: &TestEngine, key: &KeyView) {
    let (key, expected) = (key.id.clone(), Expected::Any);
    fixture.execute(&shell(), UnlockKey { key, budgets: Budgets::Keep, expected }).unwrap();
}

#[test]
fn a_link_locks_its_key_once_and_says_who_it_was() {
    let fixture = TestEngine::new();
    let key = key(&fixture);
    let token = token(&fixture, &key);
    let engine = fixture.engine();
    for _ in 0..5 {
        wait(engine.look_at_action(&token)).unwrap();
    }
    assert_eq!(view(&fixture, &key.id).state, "active", "whoever looks changes nothing");
    let done = wait(engine.use_action(&token)).unwrap();
    assert_eq!(done.key.state, "locked");
    let lock = view(&fixture, &key.id).lock.unwrap();
    assert!(matches!(lock.actor, Actor::Link(_)), "{:?}", lock.actor);
    unlock(&fixture, &key);
    let again = wait(engine.use_action(&token)).unwrap_err();
    assert!(again.message.contains("has been used"), "{}", again.message);
    assert!(wait(engine.look_at_action(&token)).is_err());
    assert_eq!(view(&fixture, &key.id).state, "active", "a replay locks nothing");
}

#[test]
fn of_many_who_use_a_link_at_once_one_acts() {
    let fixture = TestEngine::new();
    let key = key(&fixture);
    let token = token(&fixture, &key);
    let engine = fixture.engine().clone();
    let acted = wait(async {
        let mut uses = tokio::task::JoinSet::new();
        for _ in 0..50 {
            let (engine, token) = (engine.clone(), token.clone());
            uses.spawn(async move { engine.use_action(&token).await.is_ok() });
        }
        uses.join_all().await
    });
    assert_eq!(acted.into_iter().filter(|acted| *acted).count(), 1);
}

#[test]
fn a_link_that_is_changed_cut_expired_or_of_another_store_is_refused_and_on_record() {
    let mut fixture = TestEngine::new();
    let (mine, other) = (key(&fixture), key(&fixture));
    let good = token(&fixture, &mine);
    // The key's id in it replaced by another key's: bytes 2 to 18.
    let foreign = token(&fixture, &other);
    let swapped = format!("{}{}{}", &good[..3], &foreign[3..24], &good[24..]);
    let elsewhere = token(&TestEngine::new(), &mine);
    for bad in
        ["", "A", &good[..good.len() - 1], &swapped, &elsewhere, &format!("{good}="), "../.."]
    {
        let refused = wait(fixture.engine().use_action(bad)).unwrap_err();
        assert!(refused.message.contains("invalid or incomplete"), "{bad}: {}", refused.message);
    }
    fixture.later(7 * DAY + 1);
    let refused = wait(fixture.engine().use_action(&good)).unwrap_err();
    assert!(refused.message.contains("expired"), "{}", refused.message);
    assert_eq!(
        (view(&fixture, &mine.id).state, view(&fixture, &other.id).state),
        ("active".to_owned(), "active".to_owned())
    );
    wait(fixture.engine().finish_refused_links());
    assert!(fixture.event_kinds().contains(&"action_link_refused".to_owned()));
}

#[test]
fn a_use_is_remembered_as_long_as_the_link_could_act() {
    let mut fixture = TestEngine::new();
    let key = key(&fixture);
    let token = token(&fixture, &key);
    wait(fixture.engine().use_action(&token)).unwrap();
    unlock(&fixture, &key);
    fixture.later(6 * DAY);
    wait(fixture.engine().run_maintenance());
    wait(fixture.engine().use_action(&token)).unwrap_err();
    assert_eq!(view(&fixture, &key.id).state, "active");
}

#[test]
fn a_link_of_a_revoked_key_does_nothing() {
    let fixture = TestEngine::new();
    let key = key(&fixture);
    let token = token(&fixture, &key);
    let revoke = RevokeKey { key: key.id.clone(), expected: Expected::Any };
    fixture.execute(&shell(), revoke).unwrap();
    wait(fixture.engine().use_action(&token)).unwrap_err();
}

fn hook(fixture: &TestEngine) {
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
    let watching = WatchRules::new(Vec::new(), vec![channel], jiff::tz::TimeZone::UTC);
    fixture.engine().store().set_watching(Arc::new(watching));
}

#[test]
fn a_lock_is_claimed_with_its_links_and_its_attempts_are_in_the_log() {
    let fixture = TestEngine::new();
    hook(&fixture);
    let key = key(&fixture);
    let command = LockKey {
        key: key.id.clone(),
        level: LockLevel::Writes,
        reason: "too many".to_owned(),
        for_millis: None,
        expected: Expected::Any,
    };
    fixture.execute(&shell(), command).unwrap();
    let engine = fixture.engine();
    assert_eq!(wait(engine.due_channels()), ["ops"]);
    let claimed = wait(engine.claim_deliveries("ops", 5)).remove(0);
    assert!(wait(engine.due_channels()).is_empty());
    assert_eq!(claimed.notice.trigger, Trigger::KeyLocked);
    let unlock = claimed.links.unlock.clone().unwrap();
    assert_eq!(unlock, format!("https://console.example.org/keys/{}/unlock", key.id));
    assert_eq!(claimed.links.lock, None);
    let said = "x".repeat(1 << 20);
    wait(engine.record_attempt(claimed.id, claimed.claim, AttemptOutcome::Never { said }, 12));
    let filter = DeliveryFilter { state: Some(DeliveryState::Failed), ..DeliveryFilter::default() };
    let failed = carry_out(&fixture, ListDeliveries { filter }).unwrap();
    assert_eq!((failed.len(), failed[0].about.as_str()), (1, "scraper"));
    assert!(failed[0].said.as_ref().unwrap().len() <= 500, "what a stranger says is kept short");
    let checks = Checks { channel: |_| None, upstreams: |_| Vec::new() };
    engine.checks.set(checks).unwrap();
    let found: Vec<_> = carry_out(&fixture, ListChannelFindings)
        .unwrap()
        .into_iter()
        .map(|found| found.message)
        .collect();
    assert_eq!(
        found,
        [
            "every channel has what it needs to send",
            "the last message on the channel ops did not arrive"
        ]
    );
    let details = carry_out(&fixture, ShowDelivery { delivery: claimed.id }).unwrap();
    assert_eq!((details.tried.len(), details.tried[0].duration_ms), (1, 12));
    carry_out(&fixture, ResendDelivery { delivery: claimed.id }).unwrap();
    assert_eq!(wait(engine.claim_deliveries("ops", 5))[0].id, claimed.id);
    assert!(fixture.event_kinds().contains(&"delivery_resent".to_owned()));
}

#[test]
fn a_channel_that_does_not_exist_is_not_tested() {
    let fixture = TestEngine::new();
    hook(&fixture);
    let command = TestChannel { channel: "opps".to_owned() };
    let failure = carry_out(&fixture, command).unwrap_err();
    assert_eq!(failure.help.as_deref(), Some("the channels are: ops"));
}

/// Mails to two addresses, and a rule that tells of unlocked keys.
fn mail(fixture: &TestEngine) {
    mail_at_most(fixture, 60);
}

fn mail_at_most(fixture: &TestEngine, per_hour_max: u32) {
    let channel = ChannelRule {
        name: "mail".to_owned(),
        spec: ChannelSpec::new(
            "email",
            "ada@example.org, ben@example.org".to_owned(),
            Audience::Addresses(vec!["ada@example.org".to_owned(), "ben@example.org".to_owned()]),
            ChannelSettings::default(),
        ),
        per_hour_max,
        allowed_networks: Vec::new(),
    };
    let rule = WatchRule::new("opened", Trigger::KeyUnlocked, vec!["mail".to_owned()]);
    let watching = WatchRules::new(vec![rule], vec![channel], jiff::tz::TimeZone::UTC);
    fixture.engine().store().set_watching(Arc::new(watching));
}

/// Locks and unlocks a key three times, and waits until its windows have ended.
fn lock_and_unlock(fixture: &mut TestEngine, key: &KeyView) -> Vec<ClaimedDelivery> {
    lock_and_unlock_at_most(fixture, key, 60)
}

fn lock_and_unlock_at_most(
    fixture: &mut TestEngine,
    key: &KeyView,
    per_hour_max: u32,
) -> Vec<ClaimedDelivery> {
    mail_at_most(fixture, per_hour_max);
    for _ in 0..3 {
        let command = LockKey {
            key: key.id.clone(),
            level: LockLevel::Writes,
            reason: "odd".to_owned(),
            for_millis: None,
            expected: Expected::Any,
        };
        fixture.execute(&shell(), command).unwrap();
        unlock(fixture, key);
    }
    for _ in 0..3 {
        fixture.later(3_600_000);
        mail_at_most(fixture, per_hour_max);
        wait(fixture.engine().follow_writes());
    }
    let sent = wait(fixture.engine().claim_deliveries("mail", 100));
    for one in &sent {
        let outcome = AttemptOutcome::Sent { said: "kept".to_owned() };
        wait(fixture.engine().record_attempt(one.id, one.claim, outcome, 1));
    }
    sent
}

/// Who was notified of a kind of event, and of how many.
fn notified(sent: &[ClaimedDelivery], kind: Trigger) -> Vec<(String, u64)> {
    let receiver = |one: &ClaimedDelivery| match &one.receiver {
        Some(Receiver::Address(address)) => address.chars().take(3).collect(),
        Some(Receiver::Device(_)) | None => String::new(),
    };
    let of_kind = sent.iter().filter(|one| one.notice.trigger == kind);
    of_kind.map(|one| (receiver(one), one.notice.count)).collect()
}

#[test]
fn a_stop_ends_the_digests_of_one_rule_to_one_mailbox_and_nothing_else() {
    let mut fixture = TestEngine::new();
    mail(&fixture);
    let key = key(&fixture);
    let (ada, ben) = (|count| ("ada".to_owned(), count), |count| ("ben".to_owned(), count));
    let sent = lock_and_unlock(&mut fixture, &key);
    assert_eq!(notified(&sent, Trigger::KeyUnlocked), [ada(1), ben(1), ada(2), ben(2)]);
    let is_digest = |one: &&ClaimedDelivery| one.notice.since.is_some();
    assert!(sent.iter().filter(|one| !is_digest(one)).all(|one| one.links.stop.is_none()));
    let digest = sent.iter().find(is_digest).unwrap();
    let start = format!("https://console.example.org{STOP_PATH}");
    let token = digest.links.stop.as_ref().unwrap().strip_prefix(&start).unwrap().to_owned();

    let engine = fixture.engine();
    let offer = wait(engine.stop_offer(&token)).unwrap();
    assert_eq!((offer.rule.as_str(), offer.has_stopped), ("opened", false));
    assert!(wait(engine.use_stop("AAAA")).is_err());
    for _ in 0..2 {
        assert!(wait(engine.use_stop(&token)).unwrap().has_stopped);
    }
    assert!(wait(engine.stop_offer(&token)).unwrap().has_stopped);
    assert_eq!(fixture.event_kinds().iter().filter(|kind| *kind == "digests_stopped").count(), 1);

    let sent = lock_and_unlock(&mut fixture, &key);
    assert_eq!(notified(&sent, Trigger::KeyUnlocked), [ada(1), ben(1), ben(2)]);
    assert_eq!(notified(&sent, Trigger::KeyLocked).len(), 6, "locks are told one by one");
    // A lock fills the hour of the channel, so the first unlock has to wait: it is the first word of it.
    let sent = lock_and_unlock_at_most(&mut fixture, &key, 1);
    assert_eq!(notified(&sent, Trigger::KeyUnlocked), [ada(3), ben(3)]);
    let stops = carry_out(&fixture, ListChannels).unwrap().remove(0).stops;
    assert_eq!((stops.len(), stops[0].receiver.as_str()), (1, "ada@example.org"));

    carry_out(&fixture, ResumeDigests { channel: "mail".to_owned() }).unwrap();
    let sent = lock_and_unlock(&mut fixture, &key);
    assert_eq!(notified(&sent, Trigger::KeyUnlocked), [ada(1), ben(1), ada(2), ben(2)]);
}

//! The loop with senders that answer, hang and fail.

use std::sync::Mutex;

use jiff::tz::TimeZone;
use keystile_core::keys::lock::LockLevel;
use keystile_core::notifications::channel::{Audience, ChannelRule, ChannelSettings, ChannelSpec};
use keystile_core::notifications::delivery::DeliveryState;
use keystile_core::notifications::watch::WatchRules;
use keystile_core::owners::principal::Principal;
use keystile_core::policy::Policy;
use keystile_core::version::Expected;
use keystile_engine::EngineSettings;
use keystile_engine::keys::create::CreateKeys;
use keystile_engine::keys::lock::LockKey;
use keystile_engine::notifications::delivery::{DeliveryFilter, DeliveryView, ListDeliveries};
use keystile_store::Store;
use keystile_store::files::DataDirectory;

use super::*;
use crate::message::Urgency;
use crate::text::message;

fn hook(name: &str) -> ChannelRule {
    ChannelRule {
        name: name.to_owned(),
        spec: ChannelSpec::new("webhook", String::new(), Audience::One, ChannelSettings::default()),
        per_hour_max: 60,
        allowed_networks: Vec::new(),
    }
}

fn engine(folder: &std::path::Path, channels: &[&str]) -> Arc<Engine> {
    let (store, _) = Store::open(DataDirectory::hold(folder).unwrap()).unwrap();
    let channels = channels.iter().map(|name| hook(name)).collect();
    let settings = EngineSettings {
        key_prefix: keystile_core::keys::text::KeyPrefix::default(),
        retention: None,
        key_failures: "10 per minute".parse().unwrap(),
        console_url: "https://console.example.org".to_owned(),
        gate: Vec::new(),
        watching: Arc::new(WatchRules::new(Vec::new(), channels, TimeZone::UTC)),
    };
    Arc::new(Engine::new(store, Policy::new(Vec::new(), Vec::new(), TimeZone::UTC), settings))
}

async fn lock(engine: &Arc<Engine>) {
    let owner = Principal::CommandLine { account: "owner".to_owned() };
    let create = CreateKeys {
        application: "scraper-17".to_owned(),
        plan: Some("open".to_owned()),
        count: 1,
    };
    let keys = engine.execute(&owner, create).await.unwrap();
    let command = LockKey {
        key: keys[0].id.clone(),
        level: LockLevel::Writes,
        reason: "it deletes everything".to_owned(),
        for_millis: None,
        expected: Expected::Any,
    };
    engine.execute(&owner, command).await.unwrap();
}

async fn listed(engine: &Arc<Engine>, filter: &DeliveryFilter) -> Vec<DeliveryView> {
    let command = ListDeliveries { filter: filter.clone() };
    engine.execute(&Principal::System, command).await.unwrap()
}

/// Waits until as many deliveries of a channel are in a state.
async fn wait_for(engine: &Arc<Engine>, channel: &str, state: DeliveryState, many: usize) {
    let filter = DeliveryFilter {
        channel: Some(channel.to_owned()),
        state: Some(state),
        ..DeliveryFilter::default()
    };
    for _ in 0..500 {
        if listed(engine, &filter).await.len() == many {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("{channel} does not have {many} that are {state}: {:?}", listed(engine, &filter).await);
}

fn sent() -> AttemptOutcome {
    AttemptOutcome::Sent { said: "ok".to_owned() }
}

#[tokio::test]
async fn a_channel_that_hangs_delays_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let engine = engine(folder.path(), &["dead", "good"]);
    let hanging = Arc::new(Mutex::new(0));
    let counted = hanging.clone();
    let sender: DeliverySender = Arc::new(move |delivery| {
        let counted = counted.clone();
        Box::pin(async move {
            if delivery.channel.name == "dead" {
                *counted.lock().unwrap() += 1;
                std::future::pending::<()>().await;
            }
            sent()
        })
    });
    let notifier = Notifier::start(engine.clone(), sender);
    for _ in 0..10 {
        lock(&engine).await;
    }
    wait_for(&engine, "good", DeliveryState::Sent, 10).await;
    assert_eq!(*hanging.lock().unwrap(), AT_ONCE, "a dead channel has so many tasks and no more");
    wait_for(&engine, "dead", DeliveryState::Waiting, 10 - AT_ONCE).await;
    notifier.stop().await;
}

#[tokio::test]
async fn what_fails_for_a_fault_of_our_own_is_tried_again() {
    let folder = tempfile::tempdir().unwrap();
    let engine = engine(folder.path(), &["ops"]);
    let sender: DeliverySender = Arc::new(|_| Box::pin(async { panic!("a fault of our own") }));
    let notifier = Notifier::start(engine.clone(), sender);
    lock(&engine).await;
    wait_for(&engine, "ops", DeliveryState::Waiting, 1).await;
    for _ in 0..100 {
        if listed(&engine, &DeliveryFilter::default()).await[0].said.is_some() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let found = listed(&engine, &DeliveryFilter::default()).await.remove(0);
    assert!(found.said.unwrap().contains("a fault of Keystile's own"));
    notifier.stop().await;
}

#[tokio::test]
async fn a_message_says_the_state_first() {
    let folder = tempfile::tempdir().unwrap();
    let engine = engine(folder.path(), &["ops"]);
    lock(&engine).await;
    let claimed = engine.claim_deliveries("ops", 1).await.remove(0);
    let message = message(&claimed);
    assert_eq!((message.state.as_str(), message.who.as_deref()), ("LOCKED", Some("scraper-17")));
    assert_eq!(message.what, "it deletes everything");
    assert_eq!(
        message.sentence,
        "A key of scraper-17 was locked: its writes stop and its reads go on."
    );
    assert_eq!(message.urgency, Urgency::High);
    let labels: Vec<_> = message.links.iter().map(|link| link.label.as_str()).collect();
    assert_eq!(labels, ["View", "Unlock"]);

    let mut over = claimed.clone();
    over.notice.budget = Some(keystile_core::notifications::notice::NoticeBudget {
        name: "writes-day".to_owned(),
        quota: "20 per day".to_owned(),
        amount: 20,
        used: 20,
        level: None,
    });
    over.notice.lock.as_mut().unwrap().evidence =
        Some("DELETE /bookmarks/41 from 192.0.2.7".to_owned());
    assert_eq!(
        crate::text::message(&over).what,
        "21st of 20 writes in a day (DELETE /bookmarks/41)"
    );
}

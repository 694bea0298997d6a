//! A lock here is followed there, whatever fails on the way.

use std::time::Duration;

use keystile_core::keys::application::ApplicationState;
use keystile_core::version::Expected;
use keystile_engine::keys::edit::RevokeKey;
use keystile_threescale_standin::fault::Fault;
use keystile_threescale_standin::tenant::{AccessToken, Permission, State};
use tokio::task::JoinSet;

use super::setup::{Driven, TOO_LATE};
use crate::setup::TOKEN;

/// An account that works by itself, with one application that was brought over; the id of its key.
async fn working() -> (Driven, String) {
    let mut driven = Driven::start().await;
    driven.sync().await;
    driven.test.portal.take_received();
    driven.work();
    let key = driven.keys().await[0].id.clone();
    (driven, key)
}

impl Driven {
    fn state_there(&self) -> State {
        self.test.portal.tenant().application(self.test.ids.application).state
    }

    fn puts(&self) -> usize {
        let received = self.test.portal.take_received();
        received.iter().filter(|request| request.method == "PUT").count()
    }
}

#[tokio::test]
async fn a_lock_suspends_there_and_an_unlock_resumes() {
    let (driven, key) = working().await;
    driven.lock(&key).await;
    driven.until_followed(Some("suspended there")).await;
    assert_eq!(driven.state_there(), State::Suspended);
    // The suspension is ours: it does not come back as one of 3scale's.
    assert_eq!(driven.sync().await.changed, 0);
    let here = driven.application("Acme Ltd – Importer").await.application;
    assert_eq!(here.state, ApplicationState::Active);
    driven.unlock(&key).await;
    driven.until_followed(None).await;
    assert_eq!(driven.state_there(), State::Live);
    assert_eq!(driven.sync().await.changed, 0);
    assert_eq!(driven.puts(), 2);
    let events = driven.events("key_source_changed").await;
    assert!(events[0].contains("up to a minute"), "{events:?}");
    assert_eq!(events.len(), 2, "{events:?}");
}

#[tokio::test]
async fn whatever_fails_a_lock_is_followed_once_and_nothing_is_lost() {
    for fault in [
        Fault::rate_limited(Some("1")),
        Fault::json(500, "{}"),
        Fault::CutHead,
        Fault::CutBody,
        Fault::Slow(TOO_LATE),
    ] {
        let mut cases = JoinSet::new();
        for part in ["find.json", "/suspend.json", "/resume.json"] {
            cases.spawn(follows_after(part, fault.clone()));
        }
        cases.join_all().await;
    }
}

async fn follows_after(part: &str, fault: Fault) {
    let (driven, key) = working().await;
    driven.test.portal.fail_on(part, fault.clone());
    driven.lock(&key).await;
    driven.until_followed(Some("suspended there")).await;
    assert_eq!(driven.state_there(), State::Suspended, "{fault:?}");
    driven.unlock(&key).await;
    driven.until_followed(None).await;
    assert_eq!(driven.state_there(), State::Live, "{fault:?}");
    assert_eq!(driven.events("key_source_problem").await.len(), 1, "{part} {fault:?}");
}

#[tokio::test]
async fn what_a_token_or_a_record_lacks_is_said_and_mended_without_a_restart() {
    let (driven, key) = working().await;
    let permission = Permission::ReadOnly;
    let token = AccessToken { permission, ..AccessToken::new("a-read-only-token") };
    driven.test.portal.tenant().add_token(token);
    driven.test.write_token("a-read-only-token");
    driven.lock(&key).await;
    driven.until_followed(Some("failed: ")).await;
    let shown = driven.show().await;
    assert!(shown.locks[0].state.contains("may not write"), "{shown:?}");
    assert_eq!(driven.state_there(), State::Live);
    driven.test.write_token(TOKEN);
    // Unlocked before it could be followed: there is nothing to suspend any more.
    driven.unlock(&key).await;
    driven.until_followed(None).await;
    assert_eq!(driven.state_there(), State::Live);
}

#[tokio::test]
async fn a_suspension_that_was_there_before_stays_when_the_lock_is_gone() {
    let (driven, key) = working().await;
    driven.test.portal.tenant().application_mut(driven.test.ids.application).state =
        State::Suspended;
    driven.lock(&key).await;
    driven.until_followed(Some("could not call there already")).await;
    driven.unlock(&key).await;
    driven.until_followed(None).await;
    assert_eq!(driven.state_there(), State::Suspended);
    assert_eq!(driven.puts(), 0);
}

#[tokio::test]
async fn a_resume_there_overrules_the_suspension_and_not_the_lock() {
    let (driven, key) = working().await;
    driven.lock(&key).await;
    driven.until_followed(Some("suspended there")).await;
    driven.test.portal.tenant().application_mut(driven.test.ids.application).state = State::Live;
    let report = driven.sync().await;
    assert!(report.changes[0].contains("stays locked here"), "{report:?}");
    driven.until_followed(Some("resumed there while it is locked here")).await;
    assert_eq!(driven.keys().await[0].state, "locked");
    assert_eq!(driven.sync().await.changed, 0);
    driven.unlock(&key).await;
    driven.until_followed(None).await;
    assert_eq!(driven.puts(), 1);
}

#[tokio::test]
async fn a_crash_between_request_and_answer_leaves_what_goes_on() {
    let mut driven = Driven::start().await;
    driven.sync().await;
    let key = driven.keys().await[0].id.clone();
    driven.lock(&key).await;
    driven.test.portal.take_received();
    driven.test.portal.fail_on("/suspend.json", Fault::Slow(TOO_LATE));
    driven.work();
    while driven.puts() == 0 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    driven.restart().await;
    // The request was carried out after all, and nobody here has read the answer.
    driven.test.portal.tenant().application_mut(driven.test.ids.application).state =
        State::Suspended;
    driven.work();
    driven.until_followed(Some("suspended there")).await;
    driven.unlock(&key).await;
    driven.restart().await;
    driven.work();
    driven.until_followed(None).await;
    assert_eq!(driven.state_there(), State::Live);
}

#[tokio::test]
async fn a_lock_outlives_the_key_that_it_was_on() {
    let (driven, old) = working().await;
    let there = |key: &str| {
        let application = driven.test.ids.application;
        driven.test.portal.tenant().application_mut(application).user_key = key.to_owned();
    };
    driven.lock(&old).await;
    driven.until_followed(Some("suspended there")).await;
    there("another-key");
    driven.sync().await;
    let keys = driven.keys().await;
    let new = keys.iter().find(|key| key.id != old).unwrap();
    assert_eq!(new.state, "locked", "{keys:?}");
    assert_eq!(keys.iter().find(|key| key.id == old).unwrap().state, "revoked", "{keys:?}");
    assert_eq!(driven.state_there(), State::Suspended);
    // A key that an owner revoked takes no lock, and holds nothing up.
    driven.execute(RevokeKey { key: new.id.clone(), expected: Expected::default() }).await.unwrap();
    there("a-third-key");
    let report = driven.sync().await;
    assert_eq!(driven.keys().await.len(), 3, "{report:?}");
}

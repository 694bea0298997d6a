//! What the portal refuses of a lock, in words that say what to do.

use std::time::Duration;

use keystile_threescale_standin::fault::Fault;
use keystile_threescale_standin::tenant::{AccessToken, Permission, State};

use super::setup::Driven;
use crate::setup::TOKEN;

/// An account that works by itself, with one application that was brought over; the id of its key.
async fn working() -> (Driven, String) {
    let mut driven = Driven::start().await;
    driven.sync().await;
    let before = driven.show().await.synchronized;
    driven.work();
    // Its first reading is over, and none comes while a test runs.
    while driven.show().await.synchronized == before {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let key = driven.keys().await[0].id.clone();
    (driven, key)
}

#[tokio::test]
async fn an_application_that_is_not_live_there_is_left_as_it_is() {
    for state in [State::Pending, State::Suspended] {
        let (driven, key) = working().await;
        let application = driven.test.ids.application;
        driven.test.portal.tenant().application_mut(application).state = state;
        driven.test.portal.take_received();
        driven.lock(&key).await;
        driven.until_followed(Some("could not call there already")).await;
        driven.unlock(&key).await;
        driven.until_followed(None).await;
        assert_eq!(driven.test.portal.tenant().application(application).state, state);
        let received = driven.test.portal.take_received();
        assert!(received.iter().all(|request| request.method == "GET"), "{received:?}");
    }
}

#[tokio::test]
async fn an_application_that_somebody_suspends_between_look_and_request_stays_suspended() {
    let (driven, key) = working().await;
    let application = driven.test.ids.application;
    driven.test.portal.take_received();
    driven.test.portal.fail_on("/suspend.json", Fault::Slow(Duration::from_millis(500)));
    driven.lock(&key).await;
    while !driven.test.portal.take_received().iter().any(|request| request.method == "PUT") {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    // What waits is answered with 422 now.
    driven.test.portal.tenant().application_mut(application).state = State::Suspended;
    driven.until_followed(Some("could not call there already")).await;
    driven.unlock(&key).await;
    driven.until_followed(None).await;
    assert_eq!(driven.test.portal.tenant().application(application).state, State::Suspended);
    assert_eq!(driven.events("key_source_problem").await, Vec::<String>::new());
}

#[tokio::test]
async fn a_change_that_the_portal_does_not_make_is_told_in_its_words_and_tried_again() {
    let (driven, key) = working().await;
    let words = r#"{"errors":{"state":["cannot transition via \"suspend\""]}}"#;
    driven.test.portal.fail_on("/suspend.json", Fault::json(422, words));
    driven.lock(&key).await;
    driven.until_followed(Some("failed: ")).await;
    let lock = driven.show().await.locks[0].clone();
    let said = "the portal does not make this change (status 422: \"state cannot transition via";
    assert!(lock.state.contains(said) && lock.next.is_some(), "{lock:?}");
    assert!(driven.events("key_source_problem").await[0].contains("status 422"));
}

#[tokio::test]
async fn a_token_that_lost_its_right_holds_up_the_resumption_and_says_which() {
    let (driven, key) = working().await;
    driven.lock(&key).await;
    driven.until_followed(Some("suspended there")).await;
    let permission = Permission::ReadOnly;
    let token = AccessToken { permission, ..AccessToken::new("a-read-only-token") };
    driven.test.portal.tenant().add_token(token);
    driven.test.write_token("a-read-only-token");
    driven.unlock(&key).await;
    driven.until_followed(Some("failed to resume: ")).await;
    let state = driven.show().await.locks[0].state.clone();
    assert!(state.contains("may not write") && state.contains("status 403"), "{state}");
    assert!(!state.contains("a-read-only-token"), "{state}");
    // A lock that comes meanwhile finds it suspended there still, by us.
    driven.lock(&key).await;
    driven.until_followed(Some("suspended there")).await;
    driven.test.write_token(TOKEN);
    driven.unlock(&key).await;
    driven.until_followed(None).await;
    let application = driven.test.ids.application;
    assert_eq!(driven.test.portal.tenant().application(application).state, State::Live);
}

#[tokio::test]
async fn an_application_that_was_deleted_there_ends_a_lock_with_its_keys() {
    for is_suspended in [false, true] {
        let (driven, key) = working().await;
        if is_suspended {
            driven.lock(&key).await;
            driven.until_followed(Some("suspended there")).await;
        }
        driven.test.portal.tenant().remove_application(driven.test.ids.application);
        if is_suspended {
            // There is nothing to resume any more.
            driven.unlock(&key).await;
            driven.until_followed(None).await;
        } else {
            driven.lock(&key).await;
            driven.until_followed(Some("failed: ")).await;
            let state = driven.show().await.locks[0].state.clone();
            assert!(state.contains("it may be deleted"), "{state}");
        }
        driven.sync().await;
        driven.until_followed(None).await;
        assert_eq!(driven.keys().await[0].state, "revoked");
    }
}

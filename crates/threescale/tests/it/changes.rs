//! Suspending, resuming and changing plans can be repeated, whatever came of the time before.

use keystile_threescale::portal::Change;
use keystile_threescale::portal::error::{PortalError, Retry, TokenRefusal};
use keystile_threescale::portal::records::{ApplicationId, ApplicationState, PlanId};
use keystile_threescale_standin::fault::Fault;
use keystile_threescale_standin::tenant::{AccessToken, BackendVersion, Permission, State};

use crate::setup::{TestPortal, tenant};

#[tokio::test]
async fn an_application_is_suspended_and_resumed_once_however_often_it_is_asked_for() {
    let test = TestPortal::start().await;
    let (client, id) = (&test.client, test.application());
    for change in [Change::Made, Change::NotNeeded, Change::NotNeeded] {
        let suspended = client.suspend(id).await.unwrap();
        assert_eq!(suspended.change, change);
        assert_eq!(suspended.application.state, ApplicationState::Suspended);
        assert!(!suspended.application.enabled);
    }
    for change in [Change::Made, Change::NotNeeded] {
        let resumed = client.resume(id).await.unwrap();
        assert_eq!(resumed.change, change);
        assert_eq!(resumed.application.state, ApplicationState::Live);
    }
    let received = test.portal.take_received();
    let writes = received.iter().filter(|request| request.method == "PUT").count();
    assert_eq!(writes, 2);
}

#[tokio::test]
async fn an_application_that_waits_for_approval_is_left_as_it_is() {
    let test = TestPortal::start().await;
    test.portal.tenant().application_mut(test.ids.application).state = State::Pending;
    let suspended = test.client.suspend(test.application()).await.unwrap();
    assert_eq!(suspended.change, Change::NotNeeded);
    assert_eq!(suspended.application.state, ApplicationState::Pending);
    let resumed = test.client.resume(test.application()).await.unwrap();
    assert_eq!(resumed.application.state, ApplicationState::Pending);
    assert!(test.portal.take_received().iter().all(|request| request.method == "GET"));
}

#[tokio::test]
async fn a_change_whose_answer_was_lost_is_found_made_by_the_next_attempt() {
    for fault in [Fault::CutBody, Fault::CutHead] {
        let test = TestPortal::start().await;
        test.portal.fail_on("/suspend.json", fault);
        let lost = test.client.suspend(test.application()).await.unwrap_err();
        assert!(matches!(lost, PortalError::Cut { .. }), "{lost}");
        assert_eq!(lost.retry_after(), Retry::Later);
        let again = test.client.suspend(test.application()).await.unwrap();
        assert_eq!(again.change, Change::NotNeeded);
        assert_eq!(again.application.state, ApplicationState::Suspended);
    }
}

#[tokio::test]
async fn an_application_that_somebody_else_suspends_at_the_same_time_is_no_error() {
    let test = TestPortal::start().await;
    // Between our look and our change: the look still answers that it is live.
    test.portal.fail_on("/suspend.json", Fault::json(422, INVALID));
    let body = format!(
        r#"{{"application":{{"id":{0},"state":"live","service_id":1,"plan_id":1,"account_id":{1}}}}}"#,
        test.ids.application, test.ids.account
    );
    test.portal.tenant().application_mut(test.ids.application).state = State::Suspended;
    test.portal.fail_on("/find.json", Fault::json(200, &body));
    let suspended = test.client.suspend(test.application()).await.unwrap();
    assert_eq!(suspended.change, Change::NotNeeded);
    assert_eq!(suspended.application.state, ApplicationState::Suspended);
}

const INVALID: &str = r#"{"errors":{"state":["cannot transition via \"suspend\""]}}"#;

#[tokio::test]
async fn a_change_that_the_portal_does_not_make_says_why() {
    let test = TestPortal::start().await;
    test.portal.fail_on("/suspend.json", Fault::json(422, INVALID));
    let refused = test.client.suspend(test.application()).await.unwrap_err();
    assert!(matches!(refused, PortalError::InvalidTransition { .. }), "{refused}");
    assert_eq!(refused.retry_after(), Retry::Never);
    let shown = refused.to_string();
    assert!(shown.contains(r#""state cannot transition via "suspend"""#), "{shown}");
}

#[tokio::test]
async fn an_application_is_put_on_another_plan_of_its_service_only() {
    let (mut tenant, ids) = tenant();
    let other = tenant.add_service("Photos", BackendVersion::AppId);
    let foreign = tenant.add_plan(other, "Basic");
    let test = TestPortal::with(tenant, ids).await;
    let id = test.application();
    for _ in 0..2 {
        let plan = test.client.change_plan(id, PlanId::new(ids.other_plan)).await.unwrap();
        assert_eq!((plan.id.get(), plan.name.as_str()), (ids.other_plan, "Unlimited"));
    }
    assert_eq!(test.portal.tenant().application(ids.application).plan, ids.other_plan);
    let refused = test.client.change_plan(id, PlanId::new(foreign)).await.unwrap_err();
    assert!(matches!(refused, PortalError::InvalidTransition { .. }), "{refused}");
    let refused = test.client.change_plan(id, PlanId::new(999)).await.unwrap_err();
    assert!(matches!(refused, PortalError::NotFound { .. }), "{refused}");
}

#[tokio::test]
async fn an_application_that_is_gone_cannot_be_suspended() {
    let test = TestPortal::start().await;
    let gone = test.client.suspend(ApplicationId::new(999)).await.unwrap_err();
    assert!(matches!(gone, PortalError::NotFound { .. }), "{gone}");
    assert_eq!(gone.retry_after(), Retry::Never);
}

#[tokio::test]
async fn a_read_only_token_reads_and_says_that_it_cannot_write() {
    let (mut tenant, ids) = tenant();
    let permission = Permission::ReadOnly;
    tenant.add_token(AccessToken { permission, ..AccessToken::new("a-read-only-token") });
    let test = TestPortal::with(tenant, ids).await;
    test.write_token("a-read-only-token");
    assert_eq!(test.client.services().await.unwrap().len(), 1);
    let refused = test.client.suspend(test.application()).await.unwrap_err();
    let PortalError::Unauthorized { refusal, status, said, .. } = &refused else {
        panic!("{refused}");
    };
    assert_eq!((*refusal, *status), (TokenRefusal::ReadOnly, 403));
    assert_eq!(said.as_str(), "Your access token does not have the correct permissions");
    assert!(refused.to_string().contains("may not write"), "{refused}");
    assert_eq!(test.portal.tenant().application(ids.application).state, State::Live);
}

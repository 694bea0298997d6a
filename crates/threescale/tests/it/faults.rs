//! Each way in which a network or a portal fails says what it is, what to do, and whether to try again.

use std::time::Duration;

use keystile_threescale::portal::PortalClient;
use keystile_threescale::portal::error::{PortalError, Retry, TokenRefusal};
use keystile_threescale::portal::page::PageNumber;
use keystile_threescale_standin::fault::Fault;
use keystile_threescale_standin::tenant::AccessToken;

use crate::setup::{TestPortal, tenant};

/// The error that a fault makes of a list.
async fn failed(test: &TestPortal, fault: Fault) -> PortalError {
    test.portal.fail(fault);
    test.client.services().await.unwrap_err()
}

#[tokio::test]
async fn a_token_that_is_refused_is_told_from_one_that_lacks_a_right() {
    let (mut tenant, ids) = tenant();
    let scopes = vec!["stats".to_owned()];
    tenant.add_token(AccessToken { scopes, ..AccessToken::new("a-token-for-stats") });
    tenant.add_token(AccessToken { expired: true, ..AccessToken::new("an-expired-token") });
    let test = TestPortal::with(tenant, ids).await;
    for (token, refusal) in [
        ("an-unknown-token", TokenRefusal::Unknown),
        ("an-expired-token", TokenRefusal::Unknown),
        ("a-token-for-stats", TokenRefusal::Scope),
    ] {
        test.write_token(token);
        let refused = test.client.services().await.unwrap_err();
        assert_eq!(refused.retry_after(), Retry::Never);
        let PortalError::Unauthorized { refusal: found, status: 403, .. } = &refused else {
            panic!("{refused}");
        };
        assert_eq!(*found, refusal, "{token}");
    }
    for (fault, refusal) in [
        (Fault::of(401, &[], ""), TokenRefusal::Unknown),
        (Fault::of(403, &[], ""), TokenRefusal::Denied),
        (Fault::json(403, r#"{"status":"Forbidden"}"#), TokenRefusal::Denied),
        (Fault::web_page(403), TokenRefusal::Denied),
    ] {
        let refused = failed(&test, fault).await;
        let PortalError::Unauthorized { refusal: found, .. } = &refused else {
            panic!("{refused}");
        };
        assert_eq!(*found, refusal, "{refused}");
    }
}

#[tokio::test]
async fn a_token_that_is_not_there_is_no_call() {
    let test = TestPortal::start().await;
    std::fs::remove_file(test.file("token")).unwrap();
    let missing = test.client.services().await.unwrap_err();
    assert!(matches!(missing, PortalError::Token(_)), "{missing}");
    assert!(missing.to_string().contains("cannot be read from"), "{missing}");
    assert!(test.portal.take_received().is_empty());
}

#[tokio::test]
async fn a_busy_or_broken_portal_is_tried_again_when_it_wishes() {
    let test = TestPortal::start().await;
    let secs = |secs| Retry::After(Duration::from_secs(secs));
    for (fault, retry) in [
        (Fault::rate_limited(None), Retry::Later),
        (Fault::rate_limited(Some("30")), secs(30)),
        (Fault::rate_limited(Some("4000000")), secs(86_400)),
        (Fault::rate_limited(Some("Sun, 06 Nov 1994 08:49:37 GMT")), secs(0)),
        (Fault::rate_limited(Some("soon")), Retry::Later),
        (Fault::of(503, &[("retry-after", "7")], ""), secs(7)),
        (Fault::of(500, &[], ""), Retry::Later),
        (Fault::web_page(502), Retry::Later),
        (Fault::of(408, &[], ""), Retry::Later),
    ] {
        let error = failed(&test, fault).await;
        assert_eq!(error.retry_after(), retry, "{error}");
        let is_busy =
            matches!(error, PortalError::RateLimited { .. } | PortalError::ServerError { .. });
        assert!(is_busy, "{error}");
    }
    let error = failed(&test, Fault::web_page(502)).await;
    assert!(error.to_string().contains("(status 502: \"a web page\")"), "{error}");
}

#[tokio::test]
async fn a_pause_that_ends_at_a_date_counts_from_the_date_of_the_answer() {
    let test = TestPortal::start().await;
    let fields = [
        ("retry-after", "Tue, 24 Nov 2026 06:00:30 GMT"),
        ("date", "Tue, 24 Nov 2026 06:00:00 GMT"),
    ];
    let error = failed(&test, Fault::of(429, &fields, "")).await;
    assert_eq!(error.retry_after(), Retry::After(Duration::from_secs(30)));
}

#[tokio::test]
async fn a_web_page_makes_one_doubt_the_address() {
    let test = TestPortal::start().await;
    for status in [200, 404] {
        let error = failed(&test, Fault::web_page(status)).await;
        assert!(matches!(error, PortalError::WebPage { .. }), "{error}");
        assert_eq!(error.retry_after(), Retry::Never);
        let shown = error.to_string();
        assert!(shown.contains("is `portal` the admin portal's address"), "{shown}");
    }
}

#[tokio::test]
async fn a_redirect_is_not_followed_and_says_where_it_leads() {
    let test = TestPortal::start().await;
    for (to, shown) in [
        ("https://acme-admin.3scale.net/p/login?a=b", "to https://acme-admin.3scale.net/p/login "),
        ("/p/login", &format!("to {}/p/login ", test.portal.address())),
    ] {
        test.portal.take_received();
        let error = failed(&test, Fault::redirect(to)).await;
        assert!(matches!(error, PortalError::Redirected { .. }), "{error}");
        assert!(error.to_string().contains(shown), "{error}");
        assert_eq!(error.retry_after(), Retry::Never);
        assert_eq!(test.portal.take_received().len(), 1);
    }
}

#[tokio::test]
async fn what_is_no_answer_of_the_api_says_what_it_is() {
    let test = TestPortal::start().await;
    let plain = [("content-type", "text/plain")];
    for (fault, shown) in [
        (Fault::json(200, "{\"services\":["), "is not JSON: EOF while parsing a list"),
        (Fault::json(200, ""), "is not JSON: EOF while parsing a value"),
        (Fault::json(200, &"[".repeat(1000)), "is not JSON: recursion limit exceeded"),
        (Fault::of(200, &plain, "{}"), "is not JSON: it is text/plain"),
        (Fault::of(200, &[], "{}"), "is not JSON: it does not say what it is"),
        (Fault::json(200, "{}"), "cannot be read at `services`: it is not there"),
        (Fault::json(200, "[]"), "cannot be read at `services`: it is not there"),
        (Fault::json(200, r#"{"services":{}}"#), "cannot be read at `services`: it is no list"),
        (
            Fault::json(200, r#"{"services":[{"metric":{}}]}"#),
            "cannot be read at `services[0].service`: it is not there",
        ),
        (
            Fault::json(200, r#"{"services":[{"service":{"id":"7","system_name":{}}}]}"#),
            "cannot be read at `services[0].service.system_name`: invalid type: map, expected a text",
        ),
        (
            Fault::json(200, r#"{"services":[{"service":{"system_name":"a"}}]}"#),
            "cannot be read at `services[0].service`: missing field `id`",
        ),
    ] {
        let error = failed(&test, fault).await;
        assert!(error.to_string().contains(shown), "{error}");
        assert_eq!(error.retry_after(), Retry::Never);
    }
    let unknown = Fault::of(418, &plain, "short and\nstout");
    let error = failed(&test, unknown).await;
    assert!(matches!(error, PortalError::Refused { status: 418, .. }), "{error}");
    assert!(error.to_string().contains("(status 418: \"short and stout\")"), "{error}");
}

#[tokio::test]
async fn a_portal_of_another_version_is_read_as_far_as_it_can_be() {
    let test = TestPortal::start().await;
    let body = r#"{"services":[{"service":{"id":"7","name":"A","system_name":"a","new_field":[1],
        "backend_version":"hmac","referrer_filters_required":"true"}}]}"#;
    test.portal.fail(Fault::json(200, body));
    let services = test.client.services().await.unwrap();
    assert_eq!(services[0].id.get(), 7);
    assert!(services[0].referrer_filters_required);
    assert_eq!(services[0].deployment_option, None);
}

#[tokio::test]
async fn an_answer_that_does_not_end_costs_its_bound_and_no_more() {
    let test = TestPortal::start().await;
    let error = failed(&test, Fault::EndlessBody).await;
    assert!(matches!(error, PortalError::TooLarge { .. }), "{error}");
    assert!(error.to_string().contains("more than 8388608 bytes"), "{error}");
}

#[tokio::test]
async fn a_portal_that_does_not_answer_costs_the_time_that_it_is_given() {
    let test = TestPortal::start().await;
    let mut settings = test.settings();
    settings.total_timeout = Duration::from_millis(300);
    let client = PortalClient::new(settings).unwrap();
    test.portal.fail(Fault::Slow(Duration::from_secs(30)));
    let error = client.services().await.unwrap_err();
    assert!(matches!(error, PortalError::TimedOut { .. }), "{error}");
    assert!(error.to_string().ends_with("did not answer within 300ms"), "{error}");
    assert_eq!(error.retry_after(), Retry::Later);
}

#[tokio::test]
async fn a_connection_that_is_cut_is_tried_again() {
    let test = TestPortal::start().await;
    for fault in [Fault::CutHead, Fault::CutBody] {
        let error = failed(&test, fault).await;
        assert!(matches!(error, PortalError::Cut { .. }), "{error}");
        assert_eq!(error.retry_after(), Retry::Later);
    }
    assert_eq!(test.client.services().await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_portal_that_is_not_there_is_unreachable() {
    let test = TestPortal::start().await;
    let mut settings = test.settings();
    settings.address = "https://no-such-portal.invalid".parse().unwrap();
    let nameless = PortalClient::new(settings.clone()).unwrap().services().await.unwrap_err();
    // Nobody listens on port 1.
    settings.address = "https://localhost:1".parse().unwrap();
    let closed = PortalClient::new(settings).unwrap().services().await.unwrap_err();
    for error in [nameless, closed] {
        assert!(matches!(error, PortalError::Unreachable { .. }), "{error}");
        assert!(error.to_string().contains("cannot be reached"), "{error}");
        assert_eq!(error.retry_after(), Retry::Later);
    }
}

#[tokio::test]
async fn a_portal_that_knows_no_pages_does_not_make_one_turn_them_forever() {
    let test = TestPortal::start().await;
    let metadata = r#"{"per_page":500,"total_entries":1500,"total_pages":3,"current_page":1}"#;
    let page = format!(r#"{{"accounts":[{{"account":{{"id":1}}}}],"metadata":{metadata}}}"#);
    test.portal.fail(Fault::json(200, &page));
    let first = test.client.accounts(PageNumber::FIRST).await.unwrap();
    test.portal.fail(Fault::json(200, &page));
    let error = test.client.accounts(first.next.unwrap()).await.unwrap_err();
    let shown = error.to_string();
    assert!(shown.contains("at `metadata.current_page`: page 2 was asked for"), "{shown}");
}

#[tokio::test]
async fn a_list_that_has_no_last_page_is_given_up() {
    let test = TestPortal::start().await;
    for page in 1..=200 {
        let body = format!(
            r#"{{"services":[{{"service":{{"id":{page},"system_name":"s"}}}}],"metadata":
            {{"per_page":1,"total_entries":9999,"total_pages":9999,"current_page":{page}}}}}"#
        );
        test.portal.fail(Fault::json(200, &body));
    }
    let error = test.client.services().await.unwrap_err();
    assert!(matches!(error, PortalError::TooManyPages { .. }), "{error}");
}

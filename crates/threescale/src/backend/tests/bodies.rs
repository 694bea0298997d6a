use super::super::answer::Answer;
use super::super::call::Operation;
use super::super::error::{BadRequest, Rejection, RequestError};
use super::super::options::Options;
use super::super::period::Period;
use super::TestBackend;

const HEAD: &str = r#"<?xml version="1.0" encoding="UTF-8"?><status>"#;

fn assert_body(answer: &Answer, status: u16, rest: &str) {
    assert_eq!((answer.status, answer.body.as_str()), (status, format!("{HEAD}{rest}").as_str()));
}

#[test]
fn without_limits_a_body_says_yes_and_the_plan() {
    let answer = TestBackend::new().authrep("usage[hits]=1");
    let rest = "<authorized>true</authorized><plan>Basic &amp; &lt;Co&gt;</plan></status>";
    assert_body(&answer, 200, rest);
    assert_eq!((answer.rejection_reason, answer.limits), (None, None));
}

#[test]
fn reports_tell_how_limits_stand_longest_period_first() {
    let mut backend = TestBackend::with_limits(&[
        ("hits", Period::Minute, 10),
        ("hits", Period::Eternity, 1000),
        ("search", Period::Week, 5),
        ("hits", Period::Day, 10),
    ]);
    backend.set("hits", Period::Day, 3);
    backend.set("search", Period::Week, 4);
    let answer = backend.authrep("usage[search]=1");
    assert_body(
        &answer,
        200,
        concat!(
            "<authorized>true</authorized><plan>Basic &amp; &lt;Co&gt;</plan><usage_reports>",
            r#"<usage_report metric="hits" period="eternity">"#,
            "<max_value>1000</max_value><current_value>1</current_value></usage_report>",
            r#"<usage_report metric="hits" period="day">"#,
            "<period_start>2026-11-24 00:00:00 +0000</period_start>",
            "<period_end>2026-11-25 00:00:00 +0000</period_end>",
            "<max_value>10</max_value><current_value>4</current_value></usage_report>",
            r#"<usage_report metric="hits" period="minute">"#,
            "<period_start>2026-11-24 05:30:00 +0000</period_start>",
            "<period_end>2026-11-24 05:31:00 +0000</period_end>",
            "<max_value>10</max_value><current_value>1</current_value></usage_report>",
            r#"<usage_report metric="search" period="week">"#,
            "<period_start>2026-11-23 00:00:00 +0000</period_start>",
            "<period_end>2026-11-30 00:00:00 +0000</period_end>",
            "<max_value>5</max_value><current_value>5</current_value></usage_report>",
            "</usage_reports></status>",
        ),
    );
}

#[test]
fn a_spent_limit_says_no_and_shows_what_was_stored() {
    let mut backend = TestBackend::with_limits(&[("hits", Period::Day, 10)]);
    backend.set("hits", Period::Day, 11);
    let rest = concat!(
        "<authorized>false</authorized><reason>usage limits are exceeded</reason>",
        "<plan>Basic &amp; &lt;Co&gt;</plan><usage_reports>",
        r#"<usage_report metric="hits" period="day" exceeded="true">"#,
        "<period_start>2026-11-24 00:00:00 +0000</period_start>",
        "<period_end>2026-11-25 00:00:00 +0000</period_end>",
        "<max_value>10</max_value><current_value>11</current_value></usage_report>",
        "</usage_reports></status>",
    );
    assert_body(&backend.authrep("usage[hits]=1"), 409, rest);
    assert_body(&backend.authorize(""), 409, rest);
    backend.set("hits", Period::Day, 10);
    let only_full = backend.authrep("usage[hits]=1").body;
    assert!(only_full.contains(r#"<usage_report metric="hits" period="day"><period_start>"#));
}

#[test]
fn oauth_shows_the_application_with_the_parameter_that_was_used() {
    let mut backend = TestBackend::new();
    backend.add_key("oauth", "secret", None);
    backend.add_key("oauth", "second", Some("…ond"));
    let application = &mut backend.service("oauth").application;
    application.redirect_url = Some("https://a.example/?b&c".into());
    let mut ask = |query: &str| {
        let query = format!("provider_key=pk&service_id=oauth&app_id=app{query}");
        backend.ask(Operation::OauthAuthorize, &query, "")
    };
    let shown = |field: &str| {
        format!(
            "<application><id>app</id><key>…ond</key><{field}>https://a.example/?b&amp;c</{field}>\
             </application><plan>Basic &amp; &lt;Co&gt;</plan></status>"
        )
    };
    let yes = "<authorized>true</authorized>";
    assert_body(&ask(""), 200, &format!("{yes}{}", shown("redirect_url")));
    let address = "https%3A%2F%2Fa.example%2F%3Fb%26c";
    let uri = ask(&format!("&redirect_uri={address}"));
    assert_body(&uri, 200, &format!("{yes}{}", shown("redirect_uri")));
    let no = r#"<authorized>false</authorized><reason>redirect_uri "x" is invalid</reason>"#;
    assert_body(&ask("&redirect_uri=x"), 409, &format!("{no}{}", shown("redirect_uri")));
    let no = r#"<authorized>false</authorized><reason>redirect_url "x" is invalid</reason>"#;
    let both = ask(&format!("&redirect_url=x&redirect_uri={address}"));
    assert_body(&both, 409, &format!("{no}{}", shown("redirect_url")));
}

#[test]
fn extensions_stand_behind_the_reports_in_their_order() {
    let mut backend = TestBackend::with_limits(&[
        ("hits", Period::Eternity, 1),
        ("upload", Period::Eternity, 1),
        ("search", Period::Eternity, 1),
    ]);
    backend.add_key("2", "one", Some("a\"b<"));
    backend.add_key("2", "two", None);
    let query = "provider_key=pk&app_id=app&app_key=one";
    let answer = backend.ask(Operation::Authorize, query, "hierarchy=1&list_app_keys=1");
    let (_, rest) = answer.body.split_once("</usage_reports>").unwrap();
    assert_eq!(
        rest,
        concat!(
            r#"<app_keys app="app" svc="2"><key id="a&quot;b&lt;"/></app_keys>"#,
            r#"<hierarchy><metric name="hits" children="search"/>"#,
            r#"<metric name="search" children="deep"/><metric name="upload" children=""/>"#,
            "</hierarchy></status>",
        )
    );
    let mut backend = TestBackend::new();
    let query = "provider_key=pk&app_id=app";
    let answer = backend.ask(Operation::Authorize, query, "hierarchy=1&list_app_keys=1");
    let empty = r#"</plan><app_keys app="app" svc="2"></app_keys><hierarchy></hierarchy></status>"#;
    assert!(answer.body.ends_with(empty), "{}", answer.body);
}

#[test]
fn texts_of_strangers_do_not_break_a_body() {
    let mut backend = TestBackend::new();
    let answer = backend.ask(Operation::Authorize, "provider_key=%3C%26%22%00%0D%0A%3E", "");
    assert_eq!(answer.status, 403);
    assert_eq!(
        answer.body,
        concat!(
            r#"<?xml version="1.0" encoding="UTF-8"?>"#,
            r#"<error code="provider_key_invalid_or_service_missing">"#,
            "provider key \"&lt;&amp;\"\u{fffd}&#13;\n&gt;\" invalid and/or service ID missing</error>",
        )
    );
    backend.service("2").service.referrer_filters =
        super::super::catalog::ReferrerFilters::Required;
    backend.application().referrer_filters.push("example.com".into());
    let answer = backend.authorize("referrer=%3Cb%3E%26");
    assert_eq!(super::reason(&answer), r#"referrer "&lt;b&gt;&amp;" is not allowed"#);
}

#[test]
fn every_error_has_its_status_code_and_text() {
    let text = |text: &str| text.to_owned();
    let metric = || text("M");
    let errors = [
        RequestError::ProviderKeyOrServiceTokenRequired,
        RequestError::ServiceIdMissing,
        RequestError::ServiceTokenInvalid { token: text("T"), service_id: text("S") },
        RequestError::ProviderKeyInvalid(text("K")),
        RequestError::ProviderKeyInvalidOrServiceMissing(text("K")),
        RequestError::ServiceIdInvalid(text("S")),
        RequestError::UserKeyInvalid(Some(text("K"))),
        RequestError::UserKeyInvalid(None),
        RequestError::AuthenticationError,
        RequestError::ApplicationNotFound(Some(text("X"))),
        RequestError::ApplicationNotFound(None),
        RequestError::MetricInvalid(metric()),
        RequestError::UsageValueInvalid { metric: metric(), value: Some(text("V")) },
        RequestError::UsageValueInvalid { metric: metric(), value: None },
        RequestError::EndUsersNoLongerSupported,
        RequestError::TransactionsIsBlank,
        RequestError::TransactionsFormatInvalid,
        RequestError::TransactionsHasNilTransaction,
        RequestError::ContentTypeInvalid(text("text/xml")),
        RequestError::BadRequest(BadRequest::Syntax),
        RequestError::NotValidData,
        RequestError::TransactionTimestampTooOld { secs_max: 86_400 },
        RequestError::TransactionTimestampTooNew { secs_max: 3600 },
    ];
    for (error, line) in errors.iter().zip(ERRORS.lines()) {
        let (status, code, text) = super::error(&Answer::of_error(error, Options::default()));
        assert_eq!(format!("{status} {code}: {text}"), line);
        let quiet = Options { no_body: true, ..Options::default() };
        assert_eq!(Answer::of_error(error, quiet).body, "");
    }
    assert_eq!(errors.len(), ERRORS.lines().count());
    let bare = Answer::of_error(&RequestError::UsageIsNoHash, Options::default());
    assert_eq!((bare.status, bare.body.as_str()), (403, ""));
}

const ERRORS: &str = r#"403 provider_key_or_service_token_required: Provider key or service token are required
422 service_id_missing: Service ID is missing
403 service_token_invalid: service token "T" or service id "S" is invalid
403 provider_key_invalid: provider key "K" is invalid
403 provider_key_invalid_or_service_missing: provider key "K" invalid and/or service ID missing
403 service_id_invalid: service id "S" is invalid
403 user_key_invalid: user key "K" is invalid
403 user_key_invalid: user key is missing
403 authentication_error: either app_id or user_key is allowed, not both
404 application_not_found: application with id="X" was not found
404 application_not_found: application id is missing
404 metric_invalid: metric "M" is invalid
403 usage_value_invalid: usage value "V" for metric "M" is invalid
403 usage_value_invalid: usage value for metric "M" can not be empty
400 end_users_no_longer_supported: End-users are no longer supported, do not specify the user_id parameter
400 transactions_is_blank: transactions parameter is blank
400 transactions_format_invalid: transactions format is invalid
400 transactions_has_nil_transaction: transactions has a nil transaction
400 content_type_invalid: invalid Content-Type: text/xml
400 bad_request: request contains syntax errors, should not be repeated without modification
422 not_valid_data: all data must be valid UTF8
403 transaction_timestamp_too_old: reporting transactions older than 86400 seconds is not allowed
403 transaction_timestamp_too_new: reporting transactions more than 3600 seconds in the future is not allowed"#;

#[test]
fn every_rejection_has_its_code_and_text() {
    let text = |text: &str| Some(text.to_owned());
    for (rejection, code, shown) in [
        (Rejection::OauthNotEnabled, "oauth_not_enabled", "oauth is not enabled"),
        (
            Rejection::ApplicationKeyInvalid(text("K")),
            "application_key_invalid",
            r#"application key "K" is invalid"#,
        ),
        (
            Rejection::ApplicationKeyInvalid(None),
            "application_key_invalid",
            "application key is missing",
        ),
        (
            Rejection::RedirectUrlInvalid("U".to_owned()),
            "redirect_url_invalid",
            r#"redirect_url "U" is invalid"#,
        ),
        (
            Rejection::RedirectUriInvalid("U".to_owned()),
            "redirect_uri_invalid",
            r#"redirect_uri "U" is invalid"#,
        ),
        (
            Rejection::ReferrerNotAllowed(text("R")),
            "referrer_not_allowed",
            r#"referrer "R" is not allowed"#,
        ),
        (Rejection::ReferrerNotAllowed(None), "referrer_not_allowed", "referrer is missing"),
        (Rejection::ApplicationNotActive, "application_not_active", "application is not active"),
        (Rejection::ServiceNotActive, "service_not_active", "service is not active"),
        (Rejection::LimitsExceeded, "limits_exceeded", "usage limits are exceeded"),
    ] {
        assert_eq!((rejection.code(), rejection.to_string().as_str()), (code, shown));
    }
}

use super::super::call::Operation;
use super::super::catalog::{ReferrerFilters, State};
use super::super::period::Period;
use super::{TestBackend, error, reason};

fn failure(backend: &mut TestBackend, operation: Operation, query: &str) -> (u16, String) {
    let (status, code, _) = error(&backend.ask(operation, query, ""));
    (status, code)
}

#[test]
fn a_provider_shows_a_key_or_a_token_with_the_id_of_its_service() {
    let mut backend = TestBackend::new();
    let mut status =
        |query: &str| backend.ask(Operation::Authorize, &format!("app_id=app&{query}"), "").status;
    for query in [
        "provider_key=pk",
        "provider_key=+pk+",
        "provider_key=pk&service_id=2",
        "provider_key=pk&service_id=x-2",
        "provider_key=pk&service_id=x-y-2",
        "provider_key=pk&service_token=wrong&service_id=2",
        "provider_key[]=x&service_token=token&service_id=2",
        "service_token=token&service_id=2",
        "service_token=token&service_id=+2+",
        "provider_key=wrong&provider_key=pk",
    ] {
        assert_eq!(status(query), 200, "{query}");
    }
    let mut failure = |query: &str| {
        let answer = backend.ask(Operation::Authorize, &format!("app_id=app&{query}"), "");
        let (status, code, _) = error(&answer);
        (status, code)
    };
    for (query, status, code) in [
        ("", 403, "provider_key_or_service_token_required"),
        ("provider_key=&service_id=2", 403, "provider_key_or_service_token_required"),
        ("provider_key[a]=pk", 403, "provider_key_or_service_token_required"),
        ("service_token=&service_id=2", 403, "provider_key_or_service_token_required"),
        ("service_token=token", 422, "service_id_missing"),
        ("service_token=token&service_id=+", 422, "service_id_missing"),
        ("service_token=wrong&service_id=2", 403, "service_token_invalid"),
        ("service_token=token&service_id=9", 403, "service_token_invalid"),
        ("service_token=token&service_id=x-2", 403, "service_token_invalid"),
        ("provider_key=wrong", 403, "provider_key_invalid_or_service_missing"),
        ("provider_key=other_pk", 403, "provider_key_invalid_or_service_missing"),
        ("provider_key=wrong&service_id=2", 403, "provider_key_invalid"),
        ("provider_key=pk&service_id=other", 403, "service_id_invalid"),
        ("provider_key=pk&service_id=9", 403, "service_id_invalid"),
        ("provider_key=pk&service_id=-", 403, "service_id_invalid"),
    ] {
        assert_eq!(failure(query), (status, code.to_owned()), "{query}");
    }
}

#[test]
fn the_version_of_a_service_says_how_its_applications_are_known() {
    let mut backend = TestBackend::new();
    let mut ask = |service: &str, query: &str| {
        let query = format!("provider_key=pk&service_id={service}&{query}");
        let answer = backend.ask(Operation::Authorize, &query, "");
        if answer.status == 200 {
            (200, String::new())
        } else {
            let (status, _, text) = error(&answer);
            (status, text)
        }
    };
    for (service, query, status, text) in [
        ("1", "user_key=uk", 200, ""),
        ("1", "user_key=+uk%0A&app_key=ignored", 200, ""),
        ("1", "user_key=x", 403, r#"user key "x" is invalid"#),
        ("1", "user_key=", 403, "user key is missing"),
        ("1", "app_id=app", 403, "user key is missing"),
        ("1", "app_id=app&user_key=uk", 403, "either app_id or user_key is allowed, not both"),
        ("2", "app_id=app", 200, ""),
        ("2", "app_id=app&user_key=", 200, ""),
        ("2", "app_id=x", 404, r#"application with id="x" was not found"#),
        ("2", "app_id[]=app", 404, "application id is missing"),
        ("2", "user_key=uk", 404, "application id is missing"),
        ("oauth", "app_id=app", 200, ""),
    ] {
        assert_eq!(ask(service, query), (status, text.to_owned()), "{service} {query}");
    }
}

#[test]
fn keys_are_needed_by_version() {
    let mut backend = TestBackend::new();
    for service in ["1", "2", "oauth"] {
        backend.add_key(service, "good", None);
    }
    let mut ask = |service: &str, query: &str| {
        let query = format!("provider_key=pk&service_id={service}&{query}");
        let answer = backend.ask(Operation::Authorize, &query, "");
        if answer.status == 200 { String::new() } else { reason(&answer).to_owned() }
    };
    let invalid = r#"application key "bad" is invalid"#;
    let missing = "application key is missing";
    for (service, query, text) in [
        ("1", "user_key=uk&app_key=bad", ""),
        ("2", "app_id=app&app_key=good", ""),
        ("2", "app_id=app&app_key=+good+", ""),
        ("2", "app_id=app&app_key=bad", invalid),
        ("2", "app_id=app&app_key=", missing),
        ("2", "app_id=app", missing),
        ("2", "app_id=app&app_key[]=good", missing),
        ("oauth", "app_id=app&app_key=good", ""),
        ("oauth", "app_id=app", ""),
        ("oauth", "app_id=app&app_key=bad", invalid),
        ("oauth", "app_id=app&app_key=", missing),
    ] {
        assert_eq!(ask(service, query), text, "{service} {query}");
    }
}

#[test]
fn oauth_calls_are_for_services_that_use_it() {
    let mut backend = TestBackend::new();
    let mut ask =
        |query: &str| backend.ask(Operation::OauthAuthrep, &format!("provider_key=pk&{query}"), "");
    assert_eq!(ask("service_id=oauth&app_id=app").status, 200);
    assert_eq!(ask("service_id=oauth&app_id=app&redirect_uri=").status, 200);
    assert_eq!(reason(&ask("app_id=app&app_key=x&redirect_url=y")), "oauth is not enabled");
    assert_eq!(error(&ask("service_id=1&app_id=app")).2, "user key is missing");
    let missing = error(&ask("service_id=oauth&user_key=uk"));
    assert_eq!((missing.0, missing.2.as_str()), (404, "application id is missing"));
    let redirect = ask("service_id=oauth&app_id=app&redirect_uri=x");
    assert_eq!(reason(&redirect), r#"redirect_uri "x" is invalid"#);
    let key_first = ask("service_id=oauth&app_id=app&redirect_uri=x&app_key=y");
    assert_eq!(reason(&key_first), r#"application key "y" is invalid"#);
}

#[test]
fn referrers_are_looked_at_where_service_and_application_want_it() {
    let mut backend = TestBackend::new();
    backend.application().referrer_filters.push("*.example.com".into());
    assert_eq!(backend.authorize("referrer=evil").status, 200);
    backend.service("2").service.referrer_filters = ReferrerFilters::Required;
    for referrer in ["a.example.com", "*"] {
        assert_eq!(backend.authorize(&format!("referrer={referrer}")).status, 200, "{referrer}");
    }
    assert_eq!(reason(&backend.authorize("referrer=evil")), r#"referrer "evil" is not allowed"#);
    for missing in ["", "referrer=", "referrer=+", "referrer[]=*"] {
        assert_eq!(reason(&backend.authorize(missing)), "referrer is missing", "{missing}");
    }
    backend.application().referrer_filters.clear();
    assert_eq!(backend.authorize("").status, 200);
}

#[test]
fn the_first_rule_that_fails_is_the_answer() {
    let mut backend = TestBackend::with_limits(&[("hits", Period::Day, 0)]);
    backend.add_key("2", "good", None);
    backend.service("2").service.referrer_filters = ReferrerFilters::Required;
    backend.service("2").service.state = State::Suspended;
    backend.application().state = State::Suspended;
    backend.application().referrer_filters.push("example.com".into());
    let bad = "usage[none]=x";
    assert_eq!(reason(&backend.authrep(bad)), "application key is missing");
    let bad = format!("{bad}&app_key=good");
    assert_eq!(reason(&backend.authrep(&bad)), "referrer is missing");
    let bad = format!("{bad}&referrer=example.com");
    assert_eq!(reason(&backend.authrep(&bad)), "application is not active");
    backend.application().state = State::Active;
    assert_eq!(reason(&backend.authrep(&bad)), "service is not active");
    backend.service("2").service.state = State::Active;
    assert_eq!(error(&backend.authrep(&bad)).1, "usage_value_invalid");
    let bad = bad.replace("=x", "=1");
    assert_eq!(error(&backend.authrep(&bad)).1, "metric_invalid");
    let bad = bad.replace("none", "hits");
    assert_eq!(reason(&backend.authrep(&bad)), "usage limits are exceeded");
}

#[test]
fn without_a_body_metrics_are_looked_up_before_the_rules() {
    let mut backend = TestBackend::new();
    backend.add_key("2", "good", None);
    let query = "provider_key=pk&app_id=app&app_key=bad&usage[none]=1";
    assert_eq!(backend.ask(Operation::Authorize, query, "").status, 409);
    let answer = backend.ask(Operation::Authorize, query, "no_body=1");
    assert_eq!((answer.status, answer.body.as_str()), (404, ""));
    let query = "provider_key=pk&app_id=app&app_key=bad&usage[hits]=x";
    assert_eq!(backend.ask(Operation::Authorize, query, "no_body=1").status, 409);
}

#[test]
fn faults_of_form_are_told_to_those_who_may_call() {
    let mut backend = TestBackend::new();
    let authorize = Operation::Authorize;
    let user = "user_id=&usage=1";
    let required = (403, "provider_key_or_service_token_required".to_owned());
    assert_eq!(failure(&mut backend, authorize, user), required);
    let ended = (400, "end_users_no_longer_supported".to_owned());
    assert_eq!(failure(&mut backend, authorize, &format!("provider_key=wrong&{user}")), ended);
    for usage in ["usage=1", "usage[]=1", "usage="] {
        let answer = backend.authorize(usage);
        assert_eq!((answer.status, answer.body.as_str()), (403, ""), "{usage}");
    }
    assert_eq!(backend.authorize("usage&user_id").status, 200);
    let foreign = (422, "not_valid_data".to_owned());
    assert_eq!(failure(&mut backend, authorize, "service_token=t&user_key=%ff%fe"), foreign);
    assert_eq!(failure(&mut backend, authorize, "a=%").1, "bad_request");
}

#[test]
fn a_rejection_names_its_code_in_a_header_when_asked() {
    let mut backend = TestBackend::new();
    backend.application().state = State::Suspended;
    let mut ask = |header| {
        backend.ask(Operation::Authorize, "provider_key=pk&app_id=app", header).rejection_reason
    };
    assert_eq!(ask("rejection_reason_header=1"), Some("application_not_active"));
    assert_eq!(ask(""), None);
}

#[test]
fn operations_have_their_paths() {
    assert_eq!(Operation::at("/transactions/authrep.xml"), Some(Operation::Authrep));
    assert_eq!(Operation::at("/transactions/oauth_authorize.xml"), Some(Operation::OauthAuthorize));
    for path in ["/transactions/authrep.json", "/transactions.xml", "/transactions/authrep.xml/"] {
        assert_eq!(Operation::at(path), None);
    }
}

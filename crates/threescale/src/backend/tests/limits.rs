use proptest::prelude::*;

use super::super::call::{Call, Operation};
use super::super::decide::prepare;
use super::super::limit_headers::LimitHeaders;
use super::super::options::Options;
use super::super::period::Period;
use super::super::query::Query;
use super::{TestBackend, error, metrics, reason};

const EXCEEDED: &str = "usage limits are exceeded";

#[test]
fn a_limit_may_be_reached_and_not_passed() {
    let mut backend = TestBackend::with_limits(&[("hits", Period::Day, 3)]);
    assert_eq!(backend.authrep("usage[hits]=2").status, 200);
    assert_eq!(reason(&backend.authrep("usage[hits]=2")), EXCEEDED);
    assert_eq!(backend.authrep("usage[hits]=1").status, 200);
    assert_eq!(reason(&backend.authrep("usage[hits]=1")), EXCEEDED);
    assert_eq!(backend.counter("hits", Period::Day), 3);
    let mut disabled = TestBackend::with_limits(&[("hits", Period::Day, 0)]);
    assert_eq!(disabled.authrep("usage[hits]=0").status, 200);
    assert_eq!(reason(&disabled.authrep("usage[hits]=1")), EXCEEDED);
}

#[test]
fn authorize_counts_nothing() {
    let mut backend = TestBackend::with_limits(&[("hits", Period::Day, 3)]);
    for _ in 0..5 {
        let answer = backend.authorize("usage[hits]=3");
        assert!(answer.body.contains("<current_value>0</current_value>"), "{}", answer.body);
    }
    assert_eq!(reason(&backend.authorize("usage[hits]=4")), EXCEEDED);
    assert!(backend.counters.is_empty());
}

#[test]
fn with_usage_only_limits_that_it_reaches_deny() {
    let limits = [("hits", Period::Day, 5), ("search", Period::Day, 5), ("upload", Period::Day, 5)];
    let mut backend = TestBackend::with_limits(&limits);
    backend.set("upload", Period::Day, 6);
    assert_eq!(backend.authrep("usage[search]=1").status, 200);
    assert_eq!(reason(&backend.authrep("")), EXCEEDED);
    assert_eq!(reason(&backend.authrep("usage[upload]=0")), EXCEEDED);
    backend.set("hits", Period::Day, 5);
    assert_eq!(reason(&backend.authrep("usage[deep]=1")), EXCEEDED, "by what is above");
    backend.set("hits", Period::Day, 0);
    backend.set("search", Period::Day, 5);
    assert_eq!(backend.authrep("usage[hits]=1").status, 200, "not by what is below");
}

#[test]
fn flat_usage_reaches_what_it_names_and_nothing_above() {
    let limits = [("hits", Period::Day, 5), ("search", Period::Day, 6)];
    let mut backend = TestBackend::with_limits(&limits);
    let mut ask = |usage: &str| {
        let query = format!("provider_key=pk&app_id=app&{usage}");
        backend.ask(Operation::Authrep, &query, "flat_usage=1")
    };
    assert_eq!(ask("usage[search]=6").status, 200);
    assert_eq!(reason(&ask("usage[search]=1")), EXCEEDED);
    assert_eq!(reason(&ask("usage[hits]=6")), EXCEEDED);
    let answer = ask("usage[hits]=5&usage[deep]=5");
    assert!(answer.body.contains("<current_value>5</current_value>"), "{}", answer.body);
    let counted = |name| backend.counter(name, Period::Day);
    assert_eq!([counted("hits"), counted("search"), counted("deep")], [5, 6, 5]);
}

#[test]
fn set_replaces_what_was_counted_and_is_held_to_the_limit() {
    let mut backend = TestBackend::with_limits(&[("hits", Period::Day, 100)]);
    assert_eq!(backend.authrep("usage[hits]=99").status, 200);
    let answer = backend.authrep("usage[hits]=%232");
    assert!(answer.body.contains("<current_value>2</current_value>"), "{}", answer.body);
    assert_eq!(reason(&backend.authrep("usage[hits]=%23101")), EXCEEDED);
    assert_eq!(backend.authrep("usage[search]=%236").status, 200);
    assert_eq!(
        (backend.counter("hits", Period::Day), backend.counter("search", Period::Day)),
        (6, 6)
    );
    assert_eq!(backend.authrep("usage[hits]=%230").status, 200);
    assert_eq!(backend.counter("hits", Period::Day), 0);
}

#[test]
fn what_uses_nothing_is_not_counted() {
    let backend = TestBackend::new();
    for (query, counted, code) in [
        ("usage[hits]=1&log[code]=200", true, Some(200)),
        ("usage[hits]=1&log[code]=2000", true, None),
        ("usage[hits]=1&log[code]=20x", true, None),
        ("usage[hits]=1&log=200", true, None),
        ("usage[hits]=%230", true, None),
        ("usage[hits]=0&log[code]=200", false, None),
        ("log[code]=200", false, None),
        ("", false, None),
    ] {
        let query = format!("provider_key=pk&app_id=app&{query}");
        let query = Query::parse(query.as_bytes()).unwrap();
        let decide = |operation| backend.decide(operation, &query, Options::default()).unwrap();
        let decision = decide(Operation::Authrep);
        assert_eq!(
            (decision.counted().is_some(), decision.counted_response_code()),
            (counted, code)
        );
        assert!(decide(Operation::Authorize).counted().is_none());
    }
}

#[test]
fn only_the_counters_that_matter_are_asked_for() {
    let limits = [("hits", Period::Day, 5), ("upload", Period::Day, 5), ("deep", Period::Day, 5)];
    let mut backend = TestBackend::with_limits(&limits);
    backend.add_key("2", "good", None);
    let needs = |query: &str, no_body| {
        let query = format!("provider_key=pk&app_id=app&{query}");
        let query = Query::parse(query.as_bytes()).unwrap();
        let call = Call::read(Operation::Authrep, &query).unwrap();
        let options = Options { no_body, ..Options::default() };
        let prepared = prepare(&backend, &call, options).unwrap();
        let names = prepared.limits().map(|limit| metrics().metric(limit.metric).name.to_string());
        names.collect::<Vec<_>>().join(" ")
    };
    assert_eq!(needs("app_key=good&usage[search]=1", false), "hits upload deep");
    assert_eq!(needs("app_key=good&usage[search]=1", true), "hits");
    assert_eq!(needs("app_key=good", true), "hits upload deep");
    assert_eq!(needs("usage[search]=1", false), "hits upload deep");
    assert_eq!(needs("usage[search]=1", true), "");
}

fn headers(backend: &mut TestBackend, operation: Operation, query: &str) -> String {
    let query = format!("provider_key=pk&app_id=app&{query}");
    let with_body = backend.ask(operation, &query, "limit_headers=1");
    let headers = |limits: Option<LimitHeaders>| {
        let fields = limits.into_iter().flat_map(LimitHeaders::fields);
        let fields = fields.map(|(name, value)| {
            format!("{}={value}", name.strip_prefix("3scale-limit-").unwrap())
        });
        fields.collect::<Vec<_>>().join(" ")
    };
    headers(with_body.limits)
}

#[test]
fn headers_tell_how_many_more_of_the_same_call_would_pass() {
    let limits =
        [("hits", Period::Day, 100), ("hits", Period::Hour, 100), ("upload", Period::Day, 1)];
    let mut backend = TestBackend::with_limits(&limits);
    // Half a second past: what is left of the day is rounded up.
    let day = 24 * 3600 - (5 * 3600 + 30 * 60 + 23);
    let predicted = headers(&mut backend, Operation::Authorize, "usage[hits]=10");
    assert_eq!(predicted, format!("remaining=10 reset={day} max-value=100"));
    let counted = headers(&mut backend, Operation::Authrep, "usage[deep]=10");
    assert_eq!(counted, format!("remaining=9 reset={day} max-value=100"), "of what is above, too");
    backend.set("hits", Period::Hour, 95);
    let hour = 3600 - (30 * 60 + 23);
    let denied = headers(&mut backend, Operation::Authrep, "usage[hits]=10");
    assert_eq!(denied, format!("remaining=0 reset={hour} max-value=100"));
}

#[test]
fn headers_say_unconstrained_where_no_limit_reaches_the_call() {
    let mut backend = TestBackend::with_limits(&[("upload", Period::Eternity, 4)]);
    assert_eq!(headers(&mut backend, Operation::Authrep, "usage[hits]=1"), "remaining=-1 reset=-1");
    assert_eq!(headers(&mut backend, Operation::Authrep, ""), "remaining=-1 reset=-1");
    let eternal = headers(&mut backend, Operation::Authrep, "usage[upload]=2");
    assert_eq!(eternal, "remaining=1 reset=-1 max-value=4");
    backend.set("upload", Period::Eternity, 4);
    assert_eq!(headers(&mut backend, Operation::Authorize, ""), "remaining=0 reset=-1 max-value=4");
    backend.application().state = super::super::catalog::State::Suspended;
    assert_eq!(headers(&mut backend, Operation::Authorize, ""), "", "only limits have headers");
}

#[test]
fn an_unknown_metric_has_no_answer() {
    let (status, code, text) = error(&TestBackend::new().authrep("usage[nukes]=1"));
    assert_eq!((status, code.as_str()), (404, "metric_invalid"));
    assert_eq!(text, r#"metric "nukes" is invalid"#);
}

proptest! {
    #[test]
    fn no_order_of_calls_passes_a_limit_and_headers_keep_their_word(
        calls in prop::collection::vec((0..4_usize, 0..5_u64), 1..40),
        maxima in prop::collection::vec(0..20_u64, 4),
    ) {
        let names = ["hits", "search", "deep", "upload"];
        let limits = names.iter().zip(&maxima).map(|(name, max)| (*name, Period::Day, *max));
        let limits = limits.collect::<Vec<_>>();
        let mut backend = TestBackend::with_limits(&limits);
        for (which, amount) in calls {
            let query = format!("provider_key=pk&app_id=app&usage[{}]={amount}", names[which]);
            let answer = backend.ask(Operation::Authrep, &query, "limit_headers=1");
            for (name, max) in names.iter().zip(&maxima) {
                prop_assert!(backend.counter(name, Period::Day) <= *max);
            }
            if amount == 0 {
                continue;
            }
            let Some(LimitHeaders::Constrained { remaining, .. }) = answer.limits else {
                return Err(TestCaseError::fail("every metric has a limit"));
            };
            // A copy goes on with the same call for as long as the headers promised, and not longer.
            let mut copy = TestBackend::with_limits(&limits);
            copy.counters = backend.counters.clone();
            for left in (0..=remaining).rev() {
                let status = copy.ask(Operation::Authrep, &query, "no_body=1").status;
                prop_assert_eq!(status == 200, left > 0);
            }
        }
    }
}

use std::collections::BTreeMap;
use std::sync::Arc;

use keystile_core::time::Timestamp;

use super::answer::Answer;
use super::call::{Call, Operation};
use super::catalog::{
    AppKey, Application, BackendVersion, Directory, Plan, ReferrerFilters, Service, State,
    UsageLimit,
};
use super::decide::{Decision, prepare};
use super::error::RequestError;
use super::metrics::{Metric, Metrics};
use super::options::Options;
use super::period::Period;
use super::query::Query;
use super::usage::Usage;

mod alerts;
mod bodies;
mod limits;
mod query;
mod report;
mod rules;
mod usage;

/// A provider's services, with secrets in the clear and counters of one application of each.
struct TestBackend {
    services: Vec<TestService>,
    counters: BTreeMap<(String, Period), u64>,
    now: Timestamp,
}

struct TestService {
    service: Service,
    provider_key: &'static str,
    is_default: bool,
    token: &'static str,
    user_key: &'static str,
    app_keys: Vec<&'static str>,
    application: Application,
}

/// `hits` above `search` above `deep`, and `upload` beside them.
fn metrics() -> Metrics {
    let metric = |id: &str, name: &str, parent: Option<&str>| Metric {
        id: id.into(),
        name: name.into(),
        parent_id: parent.map(Into::into),
    };
    let metrics = vec![
        metric("1", "hits", None),
        metric("2", "search", Some("1")),
        metric("3", "upload", None),
        metric("4", "deep", Some("2")),
    ];
    Metrics::new(metrics).unwrap()
}

fn test_service(id: &str, version: BackendVersion) -> TestService {
    let service = Service {
        id: id.into(),
        backend_version: version,
        state: State::Active,
        referrer_filters: ReferrerFilters::Ignored,
        metrics: metrics(),
    };
    let application = Application {
        id: "app".into(),
        state: State::Active,
        plan: Arc::new(Plan::new("7", "Basic & <Co>", Vec::new())),
        keys: Vec::new(),
        referrer_filters: Vec::new(),
        redirect_url: None,
    };
    TestService {
        service,
        provider_key: "pk",
        is_default: false,
        token: "token",
        user_key: "uk",
        app_keys: Vec::new(),
        application,
    }
}

impl TestBackend {
    /// Services `2`, the default, `1` and `oauth`, named by their versions, and `other` of a provider without a
    /// default.
    fn new() -> Self {
        let mut default = test_service("2", BackendVersion::Two);
        default.is_default = true;
        let mut other = test_service("other", BackendVersion::Two);
        other.provider_key = "other_pk";
        Self {
            services: vec![
                default,
                test_service("1", BackendVersion::One),
                test_service("oauth", BackendVersion::Oauth),
                other,
            ],
            counters: BTreeMap::new(),
            now: "2026-11-24T05:30:23.500Z".parse().unwrap(),
        }
    }

    /// With limits of the default service's application.
    fn with_limits(limits: &[(&str, Period, u64)]) -> Self {
        let mut backend = Self::new();
        let metrics = metrics();
        let limit = |(name, period, max): &(&str, Period, u64)| UsageLimit {
            metric: metrics.by_name(name).unwrap(),
            period: *period,
            max: *max,
        };
        let limits = limits.iter().map(limit).collect();
        for service in &mut backend.services {
            service.application.plan =
                Arc::new(Plan::new("7", "Basic & <Co>", Vec::clone(&limits)));
        }
        backend
    }

    fn service(&mut self, id: &str) -> &mut TestService {
        self.services.iter_mut().find(|service| &*service.service.id == id).unwrap()
    }

    fn application(&mut self) -> &mut Application {
        &mut self.service("2").application
    }

    fn add_key(&mut self, service: &str, key: &'static str, shown: Option<&str>) {
        let service = self.service(service);
        service.app_keys.push(key);
        service.application.keys.push(AppKey { shown: shown.map(Into::into) });
    }

    fn set(&mut self, metric: &str, period: Period, value: u64) {
        self.counters.insert((metric.to_owned(), period), value);
    }

    fn counter(&self, metric: &str, period: Period) -> u64 {
        self.counters.get(&(metric.to_owned(), period)).copied().unwrap_or(0)
    }

    /// Asks and counts: what a listener and a store do.
    fn ask(&mut self, operation: Operation, query: &str, header: &str) -> Answer {
        let query = Query::parse(query.as_bytes());
        let query = match query {
            Ok(query) => query,
            Err(error) => return Answer::of_error(&error, Options::default()),
        };
        let params = query.params().ok().cloned().unwrap_or_default();
        let options = Options::read(Some(header.as_bytes()), &params).unwrap();
        let mut counted = None;
        let answer = match self.decide(operation, &query, options) {
            Ok(decision) => {
                counted = decision.counted().cloned();
                Answer::of_decision(&decision, options)
            }
            Err(error) => Answer::of_error(&error, options),
        };
        if let Some(usage) = counted {
            self.count(&usage);
        }
        answer
    }

    fn decide<'c>(
        &'c self,
        operation: Operation,
        query: &Query<'_>,
        options: Options,
    ) -> Result<Decision<'c>, RequestError> {
        let call = Call::read(operation, query)?;
        let prepared = prepare(self, &call, options)?;
        Ok(prepared.decide(self.now, |limit, window| {
            assert_eq!(window, limit.period.window(self.now));
            self.counter(&metrics().metric(limit.metric).name, limit.period)
        }))
    }

    fn count(&mut self, usage: &Usage) {
        for (metric, amount) in usage.iter() {
            for period in Period::ALL {
                let name = metrics().metric(metric).name.to_string();
                let value = self.counters.entry((name, period)).or_default();
                *value = amount.after(*value);
            }
        }
    }

    fn authrep(&mut self, query: &str) -> Answer {
        self.ask(Operation::Authrep, &format!("provider_key=pk&app_id=app&{query}"), "")
    }

    fn authorize(&mut self, query: &str) -> Answer {
        self.ask(Operation::Authorize, &format!("provider_key=pk&app_id=app&{query}"), "")
    }
}

impl Directory for TestBackend {
    fn service(&self, id: &str) -> Option<&Service> {
        self.services.iter().map(|service| &service.service).find(|service| &*service.id == id)
    }

    fn default_service(&self, provider_key: &str) -> Option<&Service> {
        let mut services = self.services.iter();
        let found =
            services.find(|service| service.is_default && service.provider_key == provider_key)?;
        Some(&found.service)
    }

    fn is_provider_key(&self, service: &Service, presented: &str) -> bool {
        self.of(service).provider_key == presented
    }

    fn is_service_token(&self, service: &Service, presented: &str) -> bool {
        self.of(service).token == presented
    }

    fn application(&self, service: &Service, id: &str) -> Option<&Application> {
        Some(&self.of(service).application).filter(|application| &*application.id == id)
    }

    fn application_with_user_key(&self, service: &Service, key: &str) -> Option<&Application> {
        let service = self.of(service);
        (service.user_key == key).then_some(&service.application)
    }

    fn is_app_key(&self, service: &Service, _: &Application, presented: &str) -> bool {
        self.of(service).app_keys.contains(&presented)
    }
}

impl TestBackend {
    fn of(&self, service: &Service) -> &TestService {
        self.services.iter().find(|known| known.service.id == service.id).unwrap()
    }
}

/// The code and the text of an error's body.
fn error(answer: &Answer) -> (u16, String, String) {
    let body = answer.body.strip_prefix(r#"<?xml version="1.0" encoding="UTF-8"?><error code=""#);
    let (code, text) = body.unwrap().split_once("\">").unwrap();
    (answer.status, code.to_owned(), text.strip_suffix("</error>").unwrap().to_owned())
}

/// The reason of a rejection's body.
fn reason(answer: &Answer) -> &str {
    assert_eq!(answer.status, 409, "{}", answer.body);
    let (_, text) = answer.body.split_once("<reason>").unwrap();
    text.split_once("</reason>").unwrap().0
}

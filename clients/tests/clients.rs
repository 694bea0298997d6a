//! Each client is driven the same way, from the first call to a suspended application, and has to tell its caller
//! what 3scale's own backend lets it tell.

use anyhow::Result;
use keystile_clients::{Backend, Client, ThreeScalers, Wire, node, python};
use serde_json::{Value, json};

/// What a report of a client comes to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Reports {
    Counted,
    /// The client writes `transactions[0]usage[hits]`, which current Rack, and so the reference and Keystile, reads
    /// as no usage.
    WithoutUsage,
}

/// A client, and the account that it asks.
struct Scenario<C> {
    backend: Backend,
    client: C,
}

impl<C: Client> Scenario<C> {
    fn new(wire: Wire, client: impl FnOnce(&Backend) -> Result<C>) -> Result<Self> {
        let backend = Backend::start(wire)?;
        backend.fill()?;
        let client = client(&backend)?;
        Ok(Self { backend, client })
    }

    fn call(&mut self, call: &str, application: &Value, usage: &Value) -> Result<Value> {
        let service = if application["user_key"].is_null() { "8" } else { "7" };
        // npm's client can report only with a provider key.
        let credentials = match call {
            "report" => json!({ "provider_key": "provider-key", "service_id": service }),
            _ => json!({ "service_token": "service-token", "service_id": service }),
        };
        let call = json!({ "call": call, "credentials": credentials, "application": application,
            "usage": usage });
        self.client.call(&call)
    }

    fn yes(&mut self, call: &str, usage: &Value) -> Result<()> {
        let answer = self.call(call, &json!({ "user_key": "user-key" }), usage)?;
        assert_eq!(answer["authorized"], true, "{call} {usage}: {answer}");
        Ok(())
    }

    fn no(&mut self, call: &str, application: &Value, usage: &Value, reason: &str) -> Result<()> {
        let answer = self.call(call, application, usage)?;
        assert_eq!(answer["authorized"], false, "{call} {application} {usage}: {answer}");
        assert_eq!(answer["reason"], reason, "{call} {application} {usage}");
        Ok(())
    }

    /// What the client tells its caller of a call that is not counted.
    fn used(&mut self, hits: u64) -> Result<()> {
        let application = json!({ "user_key": "user-key" });
        let answer = self.call("authorize", &application, &json!({ "hits": 1 }))?;
        assert_eq!(answer["plan"], "Basic & more", "{answer}");
        let usage = json!({ "hits/year": [hits, 5], "hits/month": [hits, 50] });
        assert_eq!(answer["usage"], usage, "{answer}");
        Ok(())
    }

    /// From the first call to a suspended application.
    fn user_key_is_followed(&mut self, reports: Reports) -> Result<()> {
        let application = json!({ "user_key": "user-key" });
        self.used(0)?;
        self.yes("authorize", &json!({ "hits": 5 }))?;
        self.yes("authrep", &json!({ "hits": 1 }))?;
        self.yes("authrep", &json!({ "post": 1 }))?;
        self.used(2)?;
        self.yes("report", &json!({ "hits": 2 }))?;
        let mut used = if reports == Reports::Counted { 4 } else { 2 };
        self.used(used)?;
        let exceeded = "usage limits are exceeded";
        self.no("authorize", &application, &json!({ "hits": 4 }), exceeded)?;
        self.no("authrep", &application, &json!({ "post": 4 }), exceeded)?;
        self.used(used)?;
        while used < 5 {
            self.yes("authrep", &json!({ "hits": 1 }))?;
            used += 1;
        }
        self.no("authrep", &application, &json!({ "hits": 1 }), exceeded)?;

        self.backend.set_state("7", "a7", "suspended")?;
        let suspended = "application is not active";
        self.no("authorize", &application, &json!({ "hits": 0 }), suspended)?;
        self.no("authrep", &application, &json!({ "hits": 0 }), suspended)?;
        // What it has used without leave counts.
        self.yes("report", &json!({ "post": 1 }))?;
        if reports == Reports::Counted {
            used += 1;
        }
        self.backend.set_state("7", "a7", "active")?;
        self.no("authrep", &application, &json!({ "hits": 1 }), exceeded)?;
        self.used(used)
    }

    /// What is wrong with a call arrives as what it is.
    fn mistakes_are_told(&mut self) -> Result<()> {
        let hit = json!({ "hits": 1 });
        let nobody = json!({ "user_key": "nobody" });
        for call in ["authorize", "authrep"] {
            self.no(call, &nobody, &hit, "user key \"nobody\" is invalid")?;
            let known = json!({ "user_key": "user-key" });
            self.no(call, &known, &json!({ "gets": 1 }), "metric \"gets\" is invalid")?;
            let pair = |id: &str, key: &str| json!({ "app_id": id, "app_key": key });
            let answer = self.call(call, &pair("a8", "app-key"), &hit)?;
            assert_eq!(answer["authorized"], true, "{answer}");
            let invalid = "application key \"guess\" is invalid";
            self.no(call, &pair("a8", "guess"), &hit, invalid)?;
            let missing = "application with id=\"a9\" was not found";
            self.no(call, &pair("a9", "app-key"), &hit, missing)?;
            let missing = "application key is missing";
            self.no(call, &json!({ "app_id": "a8" }), &hit, missing)?;
        }
        let call = json!({ "call": "authrep", "application": { "user_key": "user-key" },
            "credentials": { "service_token": "guess", "service_id": "7" }, "usage": hit });
        let answer = self.client.call(&call)?;
        assert_eq!(answer["authorized"], false, "{answer}");
        let reason = "service token \"guess\" or service id \"7\" is invalid";
        assert_eq!(answer["reason"], reason, "{answer}");
        Ok(())
    }
}

#[test]
fn threescalepy_counts_to_the_limit_and_stops_at_a_suspended_application() -> Result<()> {
    Scenario::new(Wire::Plain, python)?.user_key_is_followed(Reports::Counted)
}

#[test]
fn threescalepy_tells_what_is_wrong_with_a_call() -> Result<()> {
    Scenario::new(Wire::Plain, python)?.mistakes_are_told()
}

#[test]
fn npm_3scale_counts_to_the_limit_and_stops_at_a_suspended_application() -> Result<()> {
    Scenario::new(Wire::Tls, node)?.user_key_is_followed(Reports::Counted)
}

#[test]
fn npm_3scale_tells_what_is_wrong_with_a_call() -> Result<()> {
    Scenario::new(Wire::Tls, node)?.mistakes_are_told()
}

#[test]
fn npm_3scale_is_told_that_its_report_names_no_provider() -> Result<()> {
    let mut scenario = Scenario::new(Wire::Tls, node)?;
    let call = json!({ "call": "report", "application": { "user_key": "user-key" }, "usage": { "hits": 1 },
        "credentials": { "service_token": "service-token", "service_id": "7" } });
    let answer = scenario.client.call(&call)?;
    assert_eq!(answer["code"], "provider_key_or_service_token_required", "{answer}");
    scenario.used(0)
}

#[test]
fn threescalers_counts_to_the_limit_and_stops_at_a_suspended_application() -> Result<()> {
    Scenario::new(Wire::Plain, |backend| Ok(ThreeScalers::new(backend)))?
        .user_key_is_followed(Reports::WithoutUsage)
}

#[test]
fn threescalers_tells_what_is_wrong_with_a_call() -> Result<()> {
    Scenario::new(Wire::Plain, |backend| Ok(ThreeScalers::new(backend)))?.mistakes_are_told()
}

#[test]
fn threescalers_reads_the_hierarchy_of_metrics() -> Result<()> {
    let mut scenario = Scenario::new(Wire::Plain, |backend| Ok(ThreeScalers::new(backend)))?;
    let application = json!({ "app_id": "a8", "app_key": "app-key" });
    let answer = scenario.call("authorize", &application, &json!({ "hits": 1 }))?;
    assert_eq!(answer["has_hierarchy"], true, "{answer}");
    Ok(())
}

#[test]
fn clients_side_by_side_get_exactly_what_the_limit_allows() -> Result<()> {
    let backend = Backend::start(Wire::Tls)?;
    backend.fill()?;
    let mut clients: Vec<Box<dyn Client + Send>> = Vec::new();
    for _ in 0..3 {
        clients.push(Box::new(python(&backend)?));
        clients.push(Box::new(node(&backend)?));
        clients.push(Box::new(ThreeScalers::new(&backend)));
    }
    let call = json!({ "call": "authrep", "application": { "user_key": "user-key" }, "usage": { "post": 1 },
        "credentials": { "service_token": "service-token", "service_id": "7" } });
    let authorized = std::thread::scope(|scope| {
        let call = &call;
        let calling = clients.into_iter().map(|mut client| {
            scope.spawn(move || (0..10).map(|_| client.call(call)).collect::<Result<Vec<_>>>())
        });
        let calling: Vec<_> = calling.collect();
        let answers = calling.into_iter().map(|client| client.join().expect("no client panics"));
        answers.collect::<Result<Vec<_>>>()
    })?;
    let authorized = authorized.into_iter().flatten().filter(|answer| answer["authorized"] == true);
    assert_eq!(authorized.count(), 5);
    Ok(())
}

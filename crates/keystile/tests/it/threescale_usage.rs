//! Usage is reported to a backend that is another Keystile: what counts there is what the gate let through.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use keystile_threescale_standin::Portal;
use keystile_threescale_standin::tenant::{BackendVersion, Tenant};
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use crate::harness::{Caller, Dice, TestServer, free_port, pause, wait_until};

const TOKEN: &str = "b0bafe77c0ffee01b0bafe77c0ffee01b0bafe77c0ffee01b0bafe77c0ffee01";
const SERVICE_TOKEN: &str = "5erv1ce-t0ken";
const USER_KEY: &str = "8c2f01de77b0a4419ee177b0a4419ee1";
/// The user and the password of the internal API, `internal:a password for the portal`.
const BASIC: &str = "Basic aW50ZXJuYWw6YSBwYXNzd29yZCBmb3IgdGhlIHBvcnRhbA==";

/// A gate that drives an account of a portal and reports to a backend.
struct Halves {
    gate: TestServer,
    backend: TestServer,
    backend_address: SocketAddr,
    service: u64,
    _portal: Portal,
    _runtime: Runtime,
}

fn halves() -> Halves {
    let mut tenant = Tenant::with_token(TOKEN);
    let service = tenant.add_service("Bookmarks", BackendVersion::UserKey);
    let hits = tenant.hits(service);
    tenant.add_method(service, hits, "post");
    let plan = tenant.add_plan(service, "Basic");
    let account = tenant.add_account("Acme Ltd");
    let application = tenant.add_application(account, plan, "Importer");
    USER_KEY.clone_into(&mut tenant.application_mut(application).user_key);
    let runtime = Runtime::new().unwrap();
    let portal = runtime.block_on(Portal::start_plain(tenant));
    let backend_address = SocketAddr::from(([127, 0, 0, 1], free_port()));
    let backend = TestServer::new(&format!(
        "[plan.open]\nallow = \"bookmarks: *\"\n[threescale_backend]\nlisten = \"{backend_address}\"\n\
         internal = {{ user = \"internal\", password_file = \"internal\" }}\n"
    ));
    std::fs::write(backend.path("internal"), "a password for the portal").unwrap();
    let backend = backend.started();
    let portal_address = portal.address();
    let gate = TestServer::new(&format!(
        "key_header = \"X-API-Key\"\n[plan.open]\nallow = \"bookmarks: *\"\n\
         write_budget = \"1000000 per day\"\n[threescale.main]\nportal = {portal_address:?}\n\
         access_token_file = \"token\"\nservice = {service}\nplans = {{ Basic = \"open\" }}\n\
         backend = \"http://{backend_address}\"\nservice_token_file = \"service-token\"\n\
         usage = {{ reads = \"hits\", writes = \"post\" }}\n"
    ));
    std::fs::write(gate.path("token"), TOKEN).unwrap();
    std::fs::write(gate.path("service-token"), SERVICE_TOKEN).unwrap();
    let halves =
        Halves { gate, backend, backend_address, service, _portal: portal, _runtime: runtime };
    halves.fill_backend();
    halves
}

impl Halves {
    fn fill_backend(&self) {
        let of_service = format!("/internal/services/{}", self.service);
        let service =
            json!({"id": self.service.to_string(), "provider_key": "pk", "backend_version": "1"});
        self.send("POST", "/internal/services/", &json!({ "service": service }));
        for (id, name, parent) in [("1", "hits", Value::Null), ("2", "post", json!("1"))] {
            let metric = json!({"metric": {"name": name, "parent_id": parent}});
            self.send("POST", &format!("{of_service}/metrics/{id}"), &metric);
            let limit = json!({"usagelimit": {"eternity": 1_000_000}});
            self.send("PUT", &format!("{of_service}/plans/p/usagelimits/{id}/eternity"), &limit);
        }
        let token = json!({"service_tokens": {SERVICE_TOKEN: {"service_id": self.service}}});
        self.send("POST", "/internal/service_tokens/", &token);
        let application =
            json!({"application": {"state": "active", "plan_id": "p", "plan_name": "Basic"}});
        self.send("POST", &format!("{of_service}/applications/a"), &application);
        let key = format!("{of_service}/applications/a/key/{USER_KEY}");
        self.send("PUT", &key, &Value::Null);
    }

    /// A request to the backend, which succeeds; gives its answer.
    #[track_caller]
    fn send(&self, method: &str, path: &str, body: &Value) -> String {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let mut stream = TcpStream::connect(self.backend_address).unwrap();
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nhost: b\r\nconnection: close\r\nauthorization: {BASIC}\r\n\
             content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        )
        .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 20"), "{method} {path}: {answer}");
        answer
    }

    /// What the backend has counted of a metric.
    fn counted(&self, metric: &str) -> u64 {
        let query = format!("provider_key=pk&service_id={}&user_key={USER_KEY}", self.service);
        let answer =
            self.send("GET", &format!("/transactions/authorize.xml?{query}"), &Value::Null);
        let report = format!("<usage_report metric=\"{metric}\"");
        let (_, rest) = answer.split_once(&report).unwrap_or_else(|| panic!("{metric}: {answer}"));
        let (_, rest) = rest.split_once("<current_value>").unwrap();
        rest.split_once('<').unwrap().0.parse().unwrap()
    }

    fn usage(&self) -> Value {
        self.gate.json(&["threescale", "status"])[0]["usage"].clone()
    }

    fn usage_count(&self, name: &str) -> u64 {
        self.usage()[name].as_u64().unwrap()
    }

    fn caller(&self) -> Caller {
        Caller::new(self.gate.gate, Some(USER_KEY))
    }

    fn wait_until_nothing_waits(&self) {
        // What was counted last is a second old at most.
        pause(1_500);
        wait_until("everything is reported", || self.usage_count("waiting") == 0);
    }
}

#[test]
fn what_the_gate_lets_through_counts_at_the_backend_and_outlives_stops_and_outages() {
    let mut halves = halves();
    halves.gate.start();
    let caller = halves.caller();
    wait_until("the key came over", || caller.get("/a").status == 200);
    for number in 0..20 {
        assert_eq!(caller.get(&format!("/{number}")).status, 200);
        assert_eq!(caller.post(&format!("/{number}")).status, 200);
    }
    // Not sent on, so they do not count.
    assert_eq!(Caller::new(halves.gate.gate, Some("no-key")).get("/a").status, 401);
    assert_eq!(caller.get("/%2e%2e/a").status, 400);
    wait_until("all is reported", || halves.counted("post") == 20 && halves.counted("hits") == 41);
    assert_eq!(halves.usage_count("reported"), 41);
    let checked = halves.gate.run(&["threescale", "check"]).good();
    assert!(checked.stdout.contains("the backend takes reports"), "{checked:?}");
    // The backend is away: what is used waits, also across a stop in order.
    halves.backend.stop();
    for number in 0..10 {
        assert_eq!(caller.get(&format!("/{number}")).status, 200);
        assert_eq!(caller.post(&format!("/{number}")).status, 200);
    }
    halves.gate.stop();
    assert_eq!(halves.usage_count("waiting"), 20, "{}", halves.usage());
    halves.gate.start();
    halves.backend.start();
    wait_until("what waited is reported", || {
        halves.counted("post") == 30 && halves.counted("hits") == 61
    });
    wait_until("nothing waits", || halves.usage_count("waiting") == 0);
    let usage = halves.usage();
    assert_eq!((&usage["uncertain"], &usage["unreported"]), (&json!(0), &json!(0)), "{usage}");
    let shown = halves.gate.run(&["threescale", "status"]).good();
    assert!(shown.stdout.contains("calls reported: 61, waiting: 0"), "{shown:?}");
    let said = format!("{}{shown:?}", halves.gate.log());
    assert!(!said.contains(SERVICE_TOKEN) && !said.contains(USER_KEY), "{said}");
}

#[test]
fn no_write_counts_twice_or_gets_lost_unseen_when_the_gate_is_killed_at_any_moment() {
    let mut halves = halves();
    halves.gate.start();
    let caller = halves.caller();
    wait_until("the key came over", || caller.post("/first").status == 200);
    let (is_over, reads) = (AtomicBool::new(false), AtomicU64::new(0));
    let mut dice = Dice(0x1dea);
    std::thread::scope(|scope| {
        for number in 0..4 {
            let (caller, is_over, reads) = (halves.caller(), &is_over, &reads);
            scope.spawn(move || {
                for turn in 0.. {
                    if is_over.load(Ordering::Relaxed) {
                        return;
                    }
                    let path = format!("/jitter/{number}-{turn}");
                    if caller.call("POST", &path).is_err() {
                        pause(5);
                    }
                    // Counted before: a read whose answer is lost may have gone out.
                    reads.fetch_add(1, Ordering::Relaxed);
                    let _ = caller.call("GET", &path);
                }
            });
        }
        for _ in 0..8 {
            pause(300 + dice.roll(3_000));
            halves.gate.kill();
            halves.gate.start();
        }
        pause(500);
        is_over.store(true, Ordering::Relaxed);
    });
    halves.wait_until_nothing_waits();
    let usage = halves.usage();
    let missing: Vec<_> = usage["missing"].as_array().unwrap().iter().collect();
    let uncertain = missing.iter().find(|missing| missing["name"] == "post");
    let uncertain = uncertain.map_or(0, |missing| missing["uncertain"].as_u64().unwrap());
    let sent = |record: &&Value| {
        ["applied", "refused_by_upstream", "unknown"].contains(&record["outcome"].as_str().unwrap())
    };
    let written = halves.gate.journal().iter().filter(sent).count() as u64;
    let arrived = halves.gate.upstream.received();
    let arrived = arrived.iter().filter(|request| request.method == "POST").count() as u64;
    let counted = halves.counted("post");
    println!(
        "written {written}, arrived {arrived}, counted {counted}, uncertain {uncertain}: {usage}"
    );
    assert_eq!(usage["unreported"], 0, "{usage}");
    assert!(written > 100 && counted > 0, "{written} {counted}");
    assert!(counted <= arrived && counted <= written, "counted {counted}, sent {arrived}");
    assert!(counted + uncertain >= written, "counted {counted}, in doubt {uncertain}: {written}");
    let read = halves.counted("hits") - counted;
    let most = reads.into_inner();
    assert!(read <= most, "counted {read} of {most} reads");
    halves.gate.run(&["audit", "verify"]).good();
}

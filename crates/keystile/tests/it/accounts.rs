//! Accounts of 3scale while the server runs: they come, change and go with a reload, and webhooks have them read.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use keystile_threescale_standin::Portal;
use keystile_threescale_standin::tenant::{BackendVersion, State, Tenant};
use keystile_threescale_standin::webhook::{Action, event, send};
use tokio::runtime::Runtime;

use crate::harness::{Caller, TestServer, wait_until};

const TOKEN: &str = "b0bafe77c0ffee01b0bafe77c0ffee01b0bafe77c0ffee01b0bafe77c0ffee01";
const SECRET: &str = "0f1e2d3c4b5a69788796a5b4c3d2e1f0";
/// A certificate by its form only.
const BROKEN: &str = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
const PLANS: &str = "key_header = \"X-API-Key\"\n[plan.open]\nallow = \"bookmarks: *\"\n\
    write_budget = \"3 per day\"\n[plan.wide]\nallow = \"bookmarks: *\"\nwrite_budget = \"9 per day\"\n";

struct Site {
    server: TestServer,
    portal: Portal,
    service: u64,
    plan: u64,
    account: u64,
    runtime: Runtime,
}

impl Site {
    /// A portal, and a server that does not know it yet.
    fn start() -> Self {
        let mut tenant = Tenant::with_token(TOKEN);
        let service = tenant.add_service("Bookmarks", BackendVersion::UserKey);
        let plan = tenant.add_plan(service, "Basic");
        let account = tenant.add_account("Acme Ltd");
        let runtime = Runtime::new().unwrap();
        let portal = runtime.block_on(Portal::start(tenant));
        let server = TestServer::new(PLANS);
        std::fs::write(server.path("token"), TOKEN).unwrap();
        std::fs::write(server.path("hook"), SECRET).unwrap();
        std::fs::write(server.path("ca.pem"), portal.certificate_pem().unwrap()).unwrap();
        Self { server, portal, service, plan, account, runtime }
    }

    fn add_application(&self, name: &str) -> (u64, String) {
        let mut tenant = self.portal.tenant();
        let id = tenant.add_application(self.account, self.plan, name);
        let key = format!("{id:032x}");
        key.clone_into(&mut tenant.application_mut(id).user_key);
        (id, key)
    }

    /// The plans, and an account whose applications are on one of them.
    fn with_account(&self, plan: &str, refresh: &str) -> String {
        let Self { portal, service, .. } = self;
        format!(
            "{}[threescale.main]\nportal = {:?}\naccess_token_file = \"token\"\nca_file = \"ca.pem\"\n\
             service = {service}\nplans = {{ Basic = {plan:?} }}\nwebhook_secret_file = \"hook\"\n\
             refresh = {refresh:?}\nlook_ups = 0\n",
            self.without_account(),
            portal.address()
        )
    }

    fn without_account(&self) -> String {
        let text = self.server.configuration();
        text.split("[threescale.main]").next().unwrap().to_owned()
    }

    fn reload(&self, text: &str) -> String {
        self.server.configure(text);
        let said = self.server.run(&["reload"]).good();
        format!("{}{}", said.stdout, said.stderr)
    }

    fn works(&self, key: &str) -> bool {
        Caller::new(self.server.gate, Some(key)).get("/a").status == 200
    }

    fn state_there(&self, application: u64) -> State {
        self.portal.tenant().application(application).state
    }

    /// Posts to the console as the portal does, and gives the status.
    fn hook(&self, secret: &str, body: &str) -> u16 {
        let url = format!("http://{}/hooks/keys/{secret}", self.server.console);
        self.runtime.block_on(send(&url.parse().unwrap(), body)).unwrap()
    }
}

#[test]
fn an_account_comes_changes_and_goes_with_a_reload_and_a_lock_is_followed_all_the_while() {
    let mut site = Site::start();
    let (application, key) = site.add_application("Importer");
    site.server.start();
    assert!(!site.works(&key));
    let said = site.reload(&site.with_account("open", "10 s"));
    assert!(said.contains("accounts of 3scale are in force"), "{said}");
    assert!(said.contains("[threescale_backend]"), "what takes a restart is said: {said}");
    wait_until("the key came over", || site.works(&key));
    let caller = Caller::new(site.server.gate, Some(&key));
    for _ in 0..3 {
        assert_eq!(caller.post("/a").status, 200);
    }
    assert_eq!(caller.post("/a").status, 403);
    wait_until("it is suspended there", || site.state_there(application) == State::Suspended);
    // Another plan here, by a reload, with a lock that is followed.
    site.reload(&site.with_account("wide", "1 min"));
    let plan = || site.server.json(&["key", "list"])[0]["plan"].clone();
    wait_until("the plan changed", || plan() == "wide");
    assert_eq!(site.state_there(application), State::Suspended);
    let id = site.server.json(&["key", "list"])[0]["id"].as_str().unwrap().to_owned();
    site.server.run(&["key", "unlock", &id, "--reset-budget"]).good();
    wait_until("it is resumed there", || site.state_there(application) == State::Live);
    site.server.run(&["key", "lock", &id, "--reason", "a test"]).good();
    wait_until("it is suspended again", || site.state_there(application) == State::Suspended);
    let said = site.reload(&site.without_account());
    let left = "3scale main is not followed any more, and its keys stay; what a lock here asked for \
                there stays, for 1 application.";
    assert!(said.contains(left), "{said}");
    assert!(site.works(&key), "its reads go on");
    let none = site.server.run(&["threescale", "status"]).good();
    assert!(none.stderr.contains("No account of 3scale"), "{none:?}");
    // It comes back and goes on where it was.
    site.reload(&site.with_account("wide", "1 min"));
    site.server.run(&["key", "unlock", &id]).good();
    wait_until("it is resumed there at last", || site.state_there(application) == State::Live);
    site.server.run(&["audit", "verify"]).good();
}

#[test]
fn an_account_that_cannot_be_driven_changes_nothing() {
    let mut site = Site::start();
    let (_, key) = site.add_application("Importer");
    site.server.configure(&site.with_account("open", "10 s"));
    site.server.start();
    wait_until("the key came over", || site.works(&key));
    std::fs::write(site.server.path("ca.pem"), BROKEN).unwrap();
    site.server.configure(&site.with_account("wide", "10 s"));
    let said = site.server.run(&["reload"]).bad();
    assert!(said.contains("cannot be used") && said.contains("what is in force stays"), "{said}");
    let status = site.server.json(&["threescale", "status"]);
    assert!(status[0]["problem"].is_null(), "{status}");
    assert_eq!(site.server.json(&["key", "list"])[0]["plan"], "open");
    site.server.program().signal("HUP");
    wait_until("the log says so", || site.server.log().contains("SIGHUP changed nothing"));
    assert!(site.works(&key));
}

#[test]
fn a_webhook_brings_over_what_is_new_at_once_and_its_secret_is_told_nowhere() {
    let mut site = Site::start();
    site.server.configure(&site.with_account("open", "1 day"));
    site.server.start_logging("debug", None);
    let synchronized = || !site.server.json(&["threescale", "status"])[0]["synchronized"].is_null();
    wait_until("it was read", synchronized);
    let (application, key) = site.add_application("Exporter");
    assert!(!site.works(&key));
    let body = event(&site.portal.tenant(), application, Action::Created);
    assert_eq!(site.hook(&"f".repeat(32), &body), 404);
    assert_eq!(site.hook(SECRET, &body), 202);
    wait_until("the key came over", || site.works(&key));
    // A body that never ends is a hint too, once it is cut.
    let (_, another) = site.add_application("Reader");
    let mut cut = TcpStream::connect(site.server.console).unwrap();
    let head = format!(
        "POST /hooks/keys/{SECRET} HTTP/1.1\r\nhost: x\r\ncontent-length: 2000000\r\n\r\n<event>"
    );
    cut.write_all(head.as_bytes()).unwrap();
    let filling = vec![b' '; 1_200_000];
    // The server may answer and close before it has all of this.
    let _ = cut.write_all(&filling);
    let mut answer = [0; 12];
    cut.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"HTTP/1.1 202");
    wait_until("the other key came over", || site.works(&another));
    let status = site.server.run(&["threescale", "status"]).good().stdout;
    let address = format!("{}/hooks/keys/SECRET; the last came", site.server.console.port());
    assert!(status.contains(&address) && status.contains("hook holds"), "{status}");
    let checked = site.server.run(&["threescale", "check"]).good().stdout;
    assert!(checked.contains("webhooks are taken at"), "{checked}");
    let events = site.server.run(&["audit", "list", "--json"]).good().stdout;
    for said in [site.server.log(), status, checked, events] {
        assert!(!said.contains(SECRET), "{said}");
    }
}

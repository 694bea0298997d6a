//! An account of 3scale, driven by a server: its keys work at the gate, and a lock here is followed there.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};

use keystile_threescale_standin::Portal;
use keystile_threescale_standin::fault::Fault;
use keystile_threescale_standin::tenant::{BackendVersion, State, Tenant};
use tokio::runtime::Runtime;

use crate::harness::{Caller, TestServer, wait_until};

const TOKEN: &str = "b0bafe77c0ffee01b0bafe77c0ffee01b0bafe77c0ffee01b0bafe77c0ffee01";
const USER_KEY: &str = "8c2f01de77b0a4419ee177b0a4419ee1";
const NAME: &str = "Acme Ltd – Importer";

struct Site {
    server: TestServer,
    portal: Portal,
    application: u64,
    messages: Arc<Mutex<String>>,
    _runtime: Runtime,
}

/// A server that drives an account with one application, whose plan here allows three writes a day.
fn site() -> Site {
    let mut tenant = Tenant::with_token(TOKEN);
    let service = tenant.add_service("Bookmarks", BackendVersion::UserKey);
    let plan = tenant.add_plan(service, "Basic");
    let account = tenant.add_account("Acme Ltd");
    let application = tenant.add_application(account, plan, "Importer");
    USER_KEY.clone_into(&mut tenant.application_mut(application).user_key);
    let runtime = Runtime::new().unwrap();
    let portal = runtime.block_on(Portal::start_plain(tenant));
    let (webhook, messages) = listen_to_messages();
    let portal_address = portal.address();
    let server = TestServer::new(&format!(
        "key_header = \"X-API-Key\"\n[plan.open]\nallow = \"bookmarks: *\"\n\
         write_budget = \"3 per day\"\n[threescale.main]\nportal = {portal_address:?}\n\
         access_token_file = \"token\"\nservice = {service}\nplans = {{ Basic = \"open\" }}\n\
         refresh = \"10 s\"\n[channel.ops]\nkind = \"webhook\"\nurl = {webhook:?}\n\
         secret_env = \"HOOK_SECRET\"\n",
    ));
    std::fs::write(server.path("token"), TOKEN).unwrap();
    Site { server, portal, application, messages, _runtime: runtime }
}

/// A place for messages, and all that came there.
fn listen_to_messages() -> (String, Arc<Mutex<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}/", listener.local_addr().unwrap());
    let messages = Arc::new(Mutex::new(String::new()));
    let kept = messages.clone();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let (mut text, mut part) = (String::new(), [0; 4096]);
            while !text.ends_with('}') {
                let read = stream.read(&mut part).unwrap();
                if read == 0 {
                    break;
                }
                text += &String::from_utf8_lossy(&part[..read]);
            }
            kept.lock().unwrap().push_str(&text);
            let answer = b"HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n";
            stream.write_all(answer).unwrap();
        }
    });
    (address, messages)
}

impl Site {
    fn caller(&self) -> Caller {
        Caller::new(self.server.gate, Some(USER_KEY))
    }

    fn state_there(&self) -> State {
        self.portal.tenant().application(self.application).state
    }

    fn lock_there(&self) -> Option<String> {
        let status = self.server.json(&["threescale", "status"]);
        status[0]["locks"][0]["state"].as_str().map(str::to_owned)
    }
}

#[test]
fn a_burst_locks_here_suspends_there_and_is_over_when_an_owner_unlocks() {
    let mut site = site();
    site.server
        .start_with_environment(&[("HOOK_SECRET", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")]);
    let caller = site.caller();
    wait_until("the key came over", || caller.get("/a").status == 200);
    for number in 0..3 {
        assert_eq!(caller.post(&format!("/{number}")).status, 200);
    }
    site.portal.fail_on("/suspend.json", Fault::json(500, "{}"));
    let refused = caller.post("/3");
    assert_eq!(refused.status, 403, "{refused:?}");
    wait_until("it is suspended there", || site.lock_there().as_deref() == Some("suspended there"));
    assert_eq!(site.state_there(), State::Suspended);
    assert_eq!(caller.get("/a").status, 200, "its reads go on here");
    wait_until("the owner is told", || {
        let messages = site.messages.lock().unwrap();
        messages.contains("gateways may go on for up to a minute")
    });
    let key = site.server.json(&["key", "list"])[0]["id"].as_str().unwrap().to_owned();
    site.server.run(&["key", "unlock", &key, "--reset-budget"]).good();
    wait_until("it is resumed there", || site.state_there() == State::Live);
    wait_until("nothing is asked any more", || site.lock_there().is_none());
    assert_eq!(caller.post("/4").status, 200);
    site.server.run(&["audit", "verify"]).good();
    let said = format!("{}{}", site.server.log(), site.messages.lock().unwrap());
    assert!(!said.contains(TOKEN) && !said.contains(USER_KEY), "{said}");
}

#[test]
fn an_account_is_brought_over_and_checked_without_a_server_too() {
    let mut site = site();
    site.server.issue("mine", "open");
    let dry = site.server.json(&["threescale", "sync", "--dry-run"]);
    assert_eq!((dry[0]["changed"].as_u64(), dry[0]["mode"].as_str()), (Some(1), Some("dry_run")));
    let said = site.server.run(&["threescale", "sync", "--account", "main"]).good();
    assert!(said.stdout.contains(NAME), "{said:?}");
    assert!(said.stderr.contains("3scale main: 1 applications there"), "{said:?}");
    let checked = site.server.run(&["threescale", "check"]).good();
    assert!(checked.stdout.contains("goes by user keys"), "{checked:?}");
    let status = site.server.run(&["threescale", "status"]).good();
    assert!(status.stdout.contains("Applications  1"), "{status:?}");
    let other = site.server.run(&["threescale", "check", "--account", "other"]).bad();
    assert!(other.contains("there is no key source 3scale other"), "{other}");
    std::fs::write(site.server.path("token"), "not-the-token").unwrap();
    let checked = site.server.run(&["threescale", "check"]);
    assert_eq!(checked.code, Some(1));
    assert!(checked.stdout.contains("refused"), "{checked:?}");
    let failed = site.server.run(&["threescale", "sync"]).bad();
    assert!(failed.contains("the access token is refused"), "{failed}");
    assert!(!failed.contains("not-the-token"), "{failed}");
    // A server that starts while the portal refuses serves what it knows.
    site.server
        .start_with_environment(&[("HOOK_SECRET", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")]);
    assert_eq!(site.caller().get("/a").status, 200);
    wait_until("the failure is shown", || {
        site.server.json(&["threescale", "status"])[0]["problem"].is_string()
    });
}

#[test]
fn a_difference_is_listed_and_decided_at_the_command_line() {
    let site = site();
    site.server.issue("mine", "open");
    site.server.run(&["threescale", "sync"]).good();
    site.server.run(&["application", "suspend", NAME]).good();
    let none = site.server.run(&["threescale", "drift"]).good();
    assert!(none.stderr.contains("3scale main: nothing differs, as of "), "{none:?}");
    site.server.run(&["threescale", "sync"]).good();
    let listed = site.server.run(&["threescale", "drift", "--account", "main"]).good();
    for said in ["whether it may call", "there  It may call.", "take here: suspend it there"] {
        assert!(listed.stdout.contains(said), "{said}: {listed:?}");
    }
    let drift = site.server.json(&["threescale", "drift"]);
    let id = drift[0]["differences"][0]["id"].as_str().unwrap().to_owned();
    let status = site.server.run(&["status"]).good();
    assert!(status.stdout.contains("differences: 1"), "{status:?}");
    let odd = site.server.run(&["threescale", "take", "main", &id, "left"]);
    assert_eq!(odd.code, Some(2), "{odd:?}");
    let other = site.server.run(&["threescale", "take", "main", &format!("{id}0"), "here"]).bad();
    assert!(other.contains("not as it was shown any more"), "{other}");
    assert_eq!(site.state_there(), State::Live);
    let done = site.server.json(&["threescale", "take", "main", &id, "here"]);
    assert_eq!(done["done"], format!("Done: suspend it there of {NAME}."));
    assert_eq!(site.state_there(), State::Suspended);
    let again = site.server.run(&["threescale", "take", "main", &id, "here"]).bad();
    assert!(again.contains("does not differ in that any more"), "{again}");
    let audit = site.server.run(&["audit", "list"]).good();
    assert!(audit.stdout.contains("difference settled"), "{audit:?}");
    site.server.run(&["audit", "verify"]).good();
}

#[test]
fn status_and_doctor_name_a_source_that_is_in_trouble() {
    let site = site();
    site.server.issue("mine", "open");
    let doctor = site.server.run(&["doctor"]);
    assert!(doctor.stdout.contains("it was not read yet"), "{doctor:?}");
    site.server.run(&["threescale", "sync"]).good();
    let doctor = site.server.run(&["doctor"]);
    assert!(doctor.stdout.contains("it was read at "), "{doctor:?}");
    site.portal.fail_on("services.json", Fault::json(500, "{}"));
    site.server.run(&["threescale", "sync"]).bad();
    let doctor = site.server.run(&["doctor"]);
    assert_eq!(doctor.code, Some(1));
    assert!(doctor.stdout.contains("it was not read to the end since "), "{doctor:?}");
    let status = site.server.json(&["status"]);
    assert_eq!(status["sources"][0]["name"], "3scale main");
    assert!(status["sources"][0]["problem"].as_str().unwrap().contains("500"), "{status}");
}

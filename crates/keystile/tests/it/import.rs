//! An account of 3scale's that is brought over whole, by the command line and a running server.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt as _;

use keystile_threescale_standin::Portal;
use keystile_threescale_standin::fault::Fault;
use keystile_threescale_standin::tenant::{BackendVersion, Tenant};
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use crate::harness::{TestServer, free_port};

const TOKEN: &str = "b0bafe77c0ffee01b0bafe77c0ffee01b0bafe77c0ffee01b0bafe77c0ffee01";
const SERVICE_TOKEN: &str = "5e41ce70c3115e41ce70c3115e41ce70c311";
const USER_KEY: &str = "8c2f01de77b0a4419ee177b0a4419ee1";

struct Site {
    server: TestServer,
    portal: Portal,
    service: u64,
    port: u16,
    _runtime: Runtime,
}

fn content(service: u64) -> Value {
    json!({
        "id": service, "name": "Notes", "system_name": "notes", "backend_version": "1",
        "backend_authentication_type": "service_token",
        "backend_authentication_value": SERVICE_TOKEN,
        "proxy": {
            "hosts": ["notes.example"], "api_backend": "http://127.0.0.1:9",
            "credentials_location": "query", "auth_user_key": "user_key",
            "proxy_rules": [
                {"http_method": "GET", "pattern": "/", "metric_system_name": "hits", "delta": 1},
                {"http_method": "POST", "pattern": "/notes", "metric_system_name": "hits", "delta": 2},
                {"http_method": "DELETE", "pattern": "/notes/{id}$", "metric_system_name": "hits", "delta": 5},
                {"http_method": "ANY", "pattern": "/v1/{any}", "metric_system_name": "hits", "delta": 1},
            ],
        },
    })
}

fn site() -> Site {
    let mut tenant = Tenant::with_token(TOKEN);
    let service = tenant.add_service("Notes", BackendVersion::UserKey);
    let hits = tenant.hits(service);
    let plan = tenant.add_plan(service, "Basic");
    tenant.add_limit(plan, hits, "eternity", 2);
    let acme = tenant.add_account("Acme Ltd");
    let reader = tenant.add_application(acme, plan, "Reader");
    USER_KEY.clone_into(&mut tenant.application_mut(reader).user_key);
    for number in 0..300 {
        tenant.add_application(acme, plan, &format!("App {number}"));
    }
    tenant.add_config(service, "production", content(service));
    let runtime = Runtime::new().unwrap();
    let portal = runtime.block_on(Portal::start_plain(tenant));
    let (port, address) = (free_port(), portal.address());
    let server = TestServer::new(&format!(
        "[plan.open]\nallow = \"bookmarks: *\"\n[threescale_backend]\n\
         listen = \"127.0.0.1:{port}\"\ndefault_plan = \"open\"\n"
    ));
    std::fs::write(server.path("token"), TOKEN).unwrap();
    // A file of its own: the server is not to drive the account that it takes over.
    let account = format!(
        "{}\n[threescale.main]\nportal = {address:?}\naccess_token_file = \"token\"\n\
         service = {service}\ndefault_plan = \"open\"\n",
        server.configuration()
    );
    std::fs::write(server.path("with-account.toml"), account).unwrap();
    Site { server, portal, service, port, _runtime: runtime }
}

impl Site {
    /// The arguments of an import from the portal.
    fn arguments(&self, more: &[&str]) -> Vec<String> {
        let file = self.server.path("with-account.toml").display().to_string();
        let first = ["threescale", "import", "--config", &file, "--from"];
        first.iter().chain(more).map(|text| (*text).to_owned()).collect()
    }

    fn import(&self, more: &[&str]) -> Value {
        let arguments = self.arguments(more);
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        self.server.json(&arguments)
    }

    fn export(&self) -> String {
        let file = self.server.path("account.json").display().to_string();
        let config = self.server.path("with-account.toml").display().to_string();
        let arguments = ["threescale", "export", "--config", &config, "--output", &file];
        let said = self.server.run(&arguments).good();
        assert!(said.stderr.contains("1 services and 301 applications are in"), "{said:?}");
        file
    }

    fn authrep(&self) -> String {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        let (service, known) = (self.service, "/transactions/authrep.xml");
        let query = format!(
            "service_token={SERVICE_TOKEN}&service_id={service}&user_key={USER_KEY}&usage[hits]=1"
        );
        let fields = "host: b\r\nconnection: close";
        let request = format!("GET {known}?{query} HTTP/1.1\r\n{fields}\r\n\r\n");
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer.split(' ').nth(1).unwrap().to_owned()
    }
}

#[test]
fn an_account_comes_over_into_a_running_server_and_again_changes_nothing() {
    let mut site = site();
    site.server.start();
    let dry = site.import(&["main", "--dry-run"]);
    assert_eq!(
        (dry["added"].as_u64(), dry["mode"].as_str()),
        (Some(301), Some("dry_run")),
        "{dry}"
    );
    assert_eq!(site.authrep(), "403", "a dry run changes nothing");
    let policy = site.server.path("apis.toml").display().to_string();
    let report = site.import(&["portal", "--policy", &policy]);
    assert_eq!(
        (report["added"].as_u64(), report["changed"].as_u64()),
        (Some(301), Some(2)),
        "{report}"
    );
    assert_eq!([site.authrep(), site.authrep(), site.authrep()], ["200", "200", "409"]);
    site.server.kill();
    site.server.start();
    assert_eq!(site.authrep(), "409", "what came over, and what was used of it, outlives a crash");
    let again = site.import(&["main"]);
    let counts = ["added", "changed", "unchanged"].map(|name| again[name].as_u64());
    assert_eq!(counts, [Some(0), Some(0), Some(303)], "{again}");
    let arguments = site.arguments(&["main", "--policy", &policy]);
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    site.server.run(&arguments).good();
    std::fs::write(&policy, "# an owner's own\n").unwrap();
    let exists = site.server.run(&arguments).bad();
    assert!(exists.contains("apis.toml cannot be written"), "{exists}");
    let applications = site.server.json(&["application", "list"]).to_string();
    assert!(applications.contains("Acme Ltd – Reader"), "owners see it: {applications}");
    site.server.run(&["audit", "verify"]).good();
    let said = format!("{dry}{report}{again}{exists}{}", site.server.log());
    for secret in [TOKEN, SERVICE_TOKEN, USER_KEY] {
        assert!(!said.contains(secret), "{secret}");
    }
}

#[test]
fn the_policy_that_an_import_writes_is_accepted_as_a_configuration() {
    let mut site = site();
    site.server.start();
    let policy = site.server.path("apis.toml").display().to_string();
    site.import(&["main", "--dry-run", "--policy", &policy]);
    let text = std::fs::read_to_string(&policy).unwrap();
    for part in [
        "upstream = \"http://127.0.0.1:9\"",
        "key_query_parameter = \"user_key\"",
        "match = \"POST /notes/*\"\ncost = 2",
        "match = \"DELETE /notes/{id}\"\ncost = 5",
        "match = \"* /v1/{any}\"",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    site.server.run(&["check", &policy]).good();
}

#[test]
fn a_file_brings_over_what_the_portal_has_and_one_with_a_mistake_changes_nothing() {
    let mut site = site();
    site.server.start();
    let file = site.export();
    let mode = std::fs::metadata(&file).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600, "it holds keys");
    site.portal.fail(Fault::json(500, "{}"));
    let text = std::fs::read_to_string(&file).unwrap();
    let broken = text.replacen("\"value\":2}", "\"value\":\"TOPSECRET\"}", 1);
    assert_ne!(broken, text);
    let broken_file = site.server.path("broken.json").display().to_string();
    std::fs::write(&broken_file, broken).unwrap();
    let refused = site.server.run(&["threescale", "import", &broken_file]).bad();
    assert!(refused.contains("services[0].plans[0].limits[0].value"), "{refused}");
    assert!(!refused.contains("TOPSECRET"), "{refused}");
    assert_eq!(site.authrep(), "403", "nothing came over");
    let other = site.server.run(&["threescale", "import", &file, "--service", "999"]).bad();
    assert!(other.contains("it holds no service 999"), "{other}");
    let report = site.server.json(&["threescale", "import", &file]);
    assert_eq!(report["added"].as_u64(), Some(301), "{report}");
    assert_eq!(site.authrep(), "200");
}

#[test]
fn what_an_import_lacks_is_said() {
    let mut site = site();
    let file = site.export();
    let without = TestServer::new("[plan.open]\nallow = \"bookmarks: *\"\n").started();
    let none = without.run(&["threescale", "import", "--from", "main"]).bad();
    assert!(none.contains("sets up no account of 3scale"), "{none}");
    let nowhere = without.run(&["threescale", "import", &file]).bad();
    assert!(nowhere.contains("nothing here keeps an account of another system"), "{nowhere}");
    assert!(nowhere.contains("set up [threescale_backend]"), "{nowhere}");
    site.server.start();
    let bad = |more: &[&str]| {
        let arguments = site.arguments(more);
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        site.server.run(&arguments).bad()
    };
    let other = bad(&["other"]);
    assert!(other.contains("the accounts are: main"), "{other}");
    let service = bad(&["main", "--service", "999"]);
    assert!(service.contains("the portal has no service 999"), "{service}");
    let missing = site.server.run(&["threescale", "import", "no-such-file"]).bad();
    assert!(missing.contains("no-such-file cannot be read"), "{missing}");
    site.server.stop();
    let report = site.server.json(&["threescale", "import", &file]);
    assert_eq!(report["added"].as_u64(), Some(301), "without a server too: {report}");
}

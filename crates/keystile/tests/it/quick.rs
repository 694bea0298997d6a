//! `keystile run --upstream`: an API is guarded without a configuration.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::process::Command;

use serde_json::Value;

use crate::harness::{Caller, Finished, TestServer, free_port, keystile, wait_until};

/// A site without a configuration file, and a server in front of its upstream.
fn guarded(more: &[&str]) -> TestServer {
    let mut server = TestServer::new("");
    std::fs::remove_file(server.path("keystile.toml")).unwrap();
    let (origin, gate, console) =
        (server.upstream.origin(), server.gate.to_string(), server.console.to_string());
    let line = ["run", "--upstream", &origin, "--listen", &gate];
    server.start_with(&[&line, &["--console", &console][..], more].concat());
    server.wait_until_ready();
    server
}

#[test]
fn the_first_key_is_printed_once_with_a_curl_line_that_works() {
    let mut server = guarded(&[]);
    wait_until("the greeting is there", || server.program().stdout().contains("curl"));
    let greeting = server.program().stdout();
    let key = greeting.lines().find_map(|line| line.trim().strip_prefix("ks_")).unwrap();
    let curl = greeting.lines().find(|line| line.trim().starts_with("curl")).unwrap();
    assert!(curl.contains(key));
    assert_eq!(pasted(curl, server.gate), 200);
    assert_eq!(server.upstream.times("/"), 1);
    assert!(server.path("keystile-data").is_dir());
    assert_eq!(server.json(&["status"])["plans"], serde_json::json!(["open"]));

    server.stop();
    let (origin, gate, console) =
        (server.upstream.origin(), server.gate.to_string(), server.console.to_string());
    server.start_with(&["run", "--upstream", &origin, "--listen", &gate, "--console", &console]);
    server.wait_until_ready();
    assert!(!server.program().stdout().contains("ks_"));
    assert_eq!(Caller::new(server.gate, Some(&format!("ks_{key}"))).get("/again").status, 200);
}

#[test]
fn the_first_line_to_try_names_an_address_that_can_be_called() {
    let mut server = TestServer::new("");
    std::fs::remove_file(server.path("keystile.toml")).unwrap();
    let (origin, console) = (server.upstream.origin(), server.console.to_string());
    let everywhere = format!("0.0.0.0:{}", server.gate.port());
    let line = ["run", "--upstream", &origin, "--listen", &everywhere, "--console", &console];
    server.start_with(&line);
    server.wait_until_ready();
    wait_until("the greeting is there", || server.program().stdout().contains("curl"));
    let greeting = server.program().stdout();
    let curl = greeting.lines().find(|line| line.trim().starts_with("curl")).unwrap();
    assert!(curl.ends_with(&format!("'http://{}/'", server.gate)), "{curl}");
    assert_eq!(pasted(curl, server.gate), 200);
}

/// What a line to try is answered, which is taken apart where there is no curl.
fn pasted(line: &str, gate: SocketAddr) -> u16 {
    let status = |answer: &str| answer.split(' ').nth(1).unwrap().parse().unwrap();
    if Command::new("curl").arg("--version").output().is_ok() {
        return status(&Finished::of(Command::new("sh").args(["-c", line])).good().stdout);
    }
    let mut quoted = line.split('\'').skip(1).step_by(2).collect::<Vec<_>>();
    let url = quoted.pop().unwrap();
    let path = url.strip_prefix(&format!("http://{gate}")).unwrap();
    let host = quoted.iter().find_map(|field| field.strip_prefix("Host: "));
    let fields = quoted.iter().filter(|field| !field.starts_with("Host: "));
    let fields: String = fields.map(|field| format!("{field}\r\n")).collect();
    let gate_name = gate.to_string();
    let host = host.unwrap_or(&gate_name);
    let mut stream = TcpStream::connect(gate).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {host}\r\n{fields}Connection: close\r\n\r\n")
        .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    status(&answer)
}

#[test]
fn a_line_to_try_names_host_path_and_field_of_the_api_that_the_plan_allows() {
    let mut server = TestServer::of_text(
        "[gate]\nlisten = \"127.0.0.1:7070\"\n[console]\nlisten = \"127.0.0.1:7080\"\n\
         [api.other]\nupstream = \"http://127.0.0.1:7071\"\n\
         [api.bookmarks]\nupstream = \"http://127.0.0.1:7071\"\n\
         hosts = [\"*.bookmarks.test\"]\npath = \"/v2\"\nkey_header = \"X-Gate-Key\"\n\
         [plan.open]\nallow = [\"bookmarks: DELETE *\", \"bookmarks: GET /v2/marks\"]\n",
    );
    let create = ["key", "create", "--application", "app", "--plan", "open"];
    let line = |made: &Finished| {
        made.stderr.lines().find(|line| line.trim().starts_with("curl")).unwrap().to_owned()
    };
    // Without a server, as its file says.
    let early = line(&server.run(&[&create[..], &["--create"]].concat()).good());
    server.start();
    let made = server.run(&create).good();
    let rolled = server.run(&["key", "roll", made.stdout.trim()]).good();
    for line in [early, line(&made), line(&rolled)] {
        assert_eq!(pasted(&line, server.gate), 200, "{line}");
        assert!(line.contains("X-Gate-Key: ks_") && line.contains("Host: api.bookmarks.test"));
    }
    assert_eq!(server.upstream.times("/v2/marks"), 3);
}

#[test]
fn keys_and_data_of_an_unconfigured_server_are_for_its_user_only() {
    use std::os::unix::fs::PermissionsExt;
    let server = guarded(&[]);
    let mode = |name: &str| {
        let path = server.path("keystile-data").join(name);
        path.metadata().unwrap().permissions().mode() & 0o777
    };
    assert_eq!((mode(""), mode("pepper"), mode("control.sock")), (0o700, 0o600, 0o600));
}

#[test]
fn observing_refuses_nothing_and_the_journal_says_what_it_would_have_refused() {
    let mut server = guarded(&["--observe"]);
    wait_until("it says so", || server.program().stdout().contains("nothing is refused"));
    let key = server.issue("app", "open");
    let (stranger, caller) = (server.stranger(), server.caller(&key));
    assert_eq!(stranger.get("/read").status, 200);
    assert_eq!(stranger.post("/keyless").status, 200);
    assert_eq!(Caller::new(server.gate, Some("nonsense")).post("/unknown").status, 200);
    for number in 0..61 {
        assert_eq!(caller.post("/budget").status, 200, "write {number}");
    }
    assert_eq!(server.upstream.writes(), 63);
    let journal = server.journal();
    let would = |path: &str| -> Vec<(Value, Value)> {
        let rows = journal.iter().filter(|row| row["path"] == path);
        rows.map(|row| (row["outcome"].clone(), row["reason"].clone())).collect()
    };
    let applied = |reason: Option<&str>| ("applied".into(), reason.into());
    assert_eq!(would("/keyless"), [applied(Some("key_missing"))]);
    assert_eq!(would("/unknown"), [applied(Some("key_unknown"))]);
    let budget = would("/budget");
    assert_eq!(budget[..60], vec![applied(None); 60]);
    assert_eq!(budget[60], applied(Some("key_locked")));
    assert_eq!(server.key(&key)["state"], "active");
    let listed = server.run(&["journal", "list"]).good().stdout;
    assert!(listed.contains("would be refused: key_missing"), "{listed}");
}

#[test]
fn observing_lasts_through_a_reload() {
    let mut server = TestServer::new("[plan.open]\nallow = \"bookmarks: GET *\"\n");
    server.start_with(&["run", "--observe"]);
    server.wait_until_ready();
    assert_eq!(server.stranger().post("/before").status, 200);
    server.run(&["reload"]).good();
    assert_eq!(server.stranger().post("/after").status, 200);
    assert_eq!(server.json(&["status"])["apis"][0]["mode"], "observe");
}

#[test]
fn a_new_key_is_the_only_data_and_comes_with_a_line_that_works() {
    let mut server = TestServer::new("[plan.open]\nallow = \"bookmarks: *\"\n");
    // The server listens elsewhere than its file says.
    let gate = format!("127.0.0.1:{}", free_port());
    server.start_with(&["run", "--listen", &gate]);
    server.wait_until_ready();
    let made = server.run(&["key", "create", "--application", "app", "--plan", "open"]).good();
    let key = made.stdout.trim();
    assert!(key.starts_with("ks_") && made.stdout.lines().count() == 1, "{made:?}");
    let line = format!("curl -i -H 'X-API-Key: {key}' 'http://{gate}/'");
    assert!(made.stderr.contains(&line), "{made:?}");
    assert_eq!(Caller::new(gate.parse().unwrap(), Some(key)).get("/").status, 200);
    let rolled = server.run(&["key", "roll", key]).good();
    assert!(rolled.stderr.contains("works for another 1 day"), "{rolled:?}");
    assert_ne!(rolled.stdout.trim(), key);
}

#[test]
fn relative_paths_start_at_the_folder_of_the_file() {
    let mut server = TestServer::new("[plan.open]\nallow = \"bookmarks: *\"\n");
    std::fs::create_dir(server.path("etc")).unwrap();
    std::fs::rename(server.path("keystile.toml"), server.path("etc/keystile.toml")).unwrap();
    server.start_with(&["run", "--config", "etc/keystile.toml"]);
    server.wait_until_ready();
    assert!(server.path("etc/keystile-data/control.sock").exists());
    let status = server.json(&["status", "--config", "etc/keystile.toml"]);
    assert_eq!(status["running"], true);
    let by_data = server.json(&["status", "--data", "etc/keystile-data"]);
    assert_eq!(by_data["started"], status["started"]);
}

#[test]
fn two_servers_never_share_a_port() {
    let server = guarded(&[]);
    let (origin, gate) = (server.upstream.origin(), server.gate.to_string());
    let line = ["run", "--upstream", &origin, "--listen", &gate, "--data", "other"];
    let refused = Finished::of(&mut keystile(
        server.folder(),
        &[&line, &["--console", "127.0.0.1:0"][..]].concat(),
    ));
    let said = refused.bad();
    assert!(
        said.contains(&format!("cannot listen on {gate}")) && said.contains("in use"),
        "{said}"
    );
}

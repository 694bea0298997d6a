//! `keystile run --upstream`: an API is guarded without a configuration.

use std::process::Command;

use serde_json::Value;

use crate::harness::{Caller, Finished, Site, free_port, keystile, wait_until};

/// A site without a configuration file, and a server in front of its upstream.
fn guarded(more: &[&str]) -> Site {
    let mut site = Site::new("");
    std::fs::remove_file(site.path("keystile.toml")).unwrap();
    let (origin, gate, console) =
        (site.upstream.origin(), site.gate.to_string(), site.console.to_string());
    let line = ["run", "--upstream", &origin, "--listen", &gate];
    site.start_with(&[&line, &["--console", &console][..], more].concat());
    site.wait_until_ready();
    site
}

#[test]
fn the_first_key_is_printed_once_with_a_curl_line_that_works() {
    let mut site = guarded(&[]);
    wait_until("the greeting is there", || site.server().stdout().contains("curl"));
    let greeting = site.server().stdout();
    let key = greeting.lines().find_map(|line| line.trim().strip_prefix("ks_")).unwrap();
    let curl = greeting.lines().find(|line| line.trim().starts_with("curl")).unwrap();
    assert!(curl.contains(key));
    let answer = match Command::new("curl").arg("--version").output() {
        Ok(_) => Finished::of(Command::new("sh").args(["-c", curl])).good().stdout,
        Err(_) => Caller::new(site.gate, Some(&format!("ks_{key}")))
            .get("/")
            .head
            .replace("http/", "HTTP/"),
    };
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert_eq!(site.upstream.times("/"), 1);
    assert!(site.path("keystile-data").is_dir());
    assert_eq!(site.json(&["status"])["plans"], serde_json::json!(["open"]));

    site.stop();
    let (origin, gate, console) =
        (site.upstream.origin(), site.gate.to_string(), site.console.to_string());
    site.start_with(&["run", "--upstream", &origin, "--listen", &gate, "--console", &console]);
    site.wait_until_ready();
    assert!(!site.server().stdout().contains("ks_"));
    assert_eq!(Caller::new(site.gate, Some(&format!("ks_{key}"))).get("/again").status, 200);
}

#[test]
fn keys_and_data_of_an_unconfigured_server_are_for_its_user_only() {
    use std::os::unix::fs::PermissionsExt;
    let site = guarded(&[]);
    let mode = |name: &str| {
        let path = site.path("keystile-data").join(name);
        path.metadata().unwrap().permissions().mode() & 0o777
    };
    assert_eq!((mode(""), mode("pepper"), mode("control.sock")), (0o700, 0o600, 0o600));
}

#[test]
fn observing_refuses_nothing_and_the_journal_says_what_it_would_have_refused() {
    let mut site = guarded(&["--observe"]);
    wait_until("it says so", || site.server().stdout().contains("nothing is refused"));
    let key = site.issue("app", "open");
    let (stranger, caller) = (site.stranger(), site.caller(&key));
    assert_eq!(stranger.get("/read").status, 200);
    assert_eq!(stranger.post("/keyless").status, 200);
    assert_eq!(Caller::new(site.gate, Some("nonsense")).post("/unknown").status, 200);
    for number in 0..61 {
        assert_eq!(caller.post("/budget").status, 200, "write {number}");
    }
    assert_eq!(site.upstream.writes(), 63);
    let journal = site.journal();
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
    assert_eq!(site.key(&key)["state"], "active");
    let listed = site.run(&["journal", "list"]).good().stdout;
    assert!(listed.contains("would be refused: key_missing"), "{listed}");
}

#[test]
fn observing_lasts_through_a_reload() {
    let mut site = Site::new("[plan.open]\nallow = \"bookmarks: GET *\"\n");
    site.start_with(&["run", "--observe"]);
    site.wait_until_ready();
    assert_eq!(site.stranger().post("/before").status, 200);
    site.run(&["reload"]).good();
    assert_eq!(site.stranger().post("/after").status, 200);
    assert_eq!(site.json(&["status"])["apis"][0]["mode"], "observe");
}

#[test]
fn a_new_key_is_the_only_data_and_comes_with_a_line_that_works() {
    let mut site = Site::new("[plan.open]\nallow = \"bookmarks: *\"\n");
    // The server listens elsewhere than its file says.
    let gate = format!("127.0.0.1:{}", free_port());
    site.start_with(&["run", "--listen", &gate]);
    site.wait_until_ready();
    let made = site.run(&["key", "create", "--application", "app", "--plan", "open"]).good();
    let key = made.stdout.trim();
    assert!(key.starts_with("ks_") && made.stdout.lines().count() == 1, "{made:?}");
    let line = format!("curl -i -H 'X-API-Key: {key}' 'http://{gate}/'");
    assert!(made.stderr.contains(&line), "{made:?}");
    assert_eq!(Caller::new(gate.parse().unwrap(), Some(key)).get("/").status, 200);
    let rolled = site.run(&["key", "roll", key]).good();
    assert!(rolled.stderr.contains("works for another 1 day"), "{rolled:?}");
    assert_ne!(rolled.stdout.trim(), key);
}

#[test]
fn relative_paths_start_at_the_folder_of_the_file() {
    let mut site = Site::new("[plan.open]\nallow = \"bookmarks: *\"\n");
    std::fs::create_dir(site.path("etc")).unwrap();
    std::fs::rename(site.path("keystile.toml"), site.path("etc/keystile.toml")).unwrap();
    site.start_with(&["run", "--config", "etc/keystile.toml"]);
    site.wait_until_ready();
    assert!(site.path("etc/keystile-data/control.sock").exists());
    let status = site.json(&["status", "--config", "etc/keystile.toml"]);
    assert_eq!(status["running"], true);
    let by_data = site.json(&["status", "--data", "etc/keystile-data"]);
    assert_eq!(by_data["started"], status["started"]);
}

#[test]
fn two_servers_never_share_a_port() {
    let site = guarded(&[]);
    let (origin, gate) = (site.upstream.origin(), site.gate.to_string());
    let line = ["run", "--upstream", &origin, "--listen", &gate, "--data", "other"];
    let refused = Finished::of(&mut keystile(
        site.folder(),
        &[&line, &["--console", "127.0.0.1:0"][..]].concat(),
    ));
    let said = refused.bad();
    assert!(
        said.contains(&format!("cannot listen on {gate}")) && said.contains("in use"),
        "{said}"
    );
}

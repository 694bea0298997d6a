//! How somebody becomes an owner, as far as the command line goes.

use std::os::unix::fs::PermissionsExt;

use serde_json::json;

use crate::harness::{TestServer, wait_until};

const OPEN: &str = "[plan.open]\nallow = \"bookmarks: *\"\nwrite_budget = \"100 per day\"\n";

#[test]
fn a_server_without_an_owner_prints_a_link_and_keeps_it_for_its_user_only() {
    let mut server = TestServer::new(OPEN).started();
    let begin = format!("http://localhost:{}/claim/ksc_", server.console.port());
    wait_until("the link is there", || server.program().stdout().contains(&begin));
    let greeting = server.program().stdout();
    let link = greeting.lines().find(|line| line.contains(&begin)).unwrap().trim();
    let file = server.path("keystile-data/owner-link");
    assert_eq!(std::fs::read_to_string(&file).unwrap().trim(), link);
    assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    // The log is read by more people than the terminal.
    assert!(!server.log().contains("ksc_"));
}

#[test]
fn a_link_leads_to_the_running_console_or_says_that_none_runs() {
    let mut server = TestServer::new(OPEN).started();
    let made = server.run(&["owner", "link"]).good();
    let begin = format!("http://localhost:{}/claim/ksc_", server.console.port());
    assert!(made.stdout.starts_with(&begin) && made.stdout.lines().count() == 1, "{made:?}");
    assert!(made.stderr.contains("works once") && !made.stderr.contains("keystile run"));
    let next = server.json(&["owner", "link"]);
    assert_ne!(next["url"], json!(made.stdout.trim()));
    assert_eq!(next["running"], true);
    let file = std::fs::read_to_string(server.path("keystile-data/owner-link")).unwrap();
    assert_eq!(json!(file.trim()), next["url"]);
    server.stop();
    let made = server.run(&["owner", "link"]).good();
    assert!(made.stdout.starts_with(&begin), "{made:?}");
    assert!(made.stderr.contains("keystile run"), "{made:?}");
    let public = "[console]\nurl = \"https://console.example.org\"\nlisten = \"127.0.0.1:7080\"";
    let console = format!("[console]\nlisten = \"{}\"", server.console);
    server.configure(&server.configuration().replace(&console, public));
    let begin = "https://console.example.org/claim/ksc_";
    assert!(server.run(&["owner", "link"]).good().stdout.starts_with(begin));
    server.start();
    assert!(server.run(&["owner", "link"]).good().stdout.starts_with(begin));
}

#[test]
fn owners_are_listed_and_one_who_is_not_there_cannot_be_removed() {
    let server = TestServer::new(OPEN).started();
    assert_eq!(server.json(&["owner", "list"]), json!([]));
    let said = server.run(&["owner", "list"]).good().stderr;
    assert!(said.contains("keystile owner link"), "{said}");
    let said = server.run(&["owner", "remove", "ada", "--yes"]).bad();
    assert!(said.contains("there is no owner ada") && said.contains("help: "), "{said}");
}

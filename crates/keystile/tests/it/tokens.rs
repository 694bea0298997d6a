//! Tokens of the admin API, from the command line.

use crate::harness::TestServer;

const OPEN: &str = "[plan.open]\nallow = \"bookmarks: *\"\nwrite_budget = \"100 per day\"\n";

#[test]
fn a_token_is_shown_once_and_listed_until_it_is_revoked_and_after() {
    let mut server = TestServer::new(OPEN).started();
    let made =
        server.run(&["token", "create", "ci", "--scope", "write", "--for", "90 days"]).good();
    let text = made.stdout.trim();
    assert!(text.starts_with("kst_") && text.len() == 54, "{text}");
    assert!(made.stderr.contains("may write until"), "{}", made.stderr);
    let said = server.run(&["token", "create", "ci"]).bad();
    assert!(said.contains("already a token named ci"), "{said}");
    let listed = server.json(&["token", "list"]);
    assert_eq!((&listed[0]["name"], &listed[0]["scope"]), (&"ci".into(), &"write".into()));
    assert_eq!(
        (&listed[0]["state"], &listed[0]["actor"]["by"]),
        (&"active".into(), &"command_line".into())
    );
    assert!(!listed.to_string().contains(text));
    server.run(&["token", "revoke", "ci", "--yes"]).good();
    assert_eq!(server.json(&["token", "list"])[0]["state"], "revoked");
    let said = server.run(&["token", "revoke", "ci", "--yes"]).bad();
    assert!(said.contains("there is no token ci that works"), "{said}");
    server.stop();
    let made = server.json(&["token", "create", "ci"]);
    assert_eq!((&made["scope"], &made["state"]), (&"read".into(), &"active".into()));
    assert!(made["token"].as_str().unwrap().starts_with("kst_"));
    let audit = server.json(&["audit", "list", "--subject", "ci"]);
    let kinds: Vec<_> = audit.as_array().unwrap().iter().map(|event| &event["kind"]).collect();
    assert_eq!(kinds, ["token_created", "token_revoked", "token_created"]);
    for entry in std::fs::read_dir(server.path("keystile-data")).unwrap() {
        let bytes = std::fs::read(entry.unwrap().path()).unwrap();
        assert!(!bytes.windows(text.len()).any(|part| part == text.as_bytes()));
    }
}

//! Commands of one version, and a server of another, as between the replacement of the program and the restart.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::{UnixListener, UnixStream};

use serde_json::{Value, json};

use crate::harness::TestServer;

const OPEN: &str = "[plan.open]\nallow = \"bookmarks: *\"\n";
const WORDS: &str = "the running server is another version of keystile than this command";
const HELP: &str = "help: restart the server, or use the command of its version";

/// What a command says to a server of another version, which answers it with a line.
fn said_to(answer: &str) -> String {
    let server = TestServer::new(OPEN);
    std::fs::create_dir(server.path("keystile-data")).unwrap();
    let socket = UnixListener::bind(server.path("keystile-data/control.sock")).unwrap();
    let line = format!("{answer}\n");
    std::thread::spawn(move || {
        for stream in socket.incoming() {
            let mut stream = stream.unwrap();
            let mut asked = String::new();
            BufReader::new(&stream).read_line(&mut asked).unwrap();
            stream.write_all(line.as_bytes()).unwrap();
        }
    });
    server.run(&["key", "list"]).bad()
}

#[test]
fn a_server_of_another_version_is_told_as_that() {
    for (answer, details) in [
        (r#"{"Ok":{"keys":[]}}"#, "the server is older"),
        (r#"{"Ok":[{"id":"key_1"}]}"#, "the server is older"),
        (r#"{"Done":[]}"#, "the server is older"),
        (
            r#"{"Err":{"kind":"invalid","message":"the server does not understand the command: unknown variant `ListKeys`, expected `Stop` at line 1 column 31","help":"use the same version of keystile for both"}}"#,
            "the server is older",
        ),
        (r#"{"version":"99.0.0","answer":{"Ok":{}}}"#, "the server is 99.0.0"),
        (r#"{"version":"99.0.0","answer":{"Later":{}}}"#, "the server is 99.0.0"),
    ] {
        let said = said_to(answer);
        assert!(said.contains(WORDS) && said.contains(HELP), "{answer}: {said}");
        assert!(said.contains(details), "{answer}: {said}");
    }
    // What it says for itself is what people need to know.
    let said =
        said_to(r#"{"Err":{"kind":"worn_out","message":"the disk is worn out","help":null}}"#);
    assert_eq!(said, "error: the disk is worn out\n");
}

/// What a running server answers to a line on its socket.
fn answer_to(server: &TestServer, line: &str) -> Value {
    let mut stream = UnixStream::connect(server.path("keystile-data/control.sock")).unwrap();
    writeln!(stream, "{line}").unwrap();
    let mut answer = String::new();
    BufReader::new(stream).read_line(&mut answer).unwrap();
    serde_json::from_str(&answer).unwrap()
}

#[test]
fn a_command_of_another_version_is_told_as_that_and_changes_nothing() {
    let server = TestServer::new(OPEN).started();
    let key = server.issue("app", "open");
    let arguments = json!({ "key": key.id, "expected": "any", "gently": true });
    let revoke = json!({ "command": "RevokeKey", "arguments": arguments });
    for command in [json!({ "command": "PaintKeys", "arguments": null }), revoke] {
        let newer = json!({ "version": "99.0.0", "command": command });
        let failure = answer_to(&server, &newer.to_string())["answer"]["Err"].clone();
        let said = failure["message"].as_str().unwrap();
        assert!(said.starts_with(WORDS) && said.contains("the command is 99.0.0"), "{said}");
    }
    let older = answer_to(&server, r#"{"command":{"command":"PaintKeys"}}"#);
    let said = older["Err"]["message"].as_str().unwrap();
    assert!(said.starts_with(WORDS) && said.contains("the command is older"), "{said}");
    assert_eq!(server.key(&key)["state"], "active");
    let known = answer_to(&server, r#"{"command":{"command":"ListOwners","arguments":null}}"#);
    assert_eq!(known, json!({ "Ok": [] }));
}

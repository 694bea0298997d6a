//! What strangers choose is shown as text: nothing they write moves a cursor or hides itself.

use std::process::Command;

use crate::harness::{Finished, Program, TestServer, keystile, wait_until};

const OPEN: &str = "[plan.open]\nallow = \"bookmarks: *\"\nwrite_budget = \"1000 per day\"\n";
/// Names that were kept before such characters were refused.
const NAME: &str = "app \u{202e}ppa\u{2066}\u{200b}\u{feff}<svg onload=1>\u{e0041}";
/// In a header field: the control sequence introducer of one character, in UTF-8 and as a bare byte.
const AGENT: &[u8] = b"agent\t\xc2\x9b31m\xe2\x80\xae\x9b2J<script>";

/// Characters that a terminal obeys or that cannot be seen.
fn is_hidden(c: char) -> bool {
    (c.is_control() && c != '\n')
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}'
            | '\u{e0000}'..='\u{e007f}')
}

#[track_caller]
fn assert_visible(text: &str) {
    let hidden = text.chars().find(|c| is_hidden(*c));
    assert_eq!(hidden, None, "{text:?}");
}

/// Puts an application's name into the store that no door takes any more.
fn rename(server: &mut TestServer) {
    server.stop();
    let database = rusqlite::Connection::open(server.path("keystile-data/keystile.db")).unwrap();
    let renamed = database.execute("UPDATE application SET name = ?1", [NAME]).unwrap();
    assert_eq!(renamed, 1);
    database
        .execute("UPDATE key SET lock = replace(lock, 'a reason', ?1)", [r"\u001b[31mred \u202e"])
        .unwrap();
    drop(database);
    server.start();
}

fn server() -> TestServer {
    let mut server = TestServer::new(OPEN).started();
    let key = server.issue("app", "open");
    let caller = server.caller(&key).agent(AGENT);
    assert_eq!(caller.post("/%e2%80%ae/%F0%9F%92%A9").status, 200);
    for path in ["/a%1b%5b2J", "/a/../b", "/a;b", "/%ff", "/%c2%9b"] {
        assert!(caller.call("DELETE", path).unwrap().status < 500, "{path}");
    }
    server.run(&["key", "lock", &key.id, "--reason", "a reason"]).good();
    assert_eq!(caller.delete("/b").status, 403);
    wait_until("refusals are on record", || {
        server.journal().iter().any(|row| row["reason"] == "key_locked")
    });
    rename(&mut server);
    server
}

#[test]
fn no_command_prints_what_a_terminal_would_obey() {
    let mut server = server();
    let id = server.json(&["key", "list"])[0]["id"].as_str().unwrap().to_owned();
    let lines: [&[&str]; 12] = [
        &["status"],
        &["key", "list"],
        &["key", "show", &id],
        &["key", "list", "--json"],
        &["key", "show", &id, "--json"],
        &["application", "list"],
        &["application", "show", NAME],
        &["journal", "list"],
        &["journal", "list", "--json"],
        &["journal", "show", "write_1"],
        &["journal", "export"],
        &["journal", "export", "--format", "csv"],
    ];
    for line in lines {
        let finished = server.run(line).good();
        assert_visible(&finished.stdout);
        assert_visible(&finished.stderr);
        let is_about_app = line[0] != "status" && !line.contains(&"write_1");
        assert!(!is_about_app || finished.stdout.contains("202e"), "{line:?}: {finished:?}");
    }
    for line in [
        ["key", "show", "\u{1b}[2Jnosuch\u{202e}"].as_slice(),
        &["application", "show", "\u{1b}[2Jnosuch\u{202e}"],
        &["key", "lock", &id, "--reason", "again"],
        &["key", "unlock", &id],
        &["check", "\u{1b}[2Jnosuch\u{202e}.toml"],
    ] {
        assert_visible(&server.run(line).stderr);
    }
    server.stop();
}

#[test]
fn what_programs_read_is_what_strangers_wrote() {
    let server = server();
    assert_eq!(server.json(&["application", "list"])[0]["name"], NAME);
    let agent = String::from_utf8_lossy(AGENT).into_owned();
    assert_eq!(server.journal()[0]["user_agent"], agent);
}

#[test]
fn on_a_terminal_only_our_own_colors_are_obeyed() {
    let server = server();
    let is_there = Command::new("script").arg("--version").output();
    if is_there.is_err() {
        return println!("not tried: there is no `script` to make a terminal");
    }
    for line in ["key list", "journal list", "application list", "journal show write_1"] {
        let mut command = Command::new("script");
        let program = format!("{} {line}", env!("CARGO_BIN_EXE_keystile"));
        command.current_dir(server.folder()).env("TERM", "xterm");
        command.args(["-qec", &program, "/dev/null"]);
        let shown = Finished::of(&mut command).good().stdout.replace('\r', "");
        let mut plain = String::new();
        let mut rest = shown.as_str();
        while let Some((text, after)) = rest.split_once("\u{1b}[") {
            plain.push_str(text);
            let end = after.find('m').unwrap();
            assert!(after[..end].chars().all(|c| c.is_ascii_digit() || c == ';'), "{after:?}");
            rest = &after[end + 1..];
        }
        assert_visible(&(plain + rest));
    }
}

#[test]
fn a_follower_and_the_log_are_as_careful() {
    let mut server = server();
    let follow = keystile(server.folder(), &["journal", "follow"]);
    let follower = Program::start(follow, server.folder(), "follow");
    let key = server.issue("app", "open");
    let caller = server.caller(&key).agent(AGENT);
    wait_until("a line comes", || {
        assert!(caller.post("/%e2%80%ae").status == 200);
        follower.stdout().contains("/%e2%80%ae") || follower.stdout().contains("/%E2%80%AE")
    });
    assert_visible(&follower.stdout());
    server.program().signal("TERM");
    server.program().wait();
    assert_visible(&server.program().stderr());
    assert_visible(&server.program().stdout());
}

#[test]
fn a_name_a_note_or_a_reason_that_does_not_show_as_itself_is_refused() {
    let server = TestServer::new(OPEN);
    let long = "x".repeat(501);
    for (name, why) in [
        ("", "is empty"),
        (" ", "is empty"),
        (" a", "has blanks around it"),
        ("a\nb", "U+000A (line end)"),
        ("\u{1b}[31m", "U+001B (escape)"),
        ("\u{9b}", "U+009B (control character)"),
        ("ad\u{200b}min", "U+200B (zero-width space)"),
        ("\u{202e}nimda", "U+202E (direction override)"),
        ("a\u{e0041}", "U+E0041 (tag)"),
        ("app_1", "begins with app_"),
        (&long, "more than 100 characters"),
    ] {
        let said = server
            .run(&["key", "create", "--application", name, "--plan", "open", "--create"])
            .bad();
        assert!(said.contains(why), "{said}");
        assert_visible(&said);
    }
    let key = server.issue("app", "open").id;
    for (text, why) in
        [("\u{202e}x", "U+202E"), ("a\u{feff}", "U+FEFF"), (&long, "more than 500 characters")]
    {
        for line in [
            ["key", "lock", &key, "--reason", text].as_slice(),
            &["key", "note", &key, text],
            &["application", "note", "app", text],
        ] {
            let said = server.run(line).bad();
            assert!(said.contains(why), "{line:?}: {said}");
        }
    }
    let said = server.run(&["token", "create", "a\u{2060}b", "--scope", "read", "--create"]).bad();
    assert!(
        said.contains("the name of a token holds U+2060 (word joiner) as character 2"),
        "{said}"
    );
    assert_eq!(server.json(&["key", "show", &key])["state"], "active");
}

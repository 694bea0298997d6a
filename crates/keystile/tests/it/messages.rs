//! What somebody reads who makes a mistake, and the exit code that says so to a program.

use std::process::Stdio;

use crate::harness::{Finished, Program, TestServer, keystile, wait_until};

const OPEN: &str = "[plan.open]\nallow = \"bookmarks: *\"\nwrite_budget = \"1000 per day\"\n\
                    [plan.trusted]\nallow = \"bookmarks: *\"\n";

#[track_caller]
fn assert_says(said: &str, texts: &[&str]) {
    for text in texts {
        assert!(said.contains(text), "{text:?} is not in {said}");
    }
}

#[test]
fn without_a_configuration_there_is_nothing_to_run() {
    let folder = tempfile::tempdir().unwrap();
    let run = |line: &[&str]| Finished::of(&mut keystile(folder.path(), line));
    assert_says(
        &run(&["run"]).bad(),
        &["error: there is no keystile.toml here", "--upstream http://", "keystile init"],
    );
    assert_says(
        &run(&["run", "--config", "nowhere.toml"]).bad(),
        &["nowhere.toml: there is no such file", "keystile init"],
    );
    assert_eq!(run(&["check"]).code, Some(1));
    for line in [["key", "list"].as_slice(), &["status"], &["journal", "list"], &["doctor"]] {
        assert_says(
            &run(line).bad(),
            &["there is no Keystile store in keystile-data", "keystile run"],
        );
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "nothing is left behind");
}

#[test]
fn a_line_that_makes_no_sense_is_answered_with_2() {
    let server = TestServer::new(OPEN);
    for line in [
        [].as_slice(),
        &["rnu"],
        &["key"],
        &["key", "lock", "x"],
        &["run", "--upstream"],
        &["run", "--upstream", "http://a", "--config", "b"],
        &["key", "lock", "x", "--reason", "y", "--for", "soon"],
        &["journal", "list", "--since", "yesterday"],
    ] {
        let finished = server.run(line);
        assert_eq!((finished.code, finished.stdout.as_str()), (Some(2), ""), "{line:?}");
        assert!(finished.stderr.contains("sage") || finished.stderr.contains("help"));
    }
    assert_says(&server.run(&["statsu"]).stderr, &["'status'"]);
}

#[test]
fn a_port_that_is_in_use_is_named() {
    let server = TestServer::new(OPEN).started();
    let (gate, console) = (server.gate.to_string(), server.console.to_string());
    let taken = |listen: &str, console: &str| {
        server
            .run(&[
                "run",
                "--data",
                "other",
                "--config",
                "keystile.toml",
                "--listen",
                listen,
                "--console",
                console,
            ])
            .bad()
    };
    assert_says(&taken(&gate, "127.0.0.1:0"), &["cannot listen on", &gate, "in use"]);
    assert_says(&taken("127.0.0.1:0", &console), &["cannot listen on", &console, "in use"]);
    server.json(&["status"]);
}

#[test]
fn an_upstream_that_is_missing_or_wrong_is_pointed_at() {
    let server = TestServer::new("");
    server
        .configure("[api.bookmarks]\nmode = \"observe\"\n[plan.open]\nallow = \"bookmarks: *\"\n");
    for line in [["check"].as_slice(), &["run"]] {
        assert_says(
            &server.run(line).bad(),
            &["keystile.toml:1:6", "[api.bookmarks] has no upstream"],
        );
    }
    let said = server.run(&["run", "--upstream", "htp://127.0.0.1:1"]).bad();
    assert_says(&said, &["--upstream:1:1", "htp", "did you mean \"http://127.0.0.1:1\"?"]);
    let nowhere = server.run(&["run", "--upstream", "not a url"]).bad();
    assert_says(&nowhere, &["--upstream"]);
}

#[test]
fn an_unknown_plan_api_or_key_of_the_file_is_corrected() {
    let server = TestServer::new(
        &OPEN.replace("\"bookmarks: *\"\nwrite_budget", "\"bokmarks: *\"\nwrite_bugdet"),
    );
    let said = server.run(&["check"]).bad();
    assert_says(
        &said,
        &["did you mean `bookmarks`?", "did you mean `write_budget`?", "2 mistakes", "───"],
    );
    let listed = server.run(&["check", "--json"]);
    assert_eq!(listed.code, Some(1));
    let listed: serde_json::Value = serde_json::from_str(&listed.stdout).unwrap();
    for mistake in listed.as_array().unwrap() {
        assert!(mistake["line"].as_u64() > Some(0) && mistake["column"].as_u64() > Some(0));
        assert!(mistake["help"].as_str().unwrap().starts_with("did you mean"), "{mistake}");
    }
}

#[test]
fn an_unknown_plan_is_answered_with_those_that_exist() {
    let mut server = TestServer::new(OPEN);
    for _ in 0..2 {
        for line in [
            ["key", "create", "--application", "app", "--plan", "opne", "--create"].as_slice(),
            &["application", "create", "app", "--plan", "opne", "--create"],
        ] {
            assert_says(&server.run(line).bad(), &["no plan opne", "open, trusted"]);
        }
        server.start();
    }
    assert_says(
        &server.run(&["key", "create", "--application", "app", "--create"]).bad(),
        &["app is new", "--plan PLAN"],
    );
    assert_eq!(server.json(&["application", "list"]), serde_json::json!([]));
}

#[test]
fn a_reader_that_leaves_is_no_failure() {
    let server = TestServer::new(OPEN);
    server.issue("app", "open");
    let key = server.json(&["key", "list"])[0]["id"].as_str().unwrap().to_owned();
    for line in [
        ["key", "list"].as_slice(),
        &["key", "show", &key, "--json"],
        &["schema"],
        &["check", "--json"],
        &["status"],
        &["man"],
        &["completions", "zsh"],
        &["version"],
        &["journal", "export"],
        &["--help"],
    ] {
        let mut child = keystile(server.folder(), line)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        drop(child.stdout.take());
        let output = child.wait_with_output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!((output.status.code(), said.as_str()), (Some(0), ""), "{line:?}");
    }
}

#[test]
fn output_that_cannot_be_written_is_a_failure() {
    let server = TestServer::new(OPEN);
    server.issue("app", "open");
    for line in [
        ["key", "list", "--json"].as_slice(),
        &["schema"],
        &["check", "--json"],
        &["status"],
        &["version"],
        &["journal", "export", "--format", "csv"],
    ] {
        let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
        let output = keystile(server.folder(), line)
            .stdout(full)
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
            .wait_with_output()
            .unwrap();
        assert_eq!(output.status.code(), Some(1), "{line:?}");
        assert_says(&String::from_utf8(output.stderr).unwrap(), &["the output cannot be written"]);
    }
}

#[test]
fn a_server_goes_on_when_nobody_reads_its_greeting() {
    let server = TestServer::new(OPEN);
    let key = server.issue("app", "open");
    let mut program =
        Program::unheard(keystile(server.folder(), &["run"]), server.folder(), "server");
    wait_until("the server is ready", || {
        server.caller(&key).call("GET", "/a").is_ok_and(|answer| answer.status == 200)
    });
    assert_eq!(server.caller(&key).post("/a").status, 200);
    wait_until("the log says it", || {
        program.stderr().contains("the greeting could not be written")
    });
    program.signal("TERM");
    assert_eq!(program.wait(), Some(0));
}

#[test]
fn a_channel_that_cannot_send_and_an_upstream_that_does_not_answer_are_said_everywhere() {
    let channel = "[channel.ops]\nkind = \"webhook\"\nurl = \"https://hooks.example.org/\"\n\
                   secret_env = \"KEYSTILE_TEST_UNSET\"\n";
    let mut server = TestServer::of_text(&format!(
        "[gate]\nlisten = \"127.0.0.1:7070\"\n[console]\nlisten = \"127.0.0.1:7080\"\n\
         [api.bookmarks]\nupstream = \"http://127.0.0.1:1\"\n{OPEN}{channel}"
    ));
    let channel = "KEYSTILE_TEST_UNSET is not set";
    let upstream = "cannot be reached: Connection refused";
    let check = server.run(&["check"]).good();
    let said = check.stdout + &check.stderr;
    assert_says(&said, &["the channel ops cannot send", channel, "works; see the warnings"]);
    assert!(!said.contains(upstream), "a check connects to nothing");
    server.start();
    wait_until("both are said", || {
        [server.log(), server.program().stdout()]
            .iter()
            .all(|said| said.contains(channel) && said.contains(upstream))
    });
    let doctor = server.run(&["doctor", "--json"]);
    assert_eq!(doctor.code, Some(1));
    assert_says(&doctor.stdout, &[channel, upstream, "\"problem\"", "\"warning\""]);
}

#[test]
fn an_address_of_the_command_line_is_refused_as_that_of_the_file_is() {
    let server = TestServer::new(OPEN);
    let upstream = ["run", "--upstream", "http://127.0.0.1:3000", "--console", "0.0.0.0:7180"];
    for line in [&["run", "--console", "0.0.0.0:7180"][..], &upstream] {
        assert_says(
            &server.run(line).bad(),
            &["0.0.0.0 can be reached by other machines", "--console 0.0.0.0:7180", "behind_proxy"],
        );
    }
    assert_says(
        &server.run(&["run", "--listen", "127.0.0.1:9", "--console", "127.0.0.1:9"]).bad(),
        &["gate and console cannot both listen on 127.0.0.1:9"],
    );
}

#[test]
fn a_store_that_cannot_be_reached_is_not_called_missing() {
    let server = TestServer::new(OPEN);
    std::fs::write(server.path("a-file"), "x").unwrap();
    for line in [["key", "list"].as_slice(), &["status"], &["key", "create", "--application", "a"]]
    {
        let said = server.run(&[line, &["--data", "a-file"]].concat()).bad();
        assert_says(&said, &["the data directory a-file cannot be used", "ot a directory"]);
    }
}

#[test]
fn what_is_wrong_is_named_and_not_something_else() {
    let server = TestServer::new(OPEN);
    let key = server.issue("reader", "open");
    assert_says(
        &server.run(&["backup", "/nowhere/b.db"]).bad(),
        &["the backup file /nowhere/b.db cannot be used: No such file"],
    );
    for command in [["journal", "list"], ["journal", "export"]] {
        let swapped = [&command[..], &["--since", "1h", "--until", "2h"]].concat();
        assert_says(&server.run(&swapped).bad(), &["is not before --until", "swap the two times"]);
    }
    for reason in ["", "  "] {
        let said = server.run(&["key", "lock", &key.id, "--reason", reason]).bad();
        assert_says(&said, &["a reason is empty"]);
    }
    assert_eq!(server.key(&key)["state"], "active");
}

#[test]
fn without_a_policy_nothing_is_said_of_it() {
    let server = TestServer::new(OPEN);
    server.issue("reader", "open");
    let status = server.json(&["status"]);
    assert_eq!(status["policy"], "as the configuration file says now; no server runs by it");
    let data = server.path("keystile-data");
    std::fs::rename(server.path("keystile.toml"), server.path("other.toml")).unwrap();
    let bare = |command: &str| server.run(&[command, "--data", data.to_str().unwrap()]).good();
    let said = bare("status").stdout;
    assert_says(&said, &["none: no configuration file was read"]);
    assert!(!said.contains("read at"), "{said}");
    let doctor = bare("doctor");
    assert_says(&doctor.stdout, &["no configuration file was read, so plans and APIs"]);
    assert!(!doctor.stdout.contains("plan is in the policy"), "{}", doctor.stdout);
    assert_says(&doctor.stderr, &["1 warning was found, and no problem."]);
}

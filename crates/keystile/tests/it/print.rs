//! What is printed and cannot be, or is not read: no panic, the right exit code, and a message.

use std::fs::File;
use std::io::{PipeReader, PipeWriter, Write as _};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::harness::{Program, TestServer, free_port, keystile, wait_until};

const OPEN: &str = "[plan.open]\nallow = \"bookmarks: *\"\n";

fn full() -> Stdio {
    File::options().write(true).open("/dev/full").unwrap().into()
}

fn closed() -> Stdio {
    std::io::pipe().unwrap().1.into()
}

/// A pipe with no room left and a reader who does not read.
fn stalled() -> (PipeReader, PipeWriter) {
    let (reader, mut writer) = std::io::pipe().unwrap();
    // What a pipe holds on Linux, where nobody asked for another size.
    writer.write_all(&vec![b'.'; 65_536]).unwrap();
    (reader, writer)
}

fn outcome(mut command: Command) -> (Option<i32>, String) {
    let output = command.stderr(Stdio::piped()).spawn().unwrap().wait_with_output().unwrap();
    (output.status.code(), String::from_utf8(output.stderr).unwrap())
}

#[test]
fn a_command_whose_output_cannot_be_written_fails_with_a_message_and_one_whose_reader_left_does_not()
 {
    let server = TestServer::new(OPEN).started();
    let key = server.issue("app", "open");
    for _ in 0..40 {
        assert_eq!(server.caller(&key).post("/a").status, 200);
    }
    for line in [
        "journal list",
        "journal list --json",
        "journal export",
        "journal export --format csv",
        "key list",
        "key show first --json",
        "application list",
        "owner list --json",
        "audit list",
        "token list --json",
        "status",
        "doctor",
        "schema",
        "check --json",
        "version",
        "completions bash",
        "man",
        "--help",
        "key --help",
        "--version",
    ] {
        let line = line.replace("first", &key.id);
        let words: Vec<_> = line.split(' ').collect();
        let mut command = keystile(server.folder(), &words);
        command.stdout(full());
        let (code, said) = outcome(command);
        assert_eq!(code, Some(1), "{line}: {said}");
        assert!(said.contains("error: the output cannot be written: No space left"), "{said}");
        let mut command = keystile(server.folder(), &words);
        command.stdout(closed());
        let (code, said) = outcome(command);
        assert_eq!((code, said.as_str()), (Some(0), ""), "{line}");
    }
}

#[test]
fn a_complaint_that_cannot_be_written_leaves_the_exit_code() {
    let server = TestServer::new(OPEN);
    for (line, code) in [
        ("key show key_1", 1),
        ("key", 2),
        ("no-such-command", 2),
        ("check nowhere.toml", 1),
        ("run --config nowhere.toml", 1),
    ] {
        for stderr in [full(), closed()] {
            let mut command = keystile(server.folder(), &line.split(' ').collect::<Vec<_>>());
            let status = command.stdout(Stdio::null()).stderr(stderr).status().unwrap();
            assert_eq!(status.code(), Some(code), "{line}");
        }
    }
}

#[test]
fn a_server_whose_greeting_nobody_reads_serves_and_stops() {
    let server = TestServer::new(OPEN);
    let (_reader, writer) = stalled();
    let command = keystile(server.folder(), &["run"]);
    let mut program =
        Program::saying_to(command, server.folder(), "server", (Some(writer.into()), None));
    wait_until("it is ready", || {
        let console = crate::harness::Caller::new(server.console, None);
        console.call("GET", "/readyz").is_ok_and(|answer| answer.status == 200)
    });
    let key = server.issue("app", "open");
    assert_eq!(server.caller(&key).post("/a").status, 200);
    wait_until("it says so", || program.stderr().contains("the greeting could not be written"));
    program.signal("TERM");
    assert_eq!(program.wait(), Some(0));
}

#[test]
fn a_server_that_cannot_start_ends_though_nobody_reads_why() {
    let server = TestServer::new(OPEN).started();
    let (_reader, writer) = stalled();
    // The port is taken.
    let start = Instant::now();
    let mut command = keystile(server.folder(), &["run", "--data", "elsewhere"]);
    let status = command.stdout(Stdio::null()).stderr(writer).status().unwrap();
    assert_eq!(status.code(), Some(1));
    assert!(start.elapsed() < Duration::from_secs(15));
}

#[test]
fn a_demo_that_nobody_reads_ends_when_it_is_told_to_and_leaves_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let address = || format!("127.0.0.1:{}", free_port());
    for (stdout, code) in [(closed(), 0), (full(), 1)] {
        let (gate, console) = (address(), address());
        let mut command =
            keystile(folder.path(), &["demo", "--gate", &gate, "--console", &console]);
        command.env("TMPDIR", folder.path());
        let mut demo = Program::saying_to(command, folder.path(), "demo", (Some(stdout), None));
        assert_eq!(demo.wait(), Some(code), "{}", demo.stderr());
    }
    let (_reader, writer) = stalled();
    let (gate, console) = (address(), address());
    let mut command = keystile(folder.path(), &["demo", "--gate", &gate, "--console", &console]);
    command.env("TMPDIR", folder.path());
    let mut demo = Program::saying_to(command, folder.path(), "demo", (Some(writer.into()), None));
    wait_until("it serves", || std::net::TcpStream::connect(&gate).is_ok());
    crate::harness::pause(500);
    demo.signal("TERM");
    assert_eq!(demo.wait(), Some(0), "{}", demo.stderr());
    let left: Vec<_> = std::fs::read_dir(folder.path()).unwrap().flatten().collect();
    let left = left.iter().filter(|left| left.file_name().to_string_lossy().contains("keystile"));
    assert_eq!(left.count(), 0);
}

//! A log that cannot be written, or that nobody reads, changes nothing that callers or owners meet.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::Stdio;

use serde_json::Value;

use crate::harness::{Disk, Key, TestServer, wait_until};

const TWO_APIS: &str = "path = \"/well\"\n[api.dead]\nupstream = \"http://127.0.0.1:7072\"\npath = \"/dead\"\n\
                        [plan.open]\nallow = [\"bookmarks: *\", \"dead: *\"]\nwrite_budget = \"100000 per day\"\n";

/// An address on which nobody listens.
fn nobody() -> SocketAddr {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap()
}

fn two_apis() -> TestServer {
    let server = TestServer::new(TWO_APIS);
    server.configure(&server.configuration().replace("127.0.0.1:7072", &nobody().to_string()));
    server
}

/// Lets the server say this many lines, each of another text where it says who was there.
fn provoke(server: &TestServer, lines: u64) {
    for _ in 0..lines {
        let mut stream = TcpStream::connect(server.gate).unwrap();
        stream.write_all(b"\x01 nonsense\r\n\r\n").unwrap();
        // Until it has been refused.
        let _ = stream.read_to_end(&mut Vec::new());
    }
}

/// Reads, writes and owners' commands have their right outcomes, at an API that is well and one that is not.
fn assert_all_is_right(server: &mut TestServer, key: &Key) {
    let caller = server.caller(key);
    let before = (server.upstream.writes(), server.journal().len());
    for number in 0..150 {
        assert_eq!(caller.get("/well/a").status, 200);
        assert_eq!(caller.post(&format!("/well/{number}")).status, 200);
        let answer = caller.post("/dead/a");
        assert_eq!(answer.status_and_reason(), (502, "upstream_unreachable".to_owned()));
        assert_eq!(answer.field("keystile-outcome"), None, "it is known that nothing was sent");
    }
    assert_eq!(server.upstream.writes(), before.0 + 150);
    let journal = server.journal().split_off(before.1);
    for (path, outcome) in [("/well", "applied"), ("/dead", "not_sent")] {
        let of_api = |row: &&Value| row["path"].as_str().unwrap().starts_with(path);
        let rows: Vec<_> = journal.iter().filter(of_api).collect();
        assert!(rows.iter().all(|row| row["outcome"] == outcome), "{path}: {rows:?}");
        assert_eq!(rows.len(), 150);
    }
    server.run(&["key", "lock", &key.id, "--reason", "look"]).good();
    assert_eq!(caller.post("/well/locked").status, 403);
    server.run(&["key", "unlock", &key.id]).good();
    assert_eq!(server.page("/readyz").0, 200);
}

/// A bad file is refused and a good one read, each with a line of the log.
fn assert_hang_up_reloads(server: &mut TestServer) {
    let good = server.configuration();
    std::fs::write(server.path("keystile.toml"), format!("nonsense = 1\n{good}")).unwrap();
    server.program().signal("HUP");
    wait_until("the failure is on record", || {
        server.json(&["audit", "list"]).to_string().contains("reload")
    });
    let more = "[plan.later]\nallow = \"bookmarks: *\"\n";
    std::fs::write(server.path("keystile.toml"), format!("{good}{more}")).unwrap();
    server.program().signal("HUP");
    wait_until("the policy is in force", || {
        server.json(&["status"])["plans"].to_string().contains("later")
    });
    assert_eq!(server.program().ended(), None);
}

/// Everything, with a log that goes there.
fn goes_on_with(stderr: Stdio) {
    let mut server = two_apis();
    server.start_logging("debug", Some(stderr));
    let key = server.issue("app", "open");
    assert_all_is_right(&mut server, &key);
    assert_hang_up_reloads(&mut server);
    provoke(&server, 100);
    assert_all_is_right(&mut server, &key);
    server.stop();
}

#[test]
fn a_log_on_a_full_disk_costs_no_outcome_and_no_exit_code() {
    goes_on_with(File::options().write(true).open("/dev/full").unwrap().into());
}

#[test]
fn a_log_whose_reader_has_gone_costs_no_outcome_and_no_exit_code() {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    goes_on_with(writer.into());
}

#[test]
fn a_log_that_nobody_reads_stops_no_caller_and_says_what_it_lost_when_it_is_read() {
    const SAID: u64 = 9_000;
    let (reader, writer) = std::io::pipe().unwrap();
    let mut server = two_apis();
    server.start_logging("debug", Some(writer.into()));
    let key = server.issue("app", "open");
    provoke(&server, SAID);
    assert_all_is_right(&mut server, &key);
    assert_hang_up_reloads(&mut server);
    assert_all_is_right(&mut server, &key);
    // From here on it is read, and each line is there or counted.
    let (caught_up, heard) = std::sync::mpsc::channel();
    let reading = std::thread::spawn(move || {
        let lines = BufReader::new(reader).lines();
        let read = |line: std::io::Result<String>| -> Value {
            let line: Value = serde_json::from_str(&line.unwrap()).unwrap();
            if line["lines"].is_u64() {
                let _ = caught_up.send(());
            }
            line
        };
        lines.map(read).collect::<Vec<_>>()
    });
    provoke(&server, 1);
    // What was lost is said once the log has caught up, so there is room for the end.
    heard.recv().unwrap();
    server.stop();
    let lines = reading.join().unwrap();
    let of_text = |text: &str| lines.iter().filter(|line| line["message"] == text).count();
    let lost: Vec<_> = lines.iter().filter(|line| line["lines"].is_u64()).collect();
    let lost: u64 = lost.iter().map(|line| line["lines"].as_u64().unwrap()).sum();
    let written = of_text("a connection broke off") as u64;
    assert!(written > 280 && lost > 1_000, "{written} written, {lost} lost");
    assert!(written + lost > SAID, "{written} written, {lost} lost");
    assert_eq!(of_text("stopping: requests under way may finish"), 1, "the end is told");
}

#[test]
fn a_server_whose_log_nobody_reads_stops_when_it_is_told_to() {
    let (_reader, writer) = std::io::pipe().unwrap();
    let mut server = two_apis();
    server.start_logging("debug", Some(writer.into()));
    provoke(&server, 1_000);
    server.stop();
}

#[test]
fn what_is_said_over_and_over_is_counted_and_nothing_else_is_left_out_for_it() {
    let mut server = two_apis();
    let other = nobody();
    let api = format!("[api.other]\nupstream = \"http://{other}\"\npath = \"/other\"\n");
    let text = server.configuration().replace("[plan.open]", &format!("{api}[plan.open]"));
    server.configure(&text.replace("\"dead: *\"", "\"dead: *\", \"other: *\""));
    server.start();
    let key = server.issue("app", "open");
    let caller = server.caller(&key);
    for _ in 0..400 {
        assert_eq!(caller.get("/dead/a").status, 502);
    }
    assert_eq!(caller.get("/other/a").status, 502);
    let path = server.path("server.err");
    server.stop();
    let log = std::fs::read_to_string(path).unwrap();
    let lines: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let text = "an upstream cannot be reached";
    let of_origin = |origin: &str| {
        let is_of = |line: &&Value| line["upstream.origin"].as_str().unwrap().contains(origin);
        lines.iter().filter(|line| line["message"] == text).filter(is_of).count()
    };
    let (all, other) = (of_origin("127.0.0.1"), of_origin(&other.to_string()));
    let left_out = lines.iter().filter(|line| line["repeated"] == text);
    let left_out: u64 = left_out.map(|line| line["times"].as_u64().unwrap()).sum();
    assert_eq!((all as u64 + left_out, other), (401, 1), "{log}");
    assert!(all < 100, "{all} of 401 alike were written");
}

#[test]
fn a_full_disk_that_the_log_cannot_tell_of_pauses_writes_only_until_there_is_room() {
    let mut server = TestServer::new("[plan.open]\nallow = \"bookmarks: *\"\n");
    server.configure(&format!("data = \"disk/data\"\n{}", server.configuration()));
    let Some(disk) = Disk::small(&server.path("disk")) else {
        return println!("not tried: only root may mount a disk of its own");
    };
    let full = File::options().write(true).open("/dev/full").unwrap();
    server.start_logging("info", Some(full.into()));
    let key = server.issue("app", "open");
    let caller = server.caller(&key);
    disk.fill();
    wait_until("the disk is full", || caller.post("/last").status == 503);
    assert_eq!(server.page("/readyz").0, 503);
    assert_eq!(caller.get("/read").status, 200);
    disk.free();
    wait_until("it goes on by itself", || server.page("/readyz").0 == 200);
    assert_eq!(caller.post("/after").status, 200);
    server.run(&["key", "lock", &key.id, "--reason", "look"]).good();
    assert_eq!(caller.post("/locked").status, 403);
    server.stop();
}

#[test]
fn an_answer_of_ours_in_the_place_of_the_upstreams_has_a_line_that_names_its_cause() {
    let many = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = many.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in many.incoming().take(20) {
            let mut stream = stream.unwrap();
            let _ = stream.read(&mut [0; 4096]);
            let fields: String = (0..120).map(|number| format!("x-{number}: a\r\n")).collect();
            let answer = format!("HTTP/1.1 200 OK\r\n{fields}content-length: 0\r\n\r\n");
            let _ = stream.write_all(answer.as_bytes());
        }
    });
    let mut server = TestServer::new("[plan.open]\nallow = \"bookmarks: *\"\n");
    let there = server.upstream.address.to_string();
    server.configure(&server.configuration().replace(&there, &address.to_string()));
    server.start();
    let key = server.issue("app", "open");
    assert_eq!(
        server.caller(&key).post("/a").status_and_reason(),
        (502, "upstream_failed".to_owned())
    );
    wait_until("it says why", || {
        let log = server.log();
        log.contains("limit of 100 fields") && log.contains(&address.to_string())
    });
    server.stop();
}

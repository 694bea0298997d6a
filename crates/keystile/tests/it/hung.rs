//! The disk neither does what it is asked nor fails: every wait has an end, and nothing is sent late.

use std::time::{Duration, Instant};

use crate::harness::{Caller, Disk, Finished, Key, TestServer, keystile, pause, wait_until};

const PLANS: &str = "[plan.open]\nallow = \"bookmarks: *\"\nwrite_budget = \"10 per day\"\n\
                     [plan.small]\nallow = \"bookmarks: *\"\nwrite_budget = \"3 per day\"\n";
const NOT_TRIED: &str =
    "not tried: only root may mount a disk of its own, and not every kernel freezes it";

struct Hung {
    server: TestServer,
    disk: Disk,
}

/// A site whose data lies on a disk that can be frozen, with a timeout of one second.
fn server() -> Option<Hung> {
    let mut server = TestServer::new(PLANS);
    let text = format!("data = \"disk/data\"\nstore_timeout = \"1 s\"\n{}", server.configuration());
    std::fs::write(server.path("keystile.toml"), text).unwrap();
    let disk = Disk::fragile(&server.path("disk"), &server.path("image"))?;
    server.start();
    Some(Hung { server, disk })
}

/// Runs something that has to end although the disk hangs.
fn in_time<T>(what: &str, work: impl FnOnce() -> T) -> T {
    let began = Instant::now();
    let done = work();
    assert!(began.elapsed() < Duration::from_secs(20), "{what} took {:?}", began.elapsed());
    done
}

fn refused(caller: &Caller) {
    let answer = in_time("a write", || caller.post("/while-hung"));
    assert_eq!(answer.status_and_reason(), (503, "store_unavailable".to_owned()));
}

fn assert_says_so(server: &TestServer) {
    wait_until("it is noticed", || server.page("/readyz").0 == 503);
    let (_, page) = in_time("readyz", || server.page("/readyz"));
    assert!(page.contains("the disk has not answered for"), "{page}");
    assert_eq!(in_time("healthz", || server.page("/healthz")).0, 200);
    assert!(in_time("metrics", || server.page("/metrics")).1.contains("keystile_store_writable 0"));
}

fn assert_ends(server: &TestServer, key: &Key) {
    let lock = ["key", "lock", &key.id, "--reason", "look"];
    let said = in_time("a command", || server.run(&lock)).bad();
    assert!(said.contains("cannot record") || said.contains("does not answer"), "{said}");
    let listed = in_time("a listing", || server.run(&["key", "list"]));
    assert!(listed.code == Some(0) || listed.stderr.contains("does not answer"), "{listed:?}");
    let began = Instant::now();
    // No session: a page that reads no more than that somebody is asked to sign in.
    in_time("a page", || server.page("/keys"));
    assert!(began.elapsed() < Duration::from_secs(10));
}

#[test]
fn what_a_hung_disk_refused_is_never_sent_and_costs_nothing() {
    let Some(Hung { mut server, disk }) = server() else { return println!("{NOT_TRIED}") };
    let (open, small) = (server.issue("app", "open"), server.issue("other", "small"));
    for _ in 0..3 {
        assert_eq!(server.caller(&open).post("/before").status, 200);
        assert_eq!(server.caller(&small).post("/before").status, 200);
    }
    let before = server.upstream.writes();
    if !disk.freeze() {
        return println!("{NOT_TRIED}");
    }
    // The first is under way in the kernel when it is given up, the others wait behind it; one of them
    // goes over its budget.
    std::thread::scope(|scope| {
        for key in [&open, &open, &small, &open] {
            let caller = server.caller(key);
            scope.spawn(move || refused(&caller));
        }
    });
    let began = Instant::now();
    refused(&server.caller(&open));
    assert!(began.elapsed() < Duration::from_millis(800), "it is known that the disk hangs");
    assert_eq!(server.caller(&open).get("/read").status, 200);
    assert_says_so(&server);
    assert_ends(&server, &open);
    disk.thaw();
    wait_until("it goes on by itself", || server.page("/readyz").0 == 200);
    pause(1_500);
    assert_eq!(server.upstream.writes(), before, "what was refused was sent later");
    let late: Vec<_> =
        server.journal().into_iter().filter(|row| row["path"] == "/while-hung").collect();
    let is_over = |outcome: &str| outcome == "not_sent" || outcome == "refused";
    assert!(late.iter().all(|row| is_over(row["outcome"].as_str().unwrap())), "{late:?}");
    assert!(late.iter().all(|row| row["cost"] == 0), "{late:?}");
    // The budget is as if nothing had been asked: seven of ten are left, and not one more.
    let rest: Vec<_> = (0..8).map(|_| server.caller(&open).post("/after").status).collect();
    assert_eq!(rest, [200, 200, 200, 200, 200, 200, 200, 403]);
    assert_eq!(server.caller(&small).post("/after").status, 403);
    server.kill();
    server.start();
    assert_eq!(server.key(&open)["state"], "locked");
    server.stop();
}

#[test]
fn a_disk_that_hangs_while_nobody_writes_is_noticed() {
    let Some(Hung { mut server, disk }) = server() else { return println!("{NOT_TRIED}") };
    let key = server.issue("app", "open");
    assert_eq!(server.caller(&key).post("/before").status, 200);
    pause(1_500);
    if !disk.freeze() {
        return println!("{NOT_TRIED}");
    }
    assert_says_so(&server);
    disk.thaw();
    wait_until("it goes on by itself", || server.page("/readyz").0 == 200);
    assert_eq!(server.caller(&key).post("/after").status, 200);
    server.stop();
}

#[test]
fn a_command_without_a_server_ends_although_the_disk_hangs() {
    let Some(Hung { mut server, disk }) = server() else { return println!("{NOT_TRIED}") };
    server.issue("app", "open");
    server.stop();
    if !disk.freeze() {
        return println!("{NOT_TRIED}");
    }
    for line in [&["key", "list"][..], &["owner", "link"], &["doctor"], &["run"]] {
        let said = in_time("a command", || server.run(line)).bad();
        assert!(said.contains("does not answer") && said.contains("help: "), "{line:?}: {said}");
    }
    disk.thaw();
    server.run(&["key", "list"]).good();
}

/// A server that was stopped by a signal takes nobody up, and says nothing.
#[test]
fn a_command_ends_although_the_server_says_nothing() {
    let mut server = TestServer::new(PLANS).started();
    server.program().signal("STOP");
    let said = in_time("a command", || {
        Finished::of(&mut keystile(server.folder(), &["key", "list"])).bad()
    });
    server.program().signal("CONT");
    assert!(said.contains("does not answer") && said.contains("help: "), "{said}");
    server.run(&["key", "list"]).good();
    server.stop();
}

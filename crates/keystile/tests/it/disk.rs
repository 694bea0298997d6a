//! The disk is full or read-only: writes stop, reads go on, and nothing is admitted twice.

use crate::harness::{Answer, Caller, Disk, Key, TestServer, wait_until};

const TEN: &str = "[plan.open]\nallow = \"bookmarks: *\"\nwrite_budget = \"10 per day\"\n";
const NOT_TRIED: &str = "not tried: only root may mount a disk of its own";

fn server_on(folder: &str) -> TestServer {
    let server = TestServer::new(TEN);
    let text = format!("data = \"{folder}/data\"\n{}", server.configuration());
    std::fs::write(server.path("keystile.toml"), text).unwrap();
    server
}

fn is_paused(answer: &Answer) -> bool {
    if answer.status == 200 {
        return false;
    }
    assert_eq!(answer.status_and_reason(), (503, "store_unavailable".to_owned()));
    let wait: u32 = answer.field("retry-after").unwrap().parse().unwrap();
    assert!((1..=60).contains(&wait));
    true
}

/// The store fails: what can be done, and what cannot.
fn assert_fails_closed(server: &TestServer, key: &Key) {
    let caller = server.caller(key);
    let before = server.upstream.writes();
    assert!(is_paused(&caller.post("/while-paused")));
    assert!(is_paused(&caller.delete("/while-paused")));
    assert_eq!(caller.get("/while-paused").status, 200);
    assert_eq!(server.upstream.writes(), before, "P7: a write was sent");
    let (status, page) = server.page("/readyz");
    assert_eq!(status, 503);
    assert!(page.contains("writes cannot be recorded"), "{page}");
    assert_eq!(server.page("/healthz").0, 200);
    assert!(server.page("/metrics").1.contains("keystile_store_writable 0"));
    let lock = ["key", "lock", &key.id, "--reason", "look"];
    let said = server.run(&lock).bad();
    assert!(said.contains("cannot record"), "{said}");
    let status = server.json(&["status"]);
    assert_ne!(status["store"], "ok");
    let doctor = server.run(&["doctor"]);
    assert_eq!(doctor.code, Some(1));
    assert!(doctor.stdout.contains("the store cannot commit"), "{doctor:?}");
    assert!(!server.json(&["key", "list"]).as_array().unwrap().is_empty());
}

/// Uses up what is left of the budget of ten.
fn assert_exactly_ten(server: &TestServer, key: &Key) {
    let caller = server.caller(key);
    wait_until("the budget is used up", || match caller.post("/rest").status {
        200 => false,
        status => {
            assert_eq!(status, 403);
            true
        }
    });
    assert_eq!(server.upstream.writes(), 10);
    let journal = server.journal();
    assert_eq!(journal.iter().filter(|row| row["cost"] == 1).count(), 10);
    assert!(journal.iter().all(|row| row["outcome"] != "pending"));
}

#[test]
fn a_full_disk_pauses_writes_until_there_is_room_and_the_budget_stays_exact() {
    let mut server = server_on("disk");
    let Some(disk) = Disk::small(&server.path("disk")) else {
        return println!("{NOT_TRIED}");
    };
    server.start();
    let key = server.issue("app", "open");
    let caller = server.caller(&key);
    for _ in 0..3 {
        assert_eq!(caller.post("/before").status, 200);
    }
    disk.fill();
    wait_until("the disk is full", || {
        assert!(server.upstream.writes() < 9, "the budget is used up before");
        is_paused(&caller.post("/last"))
    });
    assert_fails_closed(&server, &key);
    disk.free();
    wait_until("it goes on by itself", || server.page("/readyz").0 == 200);
    assert!(server.page("/metrics").1.contains("keystile_store_writable 1"));
    assert_exactly_ten(&server, &key);
    server.kill();
    server.start();
    assert_eq!(server.key(&key)["state"], "locked");
    server.stop();
}

/// A server on a disk that takes no writes: it serves reads, and says what is wrong.
fn assert_reads_only(server: &mut TestServer, key: &Key) {
    server.start_with(&["run"]);
    let console = Caller::new(server.console, None);
    wait_until("it answers", || {
        assert!(server.program().ended().is_none(), "{}", server.log());
        console.call("GET", "/healthz").is_ok_and(|answer| answer.status == 200)
    });
    let caller = server.caller(key);
    assert_eq!(caller.get("/read").status, 200);
    let before = server.upstream.writes();
    assert!(is_paused(&caller.post("/no")));
    assert_eq!(server.upstream.writes(), before, "P7: a write was sent");
    // A commit that fits into what the log has already is recorded; the next write is refused again.
    wait_until("it says so", || {
        is_paused(&caller.post("/no"));
        let (status, page) = server.page("/readyz");
        status == 503 && page.contains("writes cannot be recorded")
    });
    let log = server.log();
    assert!(log.contains("can only be read") || log.contains("cannot commit"), "{log}");
}

fn assert_goes_on(server: &TestServer, key: &Key, before: usize) {
    wait_until("it goes on by itself", || server.page("/readyz").0 == 200);
    assert_eq!(server.caller(key).post("/after").status, 200);
    wait_until("commands reach it", || server.run(&["status"]).code == Some(0));
    assert_eq!(server.json(&["status"])["store"], "ok");
    let sent = server.upstream.writes();
    assert!(sent > before);
    wait_until("all is settled", || {
        let journal = server.journal();
        let is_open = |row: &serde_json::Value| row["outcome"] == "pending";
        let applied = journal.iter().filter(|row| row["outcome"] == "applied").count();
        applied == sent && !journal.iter().any(is_open)
    });
}

#[test]
fn on_a_disk_that_is_full_at_the_start_reads_are_served_and_writes_go_on_when_there_is_room() {
    for is_killed in [false, true] {
        let mut server = server_on("disk");
        let Some(disk) = Disk::small(&server.path("disk")) else {
            return println!("{NOT_TRIED}");
        };
        server.start();
        let key = server.issue("app", "open");
        for _ in 0..3 {
            assert_eq!(server.caller(&key).post("/before").status, 200);
        }
        wait_until("they are settled", || {
            server.journal().iter().filter(|row| row["outcome"] == "applied").count() == 3
        });
        if is_killed {
            server.kill();
        } else {
            server.stop();
        }
        disk.fill();
        assert_reads_only(&mut server, &key);
        disk.free();
        assert_goes_on(&server, &key, 3);
        server.stop();
    }
}

#[test]
fn on_a_disk_that_is_read_only_at_the_start_reads_are_served_and_writes_go_on_when_it_is_not() {
    for is_killed in [false, true] {
        let mut server = server_on("disk");
        let Some(disk) = Disk::fragile(&server.path("disk"), &server.path("image")) else {
            return println!("{NOT_TRIED}");
        };
        server.start();
        let key = server.issue("app", "open");
        assert_eq!(server.caller(&key).post("/before").status, 200);
        wait_until("it is settled", || {
            server.journal().iter().filter(|row| row["outcome"] == "applied").count() == 1
        });
        if is_killed {
            server.kill();
        } else {
            server.stop();
        }
        disk.remount("ro");
        assert_eq!(server.run(&["key", "list", "--json"]).code, Some(0), "without a server too");
        assert_reads_only(&mut server, &key);
        disk.remount("rw");
        assert_goes_on(&server, &key, 1);
        server.stop();
    }
}

#[test]
fn a_new_store_on_a_full_disk_is_refused_with_what_to_do() {
    let server = server_on("disk");
    let Some(disk) = Disk::small(&server.path("disk")) else {
        return println!("{NOT_TRIED}");
    };
    disk.fill();
    let said = server.run(&["run"]).bad();
    assert!(said.contains("full") || said.contains("No space left"), "{said}");
    assert!(said.contains("help: "), "{said}");
}

#[test]
fn a_disk_that_turns_read_only_pauses_writes_and_the_budget_stays_exact() {
    let mut server = server_on("disk");
    let image = server.path("image");
    let Some(disk) = Disk::fragile(&server.path("disk"), &image) else {
        return println!("{NOT_TRIED}");
    };
    server.start();
    let key = server.issue("app", "open");
    let caller = server.caller(&key);
    for _ in 0..3 {
        assert_eq!(caller.post("/before").status, 200);
    }
    if !disk.turn_read_only() {
        return println!("not tried: this kernel does not turn a disk read-only on demand");
    }
    let mut has_ended = false;
    wait_until("writes are paused", || {
        assert!(server.upstream.writes() < 9, "the budget is used up before");
        let answer = caller.call("POST", "/last");
        has_ended = answer.is_err();
        answer.is_ok_and(|answer| is_paused(&answer)) || has_ended
    });
    if has_ended {
        // A commit was under way, and what of it is on the disk nobody can say any more.
        assert_eq!(server.program().wait(), None);
        assert!(server.log().contains("fsync failed"), "{}", server.log());
    } else {
        assert_fails_closed(&server, &key);
        server.program().signal("TERM");
        assert_eq!(server.program().wait(), Some(0));
    }
    disk.unmount();
    assert!(disk.mount_image(&image));
    server.start();
    assert_exactly_ten(&server, &key);
    server.stop();
}

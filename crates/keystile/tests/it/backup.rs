//! Backups while writes run, and what can be made of them.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::harness::{Caller, Finished, TestServer, keystile};

const OPEN: &str = "[plan.open]\nallow = \"bookmarks: *\"\nwrite_budget = \"100000 per day\"\n\
                    [plan.small]\nallow = \"bookmarks: *\"\nwrite_budget = \"3 per day\"\n";

#[test]
fn a_backup_that_is_made_while_writes_run_holds_keys_locks_and_what_was_counted() {
    use std::os::unix::fs::PermissionsExt;
    let mut server = TestServer::new(OPEN).started();
    let (key, small, locked) =
        (server.issue("app", "open"), server.issue("app", "small"), server.issue("app", "open"));
    server.run(&["key", "lock", &locked.id, "--reason", "look"]).good();
    assert_eq!(server.caller(&small).post("/small").status, 200);
    let is_over = AtomicBool::new(false);
    let caller = server.caller(&key);
    std::thread::scope(|scope| {
        for number in 0..3 {
            let (caller, is_over) = (&caller, &is_over);
            scope.spawn(move || {
                while !is_over.load(Ordering::Relaxed) {
                    assert_eq!(caller.post(&format!("/jitter/{number}")).status, 200);
                }
            });
        }
        for name in ["one.db", "two.db", "three.db"] {
            let done = server.json(&["backup", name]);
            assert!(done["done"].as_str().unwrap().contains("verified"), "{done}");
        }
        is_over.store(true, Ordering::Relaxed);
    });
    let mode = server.path("three.db").metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!(mode, 0o600, "it holds the pepper");
    let said = server.run(&["backup", "three.db"]).bad();
    assert!(said.contains("exists"), "{said}");

    // Later writes are not in it.
    let written = server.upstream.writes();
    server.stop();
    server.run(&["restore", "three.db", "--data", "restored"]).good();
    server.configure(&format!("data = \"restored\"\n{}", server.configuration()));
    server.start();
    let caller = |key| server.caller(key);
    assert_eq!(caller(&key).post("/after").status, 200);
    assert_eq!(caller(&locked).post("/after").status, 403);
    let rest: Vec<_> = (0..3).map(|_| caller(&small).post("/small").status).collect();
    assert_eq!(rest, [200, 200, 403]);
    let journal = server.journal();
    assert!(journal.len() > 4 && journal.len() <= written + 4);
    assert!(journal.iter().all(|row| row["outcome"] != "pending"));
}

#[test]
fn nothing_is_restored_over_data_unless_that_is_asked_for() {
    let mut server = TestServer::new(OPEN).started();
    let key = server.issue("first", "open");
    server.run(&["backup", "copy.db"]).good();
    let later = server.issue("later", "open");
    let said = server.run(&["restore", "copy.db"]).bad();
    assert!(said.contains("already holds data") && said.contains("--force"), "{said}");
    let said = server.run(&["restore", "copy.db", "--force"]).bad();
    assert!(said.contains("another Keystile is running"), "{said}");
    assert_eq!(server.caller(&later).get("/a").status, 200);
    server.stop();
    server.run(&["restore", "copy.db", "--force"]).good();
    server.start();
    assert_eq!(server.caller(&key).get("/a").status, 200);
    assert_eq!(server.caller(&later).get("/a").status, 401);
}

#[test]
fn only_a_whole_backup_is_restored() {
    let mut server = TestServer::new(OPEN).started();
    server.issue("app", "open");
    server.run(&["backup", "copy.db"]).good();
    server.stop();
    let bytes = std::fs::read(server.path("copy.db")).unwrap();
    std::fs::write(server.path("half.db"), &bytes[..bytes.len() / 2]).unwrap();
    std::fs::write(server.path("text.db"), "once upon a time").unwrap();
    std::fs::copy(server.path("keystile-data/keystile.db"), server.path("store.db")).unwrap();
    for name in ["half.db", "text.db", "store.db", "missing.db"] {
        let restore = ["restore", name, "--data", "elsewhere"];
        let said = server.run(&restore).bad();
        assert!(said.starts_with("error: "), "{name}: {said}");
        let list = ["key", "list", "--data", "elsewhere"];
        assert!(server.run(&list).bad().contains("there is no Keystile store"), "{name}");
    }
}

#[test]
fn a_store_that_is_damaged_or_newer_is_refused_with_what_to_do() {
    let mut server = TestServer::new(OPEN).started();
    server.issue("app", "open");
    server.run(&["backup", "copy.db"]).good();
    server.stop();
    let database = server.path("keystile-data/keystile.db");
    let sound = std::fs::read(&database).unwrap();
    let refused = |bytes: &[u8]| {
        std::fs::write(&database, bytes).unwrap();
        let said = server.run(&["run"]).bad();
        assert_eq!(std::fs::read(&database).unwrap(), bytes, "it is left as it is");
        said
    };
    let said = refused(&b"damaged ".repeat(1024));
    assert!(said.contains("damaged") && said.contains("help: "), "{said}");
    // The version of the format, in the header of an SQLite file.
    let mut newer = sound;
    newer[60..64].copy_from_slice(&99_u32.to_be_bytes());
    let said = refused(&newer);
    assert!(said.contains("newer Keystile") && said.contains("help: "), "{said}");
    server.run(&["restore", "copy.db", "--force"]).good();
    server.start();
    assert_eq!(server.json(&["status"])["keys"]["active"], 1);
}

#[test]
fn a_backup_goes_where_the_command_stands_and_not_the_server() {
    let server = TestServer::new(OPEN).started();
    let elsewhere = tempfile::tempdir().unwrap();
    let data = server.path("keystile-data");
    let line = ["backup", "copy.db", "--data", data.to_str().unwrap()];
    Finished::of(&mut keystile(elsewhere.path(), &line)).good();
    assert!(elsewhere.path().join("copy.db").exists());
    assert_eq!(Caller::new(server.console, None).get("/readyz").status, 200);
}

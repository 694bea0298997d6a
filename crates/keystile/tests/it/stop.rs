//! How a server ends, and what another one finds.

use std::time::Instant;

use crate::harness::{TestServer, free_port, pause, wait_until};

const OPEN: &str = "[plan.open]\nallow = \"bookmarks: *\"\nwrite_budget = \"1000 per day\"\n";

/// A server with requests under way: a write whose answer waits, and a read that is half answered.
#[test]
fn a_request_under_way_finishes_when_the_server_is_told_to_stop() {
    for signal in ["TERM", "INT"] {
        let mut server = TestServer::new(OPEN).started();
        let key = server.issue("app", "open");
        let caller = server.caller(&key);
        let send = |method, path| caller.connect().unwrap().send(&caller, method, path).unwrap();
        let (write, read) = (send("DELETE", "/held/1"), send("GET", "/drip/700"));
        wait_until("both are under way", || server.upstream.received().len() == 2);
        server.program().signal(signal);
        wait_until("nobody new is let in", || caller.connect().is_err());
        assert_eq!(server.program().ended(), None, "it does not wait");
        server.upstream.release();
        let (write, read) = (write.answer().unwrap(), read.answer().unwrap());
        assert_eq!((write.status, read.status), (200, 200));
        assert_eq!(read.body, "hallo\n");
        assert_eq!(server.program().wait(), Some(0));
        assert!(!server.path("keystile-data/control.sock").exists());
        let journal = server.journal();
        assert_eq!(journal.len(), 1);
        assert_eq!(journal[0]["outcome"], "applied");
    }
}

#[test]
fn a_request_beyond_the_drain_timeout_is_cut_off_unknown_and_counted() {
    let config = format!(
        "[gate]\nlisten = \"127.0.0.1:7070\"\ndrain_timeout = \"1 s\"\n\
        [console]\nlisten = \"127.0.0.1:7080\"\n[api.bookmarks]\nupstream = \"http://127.0.0.1:7071\"\n{OPEN}"
    );
    let mut server = TestServer::of_text(&config).started();
    let key = server.issue("app", "open");
    let caller = server.caller(&key);
    let call = caller.connect().unwrap().send(&caller, "DELETE", "/slow/9000").unwrap();
    wait_until("it is under way", || server.upstream.writes() == 1);
    let start = Instant::now();
    server.stop();
    assert!((900..5_000).contains(&start.elapsed().as_millis()));
    assert!(call.answer().is_err());
    let journal = server.journal();
    assert_eq!((&journal[0]["outcome"], &journal[0]["cost"]), (&"unknown".into(), &1.into()));
}

#[test]
fn refusals_of_the_last_second_are_on_record_after_a_stop() {
    let mut server = TestServer::new(OPEN).started();
    for _ in 0..7 {
        assert_eq!(server.stranger().post("/a").status, 401);
    }
    server.stop();
    let total: u64 = server.journal().iter().map(|row| row["count"].as_u64().unwrap()).sum();
    assert_eq!(total, 7);
}

#[test]
fn a_second_server_on_the_same_data_says_so_and_stops() {
    let server = TestServer::new(OPEN).started();
    let key = server.issue("app", "open");
    let (gate, console) = (free_port(), free_port());
    let said = server
        .run(&[
            "run",
            "--listen",
            &format!("127.0.0.1:{gate}"),
            "--console",
            &format!("127.0.0.1:{console}"),
        ])
        .bad();
    assert!(
        said.contains("error: another Keystile is running on")
            && said.contains("help: stop it first"),
        "{said}"
    );
    assert_eq!(server.caller(&key).post("/a").status, 200);
    assert!(server.path("keystile-data/control.sock").exists());
    server.run(&["status"]).good();
}

#[test]
fn what_a_killed_server_leaves_behind_is_in_nobodys_way() {
    let mut server = TestServer::new(OPEN).started();
    let key = server.issue("app", "open");
    assert_eq!(server.caller(&key).post("/a").status, 200);
    server.kill();
    assert!(server.path("keystile-data/control.sock").exists());
    // A command finds that nobody answers there, and works on the store.
    assert_eq!(server.json(&["status"])["running"], false);
    assert_eq!(server.journal().len(), 1);
    server.start();
    assert_eq!(server.json(&["status"])["running"], true);
    assert_eq!(server.caller(&key).post("/a").status, 200);
}

#[test]
fn a_long_path_to_the_data_is_no_obstacle() {
    let name = "d".repeat(120);
    let config = format!(
        "data = \"{name}/{name}\"\n[gate]\nlisten = \"127.0.0.1:7070\"\n\
        [console]\nlisten = \"127.0.0.1:7080\"\n[api.bookmarks]\nupstream = \"http://127.0.0.1:7071\"\n{OPEN}"
    );
    let mut server = TestServer::of_text(&config).started();
    let key = server.issue("app", "open");
    assert_eq!(server.json(&["status"])["running"], true);
    assert_eq!(server.caller(&key).post("/a").status, 200);
    server.stop();
    assert_eq!(server.json(&["status"])["running"], false);
}

#[test]
fn a_follower_does_not_keep_a_server_from_starting() {
    let mut server = TestServer::new(OPEN);
    let key = server.issue("app", "open");
    let said = server.run(&["journal", "follow"]).bad();
    assert!(said.contains("no server is running"), "{said}");
    server.start();
    let follow = crate::harness::keystile(server.folder(), &["journal", "follow"]);
    let mut follower = crate::harness::Program::start(follow, server.folder(), "follow");
    let caller = server.caller(&key);
    wait_until("it follows", || {
        assert_eq!(caller.post("/a").status, 200);
        follower.stdout().contains("/a")
    });
    assert_eq!(follower.ended(), None);
    server.stop();
    assert_eq!(follower.wait(), Some(1));
    assert!(follower.stderr().contains("no server is running"));
    server.start();
}

#[test]
fn a_command_waits_for_a_server_that_is_starting() {
    use keystile_store::files::DataDirectory;
    let server = TestServer::new(OPEN);
    server.issue("app", "open");
    // Holds the directory without a socket, as a server does before it answers.
    let held = DataDirectory::hold(&server.path("keystile-data")).unwrap();
    std::thread::scope(|scope| {
        let listing = scope.spawn(|| server.run(&["key", "list", "--json"]));
        pause(4_000);
        assert!(!listing.is_finished(), "it gave up early");
        drop(held);
        assert!(listing.join().unwrap().good().stdout.contains("app"));
    });
}

#[test]
fn a_data_directory_that_others_reach_is_reported_at_the_start_and_by_doctor() {
    use std::os::unix::fs::PermissionsExt as _;
    let mut server = TestServer::new(OPEN);
    server.issue("app", "open");
    let mode = |name: &str, mode| {
        std::fs::set_permissions(server.path(name), std::fs::Permissions::from_mode(mode)).unwrap();
    };
    mode("keystile-data", 0o777);
    let said = server.run(&["doctor"]).stdout;
    assert!(said.contains("its mode is 0777"), "{said}");
    mode("keystile-data", 0o700);
    mode("keystile-data/pepper", 0o644);
    let said = server.run(&["doctor"]).stdout;
    assert!(said.contains("pepper") && said.contains("0644"), "{said}");
    server.start();
    wait_until("it says so", || server.log().contains("is open to others"));
    server.stop();
}

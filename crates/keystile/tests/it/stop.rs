//! How a server ends, and what another one finds.

use std::time::Instant;

use crate::harness::{TestServer, free_port, pause, wait_until};

const OPEN: &str = "[plan.open]\nallow = \"bookmarks: *\"\nwrite_budget = \"1000 per day\"\n";

/// A server with requests under way: a write whose answer waits, and a read that is half answered.
#[test]
fn a_request_under_way_finishes_when_the_server_is_told_to_stop() {
    for signal in ["TERM", "INT"] {
        let mut site = TestServer::new(OPEN).started();
        let key = site.issue("app", "open");
        let caller = site.caller(&key);
        let send = |method, path| caller.connect().unwrap().send(&caller, method, path).unwrap();
        let (write, read) = (send("DELETE", "/slow/700"), send("GET", "/drip/700"));
        wait_until("both are under way", || site.upstream.received().len() == 2);
        pause(50);
        site.server().signal(signal);
        wait_until("nobody new is let in", || caller.connect().is_err());
        assert_eq!(site.server().ended(), None, "it does not wait");
        let (write, read) = (write.answer().unwrap(), read.answer().unwrap());
        assert_eq!((write.status, read.status), (200, 200));
        assert_eq!(read.body, "hallo\n");
        assert_eq!(site.server().wait(), Some(0));
        assert!(!site.path("keystile-data/control.sock").exists());
        let journal = site.journal();
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
    let mut site = TestServer::of_text(&config).started();
    let key = site.issue("app", "open");
    let caller = site.caller(&key);
    let call = caller.connect().unwrap().send(&caller, "DELETE", "/slow/9000").unwrap();
    wait_until("it is under way", || site.upstream.writes() == 1);
    let start = Instant::now();
    site.stop();
    assert!((900..5_000).contains(&start.elapsed().as_millis()));
    assert!(call.answer().is_err());
    let journal = site.journal();
    assert_eq!((&journal[0]["outcome"], &journal[0]["cost"]), (&"unknown".into(), &1.into()));
}

#[test]
fn refusals_of_the_last_second_are_on_record_after_a_stop() {
    let mut site = TestServer::new(OPEN).started();
    for _ in 0..7 {
        assert_eq!(site.stranger().post("/a").status, 401);
    }
    site.stop();
    let total: u64 = site.journal().iter().map(|row| row["count"].as_u64().unwrap()).sum();
    assert_eq!(total, 7);
}

#[test]
fn a_second_server_on_the_same_data_says_so_and_stops() {
    let site = TestServer::new(OPEN).started();
    let key = site.issue("app", "open");
    let (gate, console) = (free_port(), free_port());
    let said = site
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
    assert_eq!(site.caller(&key).post("/a").status, 200);
    assert!(site.path("keystile-data/control.sock").exists());
    site.run(&["status"]).good();
}

#[test]
fn what_a_killed_server_leaves_behind_is_in_nobodys_way() {
    let mut site = TestServer::new(OPEN).started();
    let key = site.issue("app", "open");
    assert_eq!(site.caller(&key).post("/a").status, 200);
    site.kill();
    assert!(site.path("keystile-data/control.sock").exists());
    // A command finds that nobody answers there, and works on the store.
    assert_eq!(site.json(&["status"])["running"], false);
    assert_eq!(site.journal().len(), 1);
    site.start();
    assert_eq!(site.json(&["status"])["running"], true);
    assert_eq!(site.caller(&key).post("/a").status, 200);
}

#[test]
fn a_long_path_to_the_data_is_no_obstacle() {
    let name = "d".repeat(120);
    let config = format!(
        "data = \"{name}/{name}\"\n[gate]\nlisten = \"127.0.0.1:7070\"\n\
        [console]\nlisten = \"127.0.0.1:7080\"\n[api.bookmarks]\nupstream = \"http://127.0.0.1:7071\"\n{OPEN}"
    );
    let mut site = TestServer::of_text(&config).started();
    let key = site.issue("app", "open");
    assert_eq!(site.json(&["status"])["running"], true);
    assert_eq!(site.caller(&key).post("/a").status, 200);
    site.stop();
    assert_eq!(site.json(&["status"])["running"], false);
}

#[test]
fn a_follower_does_not_keep_a_server_from_starting() {
    let mut site = TestServer::new(OPEN);
    site.issue("app", "open");
    let said = site.run(&["journal", "follow"]).bad();
    assert!(said.contains("no server is running"), "{said}");
    site.start();
    let follow = crate::harness::keystile(site.folder(), &["journal", "follow"]);
    let mut follower = crate::harness::Program::start(follow, site.folder(), "follow");
    pause(300);
    assert_eq!(follower.ended(), None);
    site.stop();
    assert_eq!(follower.wait(), Some(1));
    assert!(follower.stderr().contains("no server is running"));
    site.start();
}

#[test]
fn a_command_waits_for_a_server_that_is_starting() {
    use keystile_store::sqlite::files::directory::DataDirectory;
    let site = TestServer::new(OPEN);
    site.issue("app", "open");
    // Holds the directory without a socket, as a server does before it answers.
    let held = DataDirectory::hold(&site.path("keystile-data")).unwrap();
    std::thread::scope(|scope| {
        let listing = scope.spawn(|| site.run(&["key", "list", "--json"]));
        pause(4_000);
        assert!(!listing.is_finished(), "it gave up early");
        drop(held);
        assert!(listing.join().unwrap().good().stdout.contains("app"));
    });
}

#[test]
fn a_data_directory_that_others_reach_is_reported_at_the_start_and_by_doctor() {
    use std::os::unix::fs::PermissionsExt as _;
    let mut site = TestServer::new(OPEN);
    site.issue("app", "open");
    let mode = |name: &str, mode| {
        std::fs::set_permissions(site.path(name), std::fs::Permissions::from_mode(mode)).unwrap();
    };
    mode("keystile-data", 0o777);
    let said = site.run(&["doctor"]).stdout;
    assert!(said.contains("its mode is 0777"), "{said}");
    mode("keystile-data", 0o700);
    mode("keystile-data/pepper", 0o644);
    let said = site.run(&["doctor"]).stdout;
    assert!(said.contains("pepper") && said.contains("0644"), "{said}");
    site.start();
    wait_until("it says so", || site.log().contains("is open to others"));
    site.stop();
}

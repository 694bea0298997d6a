//! A key that is unknown here is looked up in the account of 3scale that stays in charge, while its caller waits.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use keystile_threescale_standin::Portal;
use keystile_threescale_standin::fault::Fault;
use keystile_threescale_standin::tenant::{BackendVersion, Tenant};
use tokio::runtime::Runtime;

use crate::harness::{Answer, Caller, Http2, TestServer, pause, wait_until};

const TOKEN: &str = "b0bafe77c0ffee01b0bafe77c0ffee01b0bafe77c0ffee01b0bafe77c0ffee01";
const LATER: &str = "cannot be checked at the moment";

struct Site {
    server: TestServer,
    portal: Portal,
    account: u64,
    plan: u64,
    _runtime: Runtime,
}

/// A server that drives an account over TLS, in which nothing is yet. It has read that once, and will not again.
fn site(settings: &str) -> Site {
    site_of(BackendVersion::UserKey, "key_header = \"X-API-Key\"", settings)
}

/// The same with a service whose applications authenticate so, and an API that reads their keys so.
fn site_of(version: BackendVersion, api: &str, settings: &str) -> Site {
    let mut tenant = Tenant::with_token(TOKEN);
    let service = tenant.add_service("Bookmarks", version);
    let plan = tenant.add_plan(service, "Basic");
    let account = tenant.add_account("Acme Ltd");
    let runtime = Runtime::new().unwrap();
    let portal = runtime.block_on(Portal::start(tenant));
    let portal_address = portal.address();
    let mut server = TestServer::of_text(&format!(
        "[gate]\nlisten = \"127.0.0.1:7070\"\nkey_failures = \"100000 per minute\"\n\
         [console]\nlisten = \"127.0.0.1:7080\"\n[api.bookmarks]\nupstream = \"http://127.0.0.1:7071\"\n\
         {api}\n[plan.open]\nallow = \"bookmarks: *\"\n\
         write_budget = \"100 per day\"\n[threescale.main]\nportal = {portal_address:?}\n\
         access_token_file = \"token\"\nca_file = \"ca.pem\"\nservice = {service}\n\
         plans = {{ Basic = \"open\" }}\nrefresh = \"1 day\"\n{settings}",
    ));
    std::fs::write(server.path("token"), TOKEN).unwrap();
    std::fs::write(server.path("ca.pem"), portal.certificate_pem().unwrap()).unwrap();
    server.start();
    let site = Site { server, portal, account, plan, _runtime: runtime };
    site.wait_until_read();
    site
}

impl Site {
    fn wait_until_read(&self) {
        wait_until("the account was read", || {
            self.server.json(&["threescale", "status"])[0]["synchronized"].is_string()
        });
        self.portal.take_received();
    }

    /// An application that was made there a moment ago.
    fn issue(&self, key: &str) {
        let mut tenant = self.portal.tenant();
        let name = format!(
            "App {:x}",
            key.bytes().fold(7_u32, |sum, byte| sum * 31 % 65_521 + u32::from(byte))
        );
        let id = tenant.add_application(self.account, self.plan, &name);
        key.clone_into(&mut tenant.application_mut(id).user_key);
    }

    fn caller(&self, key: &str) -> Caller {
        Caller::new(self.server.gate, Some(key))
    }

    /// How often the portal was asked about keys since the last time.
    fn requests(&self) -> usize {
        let received = self.portal.take_received();
        received.iter().filter(|request| request.target.contains("find.json")).count()
    }
}

fn told_to_wait(answer: &Answer) -> u64 {
    assert_eq!(answer.status_and_reason(), (503, "key_source_unavailable".to_owned()));
    assert!(answer.body.contains(LATER), "{answer:?}");
    answer.field("retry-after").unwrap().parse().unwrap()
}

#[test]
fn a_key_that_was_issued_a_moment_ago_works_with_its_first_call_whatever_that_is() {
    let site = site("");
    for (number, method) in ["GET", "POST", "DELETE"].into_iter().enumerate() {
        let key = format!("issued-key-{number}");
        site.issue(&key);
        let answer = site.caller(&key).call(method, &format!("/{number}")).unwrap();
        assert_eq!(answer.status, 200, "{answer:?}");
        assert_eq!(site.requests(), 1);
        assert_eq!(site.caller(&key).call(method, &format!("/{number}")).unwrap().status, 200);
        assert_eq!(site.requests(), 0, "it is known now");
    }
    // Over HTTP/2 as well, with a body that comes once the look-up is under way.
    let mut http2 = Http2::connect(site.server.gate, 65_535).unwrap();
    site.issue("issued-key-h2");
    site.portal.fail_on("find.json", Fault::Slow(Duration::from_millis(300)));
    let fields = [("x-api-key", "issued-key-h2")];
    http2.head("GET", "/h2-read", &fields, false).unwrap();
    let write = http2.head("POST", "/h2-write", &fields, true).unwrap();
    pause(100);
    http2.data(write, b"{\"a\":1}").unwrap();
    http2.end(write).unwrap();
    for path in ["/h2-read", "/h2-write"] {
        wait_until("it arrived over HTTP/2", || site.server.upstream.times(path) == 1);
    }
    assert_eq!(site.requests(), 1, "one look-up for both");
    assert_eq!(site.server.journal().len(), 5);
    let log = site.server.log();
    assert!(!log.contains("issued-key") && !log.contains(TOKEN), "{log}");
}

#[test]
fn a_key_that_is_unknown_there_is_asked_about_once_in_its_time() {
    let site = site("unknown_for = \"2 s\"\n");
    let caller = site.caller("never-issued");
    for _ in 0..20 {
        assert_eq!(caller.get("/a").status_and_reason(), (401, "key_unknown".to_owned()));
    }
    assert_eq!(site.requests(), 1);
    // Issued since, it is found once the time is over.
    site.issue("never-issued");
    wait_until("it is asked about again", || caller.get("/a").status == 200);
    assert_eq!(site.requests(), 1);
    // What cannot be a key of another system is not asked about at all.
    for text in ["shrt", "ks_0000000000000000000000000000000000000000000_0JwTDp", &"x".repeat(256)]
    {
        let answer = site.caller(text).get("/a");
        assert_eq!(answer.status_and_reason(), (401, "key_unknown".to_owned()));
    }
    assert_eq!(site.requests(), 0);
}

#[test]
fn a_flood_of_unknown_keys_reaches_the_portal_no_more_often_than_its_owner_allows() {
    const CALLERS: usize = 10;
    let site = site("look_ups = 10\n");
    site.issue("known-before");
    assert_eq!(site.caller("known-before").get("/a").status, 200);
    site.requests();
    let (begun, slowest) = (Instant::now(), AtomicUsize::new(0));
    thread::scope(|scope| {
        for caller in 0..CALLERS {
            let site = &site;
            scope.spawn(move || {
                for number in 0..50 {
                    let answer = site.caller(&format!("guess-{caller}-{number}")).get("/a");
                    match answer.status {
                        401 => {}
                        _ => assert!((1..=5).contains(&told_to_wait(&answer))),
                    }
                }
            });
        }
        let (known, slowest) = (site.caller("known-before"), &slowest);
        scope.spawn(move || {
            for _ in 0..50 {
                let sent = Instant::now();
                assert_eq!(known.get("/b").status, 200);
                slowest.fetch_max(sent.elapsed().as_millis() as usize, Ordering::Relaxed);
            }
        });
    });
    let seconds = usize::try_from(begun.elapsed().as_secs()).unwrap() + 1;
    let requests = site.requests();
    assert!((1..=10 * seconds).contains(&requests), "{requests} in {seconds} seconds");
    assert!(slowest.into_inner() < 2_000, "a known key waits for nobody");
}

#[test]
fn somebody_who_guesses_is_slowed_down_and_then_asks_the_portal_nothing() {
    let site = site("look_ups = 1000\n");
    let text = site.server.configuration().replace("100000 per minute", "5 per minute");
    std::fs::write(site.server.path("keystile.toml"), text).unwrap();
    site.server.run(&["reload"]).good();
    for number in 0..20 {
        let answer = site.caller(&format!("guess-{number}")).get("/a");
        let expected = if number < 5 { (401, "key_unknown") } else { (429, "rate_limited") };
        assert_eq!(answer.status_and_reason(), (expected.0, expected.1.to_owned()));
    }
    assert_eq!(site.requests(), 5);
}

#[test]
fn while_the_portal_is_slow_known_keys_are_answered_at_once_and_unknown_ones_told_to_wait() {
    let site = site("look_ups = 100\n");
    site.issue("known-before");
    assert_eq!(site.caller("known-before").get("/a").status, 200);
    assert_eq!(site.requests(), 1);
    for _ in 0..100 {
        site.portal.fail_on("find.json", Fault::Slow(Duration::from_mins(1)));
    }
    thread::scope(|scope| {
        for number in 0..40 {
            let caller = site.caller(&format!("guess-{number}"));
            scope.spawn(move || {
                let sent = Instant::now();
                told_to_wait(&caller.get("/a"));
                assert!(sent.elapsed() < Duration::from_secs(9));
            });
        }
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_secs(4) {
            let sent = Instant::now();
            assert_eq!(site.caller("known-before").get("/b").status, 200);
            assert_eq!(site.caller("known-before").post("/c").status, 200);
            assert!(sent.elapsed() < Duration::from_secs(2), "{:?}", sent.elapsed());
            pause(200);
        }
    });
    assert_eq!(site.requests(), 16, "no more at a time");
}

#[test]
fn when_the_portal_is_gone_unknown_keys_are_told_to_wait_and_known_ones_go_on() {
    let site = site("");
    site.issue("known-before");
    assert_eq!(site.caller("known-before").get("/a").status, 200);
    let Site { server, portal, .. } = &site;
    assert_eq!(site.caller("unknown").get("/a").status, 401);
    for fault in [Fault::json(422, "{}"), Fault::json(403, "{}"), Fault::CutHead] {
        portal.fail_on("find.json", fault);
        told_to_wait(&site.caller("issued-later").get("/a"));
    }
    // A port of nobody's: the portal cannot be reached at all.
    std::fs::write(server.path("token"), "").unwrap();
    told_to_wait(&site.caller("issued-later").get("/a"));
    assert_eq!(site.caller("known-before").post("/b").status, 200);
    assert_eq!(site.caller("unknown").get("/a").status, 401, "remembered as unknown");
    std::fs::write(server.path("token"), TOKEN).unwrap();
    site.issue("issued-later");
    assert_eq!(site.caller("issued-later").get("/a").status, 200);
}

#[test]
fn callers_with_the_same_unknown_key_share_a_look_up_and_who_leaves_ends_it_for_nobody() {
    let site = site("");
    site.issue("shared-key");
    site.portal.fail_on("find.json", Fault::Slow(Duration::from_secs(1)));
    let caller = site.caller("shared-key");
    let first = caller.connect().unwrap().send(&caller, "DELETE", "/left").unwrap();
    pause(300);
    thread::scope(|scope| {
        for number in 0..5 {
            let caller = caller.clone();
            scope.spawn(move || assert_eq!(caller.post(&format!("/{number}")).status, 200));
        }
        pause(200);
        drop(first);
    });
    assert_eq!(site.requests(), 1);
    assert_eq!(site.server.json(&["key", "list"]).as_array().unwrap().len(), 1);
    assert_eq!(site.server.upstream.times("/left"), 0, "nobody waited for it any more");
}

#[test]
fn killed_in_the_middle_of_a_look_up_nothing_is_left_half_done() {
    let mut site = site("");
    for round in 0..6 {
        let key = format!("issued-key-{round}");
        site.issue(&key);
        let caller = site.caller(&key);
        let calling = thread::spawn(move || caller.call("GET", "/a"));
        pause(4 * round);
        site.server.kill();
        drop(calling.join().unwrap());
        // Not even that the key was found may have to come from the list.
        site.portal.fail_on("applications.json", Fault::json(500, "{}"));
        site.server.start();
        assert_eq!(site.caller(&key).get("/b").status, 200, "round {round}");
    }
    site.server.run(&["threescale", "sync"]).good();
    let report = &site.server.json(&["threescale", "sync"])[0];
    assert_eq!((report["unchanged"].as_u64(), report["left"].as_u64()), (Some(6), Some(0)));
    let keys = site.server.json(&["key", "list"]);
    let keys = keys.as_array().unwrap();
    assert_eq!(keys.len(), 6);
    assert!(keys.iter().all(|key| key["state"] == "active"), "{keys:?}");
    site.server.run(&["audit", "verify"]).good();
}

#[test]
fn an_app_id_with_its_app_key_is_one_key_and_neither_goes_on_to_the_api() {
    let pair =
        "key_header = \"Authorization\"\nkey_pair = { id = \"app_id\", secret = \"app_key\" }";
    let site = site_of(BackendVersion::AppId, pair, "");
    for name in ["One", "Other"] {
        let mut tenant = site.portal.tenant();
        let id = tenant.add_application(site.account, site.plan, name);
        let application = tenant.application_mut(id);
        (application.app_id, application.keys) =
            (format!("id-of-{name}"), vec![format!("key-of-{name}")]);
    }
    let (one, other) = ("id-of-One", "id-of-Other");
    let stranger = site.server.stranger();
    let call = |query: &str| stranger.get(&format!("/a?{query}")).status_and_reason();
    let unknown = (401, "key_unknown".to_owned());
    for query in [
        &format!("app_id={one}&app_key=key-of-Other"),
        &format!("app_id={other}&app_key=key-of-One"),
        &format!("app_id={one}"),
        "app_key=key-of-One",
        &format!("app_id={one}:key-of&app_key=One"),
    ] {
        assert_eq!(call(query), unknown, "{query}");
    }
    let twice = format!("app_id={one}&app_key=key-of-One&app_key=key-of-One");
    assert_eq!(call(&twice), (400, "credential_repeated".to_owned()));
    let right = format!("/right?x=1&app%5Fid={one}&app_key=key-of-One&y=2");
    assert_eq!(stranger.get(&right).status, 200);
    assert_eq!(stranger.post(&right).status, 200);
    assert_eq!(site.server.upstream.times("/right?x=1&y=2"), 2, "without the key");
    let listed = site.server.json(&["key", "list"]);
    assert_eq!(listed[0]["application"], "Acme Ltd – One");
    assert_eq!(listed.as_array().unwrap().len(), 1);
    // The same key from Basic authentication, locked as one.
    let basic = "aWQtb2YtT25lOmtleS1vZi1PbmU=";
    let head = format!(
        "POST /basic HTTP/1.1\r\nhost: api.test\r\nauthorization: Basic {basic}\r\n\
         content-length: 0\r\nconnection: close\r\n\r\n"
    );
    assert!(raw(&site, &head).starts_with("HTTP/1.1 200"));
    let key = listed[0]["id"].as_str().unwrap();
    site.server.run(&["key", "lock", key, "--reason", "a test"]).good();
    assert!(raw(&site, &head).contains("key_locked"));
    assert_eq!(stranger.post(&right).status_and_reason(), (403, "key_locked".to_owned()));
    let log = site.server.log();
    assert!(!log.contains("key-of-"), "{log}");
}

fn raw(site: &Site, head: &str) -> String {
    let mut stream = TcpStream::connect(site.server.gate).unwrap();
    stream.write_all(head.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn keys_of_an_account_that_cannot_be_read_for_too_long_are_refused_and_others_go_on() {
    let site = site("keep_known = \"1 s\"\n");
    site.issue("known-before");
    let (known, own) = (site.caller("known-before"), site.server.issue("mine", "open"));
    let own = site.server.caller(&own);
    assert_eq!(known.get("/a").status, 200);
    pause(1_200);
    assert_eq!(known.get("/a").status, 200, "the account can be read as far as anybody knows");
    std::fs::write(site.server.path("token"), "not-the-token").unwrap();
    site.server.run(&["threescale", "sync"]).bad();
    for method in ["GET", "POST"] {
        assert_eq!(told_to_wait(&known.call(method, "/b").unwrap()), 60);
        assert_eq!(own.call(method, "/b").unwrap().status, 200);
    }
    let status = site.server.run(&["threescale", "status"]).good();
    assert!(status.stdout.contains("Its keys work"), "{status:?}");
    let checked = site.server.run(&["threescale", "check"]);
    assert!(checked.stdout.contains("its keys work here until"), "{checked:?}");
    std::fs::write(site.server.path("token"), TOKEN).unwrap();
    site.server.run(&["threescale", "sync"]).good();
    assert_eq!(known.get("/a").status, 200);
}

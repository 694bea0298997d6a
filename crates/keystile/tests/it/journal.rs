//! Looking at the journal: filters, pages, and lines as they come.

use serde_json::Value;

use crate::harness::{Program, TestServer, keystile, wait_until};

const OPEN: &str = "[plan.open]\nallow = \"bookmarks: *\"\nwrite_budget = \"1000 per day\"\n\
                    [[api.bookmarks.operation]]\nmatch = \"DELETE /notes/{id}\"\ncost = 2\n";

fn paths(records: &Value) -> Vec<&str> {
    let records = records.as_array().unwrap();
    records.iter().map(|record| record["path"].as_str().unwrap()).collect()
}

#[test]
fn filters_leave_what_they_say() {
    let server = TestServer::new(OPEN).started();
    let (first, second) = (server.issue("first app", "open"), server.issue("second app", "open"));
    assert_eq!(server.caller(&first).post("/a").status, 200);
    assert_eq!(server.caller(&first).delete("/notes/7").status, 200);
    assert_eq!(server.caller(&second).post("/status/409/b").status, 409);
    assert_eq!(server.stranger().delete("/c").status, 401);
    wait_until("all are on record", || server.journal().len() == 4);
    let list = |more: &[&str]| server.json(&[&["journal", "list"], more].concat());
    let prefix = server.key(&first)["prefix"].as_str().unwrap().to_owned();
    let cases: [(&[&str], &[&str]); 14] = [
        (&[], &["/c", "/status/409/b", "/notes/7", "/a"]),
        (&["--key", &first.id], &["/notes/7", "/a"]),
        (&["--key", &prefix], &["/notes/7", "/a"]),
        (&["--application", "second app"], &["/status/409/b"]),
        (&["--method", "delete"], &["/c", "/notes/7"]),
        (&["--operation", "DELETE /notes/{id}"], &["/notes/7"]),
        (&["--address", "127.0.0.1", "--method", "DELETE"], &["/c", "/notes/7"]),
        (&["--address", "192.0.2.1"], &[]),
        (&["--outcome", "refused"], &["/c"]),
        (&["--outcome", "refused_by_upstream"], &["/status/409/b"]),
        (&["--api", "bookmarks", "--outcome", "applied"], &["/notes/7", "/a"]),
        (&["--api", "elsewhere"], &[]),
        (&["--since", "1 hour"], &["/c", "/status/409/b", "/notes/7", "/a"]),
        (&["--until", "1 hour"], &[]),
    ];
    for (filter, expected) in cases {
        assert_eq!(paths(&list(filter)), expected, "{filter:?}");
    }
    let unknown = server.run(&["journal", "list", "--application", "nobody"]).bad();
    assert!(unknown.contains("nobody"), "{unknown}");
    let wrong = server.run(&["journal", "list", "--outcome", "maybe"]);
    assert_eq!(wrong.code, Some(2));
    assert!(wrong.stderr.contains("refused_by_upstream"), "{}", wrong.stderr);
}

#[test]
fn lists_come_in_pages() {
    let server = TestServer::new(OPEN).started();
    let key = server.issue("app", "open");
    for number in 0..7 {
        assert_eq!(server.caller(&key).post(&format!("/{number}")).status, 200);
    }
    let mut seen = Vec::new();
    let mut before: Option<String> = None;
    loop {
        let mut line = vec!["journal", "list", "--limit", "3"];
        if let Some(before) = &before {
            line.extend(["--before", before]);
        }
        let page = server.json(&line);
        let Some(last) = page.as_array().unwrap().last() else {
            break;
        };
        before = Some(last["id"].as_str().unwrap().to_owned());
        seen.extend(paths(&page).into_iter().map(str::to_owned));
    }
    assert_eq!(seen, ["/6", "/5", "/4", "/3", "/2", "/1", "/0"]);
    for number in 0..101 {
        assert_eq!(server.caller(&key).post(&format!("/more/{number}")).status, 200);
    }
    let text = server.run(&["journal", "list"]).good();
    assert_eq!(text.stdout.lines().count(), 101, "a head and a hundred");
    assert!(text.stderr.contains("There are more"), "{}", text.stderr);
}

#[test]
fn a_follower_sees_writes_as_they_come() {
    let server = TestServer::new(OPEN).started();
    let key = server.issue("app", "open");
    let caller = server.caller(&key);
    assert_eq!(caller.post("/before").status, 200);
    let follow = |name: &str, more: &[&str]| {
        let command = keystile(server.folder(), &[&["journal", "follow"], more].concat());
        Program::start(command, server.folder(), name)
    };
    let (mut all, mut deletes) =
        (follow("all", &["--json"]), follow("deletes", &["--method", "DELETE"]));
    wait_until("both follow", || {
        assert_eq!(caller.delete("/begin").status, 200);
        all.stdout().contains("/begin") && deletes.stdout().contains("/begin")
    });
    assert_eq!(caller.post("/one").status, 200);
    wait_until("the first line", || all.stdout().contains("/one"));
    assert_eq!(caller.delete("/two").status, 200);
    assert_eq!(server.stranger().delete("/three").status, 401);
    wait_until("the last lines", || {
        all.stdout().contains("/three") && deletes.stdout().contains("/three")
    });
    let lines: Vec<Value> =
        all.stdout().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let seen: Vec<_> = lines
        .iter()
        .map(|line| (line["path"].as_str().unwrap(), line["outcome"].as_str().unwrap()))
        .filter(|(path, _)| *path != "/begin")
        .collect();
    assert_eq!(seen, [("/one", "applied"), ("/two", "applied"), ("/three", "refused")]);
    let text = deletes.stdout();
    assert!(!text.contains("/one") && text.contains("DELETE /two"), "{text}");
    assert_eq!(text.lines().filter(|line| !line.contains("/begin")).count(), 2);
    for follower in [&mut all, &mut deletes] {
        follower.signal("INT");
        follower.wait();
        assert_eq!(follower.stderr(), "");
    }
}

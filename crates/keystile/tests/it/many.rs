//! A hundred thousand keys.

use std::time::Instant;

use serde_json::Value;

use crate::harness::{Key, TestServer};

#[test]
fn a_server_with_a_hundred_thousand_keys_starts_and_knows_them() {
    let mut server =
        TestServer::new("[plan.open]\nallow = \"bookmarks: *\"\nwrite_budget = \"2 per day\"\n");
    let start = Instant::now();
    let line = [
        "key",
        "create",
        "--application",
        "load",
        "--plan",
        "open",
        "--count",
        "100000",
        "--create",
    ];
    let keys = server.json(&line);
    println!("issued in {:?}", start.elapsed());
    let keys = keys.as_array().unwrap();
    assert_eq!(keys.len(), 100_000);
    let start = Instant::now();
    server.start();
    println!("ready after {:?}", start.elapsed());
    let text = |key: &Value, name: &str| key[name].as_str().unwrap().to_owned();
    for place in [0, 31_415, 99_999] {
        let key = Key { id: text(&keys[place], "id"), text: text(&keys[place], "key") };
        let caller = server.caller(&key);
        let writes: Vec<_> = (0..3).map(|_| caller.post("/a").status).collect();
        assert_eq!(writes, [200, 200, 403]);
    }
    let counts = &server.json(&["status"])["keys"];
    assert_eq!((&counts["active"], &counts["locked"]), (&99_997.into(), &3.into()));
    let start = Instant::now();
    let locked = server.json(&["key", "list", "--state", "locked", "--limit", "1"]);
    println!("first locked key found in {:?}", start.elapsed());
    assert_eq!(locked[0]["id"], keys[0]["id"]);
    let page = server.run(&["key", "list"]).good();
    assert_eq!(page.stdout.lines().count(), 101);
    assert!(page.stderr.contains("There are more"));
}

//! Writing the journal out for other programs.

use serde_json::Value;

use crate::harness::TestServer;

const OPEN: &str = "[plan.open]\nallow = \"bookmarks: *\"\nwrite_budget = \"1000 per day\"\n";
const FORMULA: &[u8] = b"=HYPERLINK(\"http://evil\", \"click\")";

fn server() -> TestServer {
    let server = TestServer::new(OPEN).started();
    let key = server.issue("@SUM(1)", "open");
    let caller = server.caller(&key);
    assert_eq!(caller.post("/a?b=1,2").status, 200);
    assert_eq!(caller.clone().agent(FORMULA).delete("/b").status, 200);
    assert_eq!(caller.agent(b"  +1").post("/c").status, 200);
    server
}

#[test]
fn json_lines_hold_every_value_as_it_is() {
    let server = server();
    let text = server.run(&["journal", "export", "--format", "jsonl"]).good().stdout;
    let records: Vec<Value> =
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let paths: Vec<_> = records.iter().map(|record| record["path"].clone()).collect();
    assert_eq!(paths, ["/a", "/b", "/c"], "earliest first");
    let formula = String::from_utf8_lossy(FORMULA);
    assert_eq!(records[1]["user_agent"], formula.as_ref());
    assert_eq!(records[1]["application"], "@SUM(1)");
    let mut listed = server.json(&["journal", "list"]);
    listed.as_array_mut().unwrap().reverse();
    assert_eq!(listed, Value::Array(records));
}

#[test]
fn a_spreadsheet_finds_no_formula_in_a_csv() {
    let server = server();
    let text = server.run(&["journal", "export", "--format", "csv"]).good().stdout;
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let head = reader.headers().unwrap().clone();
    for name in ["id", "time", "key", "application", "method", "path", "status", "outcome"] {
        assert!(head.iter().any(|column| column == name), "{name}");
    }
    let rows: Vec<_> = reader.records().map(Result::unwrap).collect();
    assert_eq!(rows.len(), 3);
    let cell = |row: usize, name: &str| {
        let place = head.iter().position(|column| column == name).unwrap();
        rows[row][place].to_owned()
    };
    assert_eq!(cell(0, "path"), "/a");
    assert_eq!(cell(0, "application"), "'@SUM(1)");
    let formula = String::from_utf8_lossy(FORMULA);
    assert_eq!(cell(1, "user_agent"), format!("'{formula}"));
    assert_eq!(cell(2, "user_agent"), "'+1");
    for row in &rows {
        for cell in row {
            assert!(!cell.trim_start().starts_with(['=', '+', '-', '@']), "{cell}");
        }
    }
}

#[test]
fn an_export_into_a_file_is_whole_and_overwrites_nothing() {
    let server = server();
    let line = ["journal", "export", "--format", "csv", "--output", "out.csv"];
    server.run(&line).good();
    let first = std::fs::read_to_string(server.path("out.csv")).unwrap();
    assert_eq!(first.lines().count(), 4);
    let said = server.run(&line).bad();
    assert!(said.contains("exists") && said.contains("--force"), "{said}");
    let filtered = [&line[..], &["--force", "--method", "DELETE"]].concat();
    server.run(&filtered).good();
    let second = std::fs::read_to_string(server.path("out.csv")).unwrap();
    assert_eq!(second.lines().count(), 2);
}

#[test]
fn more_than_a_page_is_exported() {
    let mut server = server();
    server.stop();
    // As a journal that has run for a while; the file is the owner's to open.
    let database = rusqlite::Connection::open(server.path("keystile-data/keystile.db")).unwrap();
    let copy = "WITH RECURSIVE n(i) AS (SELECT 4 UNION ALL SELECT i + 1 FROM n WHERE i < 2500)
        INSERT INTO journal (id, time, subject, plan, api, operation, method, path, address,
        user_agent, request_bytes, response_bytes, status, duration_ms, outcome, reason, cost, count)
        SELECT i, time, subject, plan, api, operation, method, '/' || i, address,
        user_agent, request_bytes, response_bytes, status, duration_ms, outcome, reason, cost, count
        FROM n, journal WHERE id = 3";
    database.execute(copy, []).unwrap();
    drop(database);
    let records = server.journal();
    assert_eq!(records.len(), 2500);
    for (place, record) in records.iter().enumerate() {
        assert_eq!(record["id"], format!("write_{}", place + 1));
    }
    let listed = server.json(&["journal", "list", "--limit", "2200"]);
    assert_eq!(listed.as_array().unwrap().len(), 2200);
}

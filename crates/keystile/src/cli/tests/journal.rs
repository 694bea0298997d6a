use keystile_core::journal::{RecordId, WriteRecord};
use keystile_engine::command::wire::WireCommand;
use keystile_engine::journal::{Order, RecordFilter};

use super::listing::no_records;
use super::{Engine, a_record, answer, failure};

#[test]
fn a_record_is_shown_or_reported_missing() {
    let (terminal, succeeded) = Engine::new([no_records()]).run("keystile journal show write_5");
    assert!(!succeeded && terminal.stderr().starts_with("error: no record has the id write_5\n"));
    let mut engine = Engine::new([answer(vec![a_record(5)])]);
    let (terminal, _) = engine.run("keystile journal show 5 --json");
    assert_eq!(serde_json::from_str::<WriteRecord>(terminal.stdout()).unwrap(), a_record(5));
    let expected =
        RecordFilter { order: Order::Only(RecordId(5)), limit: 1, ..RecordFilter::default() };
    assert!(
        matches!(&engine.asked[..], [WireCommand::ListRecords(asked)] if asked.filter == expected)
    );
}

#[test]
fn an_export_pages_to_the_end() {
    let pages =
        || [answer(vec![a_record(1), a_record(2)]), answer(vec![a_record(3)]), no_records()];
    let mut engine = Engine::new(pages());
    let (terminal, succeeded) = engine.run("keystile journal export");
    assert!(succeeded);
    let records: Vec<WriteRecord> =
        terminal.stdout().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(records, [a_record(1), a_record(2), a_record(3)]);
    let orders = engine.asked.iter().map(|command| match command {
        WireCommand::ListRecords(asked) => asked.filter.order,
        other => panic!("{other:?}"),
    });
    let after = |id| Order::After(RecordId(id));
    assert_eq!(orders.collect::<Vec<_>>(), [Order::Earliest, after(2), after(3)]);
    let (terminal, _) = Engine::new(pages()).run("keystile journal export --format csv");
    insta::assert_snapshot!(terminal.stdout(), @r"
    id,time,key,application,plan,api,operation,method,path,address,user_agent,request_bytes,response_bytes,status,duration_ms,outcome,reason,cost,count
    write_1,2026-11-24T11:56:30.500Z,key_000000000000000000000190b2c3d4e5,reader,open,bookmarks,DELETE /bookmarks/{id},DELETE,/bookmarks/1,192.0.2.7,curl/8.5.0,0,,204,12,applied,,1,1
    write_2,2026-11-24T11:56:30.500Z,key_000000000000000000000190b2c3d4e5,reader,open,bookmarks,DELETE /bookmarks/{id},DELETE,/bookmarks/2,192.0.2.7,curl/8.5.0,0,,204,12,applied,,1,1
    write_3,2026-11-24T11:56:30.500Z,key_000000000000000000000190b2c3d4e5,reader,open,bookmarks,DELETE /bookmarks/{id},DELETE,/bookmarks/3,192.0.2.7,curl/8.5.0,0,,204,12,applied,,1,1
    ");
}

#[test]
fn an_export_into_a_file_is_complete_or_not_there() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("writes.jsonl");
    let line = format!("keystile journal export --output {}", file.display());
    let page = || answer(vec![a_record(1)]);
    let (_, succeeded) = Engine::new([page(), failure()]).run(&line);
    assert!(!succeeded && std::fs::read_dir(folder.path()).unwrap().next().is_none());
    let (terminal, succeeded) = Engine::new([page(), no_records()]).run(&line);
    assert!(succeeded && terminal.stdout().is_empty());
    assert_eq!(terminal.stderr(), "1 records written.\n");
    assert_eq!(std::fs::read_to_string(&file).unwrap().lines().count(), 1);
    let (terminal, succeeded) = Engine::new([]).run(&line);
    assert!(!succeeded && terminal.stderr().contains("--force"));
    let (_, succeeded) = Engine::new([no_records()]).run(&format!("{line} --force"));
    assert!(succeeded);
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "");
}

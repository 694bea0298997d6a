//! Stores of earlier versions are brought to the present one, with what is in them.

use std::path::Path;

use keystile_core::actor::Actor;
use keystile_core::keys::key::KeyForm;
use keystile_core::time::Timestamp;
use rusqlite::Connection;

use crate::Store;
use crate::doors::documents::{DocumentName, ExpectedDocument};
use crate::doors::meters::MeterValue;
use crate::keys::KeyRef;
use crate::sqlite::audit;
use crate::sqlite::audit::event::{self, Event, EventKind, EventQuery};
use crate::sqlite::files::directory::DataDirectory;
use crate::sqlite::files::schema;
use crate::sqlite::tests::test_store::wait;

/// A stopped store of an earlier version with some rows in it.
fn older(folder: &Path, version: u32, rows: &str) -> DataDirectory {
    let directory = DataDirectory::hold(folder).unwrap();
    std::fs::write(directory.pepper_file(), [7; 32]).unwrap();
    let database = Connection::open(directory.database()).unwrap();
    schema::make(&database, version).unwrap();
    database.pragma_update(None, "application_id", APPLICATION_ID).unwrap();
    database.pragma_update(None, "user_version", version).unwrap();
    database.execute_batch(rows).unwrap();
    directory
}

const APPLICATION_ID: i32 = 0x4B53_544C;

#[test]
fn a_store_of_the_first_version_keeps_its_events_and_chains_those_that_follow() {
    let folder = tempfile::tempdir().unwrap();
    let rows = "INSERT INTO application VALUES (1, 'app_0190b2c3d4e50190b2c3d4e50190b2c3', 'reader', 'open', 'active', 5);
        INSERT INTO event VALUES (1, 5, 'application_created', NULL, 1, '{\"by\":\"command_line\",\"name\":\"ada\"}', 'created');
        INSERT INTO event VALUES (4, 6, 'application_suspended', NULL, 1, '{\"by\":\"time\"}', 'none')";
    let directory = older(folder.path(), 1, rows);
    let (store, _) = Store::open(directory).unwrap();
    let recorded = store.write(move |work| {
        work.record_event(&Event::named(
            EventKind::PolicyReloaded,
            None,
            &Actor::System,
            "in force",
        ))
    });
    wait(recorded).unwrap();
    let verify = || store.read(|read| audit::verify(read, store.pepper())).unwrap();
    let found = verify();
    assert_eq!((found.older, found.count, found.fault), (2, 1, None));
    let all = EventQuery { limit: 9, ..EventQuery::default() };
    let events = store.read(|read| event::list(read, &all)).unwrap();
    assert_eq!(events.iter().map(|event| event.id).collect::<Vec<_>>(), [5, 4, 1]);
    // What is from before the chain is at least counted.
    let other = Connection::open(store.directory().database()).unwrap();
    other.execute_batch("DROP TRIGGER event_is_kept; DELETE FROM event WHERE id = 4").unwrap();
    assert!(verify().fault.unwrap().problem.contains("2 events from before the chain"));
}

#[test]
fn a_store_from_before_meters_and_documents_takes_both_and_its_keys_are_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let rows = "INSERT INTO application VALUES (1, 'app_0190b2c3d4e50190b2c3d4e50190b2c3', 'reader', 'open', 'active', 5, NULL);
        INSERT INTO key (id, uid, hash, prefix, application, plan, created)
        VALUES (1, 'key_0190b2c3d4e50190b2c3d4e50190b2c3', randomblob(32), 'ks_4fGh2kQz', 1, 'open', 5)";
    let (store, _) = Store::open(older(folder.path(), 9, rows)).unwrap();
    let key = wait(store.key(KeyRef::Named("ks_4fGh2kQz".to_owned()))).unwrap();
    assert_eq!((key.application.as_str(), key.plan.as_str()), ("reader", "open"));
    assert_eq!(key.origin, None);
    assert_eq!(store.keys().find(&key.hash).unwrap().form, KeyForm::Own);
    let meter = MeterValue {
        owner: "reader".into(),
        name: "calls".into(),
        starts: Timestamp(0),
        ends: None,
        value: 4,
    };
    wait(store.put_meters(vec![meter.clone()])).unwrap();
    assert_eq!(wait(store.meters_at(store.now())).unwrap(), [meter]);
    let name = DocumentName { collection: "models".to_owned(), id: "1".to_owned() };
    let put = store.put_document(name.clone(), ExpectedDocument::Absent, "{}".to_owned(), None);
    wait(put).unwrap();
    assert_eq!(wait(store.document(name)).unwrap().unwrap().body, "{}");
}

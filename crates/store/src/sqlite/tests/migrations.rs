//! Stores of earlier versions are brought to the present one, with what is in them.

use keystile_core::actor::Actor;
use rusqlite::Connection;

use crate::Store;
use crate::sqlite::audit;
use crate::sqlite::audit::event::{self, Event, EventKind, EventQuery};
use crate::sqlite::files::directory::DataDirectory;
use crate::sqlite::tests::test_store::wait;

const FIRST: &str = include_str!("../migrations/0001_first.sql");
const APPLICATION_ID: i32 = 0x4B53_544C;

#[test]
fn a_store_of_the_first_version_keeps_its_events_and_chains_those_that_follow() {
    let folder = tempfile::tempdir().unwrap();
    let directory = DataDirectory::hold(folder.path()).unwrap();
    std::fs::write(directory.pepper_file(), [7; 32]).unwrap();
    let first = Connection::open(directory.database()).unwrap();
    first.execute_batch(FIRST).unwrap();
    first.pragma_update(None, "application_id", APPLICATION_ID).unwrap();
    first.pragma_update(None, "user_version", 1).unwrap();
    let rows = "INSERT INTO application VALUES (1, 'app_0190b2c3d4e50190b2c3d4e50190b2c3', 'reader', 'open', 'active', 5);
        INSERT INTO event VALUES (1, 5, 'application_created', NULL, 1, '{\"by\":\"command_line\",\"name\":\"ada\"}', 'created');
        INSERT INTO event VALUES (4, 6, 'application_suspended', NULL, 1, '{\"by\":\"time\"}', 'none')";
    first.execute_batch(rows).unwrap();
    drop(first);
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

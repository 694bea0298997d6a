//! Documents: all of a change or nothing, for those who know what they change.

use keystile_core::audit::AuditEvent;

use crate::audit::{EventKind, EventOwner, EventQuery};
use crate::doors::documents::{
    DOCUMENT_BODY_BYTES_MAX, DOCUMENTS_AT_ONCE_MAX, DocumentChange, DocumentEvent, DocumentName,
    DocumentVersion, ExpectedDocument,
};
use crate::error::{Error, Result};
use crate::sqlite::tests::make::owner;
use crate::sqlite::tests::test_store::{TestStore, wait};

fn fixture() -> TestStore {
    TestStore::new(&[])
}

fn name(collection: &str, id: &str) -> DocumentName {
    DocumentName { collection: collection.to_owned(), id: id.to_owned() }
}

fn put(id: &str, expected: ExpectedDocument, body: &str) -> DocumentChange {
    DocumentChange::Put { name: name("models", id), expected, body: body.to_owned() }
}

fn delete(id: &str, expected: ExpectedDocument) -> DocumentChange {
    DocumentChange::Delete { name: name("models", id), expected }
}

fn change(fixture: &TestStore, changes: Vec<DocumentChange>) -> Result<DocumentVersion> {
    wait(fixture.store().change_documents(changes, None))
}

fn bodies(fixture: &TestStore, collection: &str) -> Vec<(String, String)> {
    let listed = fixture.store().list_documents(collection.to_owned(), String::new(), 100);
    wait(listed).unwrap().into_iter().map(|document| (document.id, document.body)).collect()
}

fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
    expected.iter().map(|(id, body)| ((*id).to_owned(), (*body).to_owned())).collect()
}

fn events(fixture: &TestStore) -> Vec<AuditEvent> {
    let query = EventQuery { limit: 10, ..EventQuery::default() };
    wait(fixture.store().list_events(EventOwner::default(), query)).unwrap()
}

#[test]
fn a_document_is_kept_in_its_collection_and_is_there_after_a_stop() {
    let mut fixture = fixture();
    let store = fixture.store();
    let began = store.now();
    let any = ExpectedDocument::Any;
    let first = wait(store.put_document(name("models", "b"), any, "[1]".to_owned(), None)).unwrap();
    wait(store.put_document(name("models", "a"), any, "{}".to_owned(), None)).unwrap();
    wait(store.put_document(name("queue", "a"), any, "null".to_owned(), None)).unwrap();
    fixture.reopen();
    assert_eq!(bodies(&fixture, "models"), pairs(&[("a", "{}"), ("b", "[1]")]));
    assert_eq!(bodies(&fixture, "queue"), pairs(&[("a", "null")]));
    let store = fixture.store();
    let found = wait(store.document(name("models", "b"))).unwrap().unwrap();
    assert_eq!((found.version, found.body.as_str()), (first, "[1]"));
    assert!(found.changed >= began && found.changed <= store.now());
    assert_eq!(wait(store.document(name("models", "c"))).unwrap(), None);
    let page =
        |after: &str| wait(store.list_documents("models".to_owned(), after.to_owned(), 1)).unwrap();
    assert_eq!((page("")[0].id.as_str(), page("a")[0].id.as_str(), page("b").len()), ("a", "b", 0));
    wait(store.delete_document(name("models", "b"), ExpectedDocument::Version(first), None))
        .unwrap();
    fixture.reopen();
    assert_eq!(bodies(&fixture, "models"), pairs(&[("a", "{}")]));
}

#[test]
fn a_change_of_something_that_is_not_as_expected_is_refused() {
    let fixture = fixture();
    let (any, absent) = (ExpectedDocument::Any, ExpectedDocument::Absent);
    let first = change(&fixture, vec![put("a", absent, "1")]).unwrap();
    assert!(matches!(change(&fixture, vec![put("a", absent, "2")]), Err(Error::Exists(_))));
    let second = change(&fixture, vec![put("a", ExpectedDocument::Version(first), "2")]).unwrap();
    assert!(second > first);
    for stale in [
        put("a", ExpectedDocument::Version(first), "3"),
        delete("a", ExpectedDocument::Version(first)),
    ] {
        assert!(matches!(change(&fixture, vec![stale]), Err(Error::Stale(_))));
    }
    assert_eq!(bodies(&fixture, "models"), pairs(&[("a", "2")]));
    change(&fixture, vec![delete("a", ExpectedDocument::Version(second))]).unwrap();
    change(&fixture, vec![delete("a", any)]).unwrap();
    assert!(matches!(
        change(&fixture, vec![delete("a", ExpectedDocument::Version(second))]),
        Err(Error::Stale(_))
    ));
    assert!(matches!(
        change(&fixture, vec![put("a", ExpectedDocument::Version(second), "4")]),
        Err(Error::Stale(_))
    ));
}

#[test]
fn a_version_is_given_once_also_to_what_comes_in_the_place_of_another() {
    let mut fixture = fixture();
    let first = change(&fixture, vec![put("a", ExpectedDocument::Absent, "1")]).unwrap();
    change(&fixture, vec![delete("a", ExpectedDocument::Any)]).unwrap();
    fixture.reopen();
    let second = change(&fixture, vec![put("a", ExpectedDocument::Absent, "2")]).unwrap();
    assert!(second > first);
    assert!(matches!(
        change(&fixture, vec![put("a", ExpectedDocument::Version(first), "3")]),
        Err(Error::Stale(_))
    ));
}

#[test]
fn changes_of_one_transaction_are_made_together_or_not_at_all() {
    let mut fixture = fixture();
    let (any, absent) = (ExpectedDocument::Any, ExpectedDocument::Absent);
    let version = change(&fixture, vec![put("a", absent, "1"), put("b", absent, "2")]).unwrap();
    let changes = vec![
        put("c", absent, "3"),
        delete("a", ExpectedDocument::Version(version)),
        put("b", absent, "4"),
    ];
    let event = || {
        Some(DocumentEvent {
            kind: EventKind::PolicyReloaded,
            subject: Some("models".to_owned()),
            actor: owner(),
            detail: "brought over".to_owned(),
        })
    };
    let store = fixture.store();
    let refused = wait(store.change_documents(changes, event()));
    assert!(matches!(refused, Err(Error::Exists(_))));
    assert_eq!(bodies(&fixture, "models"), pairs(&[("a", "1"), ("b", "2")]));
    assert!(
        events(&fixture).is_empty(),
        "nothing happened, and no change records an event by itself"
    );
    let changes = vec![delete("a", any), put("c", absent, "3")];
    wait(store.change_documents(changes, event())).unwrap();
    fixture.reopen();
    assert_eq!(bodies(&fixture, "models"), pairs(&[("b", "2"), ("c", "3")]));
    let [event] = &events(&fixture)[..] else { panic!("one event is recorded") };
    assert_eq!(
        (event.kind.as_str(), event.subject.as_deref()),
        ("policy_reloaded", Some("models"))
    );
    assert_eq!((event.detail.as_str(), &event.actor), ("brought over", &owner()));
}

#[test]
fn what_is_out_of_bounds_or_no_json_is_refused() {
    let fixture = fixture();
    let any = ExpectedDocument::Any;
    let is_refused =
        |changes: Vec<DocumentChange>| matches!(change(&fixture, changes), Err(Error::Conflict(_)));
    let long = "a".repeat(256);
    let largest = format!("\"{}\"", "a".repeat(DOCUMENT_BODY_BYTES_MAX - 2));
    assert!(is_refused(vec![put("", any, "1")]));
    assert!(is_refused(vec![put(&long, any, "1")]));
    assert!(is_refused(vec![delete("", any)]));
    assert!(is_refused(vec![put("a", any, "{")]));
    assert!(is_refused(vec![put("a", any, "")]));
    assert!(is_refused(vec![put("a", any, &format!("{largest} "))]));
    assert!(is_refused(vec![put("a", any, "1"); DOCUMENTS_AT_ONCE_MAX + 1]));
    assert!(is_refused(vec![put("a", any, &largest); 17]));
    assert!(bodies(&fixture, "models").is_empty());
    change(&fixture, vec![put(&long[1..], any, &largest)]).unwrap();
    assert_eq!(bodies(&fixture, "models")[0].1.len(), DOCUMENT_BODY_BYTES_MAX);
}

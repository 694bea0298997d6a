//! A key that another system issued is a key like any other, and is taken over once.

use keystile_core::keys::hash::KeyHash;
use keystile_core::keys::key::{KeyForm, KeyId, KeyState};
use keystile_core::keys::lock::LockRule;
use keystile_core::refusal::Reason;
use keystile_core::time::Span;
use keystile_core::version::Expected;
use uuid::Uuid;

use crate::error::{Error, Result};
use crate::keys::{ImportedKey, KeyEdit, KeyRef, KeyRow, NewKeyRow, Successor};
use crate::sqlite::tests::make::{owner, plan};
use crate::sqlite::tests::test_store::{TestStore, wait};

const TEXT: &[u8] = b"sesame";

fn fixture() -> TestStore {
    TestStore::new(&[plan("small", &[("3 per day", &[])], LockRule::Never)])
}

fn hash(fixture: &TestStore) -> KeyHash {
    fixture.store().pepper().hash(TEXT)
}

fn import(fixture: &TestStore, application: &str) -> Result<KeyRow> {
    let key = NewKeyRow {
        id: KeyId::new(Uuid::now_v7()),
        hash: hash(fixture),
        prefix: "imported_01234567".to_owned(),
        plan: "small".to_owned(),
        origin: Some("elsewhere".to_owned()),
    };
    let new =
        ImportedKey { application: application.to_owned(), key, note: Some("old".to_owned()) };
    wait(fixture.store().import_key(new, owner()))
}

#[test]
fn it_is_found_by_its_text_and_counted_also_after_a_crash() {
    let fixture = fixture();
    let row = import(&fixture, "reader").unwrap();
    assert_eq!((row.origin.as_deref(), row.note.as_deref()), (Some("elsewhere"), Some("old")));
    assert_eq!((row.application.as_str(), row.plan.as_str()), ("reader", "small"));
    let key = hash(&fixture);
    fixture.reserve_many(key, 2);
    let folder = tempfile::tempdir().unwrap();
    for file in ["keystile.db", "keystile.db-wal", "pepper"] {
        std::fs::copy(fixture.path().join(file), folder.path().join(file)).unwrap();
    }
    let mut copy = TestStore::at(folder, &fixture);
    for _ in 0..2 {
        assert_eq!(copy.entry(key).form, KeyForm::Imported);
        assert_eq!(copy.row(key), row);
        assert_eq!(copy.used(key), [2]);
        copy.reopen();
    }
    copy.reserve_many(key, 1);
    assert_eq!(copy.reserve(key).unwrap_err().refusal.reason, Reason::BudgetExhausted);
    let kinds: Vec<_> = copy.events(key).into_iter().map(|event| event.kind).collect();
    assert_eq!(kinds, ["key_note_changed", "key_imported"]);
    let detail = &copy.events(key)[1].detail;
    assert_eq!(detail, "imported from elsewhere as imported_01234567 on the plan small");
}

#[test]
fn its_text_is_taken_over_once_whatever_became_of_it() {
    let fixture = fixture();
    let row = import(&fixture, "reader").unwrap();
    let is_refused = |result: Result<KeyRow>| matches!(result, Err(Error::Exists(what)) if what.ends_with("imported_01234567 of the application reader"));
    assert!(is_refused(import(&fixture, "another")));
    let edit = KeyEdit { key: KeyRef::Named(row.id), expected: Expected::Any, actor: owner() };
    wait(fixture.store().revoke_key(edit)).unwrap();
    assert!(is_refused(import(&fixture, "reader")));
    let found = wait(fixture.store().application("another".to_owned()));
    assert!(matches!(found, Err(Error::Missing(_))), "its application was not made either");
    let issued = fixture.issue_text("small", b"issued");
    assert_eq!(fixture.entry(issued).form, KeyForm::Own);
    assert_eq!(fixture.row(issued).origin, None);
}

#[test]
fn its_successor_is_a_key_of_our_own() {
    let mut fixture = fixture();
    let row = import(&fixture, "reader").unwrap();
    let successor = fixture.store().pepper().hash(b"successor");
    let key = NewKeyRow {
        id: KeyId::new(Uuid::now_v7()),
        hash: successor,
        prefix: "ks_new".to_owned(),
        plan: String::new(),
        origin: None,
    };
    let edit = KeyEdit { key: KeyRef::Named(row.id), expected: Expected::Any, actor: owner() };
    let successor_of = Successor { key, grace: Span::from_secs(60) };
    wait(fixture.store().roll_key(edit, successor_of)).unwrap();
    fixture.reopen();
    assert_eq!(fixture.entry(successor).form, KeyForm::Own);
    assert_eq!(fixture.row(successor).plan, "small");
    assert_eq!(fixture.state(hash(&fixture)), KeyState::Active);
    fixture.reopen_later(61_000);
    assert_eq!(fixture.state(hash(&fixture)), KeyState::Revoked);
}

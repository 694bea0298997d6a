//! Locks that meet a lock.

use keystile_core::keys::key::KeyId;
use keystile_core::keys::lock::LockLevel;
use keystile_core::version::Expected;
use keystile_engine::keys::create::CreateKeys;
use keystile_engine::keys::key::{KeyDetails, ShowKey};
use keystile_engine::keys::lock::LockKey;

use keystile_engine::notifications::action_link::{ACTION_PATH, Act};
use uuid::Uuid;

use crate::test_engine::{TestEngine, shell, wait};

impl TestEngine {
    fn new_key(&self) -> String {
        let plan = Some("open".to_owned());
        let command = CreateKeys { application: "reader".to_owned(), plan, count: 1 };
        self.execute(&shell(), command).unwrap()[0].id.clone()
    }

    fn lock(&self, key: &str, level: LockLevel, for_millis: Option<i64>) -> String {
        let (key, reason) = (key.to_owned(), format!("{level} please"));
        let command = LockKey { key, level, reason, for_millis, expected: Expected::Any };
        self.execute(&shell(), command).unwrap().done
    }

    fn details(&self, key: &str) -> KeyDetails {
        self.execute(&shell(), ShowKey { key: key.to_owned() }).unwrap()
    }
}

#[test]
fn an_owner_who_locks_a_locked_key_never_weakens_its_lock() {
    let fixture = TestEngine::new();
    let key = fixture.new_key();
    fixture.lock(&key, LockLevel::All, None);
    let said = fixture.lock(&key, LockLevel::Writes, Some(60_000));
    assert!(said.contains("was locked already and stays so: all its calls stop"), "{said}");
    let details = fixture.details(&key);
    let lock = details.key.lock.unwrap();
    assert_eq!(
        (lock.level, lock.until, lock.reason.as_str()),
        (LockLevel::All, None, "all please")
    );
    assert_eq!(details.events.iter().filter(|event| event.kind == "key_locked").count(), 2);
    assert!(details.events[0].detail.contains("it was locked for as much already"));
}

#[test]
fn a_lock_for_more_calls_keeps_the_later_end() {
    let fixture = TestEngine::new();
    let key = fixture.new_key();
    fixture.lock(&key, LockLevel::Writes, Some(3_600_000));
    let said = fixture.lock(&key, LockLevel::All, Some(60_000));
    assert!(said.contains("was locked already; now all its calls stop"), "{said}");
    let lock = fixture.details(&key).key.lock.unwrap();
    assert_eq!(lock.level, LockLevel::All);
    assert_eq!(lock.until.unwrap().0 - lock.since.0, 3_600_000);
}

#[test]
fn a_link_in_a_message_never_weakens_a_lock() {
    let fixture = TestEngine::new();
    let key = fixture.new_key();
    fixture.lock(&key, LockLevel::All, None);
    let engine = fixture.engine();
    let id: KeyId = key.parse().unwrap();
    let url = engine.action_link(Act::Lock, id, engine.store().now(), Uuid::now_v7());
    let start = format!("https://console.example.org{ACTION_PATH}");
    let done = wait(engine.use_action(url.strip_prefix(&start).unwrap())).unwrap();
    assert!(done.said.contains("all its calls stop"), "{}", done.said);
    let details = fixture.details(&key);
    let lock = details.key.lock.unwrap();
    assert_eq!(
        (lock.level, lock.until, lock.reason.as_str()),
        (LockLevel::All, None, "all please")
    );
    assert!(details.events[0].detail.contains("it was locked for as much already"));
}

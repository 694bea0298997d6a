//! Locks that meet a lock.

use keystile_core::lock::LockLevel;
use keystile_engine::command::KeyDetails;
use keystile_engine::legacy::{Answer, Command};

use crate::test_engine::{TestEngine, cli, wait};

impl TestEngine {
    fn ask(&self, command: Command) -> Answer {
        wait(self.engine().execute_legacy(command, cli()))
    }

    fn new_key(&self) -> String {
        let plan = Some("open".to_owned());
        let command = Command::CreateKeys { application: "reader".to_owned(), plan, count: 1 };
        let Answer::NewKeys(keys) = self.ask(command) else { panic!("no key") };
        keys[0].id.clone()
    }

    fn lock(&self, key: &str, level: LockLevel, for_millis: Option<i64>) -> String {
        let (key, reason) = (key.to_owned(), format!("{level} please"));
        match self.ask(Command::LockKey { key, level, reason, for_millis }) {
            Answer::Done(sentence) => sentence,
            other => panic!("{other:?}"),
        }
    }

    fn details(&self, key: &str) -> KeyDetails {
        match self.ask(Command::ShowKey { key: key.to_owned() }) {
            Answer::Key(details) => *details,
            other => panic!("{other:?}"),
        }
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

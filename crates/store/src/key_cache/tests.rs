//! Keys and applications in memory.

use keystile_core::keys::application::ApplicationState;
use keystile_core::keys::lock::LockLevel;
use uuid::Uuid;

use super::*;

#[test]
fn the_last_call_is_known_to_the_second() {
    let application =
        ApplicationEntry::new(1, ApplicationId::new(Uuid::nil()), "a", ApplicationState::Active);
    let (id, plan) = (KeyId::new(Uuid::nil()), Arc::new("p".into()));
    let key = KeyEntry::new(1, id, None, Arc::new(application), plan);
    assert_eq!(key.last_call(), None);
    for (call, known) in [(5_000, 5_000), (5_999, 5_000), (6_000, 6_000), (4_000, 6_000)] {
        key.note_call(Timestamp(call));
        assert_eq!(key.last_call(), Some(Timestamp(known)));
    }
}

#[test]
fn keys_of_a_system_that_nobody_hears_of_stop_all_at_once_and_others_go_on() {
    let application = Arc::new(ApplicationEntry::new(
        1,
        ApplicationId::new(Uuid::nil()),
        "a",
        ApplicationState::Active,
    ));
    let cache = KeyCache::default();
    let key = |origin: Option<&str>| {
        let origin = origin.map(|name| cache.origins.named(name));
        let (id, plan) = (KeyId::new(Uuid::nil()), Arc::new("p".into()));
        KeyEntry::new(1, id, origin, application.clone(), plan)
    };
    let keys = [key(Some("a")), key(Some("a")), key(Some("b")), key(None)];
    let vouched = |now| keys.each_ref().map(|key| key.is_vouched_for(Timestamp(now)));
    assert_eq!(vouched(i64::MAX - 1), [true; 4]);
    cache.origin("a").set_works_until(Some(Timestamp(10)));
    assert_eq!(vouched(9), [true; 4]);
    assert_eq!(vouched(10), [false, false, true, true]);
    cache.origin("a").set_works_until(None);
    assert_eq!(vouched(10), [true; 4]);
}

#[test]
fn locked_keys_are_counted_once_however_often_they_are_locked() {
    let application =
        ApplicationEntry::new(1, ApplicationId::new(Uuid::nil()), "a", ApplicationState::Active);
    let (id, plan) = (KeyId::new(Uuid::nil()), Arc::new("p".into()));
    let key = KeyEntry::new(1, id, None, Arc::new(application), plan);
    let count = LockedCount::default();
    let counted = || count.number();
    let lock = |level| Some(LockNotice { level, until: None, on: LockTarget::Key });
    key.set_lock(lock(LockLevel::Writes), &count);
    key.set_lock(lock(LockLevel::All), &count);
    assert_eq!(counted(), 1);
    key.set_lock(None, &count);
    key.set_lock(None, &count);
    assert_eq!(counted(), 0);
    key.set_lock(lock(LockLevel::All), &count);
    key.set_revoked(&count);
    key.set_revoked(&count);
    assert_eq!(counted(), 0);
}

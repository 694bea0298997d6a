//! Sessions: how long they hold, and how they end.

use keystile_core::owners::secret::PasswordHash;
use keystile_core::owners::session::{RECENT_AUTHENTICATION_MAX, SESSION_IDLE_MAX, SESSION_MAX};
use keystile_engine::owners::owner::RemoveOwner;
use keystile_engine::owners::password::SetPassword;
use keystile_engine::owners::session::{
    EndOtherSessions, EndSession, ListSessions, Looks, SessionView,
};

use crate::test_engine::{TestEngine, shell, wait};

fn session(fixture: &TestEngine, secret: &str) -> Option<SessionView> {
    wait(fixture.engine().session(secret, Looks::Owner)).unwrap()
}

#[test]
fn a_session_that_is_idle_or_old_is_over() {
    let mut fixture = TestEngine::new();
    let ada = fixture.claim("ada").owner;
    let idle = fixture.sign_in(&ada);
    assert_eq!(session(&fixture, &idle).unwrap().owner, ada);
    fixture.later(SESSION_IDLE_MAX.millis() + 60_000);
    assert_eq!(session(&fixture, &idle), None);
    let used = fixture.sign_in(&ada);
    let step = SESSION_IDLE_MAX.millis() - 60_000;
    let steps = SESSION_MAX.millis() / step;
    for _ in 0..steps {
        assert!(session(&fixture, &used).is_some());
        fixture.later(step);
    }
    assert!(session(&fixture, &used).is_some());
    fixture.later(step);
    assert_eq!(session(&fixture, &used), None, "however it is used");
    wait(fixture.engine().run_maintenance());
    assert_eq!(fixture.execute(&ada.principal(), ListSessions).unwrap(), []);
}

#[test]
fn an_identity_is_confirmed_for_a_while_and_can_be_confirmed_again() {
    let mut fixture = TestEngine::new();
    let ada = fixture.claim("ada").owner;
    let secret = fixture.sign_in(&ada);
    assert!(session(&fixture, &secret).unwrap().is_recently_authenticated);
    fixture.later(RECENT_AUTHENTICATION_MAX.millis() + 1_000);
    assert!(!session(&fixture, &secret).unwrap().is_recently_authenticated);
    wait(fixture.engine().confirm_identity(&secret)).unwrap();
    assert!(session(&fixture, &secret).unwrap().is_recently_authenticated);
}

#[test]
fn that_a_session_was_seen_is_written_once_a_minute() {
    let mut fixture = TestEngine::new();
    let secret = fixture.sign_in(&fixture.claim("ada").owner);
    let first = session(&fixture, &secret).unwrap().seen;
    fixture.later(30_000);
    session(&fixture, &secret).unwrap();
    assert_eq!(session(&fixture, &secret).unwrap().seen, first);
    fixture.later(31_000);
    session(&fixture, &secret).unwrap();
    assert!(session(&fixture, &secret).unwrap().seen > first);
}

#[test]
fn sessions_end_one_by_one_or_all_others_at_once() {
    let fixture = TestEngine::new();
    let (ada, bob) = (fixture.claim("ada").owner, fixture.claim("bob").owner);
    let secrets: Vec<_> = (0..4).map(|_| fixture.sign_in(&ada)).collect();
    let of_bob = fixture.sign_in(&bob);
    let id = session(&fixture, &secrets[0]).unwrap().id;
    assert!(!secrets[0].contains(id.trim_start_matches("session_")));
    let end = EndSession { session: id };
    assert!(fixture.execute(&bob.principal(), end.clone()).is_err(), "it is not one of his");
    assert!(fixture.execute(&shell(), end.clone()).is_err(), "nor of the command line");
    fixture.execute(&ada.principal(), end).unwrap();
    wait(fixture.engine().sign_out(&secrets[1])).unwrap();
    wait(fixture.engine().sign_out(&secrets[1])).unwrap();
    let others = EndOtherSessions { kept_session: session(&fixture, &secrets[2]).unwrap().id };
    assert_eq!(fixture.execute(&ada.principal(), others).unwrap(), 1);
    let held: Vec<_> = secrets.iter().map(|secret| session(&fixture, secret).is_some()).collect();
    assert_eq!(held, [false, false, true, false]);
    assert!(session(&fixture, &of_bob).is_some());
    assert!(wait(fixture.engine().confirm_identity(&secrets[3])).is_err());
    assert_eq!(session(&fixture, "kss_nonsense"), None);
    let kinds = fixture.event_kinds();
    let count = |kind: &str| kinds.iter().filter(|known| *known == kind).count();
    assert_eq!((count("signed_in"), count("signed_out"), count("session_ended")), (5, 1, 2));
}

#[test]
fn a_new_password_ends_all_other_sessions_of_its_owner_and_nobody_elses() {
    let fixture = TestEngine::new();
    let (ada, bob) = (fixture.claim("ada").owner, fixture.claim("bob").owner);
    let (kept, other, of_bob) =
        (fixture.sign_in(&ada), fixture.sign_in(&ada), fixture.sign_in(&bob));
    let set = SetPassword {
        password: PasswordHash::new("$argon2id$y".to_owned()),
        kept_session: session(&fixture, &kept).unwrap().id,
    };
    fixture.execute(&ada.principal(), set).unwrap();
    let held = [&kept, &other, &of_bob].map(|secret| session(&fixture, secret).is_some());
    assert_eq!(held, [true, false, true]);
}

#[test]
fn an_owner_who_is_removed_is_signed_out_at_once() {
    let fixture = TestEngine::new();
    fixture.claim("ada");
    let secret = fixture.sign_in(&fixture.claim("bob").owner);
    fixture.execute(&shell(), RemoveOwner { owner: "bob".to_owned() }).unwrap();
    assert_eq!(session(&fixture, &secret), None);
}

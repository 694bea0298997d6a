//! Sessions: how long they hold, and how they end.

use keystile_core::owners::session::{PROOF_MAX, SESSION_IDLE_MAX, SESSION_MAX};
use keystile_engine::owners::session::{Looks, SessionView};

use crate::test_engine::{TestEngine, cli, wait};

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
    assert_eq!(fixture.engine().sessions_of(ada.id).unwrap(), []);
}

#[test]
fn a_proof_is_fresh_for_a_while_and_can_be_given_again() {
    let mut fixture = TestEngine::new();
    let ada = fixture.claim("ada").owner;
    let secret = fixture.sign_in(&ada);
    assert!(session(&fixture, &secret).unwrap().fresh);
    fixture.later(PROOF_MAX.millis() + 1_000);
    assert!(!session(&fixture, &secret).unwrap().fresh);
    wait(fixture.engine().prove_session(&secret)).unwrap();
    assert!(session(&fixture, &secret).unwrap().fresh);
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
    assert!(
        wait(fixture.engine().end_session_by_id(bob.id, &id, cli())).is_err(),
        "it is not one of his"
    );
    wait(fixture.engine().end_session_by_id(ada.id, &id, cli())).unwrap();
    wait(fixture.engine().end_session(&secrets[1])).unwrap();
    wait(fixture.engine().end_session(&secrets[1])).unwrap();
    assert_eq!(wait(fixture.engine().end_other_sessions(&secrets[2])).unwrap(), 1);
    let held: Vec<_> = secrets.iter().map(|secret| session(&fixture, secret).is_some()).collect();
    assert_eq!(held, [false, false, true, false]);
    assert!(session(&fixture, &of_bob).is_some());
    assert!(wait(fixture.engine().prove_session(&secrets[3])).is_err());
    assert_eq!(session(&fixture, "kss_nonsense"), None);
    let told = fixture.told();
    let count = |kind: &str| told.iter().filter(|known| *known == kind).count();
    assert_eq!((count("signed_in"), count("signed_out"), count("session_ended")), (5, 1, 2));
}

#[test]
fn an_owner_who_is_removed_is_signed_out_at_once() {
    let fixture = TestEngine::new();
    fixture.claim("ada");
    let secret = fixture.sign_in(&fixture.claim("bob").owner);
    wait(fixture.engine().remove_owner("bob", cli())).unwrap();
    assert_eq!(session(&fixture, &secret), None);
}

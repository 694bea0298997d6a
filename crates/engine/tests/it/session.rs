//! Sessions: how long they hold, and how they end.

use keystile_core::owners::session::{PROOF_MAX, SESSION_IDLE_MAX, SESSION_MAX};
use keystile_engine::owners::session::{Looks, SessionView};

use crate::test_engine::{TestEngine, cli, wait};

fn session(desk: &TestEngine, secret: &str) -> Option<SessionView> {
    wait(desk.engine().session(secret, Looks::Owner)).unwrap()
}

#[test]
fn a_session_that_is_idle_or_old_is_over() {
    let mut desk = TestEngine::new();
    let ada = desk.claim("ada").owner;
    let idle = desk.sign_in(&ada);
    assert_eq!(session(&desk, &idle).unwrap().owner, ada);
    desk.later(SESSION_IDLE_MAX.millis() + 60_000);
    assert_eq!(session(&desk, &idle), None);
    let used = desk.sign_in(&ada);
    let step = SESSION_IDLE_MAX.millis() - 60_000;
    let steps = SESSION_MAX.millis() / step;
    for _ in 0..steps {
        assert!(session(&desk, &used).is_some());
        desk.later(step);
    }
    assert!(session(&desk, &used).is_some());
    desk.later(step);
    assert_eq!(session(&desk, &used), None, "however it is used");
    wait(desk.engine().run_maintenance());
    assert_eq!(desk.engine().sessions_of(ada.id).unwrap(), []);
}

#[test]
fn a_proof_is_fresh_for_a_while_and_can_be_given_again() {
    let mut desk = TestEngine::new();
    let ada = desk.claim("ada").owner;
    let secret = desk.sign_in(&ada);
    assert!(session(&desk, &secret).unwrap().fresh);
    desk.later(PROOF_MAX.millis() + 1_000);
    assert!(!session(&desk, &secret).unwrap().fresh);
    wait(desk.engine().prove_session(&secret)).unwrap();
    assert!(session(&desk, &secret).unwrap().fresh);
}

#[test]
fn that_a_session_was_seen_is_written_once_a_minute() {
    let mut desk = TestEngine::new();
    let secret = desk.sign_in(&desk.claim("ada").owner);
    let first = session(&desk, &secret).unwrap().seen;
    desk.later(30_000);
    session(&desk, &secret).unwrap();
    assert_eq!(session(&desk, &secret).unwrap().seen, first);
    desk.later(31_000);
    session(&desk, &secret).unwrap();
    assert!(session(&desk, &secret).unwrap().seen > first);
}

#[test]
fn sessions_end_one_by_one_or_all_others_at_once() {
    let desk = TestEngine::new();
    let (ada, bob) = (desk.claim("ada").owner, desk.claim("bob").owner);
    let secrets: Vec<_> = (0..4).map(|_| desk.sign_in(&ada)).collect();
    let of_bob = desk.sign_in(&bob);
    let id = session(&desk, &secrets[0]).unwrap().id;
    assert!(!secrets[0].contains(id.trim_start_matches("session_")));
    assert!(
        wait(desk.engine().end_session_by_id(bob.id, &id, cli())).is_err(),
        "it is not one of his"
    );
    wait(desk.engine().end_session_by_id(ada.id, &id, cli())).unwrap();
    wait(desk.engine().end_session(&secrets[1])).unwrap();
    wait(desk.engine().end_session(&secrets[1])).unwrap();
    assert_eq!(wait(desk.engine().end_other_sessions(&secrets[2])).unwrap(), 1);
    let held: Vec<_> = secrets.iter().map(|secret| session(&desk, secret).is_some()).collect();
    assert_eq!(held, [false, false, true, false]);
    assert!(session(&desk, &of_bob).is_some());
    assert!(wait(desk.engine().prove_session(&secrets[3])).is_err());
    assert_eq!(session(&desk, "kss_nonsense"), None);
    let told = desk.told();
    let count = |kind: &str| told.iter().filter(|known| *known == kind).count();
    assert_eq!((count("signed_in"), count("signed_out"), count("session_ended")), (5, 1, 2));
}

#[test]
fn an_owner_who_is_removed_is_signed_out_at_once() {
    let desk = TestEngine::new();
    desk.claim("ada");
    let secret = desk.sign_in(&desk.claim("bob").owner);
    wait(desk.engine().remove_owner("bob", cli())).unwrap();
    assert_eq!(session(&desk, &secret), None);
}

//! Owners: links, passwords, passkeys, recovery codes, and those who guess.

use keystile_core::owners::principal::Principal;
use keystile_core::owners::scope::Scope;
use keystile_core::owners::secret::PasswordHash;
use keystile_engine::audit::{EventFilter, ListEvents, VerifyAudit};
use keystile_engine::command::FailureKind;
use keystile_engine::owners::claim::{CLAIM_MAX, OwnerCredential};
use keystile_engine::owners::owner::{ListOwners, RemoveOwner};
use keystile_engine::owners::passkey::{AddPasskey, ListPasskeys, NewPasskey, RemovePasskey};
use keystile_engine::owners::password::SetPassword;
use keystile_engine::owners::recovery::{MakeRecoveryCodes, RECOVERY_CODES};

use crate::test_engine::{TestEngine, address, shell, somebody, wait};

#[test]
fn a_link_makes_one_owner_and_its_file_is_gone() {
    let mut fixture = TestEngine::new();
    let link = fixture.claim_link();
    assert!(link.url.starts_with("https://console.example.org/claim/ksc_"));
    let file = std::fs::read_to_string(fixture.path("owner-link")).unwrap();
    assert_eq!(file.trim(), link.url);
    assert!(wait(fixture.engine().claim_is_open(link.secret.expose())).unwrap());
    let claimed = wait(async {
        let claims = (0..8).map(|number| {
            let (engine, secret) = (fixture.engine().clone(), link.secret.clone());
            async move { engine.claim(secret.expose(), somebody(&format!("ada{number}"))).await }
        });
        let mut running = tokio::task::JoinSet::new();
        claims.for_each(|claim| drop(running.spawn(claim)));
        running.join_all().await
    });
    assert_eq!(claimed.iter().filter(|claim| claim.is_ok()).count(), 1);
    assert_eq!(fixture.execute(&shell(), ListOwners).unwrap().len(), 1);
    assert!(!fixture.path("owner-link").exists());
    assert!(!wait(fixture.engine().claim_is_open(link.secret.expose())).unwrap());
    let late = fixture.claim_link();
    fixture.later(CLAIM_MAX.millis());
    assert!(!wait(fixture.engine().claim_is_open(late.secret.expose())).unwrap());
    assert!(wait(fixture.engine().claim(late.secret.expose(), somebody("bob"))).is_err());
    assert_eq!(fixture.event_kinds(), ["claim_link_made", "owner_created", "claim_link_made"]);
    assert_eq!(fixture.execute(&shell(), VerifyAudit).unwrap().fault, None);
}

#[test]
fn of_links_that_are_made_at_once_the_file_has_the_one_that_works() {
    let fixture = TestEngine::new();
    let links = std::thread::scope(|scope| {
        let making: Vec<_> = (0..16).map(|_| scope.spawn(|| fixture.claim_link())).collect();
        making.into_iter().map(|link| link.join().unwrap()).collect::<Vec<_>>()
    });
    let works = |secret: &str| wait(fixture.engine().claim_is_open(secret)).unwrap();
    let open: Vec<_> = links.iter().filter(|link| works(link.secret.expose())).collect();
    let file = std::fs::read_to_string(fixture.path("owner-link")).unwrap();
    assert_eq!(open.iter().map(|link| link.url.as_str()).collect::<Vec<_>>(), [file.trim()]);
    let names = std::fs::read_dir(fixture.path("")).unwrap();
    let mut names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    assert!(names.all(|name| !name.contains("partial")));
}

#[test]
fn the_file_keeps_a_link_that_still_works() {
    let mut fixture = TestEngine::new();
    fixture.claim("ada");
    let link = fixture.claim_link();
    wait(fixture.engine().remove_used_link()).unwrap();
    let file = std::fs::read_to_string(fixture.path("owner-link")).unwrap();
    assert_eq!(file.trim(), link.url);
    fixture.later(CLAIM_MAX.millis());
    wait(fixture.engine().remove_used_link()).unwrap();
    assert!(!fixture.path("owner-link").exists());
}

#[test]
fn a_password_is_kept_only_as_its_hash() {
    let fixture = TestEngine::new();
    let ada = fixture.claim("Ada").owner;
    let plain = PasswordHash::new("correct horse".to_owned());
    let set = |password| {
        let set = SetPassword { password, kept_session: String::new() };
        fixture.execute(&ada.principal(), set)
    };
    assert!(set(plain).is_err());
    let hashed = PasswordHash::new("$argon2id$y".to_owned());
    set(hashed.clone()).unwrap();
    let found = |name: &str| wait(fixture.engine().owner_with_password(name)).unwrap();
    assert_eq!(found("ADA"), Some((ada.clone(), hashed)));
    assert_eq!(found("nobody"), None);
}

#[test]
fn passkeys_are_found_by_their_credential_and_the_last_way_in_stays() {
    let fixture = TestEngine::new();
    let link = fixture.claim_link();
    let passkey = |number: u8| NewPasskey {
        credential: vec![number; 20],
        data: "{\"counter\":0}".to_owned(),
        name: format!("key {number}"),
    };
    let mut new = somebody("ada");
    let handle = new.handle;
    new.credential = OwnerCredential::Passkey(passkey(1));
    let ada = wait(fixture.engine().claim(link.secret.expose(), new)).unwrap().owner;
    let engine = fixture.engine();
    let by = ada.principal();
    let list = || fixture.execute(&by, ListPasskeys).unwrap();
    let add = |number| fixture.execute(&by, AddPasskey { passkey: passkey(number) });
    let remove = |passkey| fixture.execute(&by, RemovePasskey { passkey });
    let only = list()[0].clone();
    let found = |handle, credential| wait(engine.owner_of_passkey(handle, credential)).unwrap();
    assert_eq!(found(handle, &[1; 20]), Some((ada.clone(), only.clone())));
    assert_eq!(found(handle, &[2; 20]), None);
    assert_eq!(found(uuid::Uuid::now_v7(), &[1; 20]), None);
    assert!(remove(only.id).is_err());
    add(2).unwrap();
    assert!(add(2).is_err());
    wait(engine.update_passkey(&[2; 20], "{\"counter\":7}".to_owned())).unwrap();
    remove(only.id).unwrap();
    let left = list();
    assert_eq!(left.len(), 1);
    assert_eq!((left[0].data.as_str(), left[0].used.is_some()), ("{\"counter\":7}", true));
    assert!(remove(left[0].id).is_err());
    assert!(fixture.execute(&by, RemoveOwner { owner: "ada".to_owned() }).is_err());
}

#[test]
fn owners_change_only_what_is_theirs_and_programs_have_nothing_of_the_kind() {
    let fixture = TestEngine::new();
    let link = fixture.claim_link();
    let mut new = somebody("ada");
    let passkey =
        NewPasskey { credential: vec![1; 20], data: "{}".to_owned(), name: "key".to_owned() };
    new.credential = OwnerCredential::Passkey(passkey);
    let ada = wait(fixture.engine().claim(link.secret.expose(), new)).unwrap().owner;
    let bob = fixture.claim("bob").owner;
    let of_ada = fixture.execute(&ada.principal(), ListPasskeys).unwrap().remove(0);
    let stolen = fixture.execute(&bob.principal(), RemovePasskey { passkey: of_ada.id });
    assert_eq!(stolen.unwrap_err().kind, FailureKind::Missing);
    assert_eq!(fixture.execute(&bob.principal(), ListPasskeys).unwrap(), []);
    let program = Principal::Token { name: "ci".to_owned(), scope: Scope::Admin };
    for principal in [program, shell()] {
        let refused = fixture.execute(&principal, ListPasskeys).unwrap_err();
        assert_eq!(refused.kind, FailureKind::Forbidden);
        assert_eq!(
            fixture.execute(&principal, MakeRecoveryCodes).unwrap_err().kind,
            FailureKind::Forbidden
        );
    }
    assert_eq!(fixture.execute(&ada.principal(), ListPasskeys).unwrap(), [of_ada]);
}

#[test]
fn recovery_codes_work_once_each_and_new_ones_void_the_old() {
    let fixture = TestEngine::new();
    let claimed = fixture.claim("ada");
    let codes = claimed.recovery_codes;
    assert_eq!(codes.len(), RECOVERY_CODES);
    let ask = |code: &str| wait(fixture.engine().use_recovery_code("ada", code)).unwrap();
    let typed = codes[0].expose().to_lowercase().replace('-', " ");
    assert_eq!(ask(&typed).unwrap().recovery_codes, 9);
    assert!(ask(codes[0].expose()).is_none());
    assert!(ask("not a code").is_none());
    let next = fixture.execute(&claimed.owner.principal(), MakeRecoveryCodes).unwrap();
    assert!(ask(codes[1].expose()).is_none());
    assert!(ask(next[1].expose()).is_some());
}

#[test]
fn failed_sign_ins_slow_down_and_share_a_line_in_the_audit() {
    let fixture = TestEngine::new();
    let ada = fixture.claim("ada").owner;
    let elsewhere = "198.51.100.1".parse().unwrap();
    let mut admitted = 0;
    for _ in 0..50 {
        if wait(fixture.engine().admit_sign_in("ada", elsewhere)).is_ok() {
            admitted += 1;
            wait(fixture.engine().note_failed_sign_in("ada", elsewhere));
            wait(fixture.engine().note_failed_sign_in("my password", elsewhere));
        }
    }
    assert_eq!(admitted, 6);
    // A live session makes an address known.
    fixture.sign_in(&ada);
    assert_eq!(wait(fixture.engine().admit_sign_in("ada", address())), Ok(()));
    wait(fixture.engine().finish_sign_ins());
    let filter = EventFilter { kind: Some("sign_in_failed".to_owned()), ..Default::default() };
    let events = fixture.execute(&shell(), ListEvents { filter }).unwrap();
    assert_eq!(events.len(), 1);
    assert_eq!(events[0].detail, "12 times from 198.51.100.1, as ada");
}

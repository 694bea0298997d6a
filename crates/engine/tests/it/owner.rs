//! Owners: links, passwords, passkeys, recovery codes, and those who guess.

use keystile_core::owners::secret::PasswordHash;
use keystile_engine::owners::owner::{CLAIM_MAX, NewPasskey, OwnerCredential, RECOVERY_CODES};

use crate::test_engine::{TestEngine, address, cli, somebody, wait};

#[test]
fn a_link_makes_one_owner_and_its_file_is_gone() {
    let mut fixture = TestEngine::new();
    let link = wait(fixture.engine().make_claim_link(cli())).unwrap();
    assert!(link.url.starts_with("https://console.example.org/claim/ksc_"));
    let file = std::fs::read_to_string(fixture.path("owner-link")).unwrap();
    assert_eq!(file.trim(), link.url);
    assert!(fixture.engine().claim_is_open(link.secret.expose()).unwrap());
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
    assert_eq!(fixture.engine().owners().unwrap().len(), 1);
    assert!(!fixture.path("owner-link").exists());
    assert!(!fixture.engine().claim_is_open(link.secret.expose()).unwrap());
    let late = wait(fixture.engine().make_claim_link(cli())).unwrap();
    fixture.later(CLAIM_MAX.millis());
    assert!(!fixture.engine().claim_is_open(late.secret.expose()).unwrap());
    assert!(wait(fixture.engine().claim(late.secret.expose(), somebody("bob"))).is_err());
    assert_eq!(fixture.told(), ["claim_link_made", "owner_created", "claim_link_made"]);
    assert_eq!(fixture.engine().verify_audit().unwrap().fault, None);
}

#[test]
fn a_password_is_kept_only_as_its_hash() {
    let fixture = TestEngine::new();
    let ada = fixture.claim("Ada").owner;
    let plain = PasswordHash::new("correct horse".to_owned());
    assert!(wait(fixture.engine().set_password(ada.id, plain, cli())).is_err());
    let hashed = PasswordHash::new("$argon2id$y".to_owned());
    wait(fixture.engine().set_password(ada.id, hashed.clone(), cli())).unwrap();
    assert_eq!(fixture.engine().password_of("ADA").unwrap(), Some(hashed));
    assert_eq!(fixture.engine().password_of("nobody").unwrap(), None);
}

#[test]
fn passkeys_are_found_by_their_credential_and_the_last_way_in_stays() {
    let fixture = TestEngine::new();
    let link = wait(fixture.engine().make_claim_link(cli())).unwrap();
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
    assert_eq!(engine.owner_by_credential(&[1; 20]).unwrap().unwrap(), ada);
    assert_eq!(engine.owner_by_handle(handle).unwrap().unwrap(), ada);
    assert_eq!(engine.owner_by_credential(&[2; 20]).unwrap(), None);
    let only = engine.passkeys_of(ada.id).unwrap()[0].clone();
    assert!(wait(engine.remove_passkey(ada.id, only.id, cli())).is_err());
    wait(engine.add_passkey(ada.id, passkey(2), cli())).unwrap();
    assert!(wait(engine.add_passkey(ada.id, passkey(2), cli())).is_err());
    wait(engine.update_passkey(&[2; 20], "{\"counter\":7}".to_owned())).unwrap();
    wait(engine.remove_passkey(ada.id, only.id, cli())).unwrap();
    let left = engine.passkeys_of(ada.id).unwrap();
    assert_eq!(left.len(), 1);
    assert_eq!((left[0].data.as_str(), left[0].used.is_some()), ("{\"counter\":7}", true));
    assert!(wait(engine.remove_passkey(ada.id, left[0].id, cli())).is_err());
    assert!(wait(engine.remove_owner("ada", cli())).is_err());
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
    let next = wait(fixture.engine().make_recovery_codes(claimed.owner.id, cli())).unwrap();
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
        if fixture.engine().admit_sign_in("ada", elsewhere).is_ok() {
            admitted += 1;
            fixture.engine().note_failed_sign_in("ada", elsewhere);
            fixture.engine().note_failed_sign_in("my password", elsewhere);
        }
    }
    assert_eq!(admitted, 6);
    // A live session makes an address known.
    fixture.sign_in(&ada);
    assert_eq!(fixture.engine().admit_sign_in("ada", address()), Ok(()));
    wait(fixture.engine().finish_sign_ins());
    let filter = keystile_engine::audit::EventFilter {
        kind: Some("sign_in_failed".to_owned()),
        ..Default::default()
    };
    let events = fixture.engine().events(&filter).unwrap();
    assert_eq!(events.len(), 1);
    assert_eq!(events[0].detail, "12 times from 198.51.100.1, as ada");
}

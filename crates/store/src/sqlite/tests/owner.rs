//! Owners, links, recovery codes, sessions and tokens: each used once, none kept in clear.

use keystile_core::owners::owner::OwnerId;
use keystile_core::owners::passkey::PasskeyId;
use keystile_core::owners::scope::Scope;
use keystile_core::owners::secret::{PasswordHash, Secret, SecretHash, SecretKind};
use keystile_core::owners::token::TokenId;
use keystile_core::time::Span;
use tokio::task::JoinSet;
use uuid::Uuid;

use crate::error::{Error, Result};
use crate::owners::sessions::{NewSessionRow, SessionsToEnd};
use crate::owners::tokens::NewTokenRow;
use crate::owners::{NewCredential, NewOwnerRow, NewPasskeyRow, OwnerRow};
use crate::sqlite::files::backup::{backup, restore};
use crate::sqlite::tests::make::{self, LOCKS, plan};
use crate::sqlite::tests::test_store::{TestStore, wait};

const HOUR: Span = Span::from_secs(3600);

fn fixture() -> TestStore {
    TestStore::new(&[plan("small", &[("3 per day", &[])], LOCKS)])
}

fn secret(fixture: &TestStore, kind: SecretKind) -> (Secret, SecretHash) {
    let secret = Secret::from_random(kind, crate::random());
    let hash = secret.hash(kind, fixture.store().pepper());
    (secret, hash)
}

fn link(fixture: &TestStore) -> SecretHash {
    let (_, hash) = secret(fixture, SecretKind::Claim);
    wait(fixture.store().create_claim(hash, HOUR, make::owner())).unwrap();
    hash
}

fn passkey(number: u8) -> NewCredential {
    NewCredential::Passkey(NewPasskeyRow {
        id: PasskeyId::new(Uuid::now_v7()),
        credential: vec![number; 16],
        name: format!("key {number}"),
        data: "{}".to_owned(),
    })
}

fn somebody(name: &str, credential: NewCredential) -> NewOwnerRow {
    NewOwnerRow {
        id: OwnerId::new(Uuid::now_v7()),
        name: name.to_owned(),
        handle: Uuid::now_v7(),
        credential,
        recovery_codes: Vec::new(),
    }
}

pub(crate) fn claim(
    fixture: &TestStore,
    name: &str,
    credential: NewCredential,
) -> Result<OwnerRow> {
    let (link, new) = (link(fixture), somebody(name, credential));
    wait(fixture.store().claim(link, new))
}

#[test]
fn of_many_who_use_one_link_at_once_one_becomes_an_owner() {
    let fixture = fixture();
    let hash = link(&fixture);
    let claimed = wait(async {
        let mut claims = JoinSet::new();
        for number in 0..20 {
            let store = fixture.store().clone();
            let new = somebody(&format!("ada{number}"), passkey(number));
            claims.spawn(async move { store.claim(hash, new).await });
        }
        claims.join_all().await
    });
    assert_eq!(claimed.iter().filter(|claim| claim.is_ok()).count(), 1);
    assert_eq!(wait(fixture.store().owners()).unwrap().len(), 1);
}

#[test]
fn a_link_is_void_after_its_time_after_its_use_and_after_the_next_one() {
    let mut fixture = fixture();
    let (first, second) = (link(&fixture), link(&fixture));
    let is_open = |fixture: &TestStore, hash| wait(fixture.store().claim_is_open(hash)).unwrap();
    assert_eq!((is_open(&fixture, first), is_open(&fixture, second)), (false, true));
    let new = somebody("ada", passkey(1));
    wait(fixture.store().claim(second, new)).unwrap();
    let new = somebody("bob", passkey(2));
    let again = wait(fixture.store().claim(second, new));
    assert!(matches!(again, Err(Error::Conflict(_))));
    let third = link(&fixture);
    fixture.reopen_later(3_600_001);
    assert!(!is_open(&fixture, third));
    let new = somebody("bob", passkey(2));
    assert!(wait(fixture.store().claim(third, new)).is_err());
}

#[test]
fn a_claim_that_fails_leaves_the_link_and_nothing_else() {
    let fixture = fixture();
    claim(&fixture, "Ada", passkey(1)).unwrap();
    let hash = link(&fixture);
    for new in [somebody("ADA", passkey(2)), somebody("bob", passkey(1))] {
        let failed = wait(fixture.store().claim(hash, new));
        assert!(matches!(failed, Err(Error::Exists(_))));
    }
    assert_eq!(wait(fixture.store().owners()).unwrap().len(), 1);
    let new = somebody("bob", passkey(2));
    wait(fixture.store().claim(hash, new)).unwrap();
}

#[test]
fn the_last_owner_and_the_last_way_to_sign_in_stay() {
    let fixture = fixture();
    let ada = claim(&fixture, "ada", passkey(1)).unwrap();
    let (id, store) = (ada.id, fixture.store());
    let only = wait(store.passkeys(id)).unwrap()[0].id;
    let remove = || wait(store.remove_passkey(id, only, make::owner()));
    assert!(matches!(remove(), Err(Error::Conflict(_))));
    let removed = wait(store.remove_owner("ada".to_owned(), make::owner()));
    assert!(matches!(removed, Err(Error::Conflict(_))));
    let password = PasswordHash::new("$argon2id$x".to_owned());
    let ended = SessionsToEnd::AllBut(String::new());
    wait(store.set_password(id, password, ended, make::owner())).unwrap();
    remove().unwrap();
    assert_eq!(wait(store.passkey(ada.handle, vec![1; 16])).unwrap(), None);
}

#[test]
fn an_owner_who_is_removed_is_signed_out_and_their_links_are_void() {
    let fixture = fixture();
    claim(&fixture, "ada", passkey(1)).unwrap();
    let bob = claim(&fixture, "bob", passkey(2)).unwrap();
    let (_, hash) = secret(&fixture, SecretKind::Session);
    let row = NewSessionRow {
        hash,
        owner: bob.id,
        address: String::new(),
        agent: String::new(),
        signed_in: "",
    };
    wait(fixture.store().begin_session(row)).unwrap();
    let open = link(&fixture);
    let remove = || wait(fixture.store().remove_owner("bob".to_owned(), make::owner()));
    remove().unwrap();
    assert_eq!(wait(fixture.store().session(hash)).unwrap(), None);
    let new = somebody("bob again", passkey(3));
    assert!(wait(fixture.store().claim(open, new)).is_err());
    assert!(remove().is_err());
}

#[test]
fn a_recovery_code_works_once_and_for_its_owner_only() {
    let fixture = fixture();
    let (_, hash) = secret(&fixture, SecretKind::RecoveryCode);
    let new = NewOwnerRow { recovery_codes: vec![hash], ..somebody("ada", passkey(1)) };
    let link = link(&fixture);
    wait(fixture.store().claim(link, new)).unwrap();
    claim(&fixture, "bob", passkey(2)).unwrap();
    let ask = move |name: &'static str| {
        wait(fixture.store().use_recovery_code(name.to_owned(), hash)).unwrap().is_some()
    };
    assert_eq!([ask("bob"), ask("nobody"), ask("ADA"), ask("ada")], [false, false, true, false]);
}

#[test]
fn nothing_that_opens_anything_is_in_the_files() {
    let mut fixture = fixture();
    let ada = claim(&fixture, "ada", passkey(1)).unwrap();
    let (claim_text, claim_hash) = secret(&fixture, SecretKind::Claim);
    let (session_text, session_hash) = secret(&fixture, SecretKind::Session);
    let (token_text, token_hash) = secret(&fixture, SecretKind::Token);
    let (code_text, code_hash) = secret(&fixture, SecretKind::RecoveryCode);
    let token = NewTokenRow {
        id: TokenId::new(Uuid::now_v7()),
        hash: token_hash,
        name: "ci".to_owned(),
        scope: Scope::Read,
        expires: None,
    };
    let row = NewSessionRow {
        hash: session_hash,
        owner: ada.id,
        address: String::new(),
        agent: String::new(),
        signed_in: "",
    };
    wait(fixture.store().create_claim(claim_hash, HOUR, make::owner())).unwrap();
    wait(fixture.store().begin_session(row)).unwrap();
    wait(fixture.store().make_recovery_codes(ada.id, vec![code_hash], make::owner())).unwrap();
    wait(fixture.store().create_token(token, make::owner())).unwrap();
    fixture.stop();
    for entry in std::fs::read_dir(fixture.path()).unwrap() {
        let bytes = std::fs::read(entry.unwrap().path()).unwrap();
        for secret in [&claim_text, &session_text, &token_text, &code_text] {
            let text = secret.expose().as_bytes();
            assert!(!bytes.windows(text.len()).any(|part| part == text));
            let digits: Vec<u8> = text.iter().copied().filter(|byte| *byte != b'-').collect();
            assert!(!bytes.windows(digits.len()).any(|part| part == digits));
        }
    }
    fixture.start();
}

#[test]
fn the_name_of_a_token_that_works_is_taken() {
    let fixture = fixture();
    let make = |fixture: &TestStore| {
        let (_, hash) = secret(fixture, SecretKind::Token);
        let id = TokenId::new(Uuid::now_v7());
        let row =
            NewTokenRow { id, hash, name: "ci".to_owned(), scope: Scope::Admin, expires: None };
        wait(fixture.store().create_token(row, make::owner()))
    };
    make(&fixture).unwrap();
    assert!(matches!(make(&fixture), Err(Error::Exists(_))));
    let revoke = || wait(fixture.store().revoke_token("ci".to_owned(), make::owner()));
    revoke().unwrap();
    assert!(revoke().is_err());
    make(&fixture).unwrap();
    let tokens = wait(fixture.store().tokens()).unwrap();
    assert_eq!(tokens.iter().filter(|token| token.revoked.is_none()).count(), 1);
}

#[test]
fn a_restored_backup_signs_everybody_out_and_has_no_open_link() {
    let fixture = fixture();
    let ada = claim(&fixture, "ada", passkey(1)).unwrap();
    let (_, hash) = secret(&fixture, SecretKind::Session);
    let row = NewSessionRow {
        hash,
        owner: ada.id,
        address: String::new(),
        agent: String::new(),
        signed_in: "",
    };
    wait(fixture.store().begin_session(row)).unwrap();
    let open = link(&fixture);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("copy.db");
    backup(fixture.store(), &file).unwrap();
    let data = tempfile::tempdir().unwrap();
    restore(data.path(), &file).unwrap();
    let restored = TestStore::at(data, &fixture);
    let store = restored.store();
    assert_eq!(wait(store.session(hash)).unwrap(), None);
    assert!(!wait(store.claim_is_open(open)).unwrap());
    assert_eq!(wait(store.owners()).unwrap().len(), 1);
}

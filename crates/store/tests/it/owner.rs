//! Owners, links, recovery codes, sessions and tokens: each used once, none kept in clear.

use keystile_core::key::{OwnerId, PasskeyId, TokenId};
use keystile_core::owners::scope::Scope;
use keystile_core::owners::secret::{PasswordHash, Secret, SecretHash, SecretKind};
use keystile_core::time::{Span, Timestamp};
use keystile_store::error::{Error, Result};
use keystile_store::sqlite::files::backup::{backup, restore};
use keystile_store::sqlite::files::directory::DataDirectory;
use keystile_store::sqlite::owners::owner::{self, NewCredential, NewOwnerRow, OwnerRow};
use keystile_store::sqlite::owners::session::{self, NewSessionRow};
use keystile_store::tokens::NewTokenRow;
use tokio::task::JoinSet;
use uuid::Uuid;

use crate::make::{self, LOCKS, plan};
use crate::test_store::{TestStore, wait};

const HOUR: Span = Span::from_secs(3600);

fn bench() -> TestStore {
    TestStore::new(&[plan("small", &[("3 per day", &[])], LOCKS)])
}

fn secret(bench: &TestStore, kind: SecretKind) -> (Secret, SecretHash) {
    let secret = Secret::from_random(kind, keystile_store::random());
    let hash = secret.hash(kind, bench.store().pepper());
    (secret, hash)
}

fn link(bench: &TestStore) -> SecretHash {
    let (_, hash) = secret(bench, SecretKind::Claim);
    bench
        .change(move |work| work.create_claim(&hash, work.now().plus(HOUR), &make::owner()))
        .unwrap();
    hash
}

fn passkey(number: u8) -> NewCredential {
    NewCredential::Passkey {
        id: PasskeyId::new(Uuid::now_v7()),
        credential: vec![number; 16],
        name: format!("key {number}"),
        data: "{}".to_owned(),
    }
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

pub(crate) fn claim(bench: &TestStore, name: &str, credential: NewCredential) -> Result<OwnerRow> {
    let (link, new) = (link(bench), somebody(name, credential));
    bench.change(move |work| work.claim(&link, &new))
}

#[test]
fn of_many_who_use_one_link_at_once_one_becomes_an_owner() {
    let bench = bench();
    let hash = link(&bench);
    let claimed = wait(async {
        let mut claims = JoinSet::new();
        for number in 0..20 {
            let store = bench.store().clone();
            let new = somebody(&format!("ada{number}"), passkey(number));
            claims.spawn(async move { store.change(move |work| work.claim(&hash, &new)).await });
        }
        claims.join_all().await
    });
    assert_eq!(claimed.iter().filter(|claim| claim.is_ok()).count(), 1);
    assert_eq!(bench.store().read(owner::list).unwrap().len(), 1);
}

#[test]
fn a_link_is_void_after_its_time_after_its_use_and_after_the_next_one() {
    let mut bench = bench();
    let (first, second) = (link(&bench), link(&bench));
    let is_open = |bench: &TestStore, hash| {
        let now = bench.store().now();
        bench.store().read(|read| owner::claim_ends(read, &hash, now)).unwrap().is_some()
    };
    assert_eq!((is_open(&bench, first), is_open(&bench, second)), (false, true));
    let new = somebody("ada", passkey(1));
    bench.change(move |work| work.claim(&second, &new)).unwrap();
    let new = somebody("bob", passkey(2));
    let again = bench.change(move |work| work.claim(&second, &new));
    assert!(matches!(again, Err(Error::Conflict(_))));
    let third = link(&bench);
    bench.reopen_later(3_600_001);
    assert!(!is_open(&bench, third));
    let new = somebody("bob", passkey(2));
    assert!(bench.change(move |work| work.claim(&third, &new)).is_err());
}

#[test]
fn a_claim_that_fails_leaves_the_link_and_nothing_else() {
    let bench = bench();
    claim(&bench, "Ada", passkey(1)).unwrap();
    let hash = link(&bench);
    for new in [somebody("ADA", passkey(2)), somebody("bob", passkey(1))] {
        let failed = bench.change(move |work| work.claim(&hash, &new));
        assert!(matches!(failed, Err(Error::Exists(_))));
    }
    assert_eq!(bench.store().read(owner::list).unwrap().len(), 1);
    let new = somebody("bob", passkey(2));
    bench.change(move |work| work.claim(&hash, &new)).unwrap();
}

#[test]
fn the_last_owner_and_the_last_way_to_sign_in_stay() {
    let bench = bench();
    let ada = claim(&bench, "ada", passkey(1)).unwrap();
    let passkeys = bench.store().read(|read| owner::passkeys(read, ada.row)).unwrap();
    let (id, only) = (ada.id, passkeys[0].id);
    let removed = bench.change(move |work| work.remove_passkey(id, only, &make::owner()));
    assert!(matches!(removed, Err(Error::Conflict(_))));
    let removed = bench.change(|work| work.remove_owner("ada", &make::owner()));
    assert!(matches!(removed, Err(Error::Conflict(_))));
    let password = NewCredential::Password(PasswordHash::new("$argon2id$x".to_owned()));
    bench.change(move |work| work.add_credential(id, &password, &make::owner())).unwrap();
    bench.change(move |work| work.remove_passkey(id, only, &make::owner())).unwrap();
    let found = bench.store().read(|read| owner::find_by_credential(read, &[1; 16])).unwrap();
    assert_eq!(found, None);
}

#[test]
fn an_owner_who_is_removed_is_signed_out_and_their_links_are_void() {
    let bench = bench();
    claim(&bench, "ada", passkey(1)).unwrap();
    let bob = claim(&bench, "bob", passkey(2)).unwrap();
    let (_, hash) = secret(&bench, SecretKind::Session);
    let row = NewSessionRow { hash, owner: bob.id, address: String::new(), agent: String::new() };
    bench.change(move |work| work.insert_session(&row)).unwrap();
    let open = link(&bench);
    bench.change(|work| work.remove_owner("bob", &make::owner())).unwrap();
    assert_eq!(bench.store().read(|read| session::find(read, &hash)).unwrap(), None);
    let new = somebody("bob again", passkey(3));
    assert!(bench.change(move |work| work.claim(&open, &new)).is_err());
    assert!(bench.change(|work| work.remove_owner("bob", &make::owner())).is_err());
}

#[test]
fn a_recovery_code_works_once_and_for_its_owner_only() {
    let bench = bench();
    let (_, hash) = secret(&bench, SecretKind::RecoveryCode);
    let new = NewOwnerRow { recovery_codes: vec![hash], ..somebody("ada", passkey(1)) };
    let link = link(&bench);
    bench.change(move |work| work.claim(&link, &new)).unwrap();
    claim(&bench, "bob", passkey(2)).unwrap();
    let ask = move |name: &'static str| {
        bench.change(move |work| work.use_recovery_code(name, &hash)).unwrap().is_some()
    };
    assert_eq!([ask("bob"), ask("nobody"), ask("ADA"), ask("ada")], [false, false, true, false]);
}

#[test]
fn nothing_that_opens_anything_is_in_the_files() {
    let mut bench = bench();
    let ada = claim(&bench, "ada", passkey(1)).unwrap();
    let (claim_text, claim_hash) = secret(&bench, SecretKind::Claim);
    let (session_text, session_hash) = secret(&bench, SecretKind::Session);
    let (token_text, token_hash) = secret(&bench, SecretKind::Token);
    let (code_text, code_hash) = secret(&bench, SecretKind::RecoveryCode);
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
    };
    bench
        .change(move |work| {
            work.create_claim(&claim_hash, work.now().plus(HOUR), &make::owner())?;
            work.insert_session(&row)?;
            work.make_recovery_codes(ada.id, &[code_hash], &make::owner())
        })
        .unwrap();
    wait(bench.store().create_token(token, make::owner())).unwrap();
    bench.stop();
    for entry in std::fs::read_dir(bench.path()).unwrap() {
        let bytes = std::fs::read(entry.unwrap().path()).unwrap();
        for secret in [&claim_text, &session_text, &token_text, &code_text] {
            let text = secret.expose().as_bytes();
            assert!(!bytes.windows(text.len()).any(|part| part == text));
            let digits: Vec<u8> = text.iter().copied().filter(|byte| *byte != b'-').collect();
            assert!(!bytes.windows(digits.len()).any(|part| part == digits));
        }
    }
    bench.start();
}

#[test]
fn the_name_of_a_token_that_works_is_taken() {
    let bench = bench();
    let make = |bench: &TestStore| {
        let (_, hash) = secret(bench, SecretKind::Token);
        let id = TokenId::new(Uuid::now_v7());
        let row =
            NewTokenRow { id, hash, name: "ci".to_owned(), scope: Scope::Admin, expires: None };
        wait(bench.store().create_token(row, make::owner()))
    };
    make(&bench).unwrap();
    assert!(matches!(make(&bench), Err(Error::Exists(_))));
    let revoke = || wait(bench.store().revoke_token("ci".to_owned(), make::owner()));
    revoke().unwrap();
    assert!(revoke().is_err());
    make(&bench).unwrap();
    let tokens = wait(bench.store().tokens()).unwrap();
    assert_eq!(tokens.iter().filter(|token| token.revoked.is_none()).count(), 1);
}

#[test]
fn a_restored_backup_signs_everybody_out_and_has_no_open_link() {
    let bench = bench();
    let ada = claim(&bench, "ada", passkey(1)).unwrap();
    let (_, hash) = secret(&bench, SecretKind::Session);
    let row = NewSessionRow { hash, owner: ada.id, address: String::new(), agent: String::new() };
    bench.change(move |work| work.insert_session(&row)).unwrap();
    let open = link(&bench);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("copy.db");
    backup(bench.store(), &file).unwrap();
    let data = tempfile::tempdir().unwrap();
    restore(&DataDirectory::hold(data.path()).unwrap(), &file).unwrap();
    let restored = TestStore::at(data, &bench);
    let store = restored.store();
    assert_eq!(store.read(|read| session::find(read, &hash)).unwrap(), None);
    assert_eq!(store.read(|read| owner::claim_ends(read, &open, Timestamp(0))).unwrap(), None);
    assert_eq!(store.read(owner::list).unwrap().len(), 1);
}

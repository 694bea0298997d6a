//! A key that another system issued: who calls with it, and how owners name it.

use std::sync::Arc;

use http::HeaderName;
use jiff::tz::TimeZone;
use keystile_core::keys::lock::LockRule;
use keystile_core::keys::text::{KeyPrefix, KeyText};
use keystile_core::policy::api::{ApiSpec, Mode, UpstreamRule};
use keystile_core::policy::{PlanSpec, Policy};
use keystile_core::refusal::Reason;
use keystile_core::request::credential::{CredentialPlace, CredentialRule};
use keystile_core::request::head::{Fields, HttpVersion, RequestHead, Target};
use keystile_core::time::Span;
use keystile_core::version::Expected;
use keystile_engine::Admission;
use keystile_engine::admission::caller::{Caller, DoorRules, Transport};
use keystile_engine::admission::identity::Identity;
use keystile_engine::command::{Failure, FailureKind};
use keystile_engine::keys::create::RollKey;
use keystile_engine::keys::edit::RevokeKey;
use keystile_engine::keys::import::ImportKey;
use keystile_engine::keys::key::{KeyView, ShowKey};

use crate::admission::HOST;
use crate::test_engine::{TestEngine, address, settings, shell};

const TEXT: &str = "8c2f01de77b0a4419ee177b0a4419ee1";
const SHORT: &str = "sesame";

fn policy(credential: CredentialRule) -> Policy {
    let api = ApiSpec {
        name: "notes".to_owned(),
        hosts: Vec::new(),
        path: String::new(),
        mode: Mode::Enforce,
        matrix_parameters: false,
        credential,
        body_bytes_max: None,
        count_bytes_max: 1024,
        upstream: UpstreamRule {
            origins: vec!["http://127.0.0.1:1".parse().unwrap()],
            http2_prior_knowledge: false,
            trusted_certificates: None,
            connect_timeout: Span::from_secs(1),
            first_byte_timeout: Span::from_secs(1),
            total_timeout: None,
            keep_host: false,
            forward_credential: false,
        },
        operations: Vec::new(),
    };
    let plan = PlanSpec {
        name: "open".to_owned(),
        is_keyless: false,
        allow: vec!["notes: *".parse().unwrap()],
        write_budgets: Vec::new(),
        rate_limits: Vec::new(),
        lock: LockRule::Never,
    };
    Policy::new(vec![api], vec![plan], TimeZone::UTC)
}

fn fixture(credential: CredentialRule) -> TestEngine {
    let fixture = TestEngine::new();
    fixture.engine().replace_policy(policy(credential), settings());
    fixture
}

fn import(fixture: &TestEngine, text: &str) -> Result<KeyView, Failure> {
    let command = ImportKey {
        application: "reader".to_owned(),
        plan: Some("open".to_owned()),
        text: text.parse().unwrap(),
        origin: "elsewhere".to_owned(),
        name: Some("since 2023".to_owned()),
    };
    fixture.execute(&shell(), command).map(|edited| edited.now)
}

/// Whose key a request carries and where, or why it is refused.
fn call(
    fixture: &TestEngine,
    field: (&str, &str),
    query: &str,
) -> Result<(String, Option<CredentialPlace>), Reason> {
    let path_and_query = format!("/notes/1{query}");
    let fields = [HOST, (field.0, field.1.as_bytes())];
    let head = RequestHead {
        method: "GET",
        target: Target { scheme: None, authority: None, path_and_query: &path_and_query },
        version: HttpVersion::Http11,
        fields: Fields(&fields),
    };
    let rules = DoorRules::default();
    let caller = Caller { peer: address(), transport: Transport::Plain, rules: &rules };
    match fixture.engine().admit(&head, &caller) {
        Admission::Read(permit) => {
            let Identity::Key(key) = &permit.request().identity else { panic!("a key is needed") };
            Ok((key.id.to_string(), permit.request().credential))
        }
        Admission::Refused(refused) => Err(refused.problem.reason),
        other => panic!("{other:?}"),
    }
}

fn chosen() -> CredentialRule {
    CredentialRule { query_parameter: Some("key".into()), ..CredentialRule::default() }
        .in_header(HeaderName::from_static("user-key"), "user-key")
}

#[test]
fn it_calls_from_the_places_that_the_owner_chose_and_is_taken_out_there() {
    let fixture = fixture(chosen());
    for text in [TEXT, SHORT] {
        let id = import(&fixture, text).unwrap().id;
        let (header, query) = (Some(CredentialPlace::Header), Some(CredentialPlace::Query));
        assert_eq!(call(&fixture, ("user-key", text), ""), Ok((id.clone(), header)));
        assert_eq!(call(&fixture, ("accept", "a/b"), &format!("?key={text}")), Ok((id, query)));
        let bearer = format!("Bearer {text}");
        assert_eq!(call(&fixture, ("authorization", &bearer), ""), Err(Reason::KeyMissing));
        assert_eq!(call(&fixture, ("x-api-key", text), ""), Err(Reason::KeyMissing));
        // One character more or less is another text.
        for other in [format!("{text}1"), text[1..].to_owned(), text.to_uppercase()] {
            assert_eq!(call(&fixture, ("user-key", &other), ""), Err(Reason::KeyUnknown));
        }
    }
}

#[test]
fn it_calls_from_the_usual_field_also_where_nobody_chose_one() {
    let fixture = fixture(CredentialRule::default());
    let id = import(&fixture, TEXT).unwrap().id;
    let header = Some(CredentialPlace::Header);
    assert_eq!(call(&fixture, ("x-api-key", TEXT), ""), Ok((id, header)));
    assert_eq!(call(&fixture, ("x-api-key", SHORT), ""), Err(Reason::KeyUnknown));
}

#[test]
fn it_is_listed_by_what_its_text_can_spare_and_named_by_that_its_id_or_its_text() {
    let fixture = fixture(chosen());
    let (long, short) = (import(&fixture, TEXT).unwrap(), import(&fixture, SHORT).unwrap());
    assert_eq!(long.prefix, "8c2f01de");
    assert_eq!(short.prefix, format!("imported_{}", &short.id[short.id.len() - 8..]));
    for (key, text) in [(&long, TEXT), (&short, SHORT)] {
        assert_eq!(key.origin.as_deref(), Some("elsewhere"));
        assert_eq!((key.plan.as_str(), key.note.as_deref()), ("open", Some("since 2023")));
        for name in [text, &key.id, &key.prefix] {
            let shown = fixture.execute(&shell(), ShowKey { key: name.to_owned() }).unwrap();
            assert_eq!(shown.key.id, key.id);
        }
    }
    let kinds = fixture.event_kinds();
    assert_eq!(kinds.iter().filter(|kind| *kind == "key_imported").count(), 2);
}

#[test]
fn a_text_is_refused_that_is_a_key_already_or_names_one() {
    let fixture = fixture(chosen());
    let key = import(&fixture, TEXT).unwrap();
    let refused = |text: &str| {
        let failure = import(&fixture, text).unwrap_err();
        assert_eq!(failure.kind, FailureKind::Conflict);
        assert!(!failure.message.contains(text), "the text is told: {failure}");
        failure.message
    };
    assert_eq!(
        refused(TEXT),
        "there is already a key with this text: 8c2f01de of the application reader"
    );
    fixture.execute(&shell(), RevokeKey { key: key.id.clone(), expected: Expected::Any }).unwrap();
    assert!(refused(TEXT).starts_with("there is already"));
    assert_eq!(call(&fixture, ("user-key", TEXT), ""), Err(Reason::KeyRevoked));
    assert!(refused(&key.id).contains("by which that is named"));
    assert!(refused(&key.prefix).contains("by which that is named"));
    let own = KeyText::from_random(&KeyPrefix::default(), [1; 32]);
    assert!(own.expose().parse::<keystile_core::keys::imported::ImportedText>().is_err());
}

#[test]
fn its_successor_is_a_key_of_our_own() {
    let fixture = fixture(chosen());
    let old = import(&fixture, TEXT).unwrap();
    let roll = RollKey { key: old.id, grace_millis: 60_000, expected: Expected::Any };
    let new = fixture.execute(&shell(), roll).unwrap();
    assert!(new.key.starts_with("ks_") && call(&fixture, ("user-key", &new.key), "").is_ok());
    let shown = fixture.execute(&shell(), ShowKey { key: new.id }).unwrap();
    assert_eq!((shown.key.origin, shown.key.note), (None, None));
    assert!(call(&fixture, ("user-key", TEXT), "").is_ok(), "it goes on for a while");
}

#[test]
fn its_text_is_in_no_file_of_the_store_and_prints_nowhere() {
    let fixture = fixture(chosen());
    import(&fixture, TEXT).unwrap();
    import(&fixture, SHORT).unwrap();
    for file in ["keystile.db", "keystile.db-wal"] {
        let bytes = std::fs::read(fixture.path(file)).unwrap();
        for text in [TEXT, SHORT] {
            let is_in = bytes.windows(text.len()).any(|window| window == text.as_bytes());
            assert!(!is_in, "{file} holds a key");
        }
    }
    let engine = format!("{:?}", Arc::clone(fixture.engine()));
    assert!(!engine.contains(SHORT));
}

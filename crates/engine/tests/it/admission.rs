//! Requests of any door: admitted, reserved, and settled by somebody else.

use std::sync::Arc;

use jiff::tz::TimeZone;
use keystile_core::budget::Per;
use keystile_core::journal::Outcome;
use keystile_core::keys::lock::LockRule;
use keystile_core::policy::api::{ApiSpec, Mode, UpstreamRule};
use keystile_core::policy::operation::{BodyKind, BodyRule, OperationRule};
use keystile_core::policy::{BudgetSpec, PlanSpec, Policy};
use keystile_core::refusal::Reason;
use keystile_core::request::credential::CredentialRule;
use keystile_core::request::head::{Fields, HttpVersion, RequestHead, Target};
use keystile_core::reservation::id::ReservationId;
use keystile_core::time::Span;
use keystile_engine::admission::caller::{Caller, DoorRules, Transport};
use keystile_engine::admission::held::{HeldWrite, SETTLE_WITHIN, SettleError};
use keystile_engine::{Admission, Refused};
use keystile_store::completion_queue::CompletionQueue;
use keystile_store::journal::{RecordOwner, RecordQuery};
use keystile_store::reservation::Settlement;

use crate::test_engine::{TestEngine, address, settings, wait};

/// Callers without a key may do everything, and write as often as the quota says. A POST of items counts
/// them.
pub(crate) fn policy(mode: Mode, quota: &str) -> Policy {
    let items = BodyRule { kind: BodyKind::Items { at: None }, cost_max: None };
    let counted =
        OperationRule { body: Some(items), ..OperationRule::new("POST /items".parse().unwrap()) };
    let api = ApiSpec {
        name: "notes".to_owned(),
        hosts: Vec::new(),
        path: String::new(),
        mode,
        matrix_parameters: false,
        credential: CredentialRule {
            query_parameter: Some("key".into()),
            ..CredentialRule::default()
        },
        body_bytes_max: Some(100),
        count_bytes_max: 1 << 20,
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
        operations: vec![counted],
    };
    let budget =
        BudgetSpec { name: None, quota: quota.parse().unwrap(), on: Vec::new(), per: Per::Key };
    let plan = PlanSpec {
        name: "anybody".to_owned(),
        is_keyless: true,
        allow: vec!["notes: *".parse().unwrap()],
        write_budgets: vec![budget],
        rate_limits: Vec::new(),
        lock: LockRule::Never,
    };
    Policy::new(vec![api], vec![plan], TimeZone::UTC)
}

fn guarded() -> TestEngine {
    let fixture = TestEngine::new();
    fixture.engine().replace_policy(policy(Mode::Enforce, "2 per day"), settings());
    fixture
}

fn admit(fixture: &TestEngine, method: &str, fields: &[(&str, &[u8])]) -> Admission {
    let head = RequestHead {
        method,
        target: Target { scheme: None, authority: None, path_and_query: "/notes/1" },
        version: HttpVersion::Http11,
        fields: Fields(fields),
    };
    let rules = DoorRules::default();
    let caller = Caller { peer: address(), transport: Transport::Plain, rules: &rules };
    fixture.engine().admit(&head, &caller)
}

pub(crate) const HOST: (&str, &[u8]) = ("Host", b"api.example");

fn hold(fixture: &TestEngine) -> Result<HeldWrite, Refused> {
    let Admission::Write(permit) = admit(fixture, "DELETE", &[HOST]) else {
        panic!("a DELETE writes")
    };
    wait(fixture.engine().reserve_by_id(permit))
}

fn outcomes(fixture: &TestEngine) -> Vec<Outcome> {
    let store = fixture.engine().store();
    wait(store.flush()).unwrap();
    let all = RecordQuery { limit: 10, ..RecordQuery::default() };
    let records = wait(store.list_records(RecordOwner::default(), all)).unwrap();
    records.into_iter().rev().map(|record| record.outcome).collect()
}

#[test]
fn any_door_is_told_what_a_request_does_whatever_case_its_fields_have() {
    let fixture = guarded();
    assert!(matches!(admit(&fixture, "GET", &[HOST]), Admission::Read(_)));
    assert!(matches!(admit(&fixture, "PUT", &[HOST]), Admission::Write(_)));
    for (fields, reason) in [
        (&[][..], Reason::HostInvalid),
        (&[HOST, ("hOST", b"api.example")], Reason::HostInvalid),
        (&[HOST, ("CONTENT-length", b"1"), ("content-Length", b"1")], Reason::FramingInvalid),
        (&[HOST, ("Content-LENGTH", b"101")], Reason::BodyTooLarge),
        (&[HOST, ("X-Api-KEY", b"a"), ("x-API-key", b"b")], Reason::CredentialRepeated),
    ] {
        let Admission::Refused(refused) = admit(&fixture, "PUT", fields) else {
            panic!("{fields:?} pass")
        };
        assert_eq!(refused.problem.reason, reason, "{fields:?}");
    }
}

#[test]
fn a_write_is_settled_once_by_whoever_has_its_id() {
    let fixture = guarded();
    let held = hold(&fixture).unwrap();
    assert_eq!(outcomes(&fixture), [Outcome::Pending]);
    let id = held.id.unwrap().to_string().parse().unwrap();
    let settle = |outcome| {
        let settlement = Settlement { outcome, status: Some(204), ..Settlement::NOT_SENT };
        fixture.engine().settle_by_id(id, settlement)
    };
    let refused = SettleError::NoSuchEnd(Outcome::Refused);
    assert_eq!(settle(Outcome::Refused), Err(refused));
    assert_eq!(settle(Outcome::Applied), Ok(()));
    assert_eq!(settle(Outcome::NotSent), Err(SettleError::NotOpen));
    assert_eq!(outcomes(&fixture), [Outcome::Applied]);
    let unknown = ReservationId::from_random([7; 16]);
    let other = fixture.engine().settle_by_id(unknown, Settlement::NOT_SENT);
    assert_eq!(other, Err(SettleError::NotOpen));
}

#[test]
fn what_nobody_settles_in_time_was_handed_over_and_stays_counted() {
    let fixture = guarded();
    let id = hold(&fixture).unwrap().id.unwrap();
    let now = fixture.engine().store().now();
    fixture.engine().hand_over_overdue(now);
    assert_eq!(outcomes(&fixture), [Outcome::Pending]);
    fixture.engine().hand_over_overdue(now.plus(SETTLE_WITHIN));
    assert_eq!(outcomes(&fixture), [Outcome::HandedOver]);
    let late = fixture.engine().settle_by_id(id, Settlement::NOT_SENT);
    assert_eq!(late, Err(SettleError::NotOpen));
    hold(&fixture).unwrap();
    assert_eq!(hold(&fixture).unwrap_err().problem.reason, Reason::BudgetExhausted);
}

#[test]
fn what_another_gateway_sends_was_handed_over_after_a_restart_and_what_we_send_is_unknown() {
    let mut fixture = guarded();
    hold(&fixture).unwrap();
    let Admission::Write(permit) = admit(&fixture, "DELETE", &[HOST]) else {
        panic!("a DELETE writes")
    };
    let completions = Arc::<CompletionQueue>::default();
    let ours = wait(async {
        tokio::select! {
            reserved = fixture.engine().reserve(permit, &completions) => reserved,
            () = fixture.engine().store().drain_completions(&completions) => panic!("it goes on"),
        }
    });
    assert_eq!(outcomes(&fixture), [Outcome::Pending, Outcome::Pending]);
    // As a crash would leave it: a store that has closed takes no settlement.
    fixture.engine().store().close();
    drop(ours.unwrap());
    fixture.later(1_000);
    assert_eq!(outcomes(&fixture), [Outcome::HandedOver, Outcome::Unknown]);
}

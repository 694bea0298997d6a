use keystile_core::actor::Actor;
use keystile_core::budget::Per;
use keystile_core::journal::{Outcome, WriteRecord};
use keystile_core::keys::application::ApplicationState;
use keystile_core::keys::lock::{Lock, LockLevel, LockTarget};
use keystile_core::owners::scope::Scope;
use keystile_core::refusal::Reason;
use keystile_engine::audit::{AuditFault, AuditReport};
use keystile_engine::findings::{Finding, FindingLevel};
use keystile_engine::keys::application::{ApplicationDetails, ApplicationView};
use keystile_engine::keys::key::{BudgetView, KeyView};
use keystile_engine::keys::shared_budgets::SharedBudgetView;
use keystile_engine::keys::source_finding::SourceStatus;
use keystile_engine::owners::owner::OwnerView;
use keystile_engine::owners::token::TokenView;
use keystile_engine::status::{ApiView, KeyCounts, StatusView};

use super::super::session::{Color, Medium, Screen};
use super::super::tests::{a_key, a_locked_key, a_record, at, screen};
use keystile_core::text::is_hidden;

const WIDTHS: [u16; 3] = [40, 60, 100];

/// The pages of a renderer at each width, where none may be wider than the terminal.
fn pages(render: impl Fn(&Screen) -> String) -> String {
    let page = |width: u16| {
        let page = render(&screen(Some(width)));
        for line in page.lines() {
            assert!(line.chars().count() <= usize::from(width), "{line:?} at {width}");
            assert!(!line.contains("\\u{"), "{line:?} has a line end of ours written out");
        }
        format!("{}\n{page}", "-".repeat(width.into()))
    };
    WIDTHS.map(page).join("\n")
}

fn some_keys() -> Vec<KeyView> {
    vec![
        a_key(1),
        KeyView {
            last_write: Some(at("2026-11-24T11:57:00Z")),
            application: "bookmark importer of ada".into(),
            ..a_key(2)
        },
        a_locked_key().key,
        KeyView { expires: Some(at("2026-11-25T10:00:00Z")), ..a_key(3) },
        KeyView { state: "revoked".into(), ..a_key(4) },
    ]
}

fn some_records() -> Vec<WriteRecord> {
    vec![
        WriteRecord {
            outcome: Outcome::Refused,
            reason: Some(Reason::KeyLocked),
            status: Some(403),
            count: 489,
            ..a_record(104)
        },
        WriteRecord {
            outcome: Outcome::Pending,
            status: None,
            method: "POST".into(),
            path: "/bookmarks".into(),
            ..a_record(103)
        },
        WriteRecord {
            outcome: Outcome::Unknown,
            status: Some(502),
            application: None,
            ..a_record(102)
        },
        WriteRecord { reason: Some(Reason::RateLimited), ..a_record(101) },
        WriteRecord {
            outcome: Outcome::RefusedByUpstream,
            status: Some(404),
            path: format!("/{}", "x".repeat(1000)),
            ..a_record(100)
        },
    ]
}

#[test]
fn keys() {
    insta::assert_snapshot!(pages(|screen| super::keys(&some_keys(), screen)));
}

#[test]
fn a_key_with_its_history() {
    insta::assert_snapshot!(pages(|screen| super::key(&a_locked_key(), screen)));
}

#[test]
fn records() {
    insta::assert_snapshot!(pages(|screen| super::records(&some_records(), screen)));
}

#[test]
fn a_record_in_full() {
    insta::assert_snapshot!(pages(|screen| super::record(&some_records()[0], screen)));
}

#[test]
fn records_as_they_come() {
    let lines: Vec<_> = some_records()[..4]
        .iter()
        .map(|record| super::follow_line(record, &screen(None)))
        .collect();
    insta::assert_snapshot!(lines.join("\n"));
}

#[test]
fn events_and_whether_their_chain_is_whole() {
    let fault = AuditFault { event: Some(7), problem: "event 7 is not what was written".into() };
    let report = |fault| AuditReport { older: 3, count: 1204, head: "0a".repeat(32), fault };
    insta::assert_snapshot!(pages(|screen| {
        format!(
            "{}\n{}\n{}",
            super::events(&a_locked_key().events, screen),
            super::audit(&report(None), screen),
            super::audit(&report(Some(fault.clone())), screen),
        )
    }));
}

#[test]
fn owners_and_tokens() {
    let created = at("2026-11-20T09:00:00Z");
    let owner = OwnerView {
        id: "owner_000000000000000000000190b2c3d4e5".parse().unwrap(),
        name: "Ada Lovelace".into(),
        handle: "00000000-0000-0000-0000-000000000000".parse().unwrap(),
        has_password: true,
        passkeys: 2,
        recovery_codes: 9,
        created,
    };
    let token = TokenView {
        id: "token_000000000000000000000190b2c3d4e5".parse().unwrap(),
        name: "provisioning".into(),
        scope: Scope::Write,
        state: "active".into(),
        actor: Actor::Owner("Ada Lovelace".into()),
        created,
        expires: Some(at("2026-11-25T09:00:00Z")),
        used: None,
        revoked: None,
    };
    let revoked = TokenView { state: "revoked".into(), used: Some(created), ..token.clone() };
    insta::assert_snapshot!(pages(|screen| {
        let tokens = [token.clone(), revoked.clone()];
        format!(
            "{}\n{}",
            super::owners(std::slice::from_ref(&owner), screen),
            super::tokens(&tokens, screen)
        )
    }));
}

#[test]
fn applications() {
    let application = |name: &str, state| ApplicationView {
        id: "app_000000000000000000000190b2c3d4e5".into(),
        name: name.into(),
        plan: "open".into(),
        state,
        created: at("2026-11-20T09:00:00Z"),
        keys: 2,
        note: None,
        lock: None,
    };
    let lock = Lock {
        level: LockLevel::Writes,
        reason:
            "the application went over its write budget shared, 100 per day for all of its keys"
                .into(),
        actor: Actor::Budget("shared".into()),
        since: at("2026-11-24T09:00:00Z"),
        until: None,
        evidence: Some("POST /bookmarks from 192.0.2.7".into()),
        on: LockTarget::Application,
    };
    let listed = [
        application("reader", ApplicationState::Active),
        application("crawler", ApplicationState::Suspended),
        ApplicationView { lock: Some(lock), ..application("team", ApplicationState::Active) },
    ];
    let budget = |name: &str, per| SharedBudgetView {
        plan: "open".into(),
        budget: BudgetView {
            name: name.into(),
            quota: "100 per day".into(),
            per,
            used: 100,
            remaining: 0,
            frees_at: Some(at("2026-11-25T09:00:00Z")),
        },
    };
    let details = ApplicationDetails {
        application: listed[2].clone(),
        budgets: vec![budget("shared", Per::Application), budget("everybody", Per::Plan)],
        keys_list: some_keys(),
    };
    insta::assert_snapshot!(pages(|screen| {
        format!(
            "{}\n{}",
            super::applications(&listed, screen),
            super::application(&details, screen)
        )
    }));
}

#[test]
fn the_server() {
    let status = StatusView {
        running: true,
        version: "0.1.0".into(),
        started: Some(at("2026-11-24T09:00:00Z")),
        gate: vec!["127.0.0.1:7070".into()],
        console: Some("127.0.0.1:7080".into()),
        data: "/var/lib/keystile".into(),
        apis: vec![ApiView {
            name: "bookmarks".into(),
            mode: "observe".into(),
            upstream: vec!["http://127.0.0.1:7071".into(), "http://127.0.0.1:7072".into()],
        }],
        plans: vec!["open".into(), "trusted".into()],
        policy: "Read 2026-11-24 09:00:00 UTC from keystile.toml.".into(),
        keys: KeyCounts { active: 12, locked: 1, revoked: 0 },
        records: 1_234_567,
        writes_today: 4321,
        store_bytes: 84_000_000,
        store: "writes are recorded".into(),
        sources: vec![SourceStatus {
            name: "3scale main".into(),
            synchronized: Some(at("2026-11-24T09:00:00Z")),
            problem: None,
            differences: 2,
        }],
    };
    insta::assert_snapshot!(pages(|screen| super::status(&status, screen)));
}

#[test]
fn findings() {
    let finding = |level, subject: &str, message: &str, help: Option<&str>| Finding {
        level,
        subject: subject.into(),
        message: message.into(),
        help: help.map(Into::into),
    };
    let found = [
        finding(
            FindingLevel::Problem,
            "store",
            "The disk is full.",
            Some("Free some space, then run `keystile doctor` again."),
        ),
        finding(FindingLevel::Good, "configuration", "keystile.toml has no mistakes.", None),
        finding(
            FindingLevel::Warning,
            "upstream",
            "http://127.0.0.1:7071 does not answer.",
            Some("Start the API."),
        ),
    ];
    insta::assert_snapshot!(pages(|screen| super::findings(&found, screen)));
    let for_programs = super::findings(&found, &screen(None));
    assert_eq!(for_programs.lines().count(), 1 + found.len(), "{for_programs}");
}

#[test]
fn output_that_is_no_terminal_has_every_column_and_breaks_no_line() {
    let table = super::records(&some_records(), &screen(None));
    assert_eq!(table.lines().count(), 6);
    assert!(table.contains(&"x".repeat(1000)) && table.contains("192.0.2.7"));
}

#[test]
fn nothing_from_outside_reaches_a_terminal_as_it_is() {
    let hostile = "a\u{1b}[2J\u{1b}]0;x\u{7}\r\nb\u{202e}c\u{200b}\u{9b}1m";
    let record = WriteRecord {
        key: Some(hostile.into()),
        application: Some(hostile.into()),
        plan: Some(hostile.into()),
        api: hostile.into(),
        operation: hostile.into(),
        method: hostile.into(),
        path: hostile.into(),
        address: hostile.into(),
        user_agent: Some(hostile.into()),
        ..a_record(1)
    };
    let mut key = a_locked_key();
    for text in
        [&mut key.key.application, &mut key.key.plan, &mut key.key.state, &mut key.key.prefix]
    {
        *text = hostile.into();
    }
    let lock = key.key.lock.as_mut().unwrap();
    (lock.reason, lock.evidence) = (hostile.into(), Some(hostile.into()));
    key.events[0].detail = hostile.into();
    key.budgets[0].name = hostile.into();
    for width in [Some(40), Some(60), Some(100), None] {
        let screen = screen(width);
        for page in [
            super::records(std::slice::from_ref(&record), &screen),
            super::record(&record, &screen),
            super::follow_line(&record, &screen),
            super::keys(std::slice::from_ref(&key.key), &screen),
            super::key(&key, &screen),
        ] {
            assert!(!page.chars().any(|c| c != '\n' && is_hidden(c)), "{page:?}");
        }
    }
    assert_eq!(super::follow_line(&record, &screen(None)).lines().count(), 1);
}

#[test]
fn color_repeats_what_a_word_says_and_only_on_terminals() {
    let terminal = |color| Screen { stdout: Medium::Terminal, color, ..screen(Some(100)) };
    let plain = super::keys(&some_keys(), &screen(Some(100)));
    assert_eq!(super::keys(&some_keys(), &terminal(Color::Unwanted)), plain);
    let colored = super::keys(&some_keys(), &terminal(Color::Wanted));
    assert!(colored.contains("\u{1b}["));
    let piped = Screen { color: Color::Wanted, ..screen(Some(100)) };
    assert_eq!(super::keys(&some_keys(), &piped), plain);
}

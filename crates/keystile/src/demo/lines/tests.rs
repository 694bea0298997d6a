//! Lines as they are printed, at several widths.

use http::StatusCode;
use keystile_core::actor::Actor;
use keystile_core::journal::RecordId;
use keystile_core::refusal::Reason;

use super::*;

fn lines(width: Option<u16>) -> Lines {
    let screen = Screen {
        stdin: Medium::Other,
        stdout: Medium::Terminal,
        stderr: Medium::Other,
        color: Color::Unwanted,
        width,
        now: Timestamp(0),
    };
    Lines::new(screen, TimeZone::UTC)
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn record(request: &str, status: u16, outcome: Outcome, reason: Option<Reason>) -> WriteRecord {
    let (method, path) = request.split_once(' ').unwrap();
    WriteRecord {
        id: RecordId(1),
        time: at("2026-11-24T11:56:30.5Z"),
        key: Some("key_7".to_owned()),
        application: Some("sweeper".to_owned()),
        plan: Some("open".to_owned()),
        api: "bookmarks".to_owned(),
        operation: request.to_owned(),
        method: method.to_owned(),
        path: path.to_owned(),
        address: "127.0.0.1".to_owned(),
        user_agent: None,
        request_bytes: None,
        response_bytes: None,
        status: Some(status),
        duration_ms: None,
        outcome,
        reason,
        cost: 1,
        count: if reason.is_some() { 3 } else { 1 },
    }
}

fn intro() -> Intro {
    Intro {
        gate: "http://127.0.0.1:7070".to_owned(),
        api: "http://127.0.0.1:41234".to_owned(),
        health: "http://127.0.0.1:7080".to_owned(),
        console: format!("http://localhost:7080/claim/ksc_{}_000000", "0".repeat(43)),
        file: "/tmp/keystile-demo-a1B2c3/keystile.toml".to_owned(),
        data: "/tmp/keystile-demo-a1B2c3/data".to_owned(),
        program: "keystile".to_owned(),
        key: "ks_KEY".to_owned(),
    }
}

fn locked() -> KeyView {
    KeyView {
        origin: None,
        id: "key_7".to_owned(),
        prefix: "ks_4fGh2k07".to_owned(),
        application: "sweeper".to_owned(),
        plan: "open".to_owned(),
        state: "locked".to_owned(),
        lock: Some(Lock {
            level: LockLevel::Writes,
            reason: "went over its write budget writes-minute, 20 per minute".to_owned(),
            actor: Actor::Budget("20 per minute".to_owned()),
            since: at("2026-11-24T11:56:30.5Z"),
            until: None,
            evidence: Some("DELETE /bookmarks/41 from 127.0.0.1".to_owned()),
            on: keystile_core::keys::lock::LockTarget::Key,
        }),
        created: Timestamp(0),
        expires: None,
        last_write: None,
        last_call: None,
        note: None,
    }
}

fn story(lines: &Lines) -> String {
    let standing = Standing { used: 20, quota: "20 per minute".to_owned() };
    let read =
        Read { application: "sweeper", path: "/bookmarks".to_owned(), status: StatusCode::OK };
    let unlocked = KeyView { state: "active".to_owned(), lock: None, ..locked() };
    [
        lines
            .record(&record("DELETE /bookmarks/123", 204, Outcome::Applied, None), Some(&standing)),
        lines.record(
            &record("POST /bookmarks", 400, Outcome::RefusedByUpstream, None),
            Some(&standing),
        ),
        lines.record(
            &record("PUT /bookmarks/41", 403, Outcome::Refused, Some(Reason::KeyLocked)),
            Some(&standing),
        ),
        lines.record(
            &record("PUT /bookmarks/41", 401, Outcome::Refused, Some(Reason::KeyMissing)),
            None,
        ),
        lines.key(&locked(), &intro()),
        lines.read(at("2026-11-24T11:56:31Z"), &read),
        lines.key(&unlocked, &intro()),
    ]
    .concat()
}

#[test]
fn a_wide_terminal_has_a_line_for_each_write() {
    insta::assert_snapshot!(story(&lines(Some(100))));
}

#[test]
fn sixty_columns_are_enough() {
    let text = story(&lines(Some(60)));
    insta::assert_snapshot!(text);
    // What is to be pasted stays on one line, which the terminal breaks.
    let to_read = |line: &&str| {
        !["keystile ", "curl ", "http"].iter().any(|begin| line.trim_start().starts_with(begin))
    };
    for line in text.lines().chain(lines(Some(60)).intro(&intro()).lines()).filter(to_read) {
        assert!(line.chars().count() <= 60, "{line}");
    }
}

#[test]
fn the_introduction_has_lines_to_paste() {
    insta::assert_snapshot!(lines(Some(60)).intro(&intro()));
}

#[test]
fn what_a_stranger_sent_does_not_reach_the_terminal_as_it_is() {
    let nasty =
        record("DELETE /\u{1b}[2J\u{202e}", 404, Outcome::Refused, Some(Reason::HostUnknown));
    let nasty = WriteRecord { application: Some("a\u{7}".to_owned()), ..nasty };
    for width in [None, Some(60)] {
        let line = lines(width).record(&nasty, None);
        assert!(
            !line.trim_end().chars().any(|c| c.is_control() || c == '\u{202e}')
                || line.contains("\n         "),
            "{line:?}"
        );
        assert!(!line.contains(['\u{1b}', '\u{7}', '\u{202e}']), "{line:?}");
    }
}

#[test]
fn color_is_for_terminals_that_want_it() {
    let write = record("POST /bookmarks", 201, Outcome::Applied, None);
    let colored = |stdout, color| {
        let Lines { screen, zone } = lines(None);
        Lines::new(Screen { stdout, color, ..screen }, zone).record(&write, None).contains('\u{1b}')
    };
    assert!(colored(Medium::Terminal, Color::Wanted));
    assert!(!colored(Medium::Other, Color::Wanted));
    assert!(!colored(Medium::Terminal, Color::Unwanted));
}

#[test]
fn a_budget_is_told_by_its_window() {
    for (quota, text) in [
        ("20 per minute", "3/20 this minute"),
        ("10 per 2 hours", "3/10 in 2 hours"),
        ("500 per month calendar", "3/500 this month"),
    ] {
        assert_eq!(count(&Standing { used: 3, quota: quota.to_owned() }), text);
    }
}

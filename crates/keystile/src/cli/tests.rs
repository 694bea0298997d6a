//! Commands from line to output, against an engine that is played by the test.

mod journal;
mod key;
mod listing;

use std::collections::VecDeque;
use std::io::{self, Write};
use std::process::ExitCode;

use clap::Parser as _;
use keystile_core::actor::Actor;
use keystile_core::audit::AuditEvent;
use keystile_core::journal::{Outcome, RecordId, WriteRecord};
use keystile_core::keys::lock::{Lock, LockLevel, LockTarget};
use keystile_core::time::Timestamp;
use keystile_engine::command::wire::WireCommand;
use keystile_engine::command::{Edited, Failure, FailureKind};
use keystile_engine::keys::create::NewKey;
use keystile_engine::keys::key::{BudgetView, KeyDetails, KeyView};
use serde::Serialize;

use super::arguments::{Arguments, CliCommand};
use super::session::{Color, Medium, Screen, Session, Terminal};
use crate::exchange::{Answer, Answerer};

/// The time at which the tests play.
pub(super) fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

pub(super) fn screen(width: Option<u16>) -> Screen {
    Screen {
        stdin: Medium::Other,
        stdout: Medium::Other,
        stderr: Medium::Other,
        color: Color::Unwanted,
        width,
        now: at("2026-11-24T12:00:00Z"),
    }
}

pub(super) fn a_record(id: i64) -> WriteRecord {
    WriteRecord {
        id: RecordId(id),
        time: at("2026-11-24T11:56:30.5Z"),
        key: Some("key_000000000000000000000190b2c3d4e5".into()),
        application: Some("reader".into()),
        plan: Some("open".into()),
        api: "bookmarks".into(),
        operation: "DELETE /bookmarks/{id}".into(),
        method: "DELETE".into(),
        path: format!("/bookmarks/{id}"),
        address: "192.0.2.7".into(),
        user_agent: Some("curl/8.5.0".into()),
        request_bytes: Some(0),
        response_bytes: None,
        status: Some(204),
        duration_ms: Some(12),
        outcome: Outcome::Applied,
        reason: None,
        cost: 1,
        count: 1,
    }
}

pub(super) fn a_key(number: u32) -> KeyView {
    KeyView {
        id: format!("key_{number:032x}"),
        prefix: format!("ks_4fGh2k{number:02}"),
        origin: None,
        application: "reader".into(),
        plan: "open".into(),
        state: "active".into(),
        lock: None,
        created: at("2026-11-20T09:00:00Z"),
        expires: None,
        last_write: None,
        last_call: None,
        note: None,
    }
}

pub(super) fn a_locked_key() -> KeyDetails {
    let actor = Actor::Budget("10 per day".into());
    let since = at("2026-11-24T11:30:00Z");
    let lock = Lock {
        level: LockLevel::Writes,
        reason: "The write budget of 10 per day was used up.".into(),
        actor: actor.clone(),
        since,
        until: None,
        evidence: Some("DELETE /bookmarks/41 from 192.0.2.7".into()),
        on: LockTarget::Key,
    };
    let key =
        KeyView { state: "locked".into(), lock: Some(lock), last_write: Some(since), ..a_key(7) };
    let budget = |name: &str, used, remaining, frees_at| BudgetView {
        name: name.into(),
        quota: name.into(),
        per: keystile_core::budget::Per::Key,
        used,
        remaining,
        frees_at,
    };
    let budgets = vec![
        budget("10 per day", 10, 0, Some(at("2026-11-25T09:10:00Z"))),
        budget("20 per minute", 0, 20, None),
    ];
    let event = |id, time, kind: &str, actor, detail: &str| AuditEvent {
        id,
        time,
        kind: kind.into(),
        key: Some(a_key(7).id),
        application: Some("reader".into()),
        subject: None,
        actor,
        detail: detail.into(),
    };
    let events = vec![
        event(2, since, "key_locked", actor, "The write budget of 10 per day was used up."),
        event(
            1,
            at("2026-11-20T09:00:00Z"),
            "key_created",
            Actor::CommandLine("ada".into()),
            "On plan open.",
        ),
    ];
    KeyDetails { key, budgets, events }
}

/// The streams of a test.
pub(super) struct TestTerminal {
    pub(super) stdout_open: bool,
    pub(super) stdin: &'static str,
    pub(super) screen: Screen,
    pub(super) stdout: Vec<u8>,
    pub(super) stderr: Vec<u8>,
}

impl Default for TestTerminal {
    fn default() -> Self {
        Self {
            stdout_open: true,
            stdin: "",
            screen: screen(None),
            stdout: Vec::new(),
            stderr: Vec::new(),
        }
    }
}

struct Stream<'a>(&'a mut Vec<u8>, bool);

impl Write for Stream<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.1 { self.0.write(bytes) } else { Err(io::ErrorKind::BrokenPipe.into()) }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl TestTerminal {
    pub(super) fn with_session<T>(
        &mut self,
        send: &mut dyn FnMut(WireCommand) -> Prepared,
        work: impl FnOnce(&mut Session<'_, '_>) -> T,
    ) -> T {
        let mut terminal = Terminal {
            stdin: &mut self.stdin.as_bytes(),
            stdout: &mut Stream(&mut self.stdout, self.stdout_open),
            stderr: &mut self.stderr,
            screen: self.screen,
        };
        work(&mut Session { terminal: &mut terminal, send })
    }

    /// Runs a line, whose words are parted by spaces, and says whether it succeeded.
    pub(super) fn run(
        &mut self,
        line: &str,
        send: &mut dyn FnMut(WireCommand) -> Prepared,
    ) -> bool {
        let arguments = Arguments::try_parse_from(line.split(' ')).unwrap();
        let code = self.with_session(send, |session| match arguments.subcommand {
            CliCommand::Store(command) => super::dispatch(&command, session),
            CliCommand::Paper(command) => super::print(&command, session.terminal),
            other => panic!("{other:?} is not carried out here"),
        });
        format!("{code:?}") == format!("{:?}", ExitCode::SUCCESS)
    }

    pub(super) fn stdout(&self) -> &str {
        str::from_utf8(&self.stdout).unwrap()
    }

    pub(super) fn stderr(&self) -> &str {
        str::from_utf8(&self.stderr).unwrap()
    }
}

/// What the engine of a test answers to one command.
pub(super) type Prepared = Result<Answer, Failure>;

/// An answer, whatever command it is for.
#[expect(clippy::unnecessary_wraps, reason = "it stands beside failures")]
pub(super) fn answer(value: impl Serialize) -> Prepared {
    Ok(Answer { value: serde_json::to_value(value).unwrap(), by: Answerer::Itself })
}

/// Gives prepared answers in turn and keeps what was asked.
pub(super) struct Engine {
    answers: VecDeque<Prepared>,
    pub(super) asked: Vec<WireCommand>,
}

impl Engine {
    pub(super) fn new(answers: impl IntoIterator<Item = Prepared>) -> Self {
        Self { answers: answers.into_iter().collect(), asked: Vec::new() }
    }

    pub(super) fn run(&mut self, line: &str) -> (TestTerminal, bool) {
        self.run_on(TestTerminal::default(), line)
    }

    pub(super) fn run_on(
        &mut self,
        mut terminal: TestTerminal,
        line: &str,
    ) -> (TestTerminal, bool) {
        let (answers, asked) = (&mut self.answers, &mut self.asked);
        let succeeded = terminal.run(line, &mut |command| {
            asked.push(command);
            answers.pop_front().expect("an answer is prepared")
        });
        (terminal, succeeded)
    }
}

/// What an edit of a key answers.
pub(super) fn edited(done: &str) -> Prepared {
    answer(Edited { done: done.to_owned(), now: a_key(7) })
}

pub(super) fn new_key(number: u32) -> NewKey {
    NewKey {
        id: format!("key_{number}"),
        key: format!("ks_secret{number}"),
        application: "reader".into(),
        plan: "open".into(),
        example: None,
    }
}

pub(super) fn failure() -> Prepared {
    Err(Failure {
        kind: FailureKind::Invalid,
        message: "no plan is named \"x\"\n\u{1b}[2J".into(),
        help: Some("try \"open\"".into()),
    })
}

#[test]
fn columns_of_an_export_are_the_fields_of_a_record() {
    let json = serde_json::to_value(a_record(1)).unwrap();
    let mut fields: Vec<_> = json.as_object().unwrap().keys().map(String::as_str).collect();
    let mut head = keystile_engine::export::CSV_HEAD.to_vec();
    fields.sort_unstable();
    head.sort_unstable();
    assert_eq!(head, fields);
}

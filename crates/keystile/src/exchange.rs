//! What the command line and a running server write to each other, one line of JSON each.
//!
//! Whoever replaces the program has a server of one version and commands of another until the restart. Both
//! sides therefore say their version, and either of them says so when it does not know what the other wrote.
//! A version that is not stated is older than this rule; whoever does not state one gets an answer without.

use keystile_engine::command::wire::WireCommand;
use keystile_engine::command::{Failure, FailureKind};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The version of this program.
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// How a server that does not state its version says that it does not know a command.
const NOT_UNDERSTOOD: &str = "the server does not understand the command";

const UNREADABLE: &str = "its answer cannot be read";

/// The answer to a command, before it is read as what the command asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// What was answered.
    pub value: Value,
    /// Who answered.
    pub by: Answerer,
}

/// Who carried a command out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answerer {
    /// This program, on the store.
    Itself,
    /// A running server; `None` where it does not state its version.
    Server(Option<String>),
}

impl Answer {
    /// Reads it as what the command asks for.
    ///
    /// # Errors
    /// When it is not that: the server is of another version then.
    pub fn read<T: for<'de> Deserialize<'de>>(self) -> Result<T, Failure> {
        let Self { value, by } = self;
        serde_json::from_value(value).map_err(|error| match by {
            Answerer::Server(version) => {
                let failure = other_version(version.as_deref(), Some(VERSION));
                let message =
                    format!("{}; it carried the command out, but {UNREADABLE}", failure.message);
                Failure { message, ..failure }
            }
            Answerer::Itself => Failure {
                kind: FailureKind::Fault,
                message: format!("{UNREADABLE}: {error}"),
                help: None,
            },
        })
    }
}

#[derive(Serialize)]
struct Request<'a> {
    version: &'static str,
    command: &'a WireCommand,
}

/// The line that asks a server for something.
pub(crate) fn request_line(command: &WireCommand) -> std::io::Result<Vec<u8>> {
    let mut line = serde_json::to_vec(&Request { version: VERSION, command })?;
    line.push(b'\n');
    Ok(line)
}

#[derive(Serialize)]
struct Reply<'a> {
    version: &'static str,
    answer: &'a Result<Value, Failure>,
}

/// What a command line asked for, and who it is.
#[derive(Debug)]
pub(crate) struct Received {
    version: Option<String>,
    pub(crate) command: Result<WireCommand, Failure>,
}

impl Received {
    /// Reads the line of a command line.
    pub(crate) fn read(line: &str) -> Self {
        if !line.ends_with('\n') {
            return Self { version: None, command: Err(cut_off()) };
        }
        let sent: Value = serde_json::from_str(line).unwrap_or_default();
        let version = sent["version"].as_str().map(str::to_owned);
        let command = understood(&sent["command"])
            .ok_or_else(|| other_version(Some(VERSION), version.as_deref()));
        Self { version, command }
    }

    /// The line that answers it, in a form that whoever asked can read.
    pub(crate) fn answer_line(&self, answer: &Result<Value, Failure>) -> std::io::Result<Vec<u8>> {
        let mut line = match &self.version {
            Some(_) => serde_json::to_vec(&Reply { version: VERSION, answer })?,
            None => serde_json::to_vec(answer)?,
        };
        line.push(b'\n');
        Ok(line)
    }
}

/// The command, where this version knows it with all that was said of it. What it does not know may be what
/// makes the command do less.
fn understood(sent: &Value) -> Option<WireCommand> {
    let command: WireCommand = serde_json::from_value(sent.clone()).ok()?;
    let known = serde_json::to_value(&command).ok()?;
    has_all(&known, sent).then_some(command)
}

fn has_all(known: &Value, sent: &Value) -> bool {
    match (known, sent) {
        (Value::Object(known), Value::Object(sent)) => sent.iter().all(|(name, value)| {
            known.get(name).map_or(value.is_null(), |known| has_all(known, value))
        }),
        (Value::Array(known), Value::Array(sent)) => {
            known.iter().zip(sent).all(|(known, sent)| has_all(known, sent))
        }
        (_, _) => true,
    }
}

/// Reads the line of a server.
pub(crate) fn read_answer(line: &str) -> std::io::Result<Result<Answer, Failure>> {
    if !line.ends_with('\n') {
        return Err(std::io::ErrorKind::UnexpectedEof.into());
    }
    let mut said: Value = serde_json::from_str(line).unwrap_or_default();
    let version = said["version"].as_str().map(str::to_owned);
    if version.is_some() {
        said = said["answer"].take();
    }
    let unknown = || other_version(version.as_deref(), Some(VERSION));
    Ok(match said {
        Value::Object(mut said) => match (said.remove("Ok"), said.remove("Err")) {
            (Some(value), None) => Ok(Answer { value, by: Answerer::Server(version) }),
            (None, Some(failure)) => {
                Err(read_failure(&failure, version.as_deref()).unwrap_or_else(unknown))
            }
            (_, _) => Err(unknown()),
        },
        _ => Err(unknown()),
    })
}

/// Reads a failure; one of a kind that is not known here says as much to whoever reads it.
fn read_failure(failure: &Value, version: Option<&str>) -> Option<Failure> {
    let message = failure["message"].as_str()?;
    if version.is_none() && message.starts_with(NOT_UNDERSTOOD) {
        return None;
    }
    Some(Failure {
        kind: FailureKind::deserialize(&failure["kind"]).unwrap_or_default(),
        message: message.to_owned(),
        help: failure["help"].as_str().map(str::to_owned),
    })
}

fn cut_off() -> Failure {
    Failure {
        kind: FailureKind::Invalid,
        message: "the command did not arrive as a whole".to_owned(),
        help: Some("a command is at most 64 KiB long".to_owned()),
    }
}

/// Why a server and a command line do not understand each other.
fn other_version(server: Option<&str>, command: Option<&str>) -> Failure {
    let details = match (server, command) {
        (Some(server), Some(command)) if server == command => {
            format!("both are {server}, of different builds")
        }
        (Some(server), Some(command)) => {
            format!("the server is {server}, the command is {command}")
        }
        (Some(server), None) => format!("the server is {server}, the command is older"),
        (None, Some(command)) => format!("the server is older, the command is {command}"),
        (None, None) => "neither says which".to_owned(),
    };
    Failure {
        kind: FailureKind::Conflict,
        message: format!(
            "the running server is another version of keystile than this command ({details})"
        ),
        help: Some("restart the server, or use the command of its version".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WORDS: &str = "the running server is another version of keystile than this command";

    #[track_caller]
    fn assert_said(line: &str, details: &str) {
        let (message, end) = match read_answer(&format!("{line}\n")).unwrap() {
            Ok(answer) => {
                let end = "; it carried the command out, but its answer cannot be read";
                (answer.read::<Vec<u32>>().unwrap_err().message, end)
            }
            Err(failure) => (failure.message, ""),
        };
        assert_eq!(message, format!("{WORDS} ({details}){end}"), "{line}");
    }

    #[test]
    fn an_answer_of_another_version_is_told_as_that() {
        for line in [
            "no JSON",
            "3",
            "{}",
            r#"{"Done":[]}"#,
            r#"{"Ok":{"keys":[]}}"#,
            r#"{"Err":"no"}"#,
            r#"{"Err":{"kind":"invalid","message":"the server does not understand the command: unknown variant `X`"}}"#,
        ] {
            assert_said(line, &format!("the server is older, the command is {VERSION}"));
            if serde_json::from_str::<Value>(line).is_ok() && !line.contains(NOT_UNDERSTOOD) {
                let newer = format!(r#"{{"version":"99.0.0","answer":{line}}}"#);
                assert_said(&newer, &format!("the server is 99.0.0, the command is {VERSION}"));
            }
        }
    }

    #[test]
    fn a_failure_of_an_unknown_kind_is_told_in_its_own_words() {
        let line = r#"{"Err":{"kind":"worn_out","message":"the disk is worn out"}}"#;
        let failure = read_answer(&format!("{line}\n")).unwrap().unwrap_err();
        assert_eq!(failure.message, "the disk is worn out");
    }

    #[test]
    fn an_answer_that_breaks_off_is_no_answer_of_another_version() {
        for line in ["", " ", r#"{"Ok":"#, r#"{"Ok":[]}"#] {
            assert!(read_answer(line).is_err(), "{line}");
        }
    }

    #[test]
    fn a_command_of_another_version_is_told_as_that_in_a_form_that_it_reads() {
        for (line, details) in [
            (
                r#"{"version":"99.0.0","command":{"command":"PaintKeys","arguments":null}}"#,
                "99.0.0",
            ),
            (r#"{"command":{"command":"ShowKey","arguments":{}}}"#, "older"),
            // It would be carried out without what it says in addition.
            (
                r#"{"version":"99.0.0","command":{"command":"ShowKey","arguments":{"key":"k","as_of":1}}}"#,
                "99.0.0",
            ),
        ] {
            let received = Received::read(&format!("{line}\n"));
            let failure = received.command.clone().unwrap_err();
            assert_eq!(
                failure.message,
                format!("{WORDS} (the server is {VERSION}, the command is {details})")
            );
            let answer = received.answer_line(&Err(failure.clone())).unwrap();
            let answer: Value = serde_json::from_slice(&answer).unwrap();
            let failures =
                if details == "older" { &answer["Err"] } else { &answer["answer"]["Err"] };
            assert_eq!(failures["message"], failure.message.as_str());
        }
    }

    #[test]
    fn a_command_without_a_version_and_with_fewer_words_is_carried_out() {
        let line = r#"{"command":{"command":"Reload","arguments":null}}"#;
        assert!(Received::read(&format!("{line}\n")).command.is_ok());
        assert_eq!(Received::read(line).command.unwrap_err(), cut_off());
    }
}

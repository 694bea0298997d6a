//! Carrying out what an owner asks for: each command goes to the file of its noun.

use keystile_core::label::{InvalidLabel, Label, NAME_CHARS_MAX};
use keystile_store::error::Error;

use crate::advice;
use crate::command::{Failure, FailureKind};

/// A listing never holds more than this in memory.
pub(crate) const LISTED_MAX: u32 = 10_000;

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let message = match std::error::Error::source(&error) {
            Some(source) => format!("{error}: {source}"),
            None => error.to_string(),
        };
        Self { kind: kind_of(&error), message, help: error.help() }
    }
}

fn kind_of(error: &Error) -> FailureKind {
    match error {
        Error::Missing(_) => FailureKind::Missing,
        Error::Exists(_) | Error::Conflict(_) => FailureKind::Conflict,
        Error::Stale(_) => FailureKind::Stale,
        Error::Unavailable | Error::Unanswered | Error::NoAnswer { .. } => FailureKind::Unavailable,
        Error::Directory { .. }
        | Error::BackupFile { .. }
        | Error::InUse { .. }
        | Error::NetworkFileSystem { .. }
        | Error::NotKeystile
        | Error::Newer { .. }
        | Error::Lost { .. }
        | Error::Gone { .. }
        | Error::Foreign(_)
        | Error::Corrupt(_)
        | Error::NotABackup { .. }
        | Error::Pepper { .. }
        | Error::Sqlite(_) => FailureKind::Fault,
    }
}

/// A failure with advice, because of what was asked for.
pub(crate) fn failure(message: impl Into<String>, help: &str) -> Failure {
    Failure { kind: FailureKind::Invalid, message: message.into(), help: Some(help.to_owned()) }
}

/// A failure with advice, because something does not exist.
pub(crate) fn missing(message: impl Into<String>, help: &str) -> Failure {
    Failure { kind: FailureKind::Missing, ..failure(message, help) }
}

/// Why something could not be done with a key, or with what else was named beside it.
pub(crate) fn key_failure(error: Error) -> Failure {
    match error {
        Error::Missing(what) if what.starts_with("key ") => {
            missing(format!("there is no {what}"), advice::LIST_KEYS)
        }
        other => other.into(),
    }
}

/// Why something could not be done with an application.
pub(crate) fn application_failure(error: Error) -> Failure {
    match error {
        Error::Missing(what) => missing(format!("there is no {what}"), advice::LIST_APPLICATIONS),
        other => other.into(),
    }
}

/// A failure with advice, because of the present state.
pub(crate) fn conflict(message: impl Into<String>, help: &str) -> Failure {
    Failure { kind: FailureKind::Conflict, ..failure(message, help) }
}

/// A note as it is kept; none where it is empty.
pub(crate) fn checked_note(note: &str) -> Result<Option<String>, Failure> {
    check_label(Label::Note, "a note", note)?;
    let note = note.trim();
    Ok((!note.is_empty()).then(|| note.to_owned()))
}

/// Whether owners may give something this text; `what` is its beginning in a sentence.
pub(crate) fn check_label(label: Label, what: &str, text: &str) -> Result<(), Failure> {
    label.check(text).map_err(|invalid| unfit(what, invalid))
}

fn unfit(what: &str, invalid: InvalidLabel) -> Failure {
    let help = match invalid {
        InvalidLabel::Empty => "write something",
        InvalidLabel::Blanks => "write it without blanks around it",
        InvalidLabel::TooLong { .. } => "write it shorter",
        InvalidLabel::Mark { .. } | InvalidLabel::Hidden { .. } => {
            "write it without that character"
        }
    };
    failure(format!("{what} {invalid}"), help)
}

/// The same for the name of something, as in `an owner`, at most so long. It must not look like an id.
pub(crate) fn check_name_of(
    what: &str,
    id_prefix: &str,
    name: &str,
    chars_max: usize,
) -> Result<(), Failure> {
    let what = format!("the name of {what}");
    Label::Name.check_up_to(name, chars_max).map_err(|invalid| unfit(&what, invalid))?;
    if name.starts_with(id_prefix) {
        return Err(failure(
            format!("{what} begins with {id_prefix}, as ids do"),
            "choose another name",
        ));
    }
    Ok(())
}

pub(crate) fn check_name(name: &str) -> Result<(), Failure> {
    check_name_of("an application", "app_", name, NAME_CHARS_MAX)
}

/// A length of time that cannot be.
pub(crate) fn too_long() -> Failure {
    failure("that length of time is out of bounds", "give at least 1 ms and at most 400 days")
}

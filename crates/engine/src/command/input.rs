//! What commands are given, held to what can be kept.

use keystile_core::label::{InvalidLabel, Label, NAME_CHARS_MAX};
use keystile_core::time::Span;

use super::failure::{Failure, failure};

/// A listing never holds more than this in memory.
pub(crate) const LISTED_MAX: u32 = 10_000;

/// How many a listing may have that was asked for so many; as many as it can where that is 0.
pub(crate) fn listed_limit(limit: u32) -> u32 {
    if limit == 0 { LISTED_MAX } else { limit.min(LISTED_MAX) }
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

/// A length of time, where one was given.
pub(crate) fn checked_span(millis: Option<i64>) -> Result<Option<Span>, Failure> {
    millis.map(checked_length).transpose()
}

/// A length of time.
pub(crate) fn checked_length(millis: i64) -> Result<Span, Failure> {
    Span::from_millis(millis).ok_or_else(|| {
        failure("that length of time is out of bounds", "give at least 1 ms and at most 400 days")
    })
}

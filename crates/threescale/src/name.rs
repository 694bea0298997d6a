//! Names from outside, as owners can read and type them here.

use keystile_core::label::Label;
use keystile_core::text::printable;

/// What ids of applications begin with, and names must not.
const ID_PREFIX: &str = "app_";

/// A text as a name of at most so many characters, where it can be one.
pub(crate) fn kept(text: &str, chars_max: usize) -> Option<String> {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let name: String = printable(&line).chars().take(chars_max).collect();
    let name = name.trim();
    let is_name = Label::Name.check(name).is_ok() && !name.starts_with(ID_PREFIX);
    is_name.then(|| name.to_owned())
}

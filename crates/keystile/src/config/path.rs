//! Where in the file something stands, by the keys that lead to it.

use super::diagnostic::Place;

/// One step from the top of the file toward a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Key(String),
    Index(usize),
}

/// What was taken out of the table: the path to it, and how it was written.
#[derive(Debug)]
pub(super) struct Removed {
    pub(super) path: Vec<Step>,
    pub(super) key_place: Place,
    pub(super) value_place: Place,
    pub(super) found: &'static str,
}

/// Something that was meant and could not be read. A misspelt key is lost under its right name.
#[derive(Debug)]
pub(super) struct Lost {
    pub(super) path: Vec<Step>,
    pub(super) key_place: Place,
}

impl Lost {
    /// Whether it is a key at the top of the file.
    pub(super) fn is_at(&self, key: &str) -> bool {
        matches!(self.path.as_slice(), [Step::Key(name)] if name == key)
    }
}

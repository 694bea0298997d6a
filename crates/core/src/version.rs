//! Which state of a key or an application an editor saw, so that nobody changes what they have not seen.
//!
//! A version is a hash of what can be edited. An edit that says which one it expects is compared inside
//! the transaction that changes it, so that of two editors who saw the same one, one is told. What moves
//! by itself (counts, last calls, history) is no part of it.

use std::fmt::Debug;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// Which versions of what it changes an edit is meant for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Expected {
    /// Whatever there is.
    #[default]
    Any,
    /// One of these; none at all where it is empty.
    OneOf(Vec<String>),
}

impl Expected {
    /// Whether an edit may go on, given the present version.
    pub fn allows(&self, present: impl FnOnce() -> String) -> bool {
        match self {
            Self::Any => true,
            Self::OneOf(versions) => versions.contains(&present()),
        }
    }
}

/// The version of a state: of a tuple of all that can be edited.
pub fn version_of(state: &impl Debug) -> String {
    // Debug quotes texts, so no two states are written alike. Half of the hash tells versions apart as well
    // as all of it.
    let hash = Sha256::digest(format!("{state:?}").as_bytes());
    hash.iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_edit_goes_on_only_from_a_version_that_it_names() {
        let present = || version_of(&("key_1", "open", None::<&str>));
        let other = version_of(&("key_1", "open", Some("")));
        assert_ne!(present(), other);
        assert!(Expected::Any.allows(present));
        assert!(Expected::OneOf(vec![other.clone(), present()]).allows(present));
        assert!(!Expected::OneOf(vec![other]).allows(present));
        assert!(!Expected::OneOf(Vec::new()).allows(present));
    }

    #[test]
    fn texts_cannot_be_moved_from_one_part_to_the_next() {
        assert_ne!(version_of(&("a\", \"b", "c")), version_of(&("a", "b\", \"c")));
    }
}

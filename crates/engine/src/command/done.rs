//! What a command that changes something answers.

use serde::{Deserialize, Serialize};

/// A command was carried out; a sentence for people says what was done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Done(pub String);

/// Something was edited: what was done, in a sentence for people, and how what was edited is now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Edited<V> {
    /// What was done.
    pub done: String,
    /// What was edited.
    pub now: V,
}

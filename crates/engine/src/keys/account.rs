//! What a door takes over that keeps accounts of another system itself, and what came of it.
//!
//! What an account is, is the affair of the door that knows it. It comes in parts that are small enough for one
//! message and one commit, so that nobody waits for a large one. The engine reads none of them, and says only who may
//! bring one.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A part of an account, as its door writes it. It may hold keys, so that it does not print.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct AccountPart(pub Value);

impl fmt::Debug for AccountPart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AccountPart([redacted])")
    }
}

/// What came of a part.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartReport {
    /// How many applications are new.
    pub added: u64,
    /// How many entries are other than before.
    pub changed: u64,
    /// How many are as they were.
    pub unchanged: u64,
    /// What changed, each in a sentence; new applications are only counted.
    pub changes: Vec<String>,
    /// What was not taken over and why, each in a sentence.
    pub problems: Vec<String>,
}

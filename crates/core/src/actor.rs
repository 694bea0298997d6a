//! Who did something, as the audit names them.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Who did something: to a key or an application, or to what guards them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "by", content = "name")]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub enum Actor {
    /// A write budget of the key's plan; the name is the budget's.
    Budget(String),
    /// Somebody at the command line; the name is their account's on that machine, with its number.
    CommandLine(String),
    /// An owner at the console; the name is theirs.
    Owner(String),
    /// A program at the admin API; the name is its token's.
    Token(String),
    /// Somebody who followed a one-click link; the name says which.
    Link(String),
    /// Another system that issues keys and stays in charge of them; the name says which.
    KeySource(String),
    /// Somebody who did not prove who they are.
    Stranger,
    /// The system that the server runs on, by a signal.
    System,
    /// The end of a lock that was set for a time.
    Time,
}

impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Budget(name) => write!(f, "budget {name}"),
            Self::CommandLine(account) => write!(f, "command line ({account})"),
            Self::Owner(name) => write!(f, "owner {name}"),
            Self::Token(name) => write!(f, "token {name}"),
            Self::Link(name) => write!(f, "link {name}"),
            Self::KeySource(name) => write!(f, "key source {name}"),
            Self::Stranger => f.write_str("somebody"),
            Self::System => f.write_str("system"),
            Self::Time => f.write_str("time"),
        }
    }
}

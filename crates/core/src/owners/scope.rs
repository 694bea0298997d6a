//! What a token of the admin API may do.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// What a token may do; each scope includes those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub enum Scope {
    /// Look at everything that is no secret.
    Read,
    /// Change keys, applications and locks.
    Write,
    /// Change owners and tokens, make backups, reload the configuration.
    Admin,
}

impl Scope {
    /// Every scope, the narrowest first.
    pub const ALL: [Self; 3] = [Self::Read, Self::Write, Self::Admin];

    /// The stable name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Admin => "admin",
        }
    }

    /// Whether it allows what needs another scope.
    pub fn allows(self, needed: Self) -> bool {
        self >= needed
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The text is not a scope.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("{0:?} is not a scope: write read, write or admin")]
pub struct InvalidScope(pub String);

impl FromStr for Scope {
    type Err = InvalidScope;

    fn from_str(text: &str) -> Result<Self, InvalidScope> {
        let found = Self::ALL.into_iter().find(|scope| scope.name() == text);
        found.ok_or_else(|| InvalidScope(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wider_scope_allows_what_a_narrower_one_does() {
        for (place, scope) in Scope::ALL.into_iter().enumerate() {
            assert_eq!(scope.name().parse(), Ok(scope));
            for (other, needed) in Scope::ALL.into_iter().enumerate() {
                assert_eq!(scope.allows(needed), place >= other);
            }
        }
        assert!("root".parse::<Scope>().is_err());
    }
}

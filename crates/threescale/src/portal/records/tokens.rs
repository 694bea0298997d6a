//! What the portal says of access tokens.

use serde::{Deserialize, Deserializer};

use super::id::TokenId;
use super::lenient::{maybe_text, text};

/// An access token of the user who asks. The portal shows the token itself only once, when it is made.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct TokenFacts {
    /// Its number, which authenticates nobody.
    pub id: TokenId,
    /// Its name in the portal.
    #[serde(default, deserialize_with = "maybe_text")]
    pub name: Option<String>,
    /// What it is for, as `account_management`.
    #[serde(default)]
    pub scopes: Vec<String>,
    /// Whether it may write.
    pub permission: TokenPermission,
    /// When it expires, in RFC 3339; nothing where it does not.
    #[serde(default, deserialize_with = "maybe_text")]
    pub expires_at: Option<String>,
}

impl TokenFacts {
    /// Whether it can do what this client does, the changes too, while it lasts.
    pub fn may_manage_accounts(&self) -> bool {
        self.permission == TokenPermission::ReadWrite
            && self.scopes.iter().any(|scope| scope == "account_management")
    }
}

/// What a token says of writing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TokenPermission {
    /// Reads only.
    ReadOnly,
    /// Reads and writes.
    ReadWrite,
    /// Something else.
    Other(String),
}

impl<'de> Deserialize<'de> for TokenPermission {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let permission = text(deserializer)?;
        Ok(match permission.as_str() {
            "ro" => Self::ReadOnly,
            "rw" => Self::ReadWrite,
            _ => Self::Other(permission),
        })
    }
}

//! Access tokens, and what they let somebody do.

/// What a token says of writing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Permission {
    /// Reads only.
    ReadOnly,
    /// Reads and writes.
    ReadWrite,
}

impl Permission {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::ReadOnly => "ro",
            Self::ReadWrite => "rw",
        }
    }
}

/// An access token of a user of the portal.
#[derive(Clone, Debug)]
pub struct AccessToken {
    /// What authenticates.
    pub value: String,
    /// Its name in the portal.
    pub name: String,
    /// The user whose it is.
    pub owner: String,
    /// As the portal writes them: `account_management`, `stats`.
    pub scopes: Vec<String>,
    /// Whether it may write.
    pub permission: Permission,
    /// When it expires, as the portal writes it. Nothing looks at a clock: see `expired`.
    pub expires_at: Option<String>,
    /// Whether it is past its time.
    pub expired: bool,
}

impl AccessToken {
    /// One that may read and write with the scope of the Account Management API, and does not expire.
    pub fn new(value: &str) -> Self {
        Self {
            value: value.to_owned(),
            name: "Keystile".to_owned(),
            owner: "admin".to_owned(),
            scopes: vec!["account_management".to_owned()],
            permission: Permission::ReadWrite,
            expires_at: None,
            expired: false,
        }
    }

    pub(crate) fn manages_accounts(&self) -> bool {
        self.scopes.iter().any(|scope| scope == "account_management")
    }
}

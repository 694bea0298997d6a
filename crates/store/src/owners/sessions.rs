//! Sessions of owners at the console.

use keystile_core::owners::owner::OwnerId;
use keystile_core::owners::secret::SecretHash;
use keystile_core::owners::session::SessionTimes;

/// Eight of a hash's 32 bytes tell sessions apart.
const ID_BYTES: usize = 8;

/// A session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionRow {
    /// The hash of its secret.
    pub hash: SecretHash,
    pub(crate) owner_row: i64,
    /// When it began, was last seen, and its owner last authenticated.
    pub times: SessionTimes,
    /// Where it began.
    pub address: String,
    /// What its browser calls itself.
    pub agent: String,
}

impl SessionRow {
    /// Its public id. It opens nothing: the secret cannot be found from its hash, of which this is a
    /// part.
    pub fn id(&self) -> String {
        let digits = self.hash.as_bytes().iter().take(ID_BYTES).map(|byte| format!("{byte:02x}"));
        format!("session_{}", digits.collect::<String>())
    }
}

/// A session to begin.
#[derive(Clone, Debug)]
pub struct NewSessionRow {
    /// The hash of its secret.
    pub hash: SecretHash,
    /// Whose it is.
    pub owner: OwnerId,
    /// How they signed in, for the audit, as in `with a passkey`.
    pub signed_in: &'static str,
    /// Where it begins.
    pub address: String,
    /// What its browser calls itself.
    pub agent: String,
}

/// Which sessions of an owner to end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SessionsToEnd {
    /// The one with a public id.
    One(String),
    /// All but the one with a public id.
    AllBut(String),
}

impl SessionsToEnd {
    pub(crate) fn includes(&self, session: &SessionRow) -> bool {
        match self {
            Self::One(id) => session.id() == *id,
            Self::AllBut(id) => session.id() != *id,
        }
    }
}

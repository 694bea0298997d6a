//! The journal, as it is listed.

use crate::keys::KeyRef;
pub use crate::sqlite::journal::listing::RecordPage;
pub use crate::sqlite::journal::order::Direction;
pub use crate::sqlite::journal::query::RecordQuery;

/// Whose records are meant, by names.
#[derive(Clone, Debug, Default)]
pub struct RecordOwner {
    /// Only those of this key.
    pub key: Option<KeyRef>,
    /// Only those of this application: its name or id.
    pub application: Option<String>,
}

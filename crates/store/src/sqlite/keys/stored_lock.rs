//! Locks as columns of keys and applications.

use keystile_core::keys::lock::Lock;

use crate::error::{Error, Result};

/// The lock that a column holds.
pub(crate) fn lock_from(json: &str) -> Result<Lock> {
    serde_json::from_str(json)
        .map_err(|error| Error::Corrupt(format!("a lock cannot be read: {error}")))
}

//! Whether the pepper in the data directory is the one that the store's keys were made with.

use keystile_core::keys::hash::Pepper;
use rusqlite::Connection;

use crate::error::{Error, Result};
use crate::sqlite::files::directory::{self, DataDirectory, Freshness};
use crate::sqlite::{audit, meta};

/// Refuses a pepper under which no key of the store would be known. Says whether the store has noted its own.
pub(crate) fn know_pepper(
    directory: &DataDirectory,
    connection: &Connection,
    pepper: &Pepper,
) -> Result<bool> {
    let known = meta::read(connection, "pepper_check")?;
    match known {
        Some(known) if known != directory::pepper_check(pepper) => {
            let fault = "not the one that its keys were made with";
            Err(Error::Pepper { path: directory.pepper_file(), fault })
        }
        known => Ok(known.is_some()),
    }
}

/// A store that has not noted its pepper yet does so, unless the seal of its audit is of another one.
pub(crate) fn note_pepper(
    directory: &DataDirectory,
    connection: &Connection,
    pepper: &Pepper,
    freshness: Freshness,
) -> Result<()> {
    // No key was made with another one, which a start that was killed may have left.
    if freshness == Freshness::New {
        return meta::set(connection, "pepper_check", &directory::pepper_check(pepper));
    }
    if know_pepper(directory, connection, pepper)? {
        return Ok(());
    }
    if audit::is_sealed_with(connection, pepper)? == Some(false) {
        tracing::warn!(
            "the pepper is perhaps not the one that the keys were made with: see `keystile audit verify`"
        );
        return Ok(());
    }
    meta::set(connection, "pepper_check", &directory::pepper_check(pepper))
}

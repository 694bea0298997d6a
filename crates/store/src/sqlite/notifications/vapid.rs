//! The key by which push services know this server (RFC 8292). It lies in the database, so that it comes
//! along with a backup: with another key, every device would have to be subscribed anew.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rusqlite::Connection;

use crate::error::{Error, Result};
use crate::sqlite::meta;
use crate::sqlite::writer::write_tx::WriteTx;

const NAME: &str = "vapid_key";

/// The key, in PKCS #8; `None` where none was made yet.
pub(crate) fn key(connection: &Connection) -> Result<Option<Vec<u8>>> {
    let kept = meta::read(connection, NAME)?;
    let decode = |text: String| STANDARD.decode(text);
    kept.map(decode)
        .transpose()
        .map_err(|error| Error::Corrupt(format!("the key for push services is damaged: {error}")))
}

/// Keeps a new key, where none was made yet; says which is kept.
pub(crate) fn keep(tx: &mut WriteTx<'_>, new: &[u8]) -> Result<Vec<u8>> {
    if let Some(known) = key(tx.connection)? {
        return Ok(known);
    }
    meta::set(tx.connection, NAME, &STANDARD.encode(new))?;
    Ok(new.to_vec())
}

//! Reading the journal by the names of keys and applications.

use keystile_core::journal::counts::{Activity, AddressUse};
use keystile_core::time::Timestamp;
use rusqlite::Connection;

use crate::error::Result;
use crate::keys::KeyRef;
use crate::sqlite::journal::activity::{activity_of_subject, addresses_of_subject};
use crate::sqlite::journal::query::RecordQuery;
use crate::sqlite::keys::{application, key};

/// A query for the records of a key and of an application.
pub(crate) fn resolve(
    connection: &Connection,
    (key, application): (Option<KeyRef>, Option<String>),
    query: RecordQuery,
) -> Result<RecordQuery> {
    let key = key.map(|key| key::find(connection, &key)).transpose()?;
    let application =
        application.map(|name| application::application_row_of(connection, &name)).transpose()?;
    Ok(RecordQuery { subject: key.map(|key| key.row), application, ..query })
}

/// What a key did in some slots of equal length, and where it was used from.
pub(crate) fn activity(
    connection: &Connection,
    key: &KeyRef,
    since: Timestamp,
    (slots, slot_millis): (usize, i64),
    addresses: usize,
) -> Result<(Activity, Vec<AddressUse>)> {
    let row = key::find(connection, key)?.row;
    let activity = activity_of_subject(connection, row, since, slots, slot_millis)?;
    Ok((activity, addresses_of_subject(connection, row, addresses)?))
}

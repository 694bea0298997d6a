//! Reading meters: the table, and what the log says after it.

use keystile_core::time::Timestamp;
use rusqlite::Connection;

use crate::doors::meters::MeterValue;
use crate::error::Result;
use crate::sqlite::meters::batch::MeterBatch;
use crate::sqlite::meters::{log, rows};

/// All meters whose window has not ended at a time.
pub(crate) fn list_at(connection: &Connection, time: Timestamp) -> Result<Vec<MeterValue>> {
    let mut found = MeterBatch::default();
    rows::read(connection, time, |key, pending| found.put(key, pending))?;
    log::read(connection, |_, key, pending| {
        if pending.ends.is_none_or(|ends| ends > time.0) {
            found.put(key, pending);
        }
    })?;
    Ok(found.into_values().collect())
}

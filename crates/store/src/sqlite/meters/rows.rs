//! The table of meters: bringing values into it, reading them, and deleting what has ended.

use std::sync::Arc;

use keystile_core::time::Timestamp;
use rusqlite::{Connection, params};

use crate::error::Result;
use crate::sqlite::meters::PutRule;
use crate::sqlite::meters::batch::{MeterKey, Pending};

/// Brings values into the table. A meter that is set to nothing is none: its row goes.
pub(crate) fn write<'v>(
    connection: &Connection,
    values: impl Iterator<Item = (&'v MeterKey, &'v Pending)>,
) -> Result<()> {
    let insert = "INSERT INTO meter (owner, name, starts, ends, value) VALUES (?1, ?2, ?3, ?4, ?5)
         ON CONFLICT (owner, name, starts) DO UPDATE SET value = excluded.value";
    let mut keep_larger =
        connection.prepare_cached(&format!("{insert} WHERE excluded.value > value"))?;
    let mut replace =
        connection.prepare_cached(&format!("{insert} WHERE excluded.value <> value"))?;
    let mut delete = connection
        .prepare_cached("DELETE FROM meter WHERE owner = ?1 AND name = ?2 AND starts = ?3")?;
    for ((owner, name, starts), Pending { ends, value, rule }) in values {
        if (*rule, *value) == (PutRule::Replace, 0) {
            delete.execute(params![&**owner, &**name, starts])?;
            continue;
        }
        let statement = match rule {
            PutRule::KeepLarger => &mut keep_larger,
            PutRule::Replace => &mut replace,
        };
        statement.execute(params![&**owner, &**name, starts, ends, value])?;
    }
    Ok(())
}

/// Reads the meters whose window has not ended at a time.
pub(crate) fn read(
    connection: &Connection,
    time: Timestamp,
    mut each: impl FnMut(MeterKey, Pending),
) -> Result<()> {
    let mut statement = connection.prepare_cached(
        "SELECT owner, name, starts, ends, value FROM meter WHERE ends > ?1 OR ends IS NULL
         ORDER BY owner, name, starts",
    )?;
    let (mut rows, mut last) = (statement.query([time.0])?, None::<Arc<str>>);
    while let Some(row) = rows.next()? {
        let owner = row.get_ref(0)?.as_str().map_err(rusqlite::Error::from)?;
        let name = row.get_ref(1)?.as_str().map_err(rusqlite::Error::from)?;
        // Rows of one owner follow each other, and share its text.
        let owner = last.filter(|last| **last == *owner).unwrap_or_else(|| owner.into());
        last = Some(owner.clone());
        let (ends, value) = (row.get(3)?, row.get(4)?);
        let pending = Pending { ends, value, rule: PutRule::KeepLarger };
        each((owner, name.into(), row.get(2)?), pending);
    }
    Ok(())
}

/// Whether a meter ended at a time or before it.
pub(crate) fn has_ended(connection: &Connection, time: Timestamp) -> Result<bool> {
    let mut statement =
        connection.prepare_cached("SELECT EXISTS (SELECT 1 FROM meter WHERE ends <= ?1)")?;
    Ok(statement.query_row([time.0], |row| row.get(0))?)
}

/// Deletes meters that ended at a time or before it, at most so many. Says how many went.
pub(crate) fn delete_ended(connection: &Connection, time: Timestamp, limit: u32) -> Result<usize> {
    // By the index on ends, then by the primary key.
    let mut statement = connection.prepare_cached(
        "DELETE FROM meter WHERE (owner, name, starts) IN
         (SELECT owner, name, starts FROM meter WHERE ends <= ?1 ORDER BY ends LIMIT ?2)",
    )?;
    Ok(statement.execute(params![time.0, limit])?)
}

//! Deleting records that are old, and how many are left.

use keystile_core::journal::RecordId;
use keystile_core::time::Timestamp;
use rusqlite::{Connection, params};

use crate::error::Result;
use crate::sqlite::journal::{facet_index, hour, order, subject_index};
use crate::sqlite::writer::write_tx::WriteTx;

/// How many records there are; their numbers are dense except where retention deleted from the start.
///
/// # Errors
/// When the store cannot be read.
pub(crate) fn count(connection: &Connection) -> Result<u64> {
    let (first, last): (Option<i64>, Option<i64>) = connection.query_row(
        "SELECT (SELECT min(id) FROM journal), (SELECT max(id) FROM journal)",
        [],
        |row| Ok((row.get(0)?, row.get(1)?)),
    )?;
    Ok(first.zip(last).map_or(0, |(first, last)| (last - first + 1).unsigned_abs()))
}

/// How many records lie between two.
pub(crate) fn count_between(
    connection: &Connection,
    after: RecordId,
    before: RecordId,
) -> Result<u64> {
    let sql = "SELECT count(*) FROM journal WHERE id > ?1 AND id < ?2";
    let mut statement = connection.prepare_cached(sql)?;
    Ok(statement.query_row([after.0, before.0], |row| row.get::<_, i64>(0))?.unsigned_abs())
}

impl WriteTx<'_> {
    /// Deletes records before a time, some at once. Says how many went.
    pub(crate) fn delete_records_before(&mut self, time: Timestamp, limit: u32) -> Result<usize> {
        delete_before(self.connection, time, limit)
    }
}

fn delete_before(connection: &Connection, time: Timestamp, limit: u32) -> Result<usize> {
    let end = order::first_id_at(connection, time)?.min(subject_index::indexed_to(connection)?);
    // The last one stays, however old: numbers go on from it, and a number is never given twice.
    let end = end.min(order::last(connection)?.0);
    let doomed = "SELECT id FROM journal WHERE id < ?1 ORDER BY id LIMIT ?2";
    let last: Option<i64> = connection.query_row(
        &format!("SELECT max(id) FROM ({doomed})"),
        params![end, limit],
        |row| row.get(0),
    )?;
    let Some(last) = last else {
        return Ok(0);
    };
    // What goes was counted; what is left begins after it.
    hour::count_to(connection, last)?;
    facet_index::delete_before(connection, last.saturating_add(1))?;
    // By the primary key of either table.
    connection.execute(
        "DELETE FROM journal_by_subject WHERE (subject, id) IN
         (SELECT subject, id FROM journal WHERE id <= ?1)",
        [last],
    )?;
    Ok(connection.execute("DELETE FROM journal WHERE id <= ?1", [last])?)
}

//! Writes and refusals by the hour: counted once, in the steps that fill the blocks.

use std::collections::BTreeMap;

use keystile_core::journal::counts::HourCount;
use keystile_core::time::Timestamp;
use rusqlite::{Connection, params};

use crate::error::Result;
use crate::sqlite::journal::order;
use crate::sqlite::meta;

const HOUR_MILLIS: i64 = 3_600_000;

/// The last record that `journal_hour` holds.
fn hours_to(connection: &Connection) -> Result<i64> {
    Ok(meta::number(connection, "hours_to")?.unwrap_or(0))
}

/// Counts the records up to one that were not counted before, inside a transaction. Whether a record is a
/// refusal, and of how many, never changes, so each is counted once and for all.
pub(crate) fn count_to(connection: &Connection, id: i64) -> Result<()> {
    let counted = hours_to(connection)?;
    if id <= counted {
        return Ok(());
    }
    let mut statement = connection.prepare_cached(
        "INSERT INTO journal_hour (hour, writes, refused)
         SELECT time / ?3, sum(outcome <> 5), sum(iif(outcome = 5, count, 0))
         FROM journal WHERE id > ?1 AND id <= ?2 GROUP BY 1
         ON CONFLICT (hour) DO UPDATE SET writes = writes + excluded.writes,
                                          refused = refused + excluded.refused",
    )?;
    statement.execute(params![counted, id, HOUR_MILLIS])?;
    meta::set(connection, "hours_to", &id.to_string())
}

/// Writes and refusals of each hour that overlaps a period and had any, earliest first.
///
/// Exact: records that are not counted yet are counted now, which takes longer while an older file is
/// being gone through. Hours keep their counts when retention takes their records.
pub(crate) fn writes_by_hour(
    connection: &Connection,
    since: Timestamp,
    until: Timestamp,
) -> Result<Vec<HourCount>> {
    let first = since.0.div_euclid(HOUR_MILLIS);
    // The last hour that begins before the end.
    let last = until.0.saturating_sub(1).div_euclid(HOUR_MILLIS);
    let mut hours = BTreeMap::<i64, (i64, i64)>::new();
    let mut add = |row: &rusqlite::Row<'_>| -> Result<()> {
        let hour = hours.entry(row.get(0)?).or_default();
        *hour = (hour.0 + row.get::<_, i64>(1)?, hour.1 + row.get::<_, i64>(2)?);
        Ok(())
    };
    let mut statement = connection.prepare_cached(
        "SELECT hour, writes, refused FROM journal_hour WHERE hour BETWEEN ?1 AND ?2",
    )?;
    let mut rows = statement.query([first, last])?;
    while let Some(row) = rows.next()? {
        add(row)?;
    }
    let begin = |hour: i64| Timestamp(hour.saturating_mul(HOUR_MILLIS));
    let first_id = order::first_id_at(connection, begin(first))?.max(hours_to(connection)? + 1);
    let end_id = order::first_id_at(connection, begin(last.saturating_add(1)))?;
    // A range of record numbers.
    let mut statement = connection.prepare_cached(
        "SELECT time / ?3, sum(outcome <> 5), sum(iif(outcome = 5, count, 0))
         FROM journal WHERE id >= ?1 AND id < ?2 GROUP BY 1",
    )?;
    let mut rows = statement.query([first_id, end_id, HOUR_MILLIS])?;
    while let Some(row) = rows.next()? {
        add(row)?;
    }
    let counts = hours.into_iter().map(|(hour, (writes, refused))| HourCount {
        start: begin(hour),
        writes: writes.unsigned_abs(),
        refused: refused.unsigned_abs(),
    });
    Ok(counts.collect())
}

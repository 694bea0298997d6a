//! The journal's rows: written before a write is sent, completed after, deleted when they are old.
//!
//! How they are listed is in `listing`, what follows from them in `index`, `block` and `hour`.

use keystile_core::journal::{Outcome, RequestFacts};
use keystile_core::refusal::Reason;
use keystile_core::time::Timestamp;
use rusqlite::{Connection, OptionalExtension, params};

use crate::error::{Error, Result};
pub use crate::sqlite::journal::activity::{
    Activity, AddressUse, activity_of_subject, addresses_of_subject, last_of_subject,
};
pub use crate::sqlite::journal::hour::{HourCount, writes_by_hour};
pub use crate::sqlite::journal::listing::{Direction, RecordPage, RecordQuery, list, page};
use crate::sqlite::ledger::sending::BEGINS_WITHIN_MILLIS;

pub(crate) mod activity;
pub(crate) mod facet_index;
pub(crate) mod hour;
pub(crate) mod listing;
pub(crate) mod subject_index;

/// A row to insert.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NewRecord<'a> {
    pub(crate) id: i64,
    pub(crate) time: Timestamp,
    pub(crate) subject: i64,
    pub(crate) plan: Option<&'a str>,
    pub(crate) facts: &'a RequestFacts,
    pub(crate) status: Option<u16>,
    pub(crate) outcome: Outcome,
    pub(crate) reason: Option<Reason>,
    pub(crate) cost: u32,
    pub(crate) count: u32,
}

/// The outcome's number in the table.
pub(crate) fn code(outcome: Outcome) -> i64 {
    match outcome {
        Outcome::Pending => 0,
        Outcome::Applied => 1,
        Outcome::RefusedByUpstream => 2,
        Outcome::NotSent => 3,
        Outcome::Unknown => 4,
        Outcome::Refused => 5,
    }
}

/// The outcome with a number of the table.
pub(crate) fn outcome_of(code: i64) -> Result<Outcome> {
    let known = usize::try_from(code).ok().and_then(|place| Outcome::ALL.get(place));
    known.copied().ok_or_else(|| Error::Corrupt(format!("a record has the outcome {code}")))
}

pub(crate) fn insert(connection: &Connection, record: &NewRecord<'_>) -> Result<()> {
    let mut statement = connection.prepare_cached(
        "INSERT INTO journal (id, time, subject, plan, api, operation, method, path, address, user_agent,
                              request_bytes, status, outcome, reason, cost, count)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16)",
    )?;
    let facts = record.facts;
    statement.execute(params![
        record.id,
        record.time.0,
        record.subject,
        record.plan,
        facts.api,
        facts.operation,
        facts.method,
        facts.path,
        facts.address.to_string(),
        facts.user_agent,
        facts.request_bytes.map(signed),
        record.status,
        code(record.outcome),
        record.reason.map(Reason::name),
        record.cost,
        record.count,
    ])?;
    Ok(())
}

/// What became known of a write after its intent was recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settlement {
    /// What became of it.
    pub outcome: Outcome,
    /// The status that the caller got.
    pub status: Option<u16>,
    /// From the intent to the answer's head.
    pub duration_ms: u64,
    /// The request body's length, where known.
    pub request_bytes: Option<u64>,
    /// The answer body's length, where known.
    pub response_bytes: Option<u64>,
}

impl Settlement {
    /// The write was given up before anything was sent.
    pub const NOT_SENT: Self = Self {
        outcome: Outcome::NotSent,
        status: None,
        duration_ms: 0,
        request_bytes: None,
        response_bytes: None,
    };
}

/// Sizes go into a signed column; nobody sends 8 EiB.
fn signed(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

pub(crate) fn settle(connection: &Connection, id: i64, settlement: &Settlement) -> Result<()> {
    let mut statement = connection.prepare_cached(
        "UPDATE journal SET outcome = ?2, status = ?3, duration_ms = ?4,
                request_bytes = coalesce(?5, request_bytes), response_bytes = ?6 WHERE id = ?1",
    )?;
    statement.execute(params![
        id,
        code(settlement.outcome),
        settlement.status,
        signed(settlement.duration_ms),
        settlement.request_bytes.map(signed),
        settlement.response_bytes.map(signed),
    ])?;
    Ok(())
}

/// A write costs nothing after all.
pub(crate) fn forgive(connection: &Connection, id: i64) -> Result<()> {
    let mut statement = connection.prepare_cached("UPDATE journal SET cost = 0 WHERE id = ?1")?;
    statement.execute([id])?;
    Ok(())
}

pub(crate) fn set_response_bytes(connection: &Connection, id: i64, bytes: u64) -> Result<()> {
    let mut statement =
        connection.prepare_cached("UPDATE journal SET response_bytes = ?2 WHERE id = ?1")?;
    statement.execute(params![id, signed(bytes)])?;
    Ok(())
}

/// Nothing stays open after a restart: what was pending is unknown, and stays counted. `from` is a row
/// before which nothing was pending at the last stop. Says how many there were.
///
/// When they began to leave is not known: they count from now, or from the last moment when they could.
pub(crate) fn close_pending(connection: &Connection, from: i64, now: Timestamp) -> Result<usize> {
    connection.execute(
        "UPDATE journal_by_subject SET time = time + min(max(?3 - time, 0), ?4)
         WHERE (subject, id) IN (SELECT subject, id FROM journal WHERE id >= ?1 AND outcome = ?2)",
        params![from, code(Outcome::Pending), now.0, BEGINS_WITHIN_MILLIS],
    )?;
    Ok(connection.execute(
        "UPDATE journal SET outcome = ?2 WHERE id >= ?1 AND outcome = ?3",
        params![from, code(Outcome::Unknown), code(Outcome::Pending)],
    )?)
}

/// The last row's number and time.
pub(crate) fn last(connection: &Connection) -> Result<(i64, Timestamp)> {
    let mut statement =
        connection.prepare_cached("SELECT id, time FROM journal ORDER BY id DESC LIMIT 1")?;
    let found =
        statement.query_row([], |row| Ok((row.get(0)?, Timestamp(row.get(1)?)))).optional()?;
    Ok(found.unwrap_or((0, Timestamp(0))))
}

/// The API, method and path of a row.
pub(crate) fn operation_of(
    connection: &Connection,
    id: i64,
) -> Result<Option<(String, String, String)>> {
    let mut statement =
        connection.prepare_cached("SELECT api, method, path FROM journal WHERE id = ?1")?;
    Ok(statement.query_row([id], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).optional()?)
}

/// A number that no row before a time reaches and none at or after it is below; one past the last where
/// there is none. Times never fall along the rows, so this is a binary search; it may answer with a
/// number that retention deleted.
pub(crate) fn first_id_at(connection: &Connection, time: Timestamp) -> Result<i64> {
    let mut statement = connection
        .prepare_cached("SELECT id, time FROM journal WHERE id >= ?1 ORDER BY id LIMIT 1")?;
    let (mut low, mut high) = (1, last(connection)?.0 + 1);
    while low < high {
        let middle = low + (high - low) / 2;
        let found = statement
            .query_row([middle], |row| Ok((row.get::<_, i64>(0)?, Timestamp(row.get(1)?))))
            .optional()?;
        match found {
            Some((id, at)) if at < time => low = id + 1,
            Some(_) | None => high = middle,
        }
    }
    Ok(low)
}

/// How many records there are; their numbers are dense except where retention deleted from the start.
pub fn count(connection: &Connection) -> Result<u64> {
    let (first, last): (Option<i64>, Option<i64>) = connection.query_row(
        "SELECT (SELECT min(id) FROM journal), (SELECT max(id) FROM journal)",
        [],
        |row| Ok((row.get(0)?, row.get(1)?)),
    )?;
    Ok(first.zip(last).map_or(0, |(first, last)| (last - first + 1).unsigned_abs()))
}

/// Deletes records before a time, at most so many at once. Says how many went.
pub(crate) fn delete_before(connection: &Connection, time: Timestamp, limit: u32) -> Result<usize> {
    let end = first_id_at(connection, time)?.min(subject_index::indexed_to(connection)?);
    // The last one stays, however old: numbers go on from it, and a number is never given twice.
    let end = end.min(last(connection)?.0);
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

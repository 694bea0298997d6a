//! The journal's rows: written before a write is sent, completed after, read by filters.

use keystile_core::journal::{Outcome, RecordId, RequestFacts, WriteRecord};
use keystile_core::refusal::Reason;
use keystile_core::time::Timestamp;
use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension, Row, params, params_from_iter};

use crate::error::{Error, Result};
use crate::index;

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
fn code(outcome: Outcome) -> i64 {
    match outcome {
        Outcome::Pending => 0,
        Outcome::Applied => 1,
        Outcome::RefusedByUpstream => 2,
        Outcome::NotSent => 3,
        Outcome::Unknown => 4,
        Outcome::Refused => 5,
    }
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
pub(crate) fn close_pending(connection: &Connection, from: i64) -> Result<usize> {
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

/// Which records to list.
#[derive(Clone, Debug, Default)]
pub struct RecordQuery {
    /// Only those of these keys, by row number; everyone's where `None`.
    pub subjects: Option<Vec<i64>>,
    /// Only those of this API.
    pub api: Option<String>,
    /// Only those of this operation.
    pub operation: Option<String>,
    /// Only those with this method.
    pub method: Option<String>,
    /// Only those with this outcome.
    pub outcome: Option<Outcome>,
    /// Only those at or after this time.
    pub since: Option<Timestamp>,
    /// Only those before this time.
    pub until: Option<Timestamp>,
    /// Only those after this record.
    pub after: Option<RecordId>,
    /// Only those before this record.
    pub before: Option<RecordId>,
    /// Which end to begin at.
    pub direction: Direction,
    /// At most so many.
    pub limit: u32,
}

/// The order of a listing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Direction {
    /// Latest first.
    #[default]
    LatestFirst,
    /// Earliest first.
    EarliestFirst,
}

const COLUMNS: &str =
    "journal.id, journal.time, key.uid, application.name, journal.plan, api, operation,
    method, path, address, user_agent, request_bytes, response_bytes, status, duration_ms, outcome,
    reason, journal.cost, journal.count";
const JOINS: &str = "LEFT JOIN key ON key.id = journal.subject
    LEFT JOIN application ON application.id = key.application";

/// Records that fit a query.
pub fn list(connection: &Connection, query: &RecordQuery) -> Result<Vec<WriteRecord>> {
    let (first, last) = bounds(connection, query)?;
    let Some(subjects) = &query.subjects else {
        return select(connection, query, "journal", None, first, last);
    };
    let indexed_to = index::indexed_to(connection)?;
    let mut found = Vec::new();
    for subject in subjects {
        let tail = first.max(indexed_to.saturating_add(1));
        found.extend(select(connection, query, "journal", Some(*subject), tail, last)?);
        let indexed = "journal_by_subject AS place CROSS JOIN journal ON journal.id = place.id";
        found.extend(select(
            connection,
            query,
            indexed,
            Some(*subject),
            first,
            last.min(indexed_to),
        )?);
    }
    match query.direction {
        Direction::LatestFirst => found.sort_unstable_by_key(|record| std::cmp::Reverse(record.id)),
        Direction::EarliestFirst => found.sort_unstable_by_key(|record| record.id),
    }
    found.truncate(query.limit as usize);
    Ok(found)
}

/// The first and last row number that the query's times and places leave.
fn bounds(connection: &Connection, query: &RecordQuery) -> Result<(i64, i64)> {
    let mut first = query.after.map_or(1, |after| after.0.saturating_add(1));
    let mut last = query.before.map_or(i64::MAX, |before| before.0.saturating_sub(1));
    if let Some(since) = query.since {
        first = first.max(first_id_at(connection, since)?);
    }
    if let Some(until) = query.until {
        last = last.min(first_id_at(connection, until)? - 1);
    }
    Ok((first, last))
}

fn select(
    connection: &Connection,
    query: &RecordQuery,
    source: &str,
    subject: Option<i64>,
    first: i64,
    last: i64,
) -> Result<Vec<WriteRecord>> {
    let is_indexed = source != "journal";
    let place = if is_indexed { "place" } else { "journal" };
    let mut sql =
        format!("SELECT {COLUMNS} FROM {source} {JOINS} WHERE {place}.id BETWEEN ? AND ?");
    let mut values: Vec<Value> = vec![first.into(), last.into()];
    if let Some(subject) = subject {
        sql += &format!(" AND {place}.subject = ?");
        values.push(subject.into());
    }
    let texts = [("api", &query.api), ("operation", &query.operation), ("method", &query.method)];
    for (column, text) in texts {
        if let Some(text) = text {
            sql += &format!(" AND {column} = ?");
            values.push(text.clone().into());
        }
    }
    if let Some(outcome) = query.outcome {
        // A literal, so that SQLite sees that the partial index on rare outcomes fits.
        sql += &format!(" AND outcome = {}", code(outcome));
    }
    let direction = match query.direction {
        Direction::LatestFirst => "DESC",
        Direction::EarliestFirst => "ASC",
    };
    sql += &format!(" ORDER BY {place}.id {direction} LIMIT ?");
    values.push(i64::from(query.limit).into());
    let mut statement = connection.prepare_cached(&sql)?;
    statement.query_and_then(params_from_iter(values), record)?.collect()
}

fn record(row: &Row<'_>) -> Result<WriteRecord> {
    let outcome: u8 = row.get(15)?;
    let reason: Option<String> = row.get(16)?;
    Ok(WriteRecord {
        id: RecordId(row.get(0)?),
        time: Timestamp(row.get(1)?),
        key: row.get(2)?,
        application: row.get(3)?,
        plan: row.get(4)?,
        api: row.get(5)?,
        operation: row.get(6)?,
        method: row.get(7)?,
        path: row.get(8)?,
        address: row.get(9)?,
        user_agent: row.get(10)?,
        request_bytes: row.get::<_, Option<i64>>(11)?.map(i64::unsigned_abs),
        response_bytes: row.get::<_, Option<i64>>(12)?.map(i64::unsigned_abs),
        status: row.get(13)?,
        duration_ms: row.get::<_, Option<i64>>(14)?.map(i64::unsigned_abs),
        outcome: *Outcome::ALL
            .get(usize::from(outcome))
            .ok_or_else(|| Error::Corrupt(format!("a record has the outcome {outcome}")))?,
        reason: reason.and_then(|reason| reason.parse().ok()),
        cost: row.get(17)?,
        count: row.get(18)?,
    })
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

/// How many records there are since a time.
pub fn count_since(connection: &Connection, since: Timestamp) -> Result<u64> {
    let oldest: Option<i64> =
        connection.query_row("SELECT min(id) FROM journal", [], |row| row.get(0))?;
    let first = first_id_at(connection, since)?.max(oldest.unwrap_or(1));
    Ok((last(connection)?.0 + 1 - first).unsigned_abs())
}

/// The time of a subject's last record.
pub fn last_of_subject(connection: &Connection, subject: i64) -> Result<Option<Timestamp>> {
    let query = RecordQuery { subjects: Some(vec![subject]), limit: 1, ..RecordQuery::default() };
    Ok(list(connection, &query)?.first().map(|record| record.time))
}

/// Deletes records before a time, at most so many at once. Says how many went.
pub(crate) fn delete_before(connection: &Connection, time: Timestamp, limit: u32) -> Result<usize> {
    let end = first_id_at(connection, time)?.min(index::indexed_to(connection)?);
    let doomed = "SELECT id FROM journal WHERE id < ?1 ORDER BY id LIMIT ?2";
    connection.execute(
        &format!(
            "DELETE FROM journal_by_subject WHERE (subject, id) IN
             (SELECT subject, id FROM journal WHERE id IN ({doomed}))"
        ),
        params![end, limit],
    )?;
    Ok(connection
        .execute(&format!("DELETE FROM journal WHERE id IN ({doomed})"), params![end, limit])?)
}

//! Which records are wanted, and the statement that reads them from a stretch of the journal.

use keystile_core::journal::{Outcome, RecordId, WriteRecord};
use keystile_core::time::Timestamp;
use rusqlite::types::Value;
use rusqlite::{Connection, Row};

use crate::error::Result;
use crate::sqlite::journal::order::{Direction, first_id_at, last};
use crate::sqlite::journal::record::{code, outcome_of};

/// Which records to list.
#[derive(Clone, Debug, Default)]
pub struct RecordQuery {
    /// Only this one.
    pub id: Option<RecordId>,
    /// Only those of this key, by row number; negative for an address, 0 for nobody known.
    pub subject: Option<i64>,
    /// Only those of this application, by row number.
    pub application: Option<i64>,
    /// Only those of this API.
    pub api: Option<String>,
    /// Only those of this operation.
    pub operation: Option<String>,
    /// Only those with this method.
    pub method: Option<String>,
    /// Only those from this address, as it stands in the journal.
    pub address: Option<String>,
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

/// Where records are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// One after the other, by number.
    Journal,
    /// Those of the subject only, which must be there already.
    BySubject,
}

const COLUMNS: &str =
    "journal.id, journal.time, key.uid, application.name, journal.plan, api, operation,
    method, path, address, user_agent, request_bytes, response_bytes, status, duration_ms, outcome,
    reason, journal.cost, journal.count";
const JOINS: &str = "LEFT JOIN key ON key.id = journal.subject
    LEFT JOIN application ON application.id = key.application";

/// Whether an outcome is in the partial index.
pub(crate) fn is_rare(outcome: Outcome) -> bool {
    code(outcome) >= 2
}

/// The first and last row number that the query's times and places leave.
pub(crate) fn bounds(connection: &Connection, query: &RecordQuery) -> Result<(i64, i64)> {
    let oldest: Option<i64> =
        connection.query_row("SELECT min(id) FROM journal", [], |row| row.get(0))?;
    let mut first = query.after.map_or(1, |after| after.0.saturating_add(1));
    first = first.max(query.id.map_or(1, |only| only.0));
    first = first.max(oldest.unwrap_or(1));
    let mut end = query.before.map_or(i64::MAX, |before| before.0.saturating_sub(1));
    end = end.min(query.id.map_or(i64::MAX, |only| only.0));
    end = end.min(last(connection)?.0);
    if let Some(since) = query.since {
        first = first.max(first_id_at(connection, since)?);
    }
    if let Some(until) = query.until {
        end = end.min(first_id_at(connection, until)? - 1);
    }
    Ok((first, end))
}

/// Reads what fits from a stretch, in the order that is wanted, up to a limit.
pub(crate) fn statement(
    query: &RecordQuery,
    source: Source,
    (first, last): (i64, i64),
    limit: i64,
) -> (String, Vec<Value>) {
    let (from, place) = match source {
        Source::Journal => ("journal", "journal"),
        // In this order: the list leads, by its primary key.
        Source::BySubject => {
            ("journal_by_subject AS place CROSS JOIN journal ON journal.id = place.id", "place")
        }
    };
    let mut sql = format!("SELECT {COLUMNS} FROM {from} {JOINS} WHERE {place}.id BETWEEN ? AND ?");
    let mut values: Vec<Value> = vec![first.into(), last.into()];
    if let Some(subject) = query.subject {
        sql += &format!(" AND {place}.subject = ?");
        values.push(subject.into());
    }
    let texts = [
        ("api", &query.api),
        ("operation", &query.operation),
        ("method", &query.method),
        ("address", &query.address),
    ];
    for (column, text) in texts {
        if let Some(text) = text {
            sql += &format!(" AND {column} = ?");
            values.push(text.clone().into());
        }
    }
    if let Some(outcome) = query.outcome {
        // What another gateway sends has a number of its own until it is settled.
        sql += &match outcome {
            Outcome::Pending => " AND outcome IN (0, 7)".to_owned(),
            settled => format!(" AND outcome = {}", code(settled)),
        };
        // SQLite uses the partial index on rare outcomes only where its condition is said again.
        if is_rare(outcome) {
            sql += " AND outcome >= 2";
        }
    }
    if let Some(application) = query.application {
        // Asked row by row: in a join SQLite might begin with the application's keys.
        sql += " AND (SELECT owned.application FROM key AS owned WHERE owned.id = journal.subject) = ?";
        values.push(application.into());
    }
    let direction = match query.direction {
        Direction::LatestFirst => "DESC",
        Direction::EarliestFirst => "ASC",
    };
    sql += &format!(" ORDER BY {place}.id {direction} LIMIT ?");
    values.push(limit.into());
    (sql, values)
}

/// A record as [`statement`] reads it.
pub(crate) fn record(row: &Row<'_>) -> Result<WriteRecord> {
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
        outcome: outcome_of(row.get(15)?)?,
        reason: reason.and_then(|reason| reason.parse().ok()),
        cost: row.get(17)?,
        count: row.get(18)?,
    })
}

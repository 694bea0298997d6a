//! The journal's rows: written before a write is sent, completed after.

use keystile_core::journal::{Outcome, RequestFacts};
use keystile_core::refusal::Reason;
use keystile_core::time::Timestamp;
use rusqlite::{Connection, OptionalExtension, params};

use crate::departure::BEGINS_WITHIN_MILLIS;
use crate::error::{Error, Result};
use crate::reservation::Settlement;
use crate::sqlite::node::{self, Node};

/// A row to insert.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NewRecord<'a> {
    pub(crate) id: i64,
    pub(crate) node: i64,
    pub(crate) time: Timestamp,
    pub(crate) subject: i64,
    pub(crate) plan: Option<&'a str>,
    pub(crate) facts: &'a RequestFacts,
    pub(crate) status: Option<u16>,
    pub(crate) outcome: Outcome,
    pub(crate) reason: Option<Reason>,
    pub(crate) cost: u32,
    /// What it takes from budgets, where that is not its cost.
    pub(crate) amounts: Option<&'a str>,
    pub(crate) count: u32,
}

/// What is pending at another gateway: an outcome of its own in the table, because it ends as handed over
/// where nobody settles it.
const PENDING_ELSEWHERE: i64 = 7;

/// The outcome's number in the table.
pub(crate) fn code(outcome: Outcome) -> i64 {
    match outcome {
        Outcome::Pending => 0,
        Outcome::Applied => 1,
        Outcome::RefusedByUpstream => 2,
        Outcome::NotSent => 3,
        Outcome::Unknown => 4,
        Outcome::Refused => 5,
        Outcome::HandedOver => 6,
    }
}

/// The outcome with a number of the table.
pub(crate) fn outcome_of(code: i64) -> Result<Outcome> {
    if code == PENDING_ELSEWHERE {
        return Ok(Outcome::Pending);
    }
    let known = usize::try_from(code).ok().and_then(|place| Outcome::ALL.get(place));
    known.copied().ok_or_else(|| Error::Corrupt(format!("a record has the outcome {code}")))
}

pub(crate) fn insert(connection: &Connection, record: &NewRecord<'_>) -> Result<()> {
    let mut statement = connection.prepare_cached(
        "INSERT INTO journal (id, time, subject, plan, api, operation, method, path, address, user_agent,
                              request_bytes, status, outcome, reason, cost, count, node, amounts)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18)",
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
        record.node,
        record.amounts,
    ])?;
    Ok(())
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

/// A write is sent by another gateway.
pub(crate) fn set_pending_elsewhere(connection: &Connection, id: i64) -> Result<()> {
    let mut statement =
        connection.prepare_cached("UPDATE journal SET outcome = ?2 WHERE id = ?1")?;
    statement.execute([id, PENDING_ELSEWHERE])?;
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

/// Nothing of a node stays open after its restart: what was pending is unknown, or handed over where another
/// gateway sent it, and stays counted. `from` is a row before which nothing was pending at the last stop. Says
/// how many are unknown.
///
/// When they began to leave is not known: they count from now, or from the last moment when they could.
pub(crate) fn close_pending(
    connection: &Connection,
    from: i64,
    node: &Node,
    now: Timestamp,
) -> Result<usize> {
    let is_left = format!("id >= ?3 AND outcome = ?4 AND {}", node::is_closable("journal"));
    let close = |pending: i64, end: Outcome| -> Result<usize> {
        connection.execute(
            &format!(
                "UPDATE journal_by_subject SET time = time + min(max(?2 - time, 0), ?5)
                 WHERE (subject, id) IN (SELECT subject, id FROM journal WHERE {is_left})"
            ),
            params![node.id(), now.0, from, pending, BEGINS_WITHIN_MILLIS],
        )?;
        Ok(connection.execute(
            &format!("UPDATE journal SET outcome = ?5 WHERE {is_left}"),
            params![node.id(), now.0, from, pending, code(end)],
        )?)
    };
    close(PENDING_ELSEWHERE, Outcome::HandedOver)?;
    close(code(Outcome::Pending), Outcome::Unknown)
}

/// The first row, from one on, whose write is under way.
pub(crate) fn first_pending(connection: &Connection, from: i64) -> Result<Option<i64>> {
    Ok(connection.query_row(
        "SELECT min(id) FROM journal WHERE id >= ?1 AND outcome IN (?2, ?3)",
        params![from, code(Outcome::Pending), PENDING_ELSEWHERE],
        |row| row.get(0),
    )?)
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

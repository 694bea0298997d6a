//! Writes of imported keys that went out, counted from a place in the journal on.
//!
//! # What this protects
//!
//! Whoever is told of writes keeps how far they were counted, in the same transaction as the counts. So each
//! is counted once, whatever crashes in between. Row numbers come in the order of commits, and nothing appears
//! at or below one that was seen.
//!
//! A write that is under way holds the others up for a moment, because it may not go out at all. After that it
//! is late: the others go on, and it is looked at again until it is settled.

use std::collections::{BTreeMap, HashMap};

use keystile_core::journal::Outcome;
use keystile_core::request::call_method::CallMethod;
use keystile_core::time::{Span, Timestamp};
use rusqlite::{Connection, OptionalExtension, Row, params};

use crate::error::Result;
use crate::sent::writes::{JournalPosition, PageLimits, SentWrites, SentWritesPage};
use crate::sqlite::journal::order;
use crate::sqlite::journal::record::code;

/// How long a write that is under way holds the others up.
const PATIENCE: Span = Span::from_secs(1);
/// So many writes may be late; there are never more of them than connections. Beyond that, the oldest holds the
/// others up.
const LATE_MAX: usize = 1_000;
const HOUR_MILLIS: i64 = 3_600_000;

const COLUMNS: &str = "SELECT id, time, subject, method, outcome, duration_ms IS NULL FROM journal";

/// What a record says of its write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    UnderWay,
    Sent,
    /// A crash came before its outcome.
    Perhaps,
    NotSent,
}

impl Standing {
    fn of(outcome: i64, is_untimed: bool) -> Self {
        let is = |known: Outcome| outcome == code(known);
        if is(Outcome::Pending) {
            Self::UnderWay
        } else if is(Outcome::Applied) || is(Outcome::RefusedByUpstream) {
            // Without a duration it is a read that would have been refused, were its API not only observed.
            if is_untimed { Self::NotSent } else { Self::Sent }
        } else if is(Outcome::Unknown) {
            if is_untimed { Self::Perhaps } else { Self::Sent }
        } else {
            // Refused, not sent, or sent by another gateway, which counts it itself.
            Self::NotSent
        }
    }
}

/// Where the journal ends.
pub(crate) fn end(connection: &Connection) -> Result<JournalPosition> {
    Ok(JournalPosition { to: order::last(connection)?.0, late: Vec::new() })
}

/// Counts the writes after a position that keys of an origin made, as far as a page goes.
pub(crate) fn count(
    connection: &Connection,
    origin: &str,
    from: &JournalPosition,
    now: Timestamp,
    limits: PageLimits,
) -> Result<SentWritesPage> {
    let PageLimits { records, counts } = limits;
    let (applications, sent) = (HashMap::new(), BTreeMap::new());
    let mut counter = Counter { connection, origin, applications, sent };
    let mut late = Vec::new();
    // By the primary key.
    let mut statement = connection.prepare_cached(&format!("{COLUMNS} WHERE id = ?1"))?;
    for id in &from.late {
        if counter.sent.len() >= counts {
            late.push(*id);
            continue;
        }
        // Retention may have deleted it.
        let standing = statement.query_row([id], |row| Ok(counter.look_at(row))).optional()?;
        if standing.transpose()? == Some(Standing::UnderWay) {
            late.push(*id);
        }
    }
    let mut statement =
        connection.prepare_cached(&format!("{COLUMNS} WHERE id > ?1 ORDER BY id LIMIT ?2"))?;
    let (mut rows, mut read, mut to) = (statement.query(params![from.to, records])?, 0, from.to);
    let mut is_full = counter.sent.len() >= counts;
    while !is_full && let Some(row) = rows.next()? {
        if counter.look_at(row)? == Standing::UnderWay {
            let age = now.millis_since(Timestamp(row.get(1)?));
            if age < PATIENCE.millis() || late.len() >= LATE_MAX {
                break;
            }
            late.push(row.get(0)?);
        }
        to = row.get(0)?;
        read += 1;
        is_full = read == records || counter.sent.len() >= counts;
    }
    Ok(SentWritesPage {
        position: JournalPosition { to, late },
        writes: counter.sent.into_values().collect(),
        is_full,
    })
}

struct Counter<'c> {
    connection: &'c Connection,
    origin: &'c str,
    /// The ids of applications by keys of the origin; nothing for other subjects.
    applications: HashMap<i64, Option<String>>,
    sent: BTreeMap<(String, CallMethod, i64), SentWrites>,
}

impl Counter<'_> {
    fn look_at(&mut self, row: &Row<'_>) -> Result<Standing> {
        let standing = Standing::of(row.get(4)?, row.get(5)?);
        let (time, subject) = (Timestamp(row.get(1)?), row.get(2)?);
        if matches!(standing, Standing::NotSent | Standing::UnderWay) {
            return Ok(standing);
        }
        let Some(application) = self.application(subject)? else {
            return Ok(standing);
        };
        let method = CallMethod::of(row.get_ref(3)?.as_str().map_err(rusqlite::Error::from)?);
        let hour = time.0.div_euclid(HOUR_MILLIS);
        let counted = self.sent.entry((application.clone(), method, hour)).or_insert(SentWrites {
            application,
            method,
            first: time,
            last: time,
            sent: 0,
            perhaps_sent: 0,
        });
        counted.first = counted.first.min(time);
        counted.last = counted.last.max(time);
        let count =
            if standing == Standing::Sent { &mut counted.sent } else { &mut counted.perhaps_sent };
        *count = count.saturating_add(1);
        Ok(standing)
    }

    /// The application of a key of the origin.
    fn application(&mut self, subject: i64) -> Result<Option<String>> {
        if let Some(known) = self.applications.get(&subject) {
            return Ok(known.clone());
        }
        let mut statement = self.connection.prepare_cached(
            "SELECT application.uid FROM key JOIN application ON application.id = key.application
             WHERE key.id = ?1 AND key.origin = ?2",
        )?;
        let found: Option<String> =
            statement.query_row(params![subject, self.origin], |row| row.get(0)).optional()?;
        self.applications.insert(subject, found.clone());
        Ok(found)
    }
}

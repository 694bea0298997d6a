//! The log of meters: what was put and is not in the table yet.
//!
//! # What this protects
//!
//! A value that was acknowledged is in the log, in the table, or in both. It leaves the log only after a
//! commit that brought it into the table. Read again from any row that is left, in order, the log makes of the
//! table what it was, because a value that was replaced is replaced again after it.

use std::time::{Duration, Instant};

use rusqlite::{Connection, params};

use crate::error::Result;
use crate::sqlite::meters::PutRule;
use crate::sqlite::meters::batch::{MeterBatch, MeterKey, Pending};
use crate::sqlite::meters::rows;

/// The table follows once values have been in the log for so long.
const FOLLOWS_AFTER: Duration = Duration::from_secs(5);
/// Or once the log has so many rows.
const FOLLOWS_AFTER_ROWS: i64 = 50_000;
/// Values that one transaction brings into the table, which holds up whoever waits by some milliseconds.
const MOVED_AT_ONCE: usize = 2_000;
/// Rows of the log that one transaction deletes.
const TRIMMED_AT_ONCE: i64 = 10_000;
/// After such a transaction nobody is held up again for so long.
const REST: Duration = Duration::from_millis(20);

/// The log, as the writer knows it. It follows from the database.
#[derive(Debug)]
pub(crate) struct MeterLog {
    /// What was put since the table last began to follow.
    fresh: MeterBatch,
    fresh_since: Option<Instant>,
    /// What is being brought into the table.
    moving: MeterBatch,
    /// The last row that belongs to it.
    moving_to: i64,
    /// The last row that was deleted, and the last that there is.
    trimmed_to: i64,
    last: i64,
    step: Option<Step>,
    rested: Option<Instant>,
}

/// What a transaction did that is not durable yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Moved(usize),
    TrimmedTo(i64),
}

impl MeterLog {
    /// Reads what was not in the table yet at the last stop.
    pub(crate) fn open(connection: &Connection) -> Result<Self> {
        let (mut fresh, mut bounds) = (MeterBatch::default(), None::<(i64, i64)>);
        read(connection, |id, key, pending| {
            bounds = Some((bounds.map_or(id, |(first, _)| first), id));
            fresh.put(key, pending);
        })?;
        let (first, last) = bounds.unwrap_or((1, 0));
        let fresh_since = bounds.map(|_| Instant::now());
        let (moving, trimmed_to) = (MeterBatch::default(), first.saturating_sub(1));
        let (moving_to, step, rested) = (trimmed_to, None, None);
        Ok(Self { fresh, fresh_since, moving, moving_to, trimmed_to, last, step, rested })
    }

    /// Appends the values of a transaction, one statement for each meter.
    pub(crate) fn append(&self, connection: &Connection, batch: &MeterBatch) -> Result<()> {
        if batch.is_empty() {
            return Ok(());
        }
        let mut statement = connection.prepare_cached(
            "INSERT INTO meter_log (id, owner, name, starts, ends, value, replaces)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        )?;
        let ids = self.last.saturating_add(1)..;
        for (id, ((owner, name, starts), pending)) in ids.zip(batch.iter()) {
            let Pending { ends, value, rule } = pending;
            let replaces = *rule == PutRule::Replace;
            statement.execute(params![id, &**owner, &**name, starts, ends, value, replaces])?;
        }
        Ok(())
    }

    /// The values that were appended are durable.
    pub(crate) fn note_committed(&mut self, batch: MeterBatch) {
        if batch.is_empty() {
            return;
        }
        self.last = self.last.saturating_add(i64::try_from(batch.len()).unwrap_or(i64::MAX));
        self.fresh.absorb(batch);
        self.fresh_since.get_or_insert_with(Instant::now);
    }

    /// Whether a transaction is under way to the table, or the log is to be shortened after it.
    pub(crate) fn is_moving(&self) -> bool {
        !self.moving.is_empty() || self.trimmed_to < self.moving_to
    }

    /// Whether it is time for a step.
    pub(crate) fn is_due(&self) -> bool {
        if self.is_moving() {
            return self.rested.is_none_or(|rested| rested.elapsed() >= REST);
        }
        self.last.saturating_sub(self.moving_to) >= FOLLOWS_AFTER_ROWS
            || self.fresh_since.is_some_and(|since| since.elapsed() >= FOLLOWS_AFTER)
    }

    /// Brings some values into the table, or deletes some rows of the log that are all in it.
    pub(crate) fn step(&mut self, connection: &Connection) -> Result<()> {
        self.step = None;
        if !self.is_moving() {
            self.moving = std::mem::take(&mut self.fresh);
            self.moving_to = self.last;
            self.fresh_since = None;
        }
        self.step = Some(if self.moving.is_empty() {
            let to = self.moving_to.min(self.trimmed_to.saturating_add(TRIMMED_AT_ONCE));
            connection.prepare_cached("DELETE FROM meter_log WHERE id <= ?1")?.execute([to])?;
            Step::TrimmedTo(to)
        } else {
            let moved = self.moving.len().min(MOVED_AT_ONCE);
            rows::write(connection, self.moving.iter().take(moved))?;
            Step::Moved(moved)
        });
        Ok(())
    }

    /// The last step is durable.
    pub(crate) fn step_committed(&mut self) {
        match self.step.take() {
            Some(Step::Moved(moved)) => self.moving.remove_first(moved),
            Some(Step::TrimmedTo(to)) => self.trimmed_to = to,
            None => {}
        }
    }

    /// A step has ended, however it did.
    pub(crate) fn rest(&mut self) {
        self.rested = Some(Instant::now());
    }
}

/// Gives the rows of the log in their order.
pub(crate) fn read(
    connection: &Connection,
    mut each: impl FnMut(i64, MeterKey, Pending),
) -> Result<()> {
    let mut statement = connection.prepare_cached(
        "SELECT id, owner, name, starts, ends, value, replaces FROM meter_log ORDER BY id",
    )?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let owner = row.get_ref(1)?.as_str().map_err(rusqlite::Error::from)?;
        let name = row.get_ref(2)?.as_str().map_err(rusqlite::Error::from)?;
        let rule = if row.get(6)? { PutRule::Replace } else { PutRule::KeepLarger };
        let pending = Pending { ends: row.get(4)?, value: row.get(5)?, rule };
        each(row.get(0)?, (owner.into(), name.into(), row.get(3)?), pending);
    }
    Ok(())
}

//! The journal by subject: its latest rows in memory, the rest in `journal_by_subject`.
//!
//! Rows are merged into the table in bulk and in small steps between commits, so that neither a
//! write nor a start waits for it. The meta value `indexed_to` is the last row that is surely merged;
//! whoever reads the table goes no further and takes later rows from the journal itself. A crash
//! between two steps therefore only repeats them.
//!
//! The time of a row here is that from which its write counts: when it began to leave, which is known once
//! it is settled. Rows are therefore merged when they are, unless one keeps too many waiting.

use std::collections::HashSet;

use keystile_core::time::Timestamp;
use rusqlite::{Connection, Row, params};

use crate::departure::BEGINS_WITHIN_MILLIS;
use crate::error::Result;
use crate::sqlite::journal::order;
use crate::sqlite::meta;

/// So many rows wait in memory before a merge begins under load; at most about 2 MiB.
const TAIL_MAX: usize = 32_768;
/// So many rows are merged in one step; a few milliseconds.
const STEP: usize = 2_048;

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Entry {
    subject: i64,
    id: i64,
    time: Timestamp,
    cost: u32,
    /// Almost never there.
    amounts: Option<Box<str>>,
}

/// What a row took from budgets.
#[derive(Debug)]
pub(crate) struct RecordedDebit {
    pub(crate) id: i64,
    /// From when it counts.
    pub(crate) time: Timestamp,
    pub(crate) cost: u32,
    /// What it took from each budget, where that is not its cost.
    pub(crate) amounts: Option<Box<str>>,
}

fn debit_row(row: &Row<'_>) -> Result<RecordedDebit> {
    Ok(RecordedDebit {
        id: row.get(0)?,
        time: Timestamp(row.get(1)?),
        cost: row.get(2)?,
        amounts: row.get(3)?,
    })
}

/// The rows that are not yet in the table.
#[derive(Debug)]
pub(crate) struct SubjectIndex {
    indexed_to: i64,
    /// By id.
    tail: Vec<Entry>,
    /// By subject and id; those before `merged` are in the table.
    merging: Vec<Entry>,
    merged: usize,
}

impl Entry {
    fn debit(&self) -> RecordedDebit {
        let Self { id, time, cost, .. } = *self;
        RecordedDebit { id, time, cost, amounts: self.amounts.clone() }
    }
}

/// When to merge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pressure {
    /// Writes are waiting: only when many rows have gathered.
    Busy,
    /// Nobody waits.
    Idle,
}

impl SubjectIndex {
    /// Reads the rows that were not merged before the last stop. When their writes began to leave is not
    /// on record: before they were answered, or before now.
    pub(crate) fn open(connection: &Connection, now: Timestamp) -> Result<Self> {
        let indexed_to = indexed_to(connection)?;
        let mut statement = connection.prepare(
            "SELECT id, subject, time + min(coalesce(duration_ms, max(?2 - time, 0)), ?3), cost, amounts
             FROM journal WHERE id > ?1 ORDER BY id",
        )?;
        let tail = statement
            .query_and_then(params![indexed_to, now.0, BEGINS_WITHIN_MILLIS], |row| {
                Ok(Entry {
                    id: row.get(0)?,
                    subject: row.get(1)?,
                    time: Timestamp(row.get(2)?),
                    cost: row.get(3)?,
                    amounts: row.get(4)?,
                })
            })?
            .collect::<Result<_>>()?;
        Ok(Self { indexed_to, tail, merging: Vec::new(), merged: 0 })
    }

    /// Adds a row that was just inserted.
    pub(crate) fn push(&mut self, subject: i64, debit: RecordedDebit) {
        let RecordedDebit { id, time, cost, amounts } = debit;
        self.tail.push(Entry { subject, id, time, cost, amounts });
    }

    /// Forgets rows whose transaction failed.
    pub(crate) fn truncate(&mut self, last_id: i64) {
        while self.tail.last().is_some_and(|entry| entry.id > last_id) {
            self.tail.pop();
        }
    }

    /// A row costs nothing any more.
    pub(crate) fn forgive(&mut self, connection: &Connection, subject: i64, id: i64) -> Result<()> {
        if let Ok(place) = self.tail.binary_search_by_key(&id, |entry| entry.id) {
            self.tail[place].cost = 0;
            return Ok(());
        }
        if let Ok(place) =
            self.merging.binary_search_by_key(&(subject, id), |entry| (entry.subject, entry.id))
        {
            self.merging[place].cost = 0;
        }
        let mut statement = connection.prepare_cached(
            "UPDATE journal_by_subject SET cost = 0 WHERE subject = ?1 AND id = ?2",
        )?;
        statement.execute(params![subject, id])?;
        Ok(())
    }

    /// A row counts from a time, because its write began to leave then.
    pub(crate) fn set_time(
        &mut self,
        connection: &Connection,
        (subject, id): (i64, i64),
        time: Timestamp,
    ) -> Result<()> {
        if let Ok(place) = self.tail.binary_search_by_key(&id, |entry| entry.id) {
            self.tail[place].time = time;
            return Ok(());
        }
        if let Ok(place) =
            self.merging.binary_search_by_key(&(subject, id), |entry| (entry.subject, entry.id))
        {
            self.merging[place].time = time;
        }
        let mut statement = connection.prepare_cached(
            "UPDATE journal_by_subject SET time = ?3 WHERE subject = ?1 AND id = ?2",
        )?;
        statement.execute(params![subject, id, time.0])?;
        Ok(())
    }

    /// What rows of some subjects took from budgets, after a row and since a time.
    pub(crate) fn debits(
        &self,
        connection: &Connection,
        subjects: &[i64],
        after: i64,
        since: Timestamp,
    ) -> Result<Vec<RecordedDebit>> {
        let first = order::first_id_at(connection, since)?.max(after.saturating_add(1));
        let mut statement = connection.prepare_cached(
            "SELECT id, time, cost, amounts FROM journal_by_subject
             WHERE subject = ?1 AND id BETWEEN ?2 AND ?3 AND cost > 0",
        )?;
        let mut found = Vec::new();
        for subject in subjects {
            let rows =
                statement.query_and_then(params![subject, first, self.indexed_to], debit_row)?;
            for debit in rows {
                found.push(debit?);
            }
        }
        let wanted: HashSet<i64> = subjects.iter().copied().collect();
        found.extend(self.waiting(first, |entry| wanted.contains(&entry.subject)));
        Ok(found)
    }

    /// What all rows of a plan took from budgets, since a time. There is no list of them by plan, so this
    /// reads the journal from then on.
    pub(crate) fn debits_of_plan(
        &self,
        connection: &Connection,
        plan: &str,
        since: Timestamp,
    ) -> Result<Vec<RecordedDebit>> {
        let first = order::first_id_at(connection, since)?;
        // By the primary keys of both.
        let mut statement = connection.prepare_cached(
            "SELECT journal.id, by_subject.time, by_subject.cost, by_subject.amounts
             FROM journal JOIN journal_by_subject AS by_subject
                  ON by_subject.subject = journal.subject AND by_subject.id = journal.id
             WHERE journal.id BETWEEN ?1 AND ?2 AND journal.plan = ?3 AND by_subject.cost > 0",
        )?;
        let mut found: Vec<RecordedDebit> = statement
            .query_and_then(params![first, self.indexed_to, plan], debit_row)?
            .collect::<Result<_>>()?;
        let mut statement =
            connection.prepare_cached("SELECT id FROM journal WHERE id >= ?1 AND plan = ?2")?;
        let waits_from = first.max(self.indexed_to.saturating_add(1));
        let of_plan: HashSet<i64> = statement
            .query_map(params![waits_from, plan], |row| row.get(0))?
            .collect::<rusqlite::Result<_>>()?;
        found.extend(self.waiting(first, |entry| of_plan.contains(&entry.id)));
        Ok(found)
    }

    /// Rows that are not in the table yet.
    fn waiting(&self, first: i64, is_wanted: impl Fn(&Entry) -> bool) -> Vec<RecordedDebit> {
        let rows = self.merging.iter().chain(&self.tail);
        let waiting = rows.filter(|entry| entry.id >= first && entry.cost > 0 && is_wanted(entry));
        waiting.map(Entry::debit).collect()
    }

    /// Whether a merge has something to do, with rows up to one that are settled.
    pub(crate) fn wants_step(&self, pressure: Pressure, settled_to: i64) -> bool {
        let is_ready = self.tail.first().is_some_and(|entry| entry.id <= settled_to);
        match pressure {
            Pressure::Busy => !self.merging.is_empty() || (is_ready && self.tail.len() >= TAIL_MAX),
            Pressure::Idle => !self.merging.is_empty() || is_ready,
        }
    }

    /// Merges some rows, inside a transaction.
    pub(crate) fn step(&mut self, connection: &Connection, settled_to: i64) -> Result<()> {
        if self.merging.is_empty() {
            let open = self.tail.partition_point(|entry| entry.id <= settled_to);
            let open = self.tail.split_off(open);
            self.merging = std::mem::replace(&mut self.tail, open);
            self.merging.sort_unstable();
            self.merged = 0;
        }
        let end = self.merging.len().min(self.merged + STEP);
        let mut statement = connection.prepare_cached(
            "INSERT OR REPLACE INTO journal_by_subject (subject, id, time, cost, amounts)
             VALUES (?1, ?2, ?3, ?4, ?5)",
        )?;
        for entry in &self.merging[self.merged..end] {
            let Entry { subject, id, time, cost, amounts } = entry;
            statement.execute(params![subject, id, time.0, cost, amounts])?;
        }
        if end == self.merging.len() {
            let last = self.merging.iter().map(|entry| entry.id).max().unwrap_or(self.indexed_to);
            meta::set(connection, "indexed_to", &last.to_string())?;
        }
        Ok(())
    }

    /// Takes note that the transaction of the last step is durable.
    pub(crate) fn step_committed(&mut self) {
        self.merged = self.merging.len().min(self.merged + STEP);
        if self.merged == self.merging.len() {
            self.indexed_to =
                self.merging.iter().map(|entry| entry.id).max().unwrap_or(self.indexed_to);
            self.merging = Vec::new();
        }
    }
}

/// The last row that is surely in the table.
pub(crate) fn indexed_to(connection: &Connection) -> Result<i64> {
    Ok(meta::number(connection, "indexed_to")?.unwrap_or(0))
}

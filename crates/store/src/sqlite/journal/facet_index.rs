//! Blocks of the journal: which values occur where, so that a listing passes over the rest.
//!
//! # How
//!
//! 128 records with consecutive numbers are a block, 64 blocks a segment. `journal_facet` has a row
//! for each segment and each value that occurs in it (of an API, operation, method, address,
//! application or outcome): a hash of the value, and which of the 64 blocks it occurs in, as bits. A
//! listing asks each segment for the hashes that it wants, one seek each, and reads the blocks that
//! have all of them. Two values with one hash only let it read a block in vain.
//!
//! The writer fills the table between commits, in steps of a few milliseconds with rests between
//! them, never in a commit that somebody waits for. A segment's rows are written together once all
//! its records are there, in the order of the key, so they are appended rather than strewn. The meta
//! value `blocks_to` is the last record that is covered; whoever reads goes through later records
//! one by one. A crash or a failed commit repeats the segment that was under way.
//!
//! # What makes it right
//!
//! Nothing of a record that has a facet ever changes, but for the outcome: pending becomes something
//! else. A segment is therefore filled, if it can wait so long, once none of its writes is under way,
//! and a block that held a pending record when it was filled may hold any outcome that follows.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use rusqlite::types::ValueRef;
use rusqlite::{Connection, Row, params};

use crate::error::Result;
use crate::sqlite::journal::facet::{BLOCK, Column, SEGMENT, blocks_to, facet, segment_of};
use crate::sqlite::journal::hour;
use crate::sqlite::journal::record::outcome_of;
use crate::sqlite::journal::subject_index::Pressure;
use crate::sqlite::meta;

/// Records that one step reads; a few milliseconds.
const STEP: i64 = 2_048;
/// While writes wait, a step is followed by a rest of so many times its length.
const REST_BUSY: u32 = 50;
/// The same while nobody waits.
const REST_IDLE: u32 = 4;

/// The filling of the table, on the writer's side.
#[derive(Debug, Default)]
pub(crate) struct Blocks {
    /// The last record that was read; `None` where the database has to be asked.
    read_to: Option<i64>,
    /// Of the segment that is under way.
    facets: HashMap<u32, u64>,
    /// No step before this.
    rests_until: Option<Instant>,
}

impl Blocks {
    /// Goes on where the last start came to.
    pub(crate) fn open(connection: &Connection) -> Result<Self> {
        Ok(Self { read_to: Some(blocks_to(connection)?), ..Self::default() })
    }

    /// Forgets what was read, after a failed commit.
    pub(crate) fn forget(&mut self) {
        self.read_to = None;
        self.facets.clear();
    }

    /// How long until a step has something to do; `None` where nothing waits. `to` is the last record
    /// that may be read.
    pub(crate) fn due_in(&self, to: i64) -> Option<Duration> {
        if self.read_to.is_some_and(|read_to| to.saturating_sub(read_to) < STEP) {
            return None;
        }
        let rest = |until: Instant| until.saturating_duration_since(Instant::now());
        Some(self.rests_until.map_or(Duration::ZERO, rest))
    }

    /// Rests after a step, in proportion to what it took.
    pub(crate) fn rest(&mut self, took: Duration, pressure: Pressure) {
        let times = match pressure {
            Pressure::Busy => REST_BUSY,
            Pressure::Idle => REST_IDLE,
        };
        self.rests_until = Some(Instant::now() + took * times);
    }

    /// Reads some records, inside a transaction.
    pub(crate) fn step(&mut self, connection: &Connection, to: i64) -> Result<()> {
        let read_to = match self.read_to {
            Some(read_to) => read_to,
            None => blocks_to(connection)?,
        };
        // The key of each row by its number: no index is needed beside the tables' own.
        let mut statement = connection.prepare_cached(
            "SELECT id, outcome, api, operation, method, address,
                    (SELECT application FROM key WHERE key.id = journal.subject)
             FROM journal WHERE id > ?1 AND id <= ?2 ORDER BY id LIMIT ?3",
        )?;
        let mut rows = statement.query(params![read_to, to, STEP])?;
        let (mut reached, mut read) = (read_to, 0);
        while let Some(row) = rows.next()? {
            let id: i64 = row.get(0)?;
            if segment_of(id) != segment_of(reached) {
                self.write_segment(connection, segment_of(reached))?;
            }
            self.add(id, row)?;
            (reached, read) = (id, read + 1);
        }
        // Where retention took the rest there may be nothing to read up to the end.
        let end = if read < STEP { reached.max(to) } else { reached };
        if segment_of(end.saturating_add(1)) != segment_of(reached) {
            self.write_segment(connection, segment_of(reached))?;
        }
        hour::count_to(connection, end)?;
        self.read_to = Some(end);
        Ok(())
    }

    fn add(&mut self, id: i64, row: &Row<'_>) -> Result<()> {
        let bit = 1_u64 << (id.rem_euclid(SEGMENT) / BLOCK);
        let mut note = |column, value: &[u8]| {
            *self.facets.entry(facet(column, value)).or_default() |= bit;
        };
        note(Column::Outcome, outcome_of(row.get(1)?)?.name().as_bytes());
        let texts = [Column::Api, Column::Operation, Column::Method, Column::Address];
        for (place, column) in (2..).zip(texts) {
            note(column, row.get_ref(place)?.as_bytes().map_err(rusqlite::Error::from)?);
        }
        if let ValueRef::Integer(application) = row.get_ref(6)? {
            note(Column::Application, application.to_string().as_bytes());
        }
        Ok(())
    }

    fn write_segment(&mut self, connection: &Connection, segment: i64) -> Result<()> {
        let mut facets: Vec<_> = self.facets.drain().collect();
        facets.sort_unstable();
        let mut statement = connection.prepare_cached(
            "INSERT OR REPLACE INTO journal_facet (segment, facet, blocks) VALUES (?1, ?2, ?3)",
        )?;
        for (facet, blocks) in facets {
            statement.execute(params![segment, facet, blocks.cast_signed()])?;
        }
        let last = (segment + 1) * SEGMENT - 1;
        meta::set(connection, "blocks_to", &last.to_string())
    }
}

/// Deletes the facets of segments that lie wholly before a record.
pub(crate) fn delete_before(connection: &Connection, id: i64) -> Result<()> {
    connection
        .prepare_cached("DELETE FROM journal_facet WHERE segment < ?1")?
        .execute([segment_of(id)])?;
    Ok(())
}

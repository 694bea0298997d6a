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

use keystile_core::journal::Outcome;
use rusqlite::types::ValueRef;
use rusqlite::{CachedStatement, Connection, OptionalExtension, Row, params};

use crate::error::Result;
use crate::sqlite::journal::hour;
use crate::sqlite::journal::order::Direction;
use crate::sqlite::journal::record::outcome_of;
use crate::sqlite::journal::subject_index::Pressure;
use crate::sqlite::meta;

/// Records of a block.
const BLOCK: i64 = 128;
/// Records of a segment: as many blocks as a number of the table has bits.
pub(crate) const SEGMENT: i64 = BLOCK * 64;
/// Records that one step reads; a few milliseconds.
const STEP: i64 = 2_048;
/// While writes wait, a step is followed by a rest of so many times its length.
const REST_BUSY: u32 = 50;
/// The same while nobody waits.
const REST_IDLE: u32 = 4;

/// What facets are made of. The names are part of what is hashed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Column {
    Api,
    Operation,
    Method,
    Address,
    /// By row number.
    Application,
    /// By name.
    Outcome,
}

impl Column {
    fn name(self) -> &'static str {
        match self {
            Self::Api => "api",
            Self::Operation => "operation",
            Self::Method => "method",
            Self::Address => "address",
            Self::Application => "application",
            Self::Outcome => "outcome",
        }
    }
}

/// The hash of a value. It is on disk: another one needs another table.
pub(crate) fn facet(column: Column, value: &[u8]) -> u32 {
    let bytes = column.name().as_bytes().iter().chain(b":").chain(value);
    bytes.fold(0x811C_9DC5, |hash, byte| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193))
}

/// The facets of which a block has at least one if it may hold a record with this outcome.
pub(crate) fn outcome_facets(outcome: Outcome) -> Vec<u32> {
    let named = |outcome: Outcome| facet(Column::Outcome, outcome.name().as_bytes());
    match outcome {
        // A refusal is one from the start.
        Outcome::Pending | Outcome::Refused => vec![named(outcome)],
        Outcome::Applied
        | Outcome::RefusedByUpstream
        | Outcome::NotSent
        | Outcome::Unknown
        | Outcome::HandedOver => vec![named(outcome), named(Outcome::Pending)],
    }
}

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

fn segment_of(id: i64) -> i64 {
    id.div_euclid(SEGMENT)
}

/// The last record that the table covers.
fn blocks_to(connection: &Connection) -> Result<i64> {
    Ok(meta::number(connection, "blocks_to")?.unwrap_or(0))
}

/// Deletes the facets of segments that lie wholly before a record.
pub(crate) fn delete_before(connection: &Connection, id: i64) -> Result<()> {
    connection
        .prepare_cached("DELETE FROM journal_facet WHERE segment < ?1")?
        .execute([segment_of(id)])?;
    Ok(())
}

/// A part of the journal, on the way of a search.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ScanRange {
    /// Records that may fit, from the first to the last number.
    Candidates(i64, i64),
    /// Records that do not, passed over.
    Passed,
}

/// A walk through part of the journal that passes over blocks which cannot hold what is wanted.
pub(crate) struct Search<'c> {
    seek: CachedStatement<'c>,
    /// A block must have at least one facet of each.
    wanted: Vec<Vec<u32>>,
    blocks_to: i64,
    direction: Direction,
    /// What is left; empty where the first is beyond the last.
    pub(crate) first: i64,
    pub(crate) last: i64,
    /// The blocks of the segment that was last asked for.
    known: Option<(i64, u64)>,
}

impl<'c> Search<'c> {
    /// A walk from the first to the last number, or the other way.
    pub(crate) fn new(
        connection: &'c Connection,
        wanted: Vec<Vec<u32>>,
        (first, last): (i64, i64),
        direction: Direction,
    ) -> Result<Self> {
        // By the primary key.
        let seek = connection
            .prepare_cached("SELECT blocks FROM journal_facet WHERE segment = ?1 AND facet = ?2")?;
        let blocks_to = blocks_to(connection)?;
        Ok(Self { seek, wanted, blocks_to, direction, first, last, known: None })
    }

    /// Where the walk has come to.
    pub(crate) fn place(&self) -> i64 {
        match self.direction {
            Direction::LatestFirst => self.last,
            Direction::EarliestFirst => self.first,
        }
    }

    /// Which way it goes.
    pub(crate) fn direction(&self) -> Direction {
        self.direction
    }

    /// Leaves out what lies before a record, as far as the walk is concerned.
    pub(crate) fn move_to(&mut self, id: i64) {
        match self.direction {
            Direction::LatestFirst => self.last = id,
            Direction::EarliestFirst => self.first = id,
        }
    }

    /// The next part of at most a segment; `None` at the end.
    pub(crate) fn advance(&mut self) -> Result<Option<ScanRange>> {
        if self.first > self.last {
            return Ok(None);
        }
        let segment = segment_of(self.place());
        let (begin, end) = (segment * SEGMENT, (segment + 1) * SEGMENT - 1);
        let (begin, end, blocks) = if self.place() > self.blocks_to {
            (begin.max(self.blocks_to + 1), end, u64::MAX)
        } else {
            (begin, end, self.blocks(segment)?)
        };
        let found = run(blocks, self.place() - segment * SEGMENT, self.direction);
        let (from, to) = match found {
            Some((low, high)) => (segment * SEGMENT + low, segment * SEGMENT + high),
            // Nothing more in this segment.
            None => (begin, end),
        };
        let (from, to) = (from.max(begin).max(self.first), to.min(end).min(self.last));
        match self.direction {
            Direction::LatestFirst => self.last = from - 1,
            Direction::EarliestFirst => self.first = to + 1,
        }
        Ok(Some(match found {
            Some(_) => ScanRange::Candidates(from, to),
            None => ScanRange::Passed,
        }))
    }

    /// The blocks of a segment that have all that is wanted.
    fn blocks(&mut self, segment: i64) -> Result<u64> {
        if let Some((known, blocks)) = self.known
            && known == segment
        {
            return Ok(blocks);
        }
        let mut blocks = u64::MAX;
        for alternatives in &self.wanted {
            let mut some = 0;
            for facet in alternatives {
                let found =
                    self.seek.query_row(params![segment, facet], |row| row.get::<_, i64>(0));
                some |= found.optional()?.map_or(0, i64::cast_unsigned);
            }
            blocks &= some;
            if blocks == 0 {
                break;
            }
        }
        self.known = Some((segment, blocks));
        Ok(blocks)
    }
}

/// The next run of set bits at or after an offset into the segment, as its first and last offset.
fn run(blocks: u64, offset: i64, direction: Direction) -> Option<(i64, i64)> {
    let at = u32::try_from(offset / BLOCK).ok()?;
    let (low, high) = match direction {
        Direction::LatestFirst => {
            let left = blocks & (u64::MAX >> (63 - at));
            let high = left.checked_ilog2()?;
            let run = (!(left << (63 - high))).leading_zeros();
            (high + 1 - run, high)
        }
        Direction::EarliestFirst => {
            let left = blocks & (u64::MAX << at);
            let low = (left != 0).then(|| left.trailing_zeros())?;
            (low, low + (left >> low).trailing_ones() - 1)
        }
    };
    Some((i64::from(low) * BLOCK, (i64::from(high) + 1) * BLOCK - 1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn hashes_on_disk_stay_what_they_are() {
        assert_eq!(facet(Column::Method, b"DELETE"), 0x7966_23A9);
        assert_eq!(facet(Column::Application, b"7"), 0x03D0_0E2E);
    }

    proptest! {
        #[test]
        fn runs_cover_every_set_bit_once_and_no_other(blocks: u64, latest: bool) {
            let direction = if latest { Direction::LatestFirst } else { Direction::EarliestFirst };
            let (mut offset, mut seen) = (if latest { SEGMENT - 1 } else { 0 }, 0_u64);
            while (0..SEGMENT).contains(&offset)
                && let Some((low, high)) = run(blocks, offset, direction)
            {
                for block in low / BLOCK..=high / BLOCK {
                    prop_assert_eq!(seen & (1 << block), 0);
                    seen |= 1 << block;
                }
                offset = if latest { low - 1 } else { high + 1 };
            }
            prop_assert_eq!(seen, blocks);
        }
    }
}

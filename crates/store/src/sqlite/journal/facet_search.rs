//! A walk through the journal that passes over blocks which cannot hold what is wanted.
//!
//! It asks each segment of [`crate::sqlite::journal::facet_index`] for the hashes that it wants, one seek
//! each. Two values with one hash only let it stop at a block in vain.

use rusqlite::{CachedStatement, Connection, OptionalExtension, params};

use crate::error::Result;
use crate::sqlite::journal::facet::{BLOCK, SEGMENT, blocks_to, segment_of};
use crate::sqlite::journal::order::Direction;

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

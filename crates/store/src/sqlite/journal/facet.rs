//! Facets: hashes of values that records have, by which blocks of the journal are passed over.
//!
//! What is hashed how, and how many records a block and a segment have, is on disk.

use keystile_core::journal::Outcome;
use rusqlite::Connection;

use crate::error::Result;
use crate::sqlite::meta;

/// Records of a block.
pub(crate) const BLOCK: i64 = 128;
/// Records of a segment: as many blocks as a number of the table has bits.
pub(crate) const SEGMENT: i64 = BLOCK * 64;

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

/// The segment that a record lies in.
pub(crate) fn segment_of(id: i64) -> i64 {
    id.div_euclid(SEGMENT)
}

/// The last record that the table covers.
pub(crate) fn blocks_to(connection: &Connection) -> Result<i64> {
    Ok(meta::number(connection, "blocks_to")?.unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_on_disk_stay_what_they_are() {
        assert_eq!(facet(Column::Method, b"DELETE"), 0x7966_23A9);
        assert_eq!(facet(Column::Application, b"7"), 0x03D0_0E2E);
    }
}

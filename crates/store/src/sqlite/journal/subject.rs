//! Subjects as numbers of the journal.

use std::net::IpAddr;

use keystile_core::budget::Subject;
use rusqlite::Connection;

use crate::error::Result;

/// Nobody known.
pub(crate) const NOBODY: i64 = 0;

/// The number of a key or address: keys have that of their row, addresses a negative one. Two addresses may
/// share a number and then share their budgets, which admits less, never more. An application has none of
/// its own.
pub(crate) fn number(subject: Subject) -> Option<i64> {
    match subject {
        Subject::Key(row) => Some(row),
        Subject::Application(_) => None,
        Subject::Address(address) => Some(address_number(address)),
    }
}

fn address_number(address: IpAddr) -> i64 {
    // FNV-1a: it must be the same in every build, because the journal keeps it.
    let octets = match address {
        IpAddr::V4(address) => address.to_ipv6_mapped().octets(),
        IpAddr::V6(address) => address.octets(),
    };
    let hash = octets.iter().fold(0xCBF2_9CE4_8422_2325_u64, |hash, octet| {
        (hash ^ u64::from(*octet)).wrapping_mul(0x0100_0000_01B3)
    });
    -i64::try_from(hash >> 1).unwrap_or(i64::MAX).max(1)
}

/// The numbers under which a subject's records are, each with the record up to which they left its budgets
/// by an owner's act.
///
/// # Errors
/// When the store cannot be read.
pub(crate) fn numbers(connection: &Connection, subject: Subject) -> Result<Vec<(i64, i64)>> {
    let (sql, row) = match subject {
        Subject::Key(row) => ("SELECT id, counts_after FROM key WHERE id = ?1", row),
        // By the index `key_application`.
        Subject::Application(row) => {
            ("SELECT id, counts_after FROM key WHERE application = ?1", row)
        }
        Subject::Address(address) => return Ok(vec![(address_number(address), 0)]),
    };
    let mut statement = connection.prepare_cached(sql)?;
    statement.query_and_then([row], |row| Ok((row.get(0)?, row.get(1)?)))?.collect()
}

//! The journal's order, and where in it a time lies.
//!
//! The order of records is by time and, among those of one time, by number: that is what the store's face
//! promises. In this backend the order of numbers is the same, and its files rely on that:
//!
//! - One writer gives all numbers, one after the other, and takes back those of a transaction that failed. So
//!   they have no gaps but where retention deleted from the start.
//! - It gives them with the time of the transaction, which is on a clock that never runs backwards, also not
//!   across a restart. So times never fall along numbers, and a time is found by searching the numbers.
//!
//! A backend with several writers has neither: nothing outside of this folder may count on them.

use keystile_core::time::Timestamp;
use rusqlite::{Connection, OptionalExtension};

use crate::error::Result;

/// The order of a listing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Direction {
    /// Latest first.
    #[default]
    LatestFirst,
    /// Earliest first.
    EarliestFirst,
}

/// The last row's number and time.
pub(crate) fn last(connection: &Connection) -> Result<(i64, Timestamp)> {
    let mut statement =
        connection.prepare_cached("SELECT id, time FROM journal ORDER BY id DESC LIMIT 1")?;
    let found =
        statement.query_row([], |row| Ok((row.get(0)?, Timestamp(row.get(1)?)))).optional()?;
    Ok(found.unwrap_or((0, Timestamp(0))))
}

/// A number that no row before a time reaches and none at or after it is below; one past the last where
/// there is none. Times never fall along the rows, so this is a binary search; it may answer with a
/// number that retention deleted.
pub(crate) fn first_id_at(connection: &Connection, time: Timestamp) -> Result<i64> {
    let mut statement = connection
        .prepare_cached("SELECT id, time FROM journal WHERE id >= ?1 ORDER BY id LIMIT 1")?;
    let (mut low, mut high) = (1, last(connection)?.0 + 1);
    while low < high {
        let middle = low + (high - low) / 2;
        let found = statement
            .query_row([middle], |row| Ok((row.get::<_, i64>(0)?, Timestamp(row.get(1)?))))
            .optional()?;
        match found {
            Some((id, at)) if at < time => low = id + 1,
            Some(_) | None => high = middle,
        }
    }
    Ok(low)
}

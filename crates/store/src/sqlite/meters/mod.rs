//! Meters in the database.
//!
//! # How
//!
//! Thousands of calls a second count for as many owners, whose rows lie all over the table: written row by row,
//! each commit would dirty a page for each owner. So a commit appends its values to a log, which is a few
//! pages whoever they are of ([`log`]), and the table follows some seconds later, in its own order
//! ([`batch`], [`rows`]). What is read is the table and what the log says after it ([`listing`]). A value may
//! be in both, because bringing it over twice changes nothing.

pub(crate) mod batch;
pub(crate) mod listing;
pub(crate) mod log;
pub(crate) mod rows;

use crate::doors::meters::{METER_TEXT_BYTES_MAX, METERS_AT_ONCE_MAX, MeterValue};
use crate::error::{Error, Result};

/// What a value does to the one that is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PutRule {
    /// The larger one stays.
    KeepLarger,
    /// It takes its place.
    Replace,
}

/// Refuses values that the store does not keep.
pub(crate) fn check(values: &[MeterValue]) -> Result<()> {
    if values.len() > METERS_AT_ONCE_MAX {
        let many = values.len();
        return Err(Error::Conflict(format!(
            "{many} meters are too many at once: put at most {METERS_AT_ONCE_MAX}"
        )));
    }
    let fits = |text: &str| (1..=METER_TEXT_BYTES_MAX).contains(&text.len());
    match values.iter().find(|meter| !fits(&meter.owner) || !fits(&meter.name)) {
        None => Ok(()),
        Some(_) => Err(Error::Conflict(format!(
            "the owner and the name of a meter have 1 to {METER_TEXT_BYTES_MAX} bytes"
        ))),
    }
}

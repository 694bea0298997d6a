//! Records of the journal, a page at a time, for whatever lists, follows or exports them.

use keystile_core::journal::WriteRecord;
use keystile_engine::journal::{ListRecords, RecordFilter};

use super::arguments::PeriodArguments;
use super::session::{Session, Stop};

/// How many records one command asks for.
pub(super) const PAGE: u32 = 1000;

/// Sends one command for records.
pub(super) fn page(
    filter: RecordFilter,
    session: &mut Session<'_, '_>,
) -> Result<Vec<WriteRecord>, Stop> {
    session.execute(ListRecords { filter })
}

/// Refuses a period that holds nothing.
pub(super) fn check_period(period: PeriodArguments, session: &Session<'_, '_>) -> Result<(), Stop> {
    match period.mistake(session.terminal.screen.now) {
        Some(mistake) => Err(Stop::failed(mistake, "swap the two times")),
        None => Ok(()),
    }
}

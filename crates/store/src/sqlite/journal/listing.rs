//! Listing the journal by filters, a page at a time.
//!
//! A listing walks from its end of the journal toward the other, past the blocks that cannot hold what
//! is wanted ([`crate::sqlite::journal::facet_search`]); a key's records are found by
//! `journal_by_subject`. Where each of several filters fits almost everywhere but all of them together
//! nowhere, that is still a long way: [`page`] gives up after a bounded amount of work and says how far it
//! came, [`list`] goes to the end.

use keystile_core::journal::{RecordId, WriteRecord};
use keystile_core::time::Timestamp;
use rusqlite::{Connection, OptionalExtension, StatementStatus, params_from_iter};

use crate::error::Result;
use crate::sqlite::journal::facet::{Column, SEGMENT, facet, outcome_facets};
use crate::sqlite::journal::facet_search::{ScanRange, Search};
use crate::sqlite::journal::order::Direction;
use crate::sqlite::journal::query::{self, RecordQuery, Source, is_rare};
use crate::sqlite::journal::subject_index;

/// A page of a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordPage {
    /// Records that fit, in the order that was asked for.
    pub records: Vec<WriteRecord>,
    /// Where the next page begins: before this record when the latest come first, otherwise after it.
    /// `None` where nothing more fits. The record may itself not fit, or be gone.
    pub next: Option<RecordId>,
    /// Whether everything up to `next`, or to the end, that fits is here and the page is as full as it
    /// can be. `false` where the search was given up after a bounded amount of work: the page may be
    /// short, or empty, although more records fit further on.
    pub searched_all: bool,
    /// The time of the record that a search which was given up had come to.
    pub searched_to: Option<Timestamp>,
}

/// Work after which a page is given up, in steps of SQLite's machine over consecutive rows, each about 20
/// nanoseconds: 8 ms. The stretch that is under way is looked through.
const PAGE_WORK: u64 = 400_000;
/// What passing over a segment counts as: one seek in a large table.
const PASSED_WORK: u64 = 200;
/// What a step counts as where an index leads from row to row, which lie far apart.
const LED_STEP_WORK: u64 = 24;
/// So many stretches are tried before a subject's next record is looked for again, where it was near.
const SKIP_AFTER: u32 = 16;

/// Records that fit a query, however long it takes to find them.
///
/// # Errors
/// When the store cannot be read.
pub(crate) fn list(connection: &Connection, query: &RecordQuery) -> Result<Vec<WriteRecord>> {
    let mut listing = Listing { connection, query, wanted: query.limit, work_left: u64::MAX };
    Ok(listing.gather()?.0)
}

/// A page of the records that fit a query, found with a bounded amount of work.
///
/// # Errors
/// When the store cannot be read.
pub(crate) fn page(connection: &Connection, query: &RecordQuery) -> Result<RecordPage> {
    // One more shows whether there is another page.
    let wanted = query.limit.saturating_add(1);
    let mut listing = Listing { connection, query, wanted, work_left: PAGE_WORK };
    let (mut records, given_up_at) = listing.gather()?;
    if records.len() > query.limit as usize {
        records.truncate(query.limit as usize);
        let next = records.last().map(|record| record.id);
        return Ok(RecordPage { records, next, searched_all: true, searched_to: None });
    }
    let (next, searched_to) = match given_up_at {
        Some(place) => (Some(next_after(place, query.direction)), time_at(connection, place)?),
        None => (None, None),
    };
    Ok(RecordPage { records, next, searched_all: next.is_none(), searched_to })
}

/// What a page is asked for with that begins at a place.
fn next_after(place: i64, direction: Direction) -> RecordId {
    RecordId(match direction {
        Direction::LatestFirst => place.saturating_add(1),
        Direction::EarliestFirst => place.saturating_sub(1),
    })
}

fn time_at(connection: &Connection, id: i64) -> Result<Option<Timestamp>> {
    let mut statement =
        connection.prepare_cached("SELECT time FROM journal WHERE id >= ?1 ORDER BY id LIMIT 1")?;
    Ok(statement.query_row([id], |row| Ok(Timestamp(row.get(0)?))).optional()?)
}

struct Listing<'q> {
    connection: &'q Connection,
    query: &'q RecordQuery,
    wanted: u32,
    work_left: u64,
}

impl Listing<'_> {
    /// What fits, and the first number that was not looked at when the work was too much.
    fn gather(&mut self) -> Result<(Vec<WriteRecord>, Option<i64>)> {
        let mut found = Vec::new();
        for (source, first, last) in self.parts()? {
            let facets = self.facets();
            // Every row of the part fits, or an index leads to those that do.
            let is_direct =
                facets.is_empty() && (source == Source::BySubject || self.query.subject.is_none());
            if is_direct || self.is_rare_outcome_only() {
                self.select(source, (first, last), &mut found)?;
                if self.is_full(&found) {
                    return Ok((found, None));
                }
                continue;
            }
            let direction = self.query.direction;
            let mut search = Search::new(self.connection, facets, (first, last), direction)?;
            let mut skips_in = 0;
            while self.skip_to_subject(source, &mut search, &mut skips_in)?
                && let Some(stretch) = search.advance()?
            {
                match stretch {
                    ScanRange::Passed => self.charge(PASSED_WORK),
                    ScanRange::Candidates(low, high) => {
                        self.select(source, (low, high), &mut found)?;
                    }
                }
                if self.is_full(&found) {
                    return Ok((found, None));
                }
                if self.work_left == 0 && search.first <= search.last {
                    return Ok((found, Some(search.place())));
                }
            }
        }
        Ok((found, None))
    }

    fn is_full(&self, found: &[WriteRecord]) -> bool {
        found.len() >= self.wanted as usize
    }

    fn charge(&mut self, work: u64) {
        self.work_left = self.work_left.saturating_sub(work);
    }

    /// The partial index on rare outcomes then leads from record to record.
    fn is_rare_outcome_only(&self) -> bool {
        let RecordQuery { subject, application, api, operation, method, address, outcome, .. } =
            self.query;
        outcome.is_some_and(is_rare)
            && subject.is_none()
            && application.is_none()
            && [api, operation, method, address].into_iter().all(Option::is_none)
    }

    /// What blocks must have; first what is likely to be rare.
    fn facets(&self) -> Vec<Vec<u32>> {
        let query = self.query;
        let application = query.application.map(|row| row.to_string());
        let texts = [
            (Column::Address, &query.address),
            (Column::Application, &application),
            (Column::Operation, &query.operation),
            (Column::Method, &query.method),
            (Column::Api, &query.api),
        ];
        let texts = texts.into_iter().filter_map(|(column, text)| {
            text.as_ref().map(|text| vec![facet(column, text.as_bytes())])
        });
        texts.chain(query.outcome.map(outcome_facets)).collect()
    }

    /// The parts of the journal to go through, in order. A key's latest records are not in the list by
    /// subject yet.
    fn parts(&self) -> Result<Vec<(Source, i64, i64)>> {
        let (first, last) = query::bounds(self.connection, self.query)?;
        if self.query.subject.is_none() {
            return Ok(vec![(Source::Journal, first, last)]);
        }
        let indexed_to = subject_index::indexed_to(self.connection)?;
        let mut parts = vec![
            (Source::BySubject, first, last.min(indexed_to)),
            (Source::Journal, first.max(indexed_to.saturating_add(1)), last),
        ];
        if self.query.direction == Direction::LatestFirst {
            parts.reverse();
        }
        Ok(parts)
    }

    /// Moves a search on to the subject's next record, where a list leads to it; `false` where there is
    /// none. A subject with records everywhere is not looked for at every stretch.
    fn skip_to_subject(
        &mut self,
        source: Source,
        search: &mut Search<'_>,
        skips_in: &mut u32,
    ) -> Result<bool> {
        let (Source::BySubject, Some(subject)) = (source, self.query.subject) else {
            return Ok(true);
        };
        if *skips_in > 0 {
            *skips_in -= 1;
            return Ok(true);
        }
        self.charge(PASSED_WORK);
        // By the primary key.
        let sql = match search.direction() {
            Direction::LatestFirst => {
                "SELECT max(id) FROM journal_by_subject WHERE subject = ?1 AND id BETWEEN ?2 AND ?3"
            }
            Direction::EarliestFirst => {
                "SELECT min(id) FROM journal_by_subject WHERE subject = ?1 AND id BETWEEN ?2 AND ?3"
            }
        };
        let mut statement = self.connection.prepare_cached(sql)?;
        let found: Option<i64> =
            statement.query_row([subject, search.first, search.last], |row| row.get(0))?;
        let Some(id) = found else {
            return Ok(false);
        };
        if (search.place() - id).abs() < SEGMENT {
            *skips_in = SKIP_AFTER;
        }
        search.move_to(id);
        Ok(true)
    }

    fn select(
        &mut self,
        source: Source,
        (first, last): (i64, i64),
        found: &mut Vec<WriteRecord>,
    ) -> Result<()> {
        let missing = i64::from(self.wanted) - i64::try_from(found.len()).unwrap_or(i64::MAX);
        let (sql, values) = query::statement(self.query, source, (first, last), missing);
        let mut statement = self.connection.prepare_cached(&sql)?;
        statement.reset_status(StatementStatus::VmStep);
        for record in statement.query_and_then(params_from_iter(values), query::record)? {
            found.push(record?);
        }
        let steps = u64::from(statement.get_status(StatementStatus::VmStep).unsigned_abs());
        let is_led = source == Source::BySubject || self.query.outcome.is_some_and(is_rare);
        self.charge(if is_led { steps * LED_STEP_WORK } else { steps });
        Ok(())
    }
}

//! What a key did lately, for the page that shows it. All of it is bounded work.

use std::collections::HashMap;

use keystile_core::journal::Outcome;
use keystile_core::journal::counts::{Activity, AddressUse};
use keystile_core::time::Timestamp;
use rusqlite::{Connection, OptionalExtension, params};

use crate::error::Result;
use crate::sqlite::journal::order::first_id_at;
use crate::sqlite::journal::query::RecordQuery;
use crate::sqlite::journal::record::code;
use crate::sqlite::journal::{listing, subject_index};

/// So many of a key's latest records are counted.
const COUNTED_MAX: u32 = 20_000;
/// So many of a key's latest records are looked at for addresses.
const ADDRESSED_MAX: u32 = 1_000;

/// How many records a subject has in each of some slots of equal length from a time on; what is later
/// counts in the last slot. Counts the latest 20,000 records at most.
///
/// # Errors
/// When the store cannot be read.
pub(crate) fn activity_of_subject(
    connection: &Connection,
    subject: i64,
    since: Timestamp,
    slots: usize,
    slot_millis: i64,
) -> Result<Activity> {
    let mut counts = vec![0_u64; slots.max(1)];
    let first = first_id_at(connection, since)?;
    let indexed_to = subject_index::indexed_to(connection)?;
    // What is not in the list by subject yet is in the journal; either is a range of a primary key.
    let mut statement = connection.prepare_cached(
        "SELECT time FROM (SELECT id, time FROM journal
                           WHERE id > max(?3, ?2 - 1) AND subject = ?1 ORDER BY id DESC LIMIT ?4)
         UNION ALL
         SELECT time FROM (SELECT id, time FROM journal_by_subject
                           WHERE subject = ?1 AND id BETWEEN ?2 AND ?3 ORDER BY id DESC LIMIT ?4)
         LIMIT ?4",
    )?;
    let mut rows = statement.query(params![subject, first, indexed_to, COUNTED_MAX + 1])?;
    let mut seen = 0;
    while let Some(row) = rows.next()? {
        seen += 1;
        if seen > COUNTED_MAX {
            break;
        }
        let slot = Timestamp(row.get(0)?).millis_since(since) / slot_millis.max(1);
        let slot = usize::try_from(slot).unwrap_or(usize::MAX).min(counts.len() - 1);
        counts[slot] += 1;
    }
    Ok(Activity { slots: counts, is_truncated: seen > COUNTED_MAX })
}

/// The addresses of a subject's latest 1,000 records, the last used first.
///
/// # Errors
/// When the store cannot be read.
pub(crate) fn addresses_of_subject(
    connection: &Connection,
    subject: i64,
    limit: usize,
) -> Result<Vec<AddressUse>> {
    let query =
        RecordQuery { subject: Some(subject), limit: ADDRESSED_MAX, ..RecordQuery::default() };
    // The key's latest come first, so an address's first record has its last time.
    let (mut found, mut places) = (Vec::<AddressUse>::new(), HashMap::new());
    for record in listing::page(connection, &query)?.records {
        let place = *places.entry(record.address.clone()).or_insert(found.len());
        match found.get_mut(place) {
            Some(known) => known.requests += u64::from(record.count),
            None => found.push(AddressUse {
                address: record.address,
                requests: u64::from(record.count),
                last: record.time,
            }),
        }
    }
    found.truncate(limit);
    Ok(found)
}

/// The time of the last write of a subject that was forwarded, or is about to be.
///
/// What was refused or given up is passed over, row by row: repeated refusals are gathered in few rows. So
/// is what `observe` would have refused and is no write, which has a reason and no cost.
///
/// # Errors
/// When the store cannot be read.
pub(crate) fn last_of_subject(connection: &Connection, subject: i64) -> Result<Option<Timestamp>> {
    let indexed_to = subject_index::indexed_to(connection)?;
    let is_sent = format!(
        "journal.outcome NOT IN ({}, {}) AND (journal.cost > 0 OR journal.reason IS NULL)",
        code(Outcome::NotSent),
        code(Outcome::Refused)
    );
    for source in [
        "journal WHERE id > ?2 AND subject = ?1",
        "journal_by_subject AS listed CROSS JOIN journal ON journal.id = listed.id
         WHERE listed.subject = ?1 AND listed.id <= ?2",
    ] {
        let mut statement = connection.prepare_cached(&format!(
            "SELECT journal.time FROM {source} AND {is_sent} ORDER BY {} DESC LIMIT 1",
            if source.starts_with("journal ") { "journal.id" } else { "listed.id" }
        ))?;
        let found = statement
            .query_row(params![subject, indexed_to], |row| Ok(Timestamp(row.get(0)?)))
            .optional()?;
        if found.is_some() {
            return Ok(found);
        }
    }
    Ok(None)
}

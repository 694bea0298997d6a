//! Opening a store: all that is read and written before its writer takes the first write.
//!
//! # What this protects
//!
//! A full or read-only disk must not keep the gate shut: reads need no more than the keys. So where a store
//! that is whole can be read but not written to, it is opened for reading, every write is refused, and its
//! writer tries once a second to begin ([`crate::sqlite::read_only`]).

use std::collections::BTreeMap;

use keystile_core::keys::hash::Pepper;
use keystile_core::time::Timestamp;
use rusqlite::{Connection, OpenFlags};

use crate::clock::StoreClock;
use crate::error::{Error, Result};
use crate::key_cache::Rows;
use crate::sqlite::audit::{AuditHead, event};
use crate::sqlite::connection::connect;
use crate::sqlite::files::directory::{DataDirectory, Freshness};
use crate::sqlite::files::loss::{self, Found, Missing};
use crate::sqlite::files::mark::{Mark, MarkFile};
use crate::sqlite::files::pepper::{know_pepper, note_pepper};
use crate::sqlite::files::schema;
use crate::sqlite::journal::facet_index::Blocks;
use crate::sqlite::journal::subject_index::SubjectIndex;
use crate::sqlite::journal::{order, record};
use crate::sqlite::keys::key;
use crate::sqlite::ledger::Ledger;
use crate::sqlite::meta;
use crate::sqlite::meters::log::MeterLog;
use crate::sqlite::node::Node;
use crate::sqlite::notifications::outbox;
use crate::sqlite::writer::checkpoint::Checkpoints;
use crate::sqlite::writer::shared::Shared;
use crate::sqlite::writer::thread::Begun;
use crate::sqlite::writer::write_tx::WriterState;

/// Opens a store as far as its disk lets it.
pub(crate) enum Start {
    /// It takes writes.
    Begun(Box<(Begun, Pepper)>),
    /// It can only be read, and why.
    Loaded(Box<Loaded>, Error),
}

/// Begins, or reads what can be read where only the disk is in the way.
pub(crate) fn start(directory: &DataDirectory, missing: Missing, shared: &Shared) -> Result<Start> {
    loss::refuse_without_database(directory)?;
    match begin(directory, missing, None, shared) {
        Ok(begun) => Ok(Start::Begun(Box::new(begun))),
        Err(error) if error.is_of_disk() && is_there(directory, missing) => {
            match load(directory, shared) {
                Ok(loaded) => Ok(Start::Loaded(Box::new(loaded), error)),
                Err(Error::Sqlite(_) | Error::Directory { .. }) => Err(error),
                Err(other) => Err(other),
            }
        }
        Err(error) => Err(error),
    }
}

/// Whether there is something that could be read.
fn is_there(directory: &DataDirectory, missing: Missing) -> bool {
    let database = directory.database().metadata();
    missing == Missing::Refused && database.is_ok_and(|database| database.len() > 0)
}

/// What is in memory already, of a store that could only be read.
#[derive(Clone)]
pub(crate) struct Loaded {
    pub(crate) pepper: Pepper,
    pub(crate) clock: StoreClock,
    pub(crate) last_id: i64,
    pub(crate) rows: Rows,
}

/// Does all that has to be done before the first write.
pub(crate) fn begin(
    directory: &DataDirectory,
    missing: Missing,
    loaded: Option<Loaded>,
    shared: &Shared,
) -> Result<(Begun, Pepper)> {
    let mut connection = writable(directory, missing)?;
    let checkpoints = Checkpoints::take_over(&mut connection)?;
    let is_used = key::exist(&connection)? || event::exist(&connection)?;
    let freshness = if is_used { Freshness::Used } else { Freshness::New };
    let pepper = directory.pepper(freshness)?;
    note_pepper(directory, &connection, &pepper, freshness)?;
    let pending_from = meta::number(&connection, "pending_from")?;
    let (last_id, last_time) = order::last(&connection)?;
    let (rows, clock) = match loaded {
        Some(loaded) => (loaded.rows, loaded.clock),
        None => (key::load(&connection, &shared.keys)?, read_clock(&connection, last_time)?),
    };
    let (pending_from, now) = (pending_from.unwrap_or(0), clock.now());
    let node = Node::take_over(&connection, now)?;
    let left_unknown = record::close_pending(&connection, pending_from, &node, now)?;
    let pending_elsewhere = record::first_pending(&connection, pending_from)?;
    outbox::release_claims(&connection, &node, now)?;
    keep_clock(&connection, clock)?;
    let memory = WriterState {
        ledger: Ledger::default(),
        index: SubjectIndex::open(&connection, clock.now())?,
        blocks: Blocks::open(&connection)?,
        rows,
        keys: shared.keys.clone(),
        audit: AuditHead::open(&connection, &pepper)?,
        meters: MeterLog::open(&connection)?,
        open: BTreeMap::new(),
        clock,
        last_id,
        node,
        pending_elsewhere,
        watching: shared.watching.clone(),
        outbox_signal: shared.outbox_signal.clone(),
    };
    let stands =
        Mark { record: last_id, events: memory.audit.committed_count(), ..Mark::default() };
    let mark = MarkFile::open(&directory.mark_file(), directory.log(), stands)
        .map_err(|source| Error::Directory { path: directory.mark_file(), source })?;
    let schema_cookie = schema::cookie(&connection)?;
    shared.readers.begin(directory)?;
    let begun = Begun { connection, memory, clock, checkpoints, mark, schema_cookie, left_unknown };
    Ok((begun, pepper))
}

/// The database, whole, ours and in its present form.
fn writable(directory: &DataDirectory, missing: Missing) -> Result<Connection> {
    let found = Found::look(directory, missing)?;
    directory.create_database()?;
    let mut connection = connect(directory.database(), OpenFlags::default())?;
    // First of all, so that a file which is not ours stays as it is.
    let version = schema::version(&connection)?;
    if version > 0 {
        schema::refuse_foreign(&connection)?;
    }
    if version >= schema::WITH_AUDIT {
        found.compare(directory, &connection)?;
    }
    schema::migrate(&mut connection)?;
    connection.execute_batch("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL")?;
    if found.scan.dropped > 0 {
        // What is left of it would look like commits that are missing once others stand before it.
        connection.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)")?;
    }
    Ok(connection)
}

/// Reads what requests need of a store that cannot be written to.
pub(crate) fn load(directory: &DataDirectory, shared: &Shared) -> Result<Loaded> {
    let found = Found::look(directory, Missing::Refused)?;
    shared.readers.fall_back(directory)?;
    shared.readers.with(directory, |connection| {
        if !schema::is_present(connection)? {
            return Err(Error::Conflict(
                "the store was written by an earlier Keystile; to bring it to the present form the disk must take writes"
                    .to_owned(),
            ));
        }
        schema::refuse_foreign(connection)?;
        found.compare(directory, connection)?;
        let pepper = directory.pepper(Freshness::Used)?;
        know_pepper(directory, connection, &pepper)?;
        let (last_id, last_time) = order::last(connection)?;
        let rows = key::load(connection, &shared.keys)?;
        Ok(Loaded { pepper, clock: read_clock(connection, last_time)?, last_id, rows })
    })
}

/// The clock that goes on from the anchor in the store.
fn read_clock(connection: &Connection, last: Timestamp) -> Result<StoreClock> {
    Ok(StoreClock::resume(meta::read(connection, "clock")?.as_deref(), last))
}

/// Keeps the clock's anchor for the next start.
fn keep_clock(connection: &Connection, clock: StoreClock) -> Result<()> {
    let anchor = clock.anchor();
    if meta::read(connection, "clock")?.as_ref() == Some(&anchor) {
        return Ok(());
    }
    meta::set(connection, "clock", &anchor)
}

//! Opening a store: all that is read and written before its writer takes the first write.
//!
//! # What this protects
//!
//! A full or read-only disk must not keep the gate shut: reads need no more than the keys. So where a store
//! that is whole can be read but not written to, it is opened for reading, every write is refused, and its
//! writer tries once a second to begin. Nothing else has changed the files meanwhile, so the keys in memory
//! stay the ones that requests hold.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use keystile_core::key::Pepper;
use keystile_core::notifications::watch::WatchRules;
use rusqlite::{Connection, OpenFlags};
use tokio::sync::Notify;

use crate::clock::StoreClock;
use crate::connect;
use crate::error::{Error, Result};
use crate::sqlite::audit::event;
use crate::sqlite::audit::{self, AuditHead};
use crate::sqlite::files::directory::{self, DataDirectory, Freshness};
use crate::sqlite::files::loss::{self, Found, Missing};
use crate::sqlite::files::mark::{Mark, MarkFile};
use crate::sqlite::files::schema;
use crate::sqlite::journal;
use crate::sqlite::journal::facet_index::Blocks;
use crate::sqlite::journal::subject_index::SubjectIndex;
use crate::sqlite::keys::key;
use crate::sqlite::keys::key_cache::{KeyCache, Rows};
use crate::sqlite::ledger::Ledger;
use crate::sqlite::notifications::outbox;
use crate::sqlite::writer::checkpoint::Checkpoints;
use crate::sqlite::writer::health::Health;
use crate::sqlite::writer::readers::Readers;
use crate::sqlite::writer::write_tx::WriterState;
use crate::sqlite::writer::{Message, Writer, describe, tell_unavailable};

/// How often a store that could only be read tries to begin.
const TRY_EVERY: Duration = Duration::from_secs(1);

/// What the parts of an open store share.
#[derive(Clone, Debug)]
pub(crate) struct Shared {
    pub(crate) health: Arc<Health>,
    pub(crate) reading: Arc<Readers>,
    pub(crate) watching: Arc<ArcSwap<WatchRules>>,
    pub(crate) outbox_signal: Arc<Notify>,
}

/// What is in memory already, of a store that could only be read.
pub(crate) struct Loaded {
    pub(crate) pepper: Pepper,
    pub(crate) clock: StoreClock,
    pub(crate) last_id: i64,
    rows: Rows,
}

/// Where keys come from.
pub(crate) enum Keys<'t> {
    /// They are read into a table.
    Read(&'t KeyCache),
    /// They are there.
    There(Rows, StoreClock),
}

/// A store that can take its first write.
pub(crate) struct Begun {
    pub(crate) connection: Connection,
    pub(crate) memory: WriterState,
    pub(crate) clock: StoreClock,
    pub(crate) checkpoints: Checkpoints,
    pub(crate) mark: MarkFile,
    pub(crate) schema_cookie: i64,
    pub(crate) left_unknown: usize,
}

/// Does all that has to be done before the first write.
pub(crate) fn begin(
    directory: &DataDirectory,
    missing: Missing,
    keys: Keys<'_>,
    shared: &Shared,
) -> Result<(Begun, Pepper)> {
    let mut connection = writable(directory, missing)?;
    let checkpoints = Checkpoints::take_over(&mut connection)?;
    let is_used = key::exist(&connection)? || event::exist(&connection)?;
    let freshness = if is_used { Freshness::Used } else { Freshness::New };
    let pepper = directory.pepper(freshness)?;
    note_pepper(directory, &connection, &pepper, freshness)?;
    let pending_from =
        schema::meta(&connection, "pending_from")?.and_then(|text| text.parse().ok());
    let (last_id, last_time) = journal::last(&connection)?;
    let (rows, clock) = match keys {
        Keys::Read(table) => {
            (key::load(&connection, table)?, StoreClock::read(&connection, last_time)?)
        }
        Keys::There(rows, clock) => (rows, clock),
    };
    let left_unknown = journal::close_pending(&connection, pending_from.unwrap_or(0), clock.now())?;
    outbox::release_claims(&connection)?;
    clock.keep(&connection)?;
    let memory = WriterState {
        ledger: Ledger::default(),
        index: SubjectIndex::open(&connection, clock.now())?,
        blocks: Blocks::open(&connection)?,
        rows,
        audit: AuditHead::open(&connection, &pepper)?,
        open: BTreeMap::new(),
        clock,
        last_id,
        watching: shared.watching.clone(),
        outbox_signal: shared.outbox_signal.clone(),
    };
    let stands =
        Mark { record: last_id, events: memory.audit.committed_count(), ..Mark::default() };
    let mark = MarkFile::open(&directory.mark_file(), directory.log(), stands)
        .map_err(|source| Error::Directory { path: directory.mark_file(), source })?;
    let schema_cookie = schema::cookie(&connection)?;
    shared.reading.begin(directory)?;
    let begun = Begun { connection, memory, clock, checkpoints, mark, schema_cookie, left_unknown };
    Ok((begun, pepper))
}

/// The database, whole, ours and in its present form.
fn writable(directory: &DataDirectory, missing: Missing) -> Result<Connection> {
    let found = Found::look(directory, missing)?;
    directory.create_database()?;
    let mut connection = connect(&directory.database(), OpenFlags::default())?;
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
pub(crate) fn load(directory: &DataDirectory, keys: &KeyCache, shared: &Shared) -> Result<Loaded> {
    let found = Found::look(directory, Missing::Refused)?;
    shared.reading.fall_back(directory)?;
    shared.reading.with(directory, |connection| {
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
        let (last_id, last_time) = journal::last(connection)?;
        let rows = key::load(connection, keys)?;
        Ok(Loaded { pepper, clock: StoreClock::read(connection, last_time)?, last_id, rows })
    })
}

/// Refuses a pepper under which no key of the store would be known. Says whether the store has noted its own.
fn know_pepper(
    directory: &DataDirectory,
    connection: &Connection,
    pepper: &Pepper,
) -> Result<bool> {
    let known = schema::meta(connection, "pepper_check")?;
    match known {
        Some(known) if known != directory::pepper_check(pepper) => {
            let fault = "not the one that its keys were made with";
            Err(Error::Pepper { path: directory.pepper_file(), fault })
        }
        known => Ok(known.is_some()),
    }
}

/// A store that has not noted its pepper yet does so, unless the seal of its audit is of another one.
fn note_pepper(
    directory: &DataDirectory,
    connection: &Connection,
    pepper: &Pepper,
    freshness: Freshness,
) -> Result<()> {
    // No key was made with another one, which a start that was killed may have left.
    if freshness == Freshness::New {
        return schema::set_meta(connection, "pepper_check", &directory::pepper_check(pepper));
    }
    if know_pepper(directory, connection, pepper)? {
        return Ok(());
    }
    if audit::is_sealed_with(connection, pepper)? == Some(false) {
        tracing::warn!(
            "the pepper is perhaps not the one that the keys were made with: see `keystile audit verify`"
        );
        return Ok(());
    }
    schema::set_meta(connection, "pepper_check", &directory::pepper_check(pepper))
}

/// Opens a store as far as its disk lets it.
pub(crate) enum Start {
    /// It takes writes.
    Begun(Box<(Begun, Pepper)>),
    /// It can only be read, and why.
    Loaded(Box<Loaded>, Error),
}

/// Begins, or reads what can be read where only the disk is in the way.
pub(crate) fn start(
    directory: &DataDirectory,
    missing: Missing,
    keys: &KeyCache,
    shared: &Shared,
) -> Result<Start> {
    loss::refuse_without_database(directory)?;
    match begin(directory, missing, Keys::Read(keys), shared) {
        Ok(begun) => Ok(Start::Begun(Box::new(begun))),
        Err(error) if error.is_of_disk() && is_there(directory, missing) => {
            match load(directory, keys, shared) {
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

/// The writer of a store that could only be read: refuses everything until it can begin. `None` where it was
/// told to stop before that.
pub(crate) fn wait_to_begin(
    directory: &DataDirectory,
    loaded: (Rows, StoreClock),
    shared: &Shared,
    queue: Receiver<Message>,
) -> Option<Writer> {
    let (rows, clock) = loaded;
    let mut tried = Instant::now();
    loop {
        match queue.recv_timeout(TRY_EVERY.saturating_sub(tried.elapsed())) {
            Ok(Message::Stop) | Err(RecvTimeoutError::Disconnected) => return None,
            Ok(message) => {
                tell_unavailable(message);
                continue;
            }
            Err(RecvTimeoutError::Timeout) => {}
        }
        shared.health.begin_work();
        shared.reading.close();
        let begun = begin(directory, Missing::Refused, Keys::There(rows.clone(), clock), shared);
        shared.health.end_work();
        tried = Instant::now();
        match begun {
            Ok((begun, _)) => {
                tracing::info!("the store takes writes again");
                shared.health.set(None);
                return Writer::of(begun, directory, shared, queue)
                    .inspect_err(|error| tracing::error!(%error, "the writer cannot begin"))
                    .ok();
            }
            Err(error) => {
                shared.health.set(Some(describe(&error)));
                if let Err(error) = shared.reading.fall_back(directory) {
                    tracing::debug!(%error, "the store cannot be read for a moment");
                }
            }
        }
    }
}

impl Loaded {
    pub(crate) fn into_parts(self) -> (Pepper, StoreClock, i64, Rows) {
        (self.pepper, self.clock, self.last_id, self.rows)
    }
}

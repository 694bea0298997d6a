//! Whether all that was acknowledged is still there, looked at before a store is opened.
//!
//! # What this protects
//!
//! A store that is unexpectedly new, empty, shorter or gone is a fault to report, not a fresh start: keys that
//! were locked would write again (promise P3), and budgets would begin anew (P1). The owner may go on without
//! what is missing, by a command of its own that leaves an event.

use std::path::Path;

use rusqlite::Connection;

use crate::error::{Error, Result};
use crate::sqlite::audit;
use crate::sqlite::connection::connect;
use crate::sqlite::files::directory::DataDirectory;
use crate::sqlite::files::mark::Mark;
use crate::sqlite::files::schema;
use crate::sqlite::files::wal::{self, Header, Scan};
use crate::sqlite::journal::order;

/// Whether what is missing stops the start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Missing {
    Refused,
    Accepted,
}

fn lost(directory: &DataDirectory, what: impl Into<String>) -> Error {
    Error::Lost { path: directory.path().to_owned(), what: what.into() }
}

fn bytes_of(path: &Path) -> u64 {
    path.metadata().map_or(0, |metadata| metadata.len())
}

/// Refuses a directory without a database where there was one.
pub(crate) fn refuse_without_database(directory: &DataDirectory) -> Result<()> {
    let database = directory.database();
    if bytes_of(&database) > 0 {
        return Ok(());
    }
    let fault = if database.exists() { "empty" } else { "missing" };
    let remains = [
        (directory.pepper_file(), "the pepper of its keys"),
        (directory.mark_file(), "the mark of its last commit"),
        (directory.log(), "its log"),
        (directory.restoring(), "a restore that was cut off"),
    ];
    match remains.iter().find(|(path, _)| bytes_of(path) > 0) {
        None => Ok(()),
        Some((_, what)) => {
            Err(lost(directory, format!("keystile.db is {fault}, although {what} is there")))
        }
    }
}

/// What the log and the mark say before SQLite reads them.
pub(crate) struct Found {
    pub(crate) scan: Scan,
    mark: Option<Mark>,
}

impl Found {
    /// Looks, and refuses a log that is shorter than what was acknowledged.
    pub(crate) fn look(directory: &DataDirectory, missing: Missing) -> Result<Self> {
        let log = directory.log();
        let scan = wal::scan(&log).map_err(|source| Error::Directory { path: log, source })?;
        let mark = Mark::read(&directory.mark_file());
        let is_short = mark.is_some_and(|mark| {
            scan.header == Header::Whole(mark.salts) && scan.committed < mark.frames
        });
        if missing == Missing::Refused && (is_short || scan.proves_loss()) {
            let what = match scan.header {
                Header::Damaged => "the head of the write-ahead log is damaged".to_owned(),
                Header::None | Header::Whole(_) => format!(
                    "the write-ahead log is damaged behind page {}, and {} pages after it cannot be read",
                    scan.committed, scan.dropped
                ),
            };
            return Err(lost(directory, what));
        }
        if scan.dropped > 0 {
            tracing::warn!(
                kept = scan.committed,
                dropped = scan.dropped,
                "the end of the write-ahead log is not a whole commit and is left out; nobody had been told that it was done"
            );
        }
        Ok(Self { scan, mark: mark.filter(|_| missing == Missing::Refused) })
    }

    /// Refuses a database that is older than what was acknowledged.
    pub(crate) fn compare(&self, directory: &DataDirectory, database: &Connection) -> Result<()> {
        let Some(mark) = self.mark else { return Ok(()) };
        let (record, _) = order::last(database)?;
        if record < mark.record {
            let what = format!("its last record is {record}, and was {}", mark.record);
            return Err(lost(directory, what));
        }
        let events = audit::count(database)?;
        if events < mark.events {
            let what = format!("its audit has {events} events, and had {}", mark.events);
            return Err(lost(directory, what));
        }
        Ok(())
    }
}

/// What is missing of a store that has a database, if anything.
pub(crate) fn find(directory: &DataDirectory) -> Result<Option<String>> {
    let looked = Found::look(directory, Missing::Refused).and_then(|found| {
        let flags = rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY;
        let database = connect(directory.database(), flags)?;
        if schema::version(&database)? >= schema::WITH_AUDIT {
            found.compare(directory, &database)?;
        }
        Ok(())
    });
    match looked {
        Ok(()) => Ok(None),
        Err(Error::Lost { what, .. }) => Ok(Some(what)),
        Err(error) => Err(error),
    }
}

//! Connections that read, and how they can be had when the disk takes no writes.
//!
//! SQLite's readers share a small file that they have to create. On a disk that is full or read-only they
//! cannot; the database can then be read as a file that nobody changes, as long as its log is empty.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use arc_swap::ArcSwap;
use rusqlite::{Connection, OpenFlags};

use crate::error::Result;
use crate::sqlite::connection::connect;
use crate::sqlite::files::directory::DataDirectory;
use crate::sqlite::files::present::PresentFiles;
use crate::sqlite::files::schema;

/// How many reading connections are kept open.
const READERS_MAX: usize = 4;
const READING: OpenFlags = OpenFlags::SQLITE_OPEN_READ_ONLY.union(OpenFlags::SQLITE_OPEN_NO_MUTEX);

/// The readers of a store.
#[derive(Debug, Default)]
pub(crate) struct Readers {
    /// One is opened with the store: it reads on where the files are taken away.
    pool: Mutex<Vec<Connection>>,
    present: ArcSwap<PresentFiles>,
    /// Whether the database is read as a file that nobody changes.
    is_immutable: AtomicBool,
}

impl Readers {
    /// That the files are those that were opened.
    pub(crate) fn check_files(&self) -> Result<()> {
        self.present.load().check()
    }

    /// The store takes writes from now on, so readers look at what its writer does.
    pub(crate) fn begin(&self, directory: &DataDirectory) -> Result<()> {
        let reader = connect(directory.database(), READING)?;
        schema::version(&reader)?;
        self.present.store(PresentFiles::of(directory).into());
        self.is_immutable.store(false, Ordering::Release);
        *self.pool.lock().unwrap_or_else(PoisonError::into_inner) = vec![reader];
        Ok(())
    }

    /// Finds out how a store is read that cannot be written to.
    pub(crate) fn fall_back(&self, directory: &DataDirectory) -> Result<()> {
        let as_usual = connect(directory.database(), READING)
            .and_then(|reader| schema::version(&reader).map(|_| reader));
        let reader = match as_usual {
            Ok(reader) => reader,
            Err(error) => {
                if directory.log().metadata().is_ok_and(|log| log.len() > 0) {
                    return Err(error);
                }
                self.is_immutable.store(true, Ordering::Release);
                let reader = open_immutable(&directory.database())?;
                schema::version(&reader)?;
                reader
            }
        };
        self.present.store(PresentFiles::of(directory).into());
        *self.pool.lock().unwrap_or_else(PoisonError::into_inner) = vec![reader];
        Ok(())
    }

    /// Closes what is not lent. Readers that share what they could only open for reading would hand that on to
    /// the writer.
    pub(crate) fn close(&self) {
        self.pool.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// Lends a connection.
    pub(crate) fn with<T>(
        &self,
        directory: &DataDirectory,
        read: impl FnOnce(&Connection) -> Result<T>,
    ) -> Result<T> {
        let is_immutable = self.is_immutable.load(Ordering::Acquire);
        let pooled = self.pool.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let connection = match pooled {
            Some(connection) => connection,
            None if is_immutable => open_immutable(&directory.database())?,
            None => {
                // Under the name there may be another store by now.
                self.check_files()?;
                connect(directory.database(), READING)?
            }
        };
        let result = read(&connection);
        let mut pool = self.pool.lock().unwrap_or_else(PoisonError::into_inner);
        let is_still_good = self.is_immutable.load(Ordering::Acquire) == is_immutable;
        if is_still_good && pool.len() < READERS_MAX && connection.is_autocommit() {
            pool.push(connection);
        }
        result
    }
}

fn open_immutable(database: &Path) -> Result<Connection> {
    let mut uri = "file:".to_owned();
    for byte in database.as_os_str().as_encoded_bytes() {
        match byte {
            b'/' | b'.' | b'-' | b'_' => uri.push(char::from(*byte)),
            byte if byte.is_ascii_alphanumeric() => uri.push(char::from(*byte)),
            byte => uri.push_str(&format!("%{byte:02X}")),
        }
    }
    uri.push_str("?immutable=1");
    connect(&uri, READING | OpenFlags::SQLITE_OPEN_URI)
}

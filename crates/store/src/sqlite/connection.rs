//! Connections to the database, and the transactions on them.

use std::path::Path;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

use crate::error::Result;

/// Opens a connection to a database file, or to the one that a URI names.
///
/// # Errors
/// When the file cannot be opened, or is no database.
pub(crate) fn connect(path: impl AsRef<Path>, flags: OpenFlags) -> Result<Connection> {
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(std::time::Duration::from_secs(10))?;
    connection.set_prepared_statement_cache_capacity(64);
    connection.execute_batch(
        "PRAGMA foreign_keys = ON; PRAGMA trusted_schema = OFF; PRAGMA mmap_size = 0;
         PRAGMA cell_size_check = ON",
    )?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
    Ok(connection)
}

/// Begins a transaction that writes.
pub(crate) fn begin(connection: &Connection) -> Result<()> {
    connection.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
    Ok(())
}

/// Makes a transaction durable.
pub(crate) fn commit(connection: &Connection) -> Result<()> {
    connection.prepare_cached("COMMIT")?.execute([])?;
    Ok(())
}

/// Reads from one consistent state.
pub(crate) fn in_snapshot<T>(
    connection: &Connection,
    read: impl FnOnce(&Connection) -> Result<T>,
) -> Result<T> {
    let snapshot = connection.unchecked_transaction()?;
    let result = read(&snapshot);
    snapshot.finish()?;
    result
}

/// Looks through the whole database file; what is wrong with it, if anything.
///
/// # Errors
/// When the file cannot be read.
pub fn check(connection: &Connection) -> Result<Option<String>> {
    let answer: String = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
    Ok((answer != "ok").then_some(answer))
}

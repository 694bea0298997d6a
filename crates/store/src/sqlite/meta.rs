//! The table `meta`: values that there is one of, by name.

use rusqlite::{Connection, OptionalExtension};

use crate::error::Result;

/// The value with a name, where it was set.
pub(crate) fn read(connection: &Connection, name: &str) -> Result<Option<String>> {
    let mut statement = connection.prepare_cached("SELECT value FROM meta WHERE name = ?1")?;
    Ok(statement.query_row([name], |row| row.get(0)).optional()?)
}

/// The value with a name as a number; `None` also where it is none.
pub(crate) fn number(connection: &Connection, name: &str) -> Result<Option<i64>> {
    Ok(read(connection, name)?.and_then(|text| text.parse().ok()))
}

/// Sets the value with a name.
pub(crate) fn set(connection: &Connection, name: &str, value: &str) -> Result<()> {
    let mut statement = connection.prepare_cached(
        "INSERT INTO meta (name, value) VALUES (?1, ?2)
         ON CONFLICT (name) DO UPDATE SET value = excluded.value",
    )?;
    statement.execute([name, value])?;
    Ok(())
}

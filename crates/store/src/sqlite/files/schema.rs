//! The tables, and how an older file becomes a present one.

use std::collections::BTreeSet;

use rusqlite::{Connection, TransactionBehavior};

use crate::error::{Error, Result};

/// Marks the file as Keystile's (`PRAGMA application_id`, "KSTL").
const APPLICATION_ID: i32 = 0x4B53_544C;

/// One migration per version: number `n` makes a file of version `n` of one of version `n - 1`. Migrations
/// are never edited after a release, only added.
const MIGRATIONS: &[&str] = &[
    include_str!("../migrations/0001_first.sql"),
    include_str!("../migrations/0002_facets_and_hours.sql"),
    include_str!("../migrations/0003_owners_and_audit.sql"),
    include_str!("../migrations/0004_key_indexes.sql"),
    include_str!("../migrations/0005_notifications.sql"),
    include_str!("../migrations/0006_digest_stops.sql"),
    include_str!("../migrations/0007_nodes.sql"),
    include_str!("../migrations/0008_handed_over.sql"),
    include_str!("../migrations/0009_amounts.sql"),
    include_str!("../migrations/0010_meters_and_documents.sql"),
    include_str!("../migrations/0011_imported_keys.sql"),
    include_str!("../migrations/0012_shared_budgets.sql"),
];

/// The first version that has an audit.
pub(crate) const WITH_AUDIT: u32 = 3;

/// The version of a file that is a store of this program or of an earlier one; 0 for an empty file.
pub(crate) fn version(connection: &Connection) -> Result<u32> {
    let application_id: i32 =
        connection.pragma_query_value(None, "application_id", |row| row.get(0))?;
    let version: u32 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let tables: u32 =
        connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    if application_id != APPLICATION_ID && (application_id != 0 || tables != 0) {
        return Err(Error::NotKeystile);
    }
    let known = known();
    if version > known {
        return Err(Error::Newer { found: version, known });
    }
    Ok(version)
}

/// Whether the file has the present form.
pub(crate) fn is_present(connection: &Connection) -> Result<bool> {
    Ok(version(connection)? == known())
}

fn known() -> u32 {
    u32::try_from(MIGRATIONS.len()).expect("the migrations are few")
}

/// Brings the file to the present version, in one transaction.
pub(crate) fn migrate(connection: &mut Connection) -> Result<()> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let version = version(&transaction)?;
    if version == known() {
        return Ok(());
    }
    for migration in MIGRATIONS.iter().skip(version as usize) {
        transaction.execute_batch(migration)?;
    }
    transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
    transaction.pragma_update(None, "user_version", known())?;
    Ok(transaction.commit()?)
}

/// Everything that a file of a version holds, with its text in one form: comments and blanks say nothing.
fn objects(connection: &Connection) -> Result<BTreeSet<(String, String, String)>> {
    let mut statement = connection.prepare(
        "SELECT type, name, coalesce(sql, '') FROM sqlite_schema WHERE name NOT LIKE 'sqlite\\_%' ESCAPE '\\'",
    )?;
    let rows = statement
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?, plain(&row.get::<_, String>(2)?))))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

fn plain(sql: &str) -> String {
    let code = sql.lines().map(|line| line.split("--").next().unwrap_or_default());
    code.collect::<String>().split_whitespace().collect()
}

/// Makes what a file of a version holds in an empty one.
pub(crate) fn make(connection: &Connection, version: u32) -> Result<()> {
    for migration in MIGRATIONS.iter().take(version as usize) {
        connection.execute_batch(migration)?;
    }
    Ok(())
}

/// What the file holds that this program did not put there, and what it lacks.
fn differences(connection: &Connection) -> Result<(Option<String>, Option<String>)> {
    let version = version(connection)?;
    let made = Connection::open_in_memory()?;
    make(&made, version)?;
    let (expected, found) = (objects(&made)?, objects(connection)?);
    let first = |one: &BTreeSet<(String, String, String)>, other| {
        let (kind, name, _) = one.difference(other).next()?;
        Some(format!("the {kind} {name}"))
    };
    Ok((first(&found, &expected), first(&expected, &found)))
}

/// Refuses a file with something in it that this program did not make: a trigger or a view would act on its own.
pub(crate) fn refuse_foreign(connection: &Connection) -> Result<()> {
    differences(connection)?.0.map_or(Ok(()), |what| Err(Error::Foreign(what)))
}

/// Refuses also a file that lacks something.
pub(crate) fn verify(connection: &Connection) -> Result<()> {
    match differences(connection)? {
        (Some(what), _) => Err(Error::Foreign(what)),
        (None, Some(what)) => Err(Error::Corrupt(format!("{what} is missing"))),
        (None, None) => Ok(()),
    }
}

/// Changes whenever something is made, altered or dropped.
pub(crate) fn cookie(connection: &Connection) -> Result<i64> {
    let mut statement = connection.prepare_cached("PRAGMA schema_version")?;
    Ok(statement.query_row([], |row| row.get(0))?)
}

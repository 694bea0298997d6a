//! The tables, and how an older file becomes a present one.

use std::collections::BTreeSet;

use rusqlite::{Connection, OptionalExtension, TransactionBehavior};

use crate::error::{Error, Result};
use crate::sqlite::owners::owner;

/// Marks the file as Keystile's (`PRAGMA application_id`, "KSTL").
const APPLICATION_ID: i32 = 0x4B53_544C;

/// One step per version; step `n` brings a file of version `n` to version `n + 1`. Steps are never
/// edited after a release, only added.
const STEPS: &[&str] = &[
    FIRST,
    crate::sqlite::journal::facet_index::SCHEMA,
    owner::TABLES,
    crate::sqlite::keys::key::INDEXES,
    crate::sqlite::notifications::outbox::TABLES,
    crate::sqlite::notifications::digest_stop::TABLE,
];

/// The first version that has an audit.
pub(crate) const WITH_AUDIT: u32 = 3;

const FIRST: &str = "
CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;

CREATE TABLE application (
    id       INTEGER PRIMARY KEY,
    uid      TEXT NOT NULL UNIQUE,
    name     TEXT NOT NULL UNIQUE,
    plan     TEXT NOT NULL,
    state    TEXT NOT NULL CHECK (state IN ('active', 'suspended')),
    created  INTEGER NOT NULL
) STRICT;

CREATE TABLE key (
    id           INTEGER PRIMARY KEY,
    uid          TEXT NOT NULL UNIQUE,
    hash         BLOB NOT NULL UNIQUE,
    prefix       TEXT NOT NULL,
    application  INTEGER NOT NULL REFERENCES application (id),
    plan         TEXT NOT NULL,
    created      INTEGER NOT NULL,
    expires      INTEGER,                     -- a rolled key is revoked from then on
    revoked      INTEGER,                     -- since when
    lock         TEXT,                        -- JSON of the lock that is on it
    locks        INTEGER NOT NULL DEFAULT 0,  -- how often a budget locked it
    counts_after INTEGER NOT NULL DEFAULT 0   -- records up to this one left its budgets by an owner's act
) STRICT;
CREATE INDEX key_application ON key (application);

-- Append-only: what happened to keys and applications, and what is to be told.
CREATE TABLE event (
    id           INTEGER PRIMARY KEY,
    time         INTEGER NOT NULL,
    kind         TEXT NOT NULL,
    key          INTEGER REFERENCES key (id),
    application  INTEGER REFERENCES application (id),
    actor        TEXT NOT NULL,               -- JSON
    detail       TEXT NOT NULL
) STRICT;
CREATE INDEX event_key ON event (key, id) WHERE key IS NOT NULL;

-- One row for each write, inserted before its first byte is sent; also refusals, several in one row.
-- Later rows never have earlier times, so a time is found by searching the ids.
CREATE TABLE journal (
    id             INTEGER PRIMARY KEY,
    time           INTEGER NOT NULL,
    subject        INTEGER NOT NULL,          -- key.id; negative for an address, 0 for nobody known
    plan           TEXT,
    api            TEXT NOT NULL,
    operation      TEXT NOT NULL,
    method         TEXT NOT NULL,
    path           TEXT NOT NULL,
    address        TEXT NOT NULL,
    user_agent     TEXT,
    request_bytes  INTEGER,
    response_bytes INTEGER,
    status         INTEGER,
    duration_ms    INTEGER,
    outcome        INTEGER NOT NULL,          -- in words: see the view `writes`
    reason         TEXT,
    cost           INTEGER NOT NULL,
    count          INTEGER NOT NULL
) STRICT;
-- Pending and applied rows are not in it, so the way of a usual write never touches it.
CREATE INDEX journal_outcome ON journal (outcome, id) WHERE outcome >= 2;

-- The journal by subject, filled in bulk some time after the rows (meta 'indexed_to'): row by row it
-- would dirty one page for each key in every commit.
CREATE TABLE journal_by_subject (
    subject INTEGER NOT NULL,
    id      INTEGER NOT NULL,
    time    INTEGER NOT NULL,
    cost    INTEGER NOT NULL,
    PRIMARY KEY (subject, id)
) STRICT, WITHOUT ROWID;

-- For people who open the file.
CREATE VIEW writes AS
SELECT 'write_' || journal.id AS id,
       strftime('%Y-%m-%dT%H:%M:%fZ', journal.time / 1000.0, 'unixepoch') AS time,
       key.uid AS key, application.name AS application, journal.plan, api, operation, method, path,
       address, user_agent, request_bytes, response_bytes, status, duration_ms,
       CASE outcome WHEN 0 THEN 'pending' WHEN 1 THEN 'applied' WHEN 2 THEN 'refused_by_upstream'
                    WHEN 3 THEN 'not_sent' WHEN 4 THEN 'unknown' ELSE 'refused' END AS outcome,
       reason, cost, count
FROM journal
LEFT JOIN key ON key.id = journal.subject
LEFT JOIN application ON application.id = key.application;
";

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
    u32::try_from(STEPS.len()).expect("the steps are few")
}

/// Brings the file to the present version, in one transaction.
pub(crate) fn migrate(connection: &mut Connection) -> Result<()> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let version = version(&transaction)?;
    if version == known() {
        return Ok(());
    }
    for step in STEPS.iter().skip(version as usize) {
        transaction.execute_batch(step)?;
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

/// What the file holds that this program did not put there, and what it lacks.
fn differences(connection: &Connection) -> Result<(Option<String>, Option<String>)> {
    let version = version(connection)?;
    let made = Connection::open_in_memory()?;
    for step in STEPS.iter().take(version as usize) {
        made.execute_batch(step)?;
    }
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

/// A value of `meta`.
pub(crate) fn meta(connection: &Connection, name: &str) -> Result<Option<String>> {
    let mut statement = connection.prepare_cached("SELECT value FROM meta WHERE name = ?1")?;
    Ok(statement.query_row([name], |row| row.get(0)).optional()?)
}

/// Sets a value of `meta`.
pub(crate) fn set_meta(connection: &Connection, name: &str, value: &str) -> Result<()> {
    let mut statement = connection.prepare_cached(
        "INSERT INTO meta (name, value) VALUES (?1, ?2)
         ON CONFLICT (name) DO UPDATE SET value = excluded.value",
    )?;
    statement.execute([name, value])?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Store;
    use crate::sqlite::audit;
    use crate::sqlite::audit::event;
    use crate::sqlite::files::directory::DataDirectory;

    #[test]
    fn a_store_of_the_first_version_keeps_its_events_and_chains_those_that_follow() {
        let folder = tempfile::tempdir().unwrap();
        let directory = DataDirectory::hold(folder.path()).unwrap();
        std::fs::write(directory.pepper_file(), [7; 32]).unwrap();
        let first = Connection::open(directory.database()).unwrap();
        first.execute_batch(FIRST).unwrap();
        first.pragma_update(None, "application_id", APPLICATION_ID).unwrap();
        first.pragma_update(None, "user_version", 1).unwrap();
        let rows = "INSERT INTO application VALUES (1, 'app_0190b2c3d4e50190b2c3d4e50190b2c3', 'reader', 'open', 'active', 5);
            INSERT INTO event VALUES (1, 5, 'application_created', NULL, 1, '{\"by\":\"command_line\",\"name\":\"ada\"}', 'created');
            INSERT INTO event VALUES (4, 6, 'application_suspended', NULL, 1, '{\"by\":\"time\"}', 'none')";
        first.execute_batch(rows).unwrap();
        drop(first);
        let (store, _) = Store::open(directory).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let actor = keystile_core::lock::Actor::System;
        let told = store.change(move |work| {
            work.tell_of(event::EventKind::PolicyReloaded, None, &actor, "in force")
        });
        runtime.block_on(told).unwrap();
        let verify = || store.read(|read| audit::verify(read, store.pepper())).unwrap();
        let found = verify();
        assert_eq!((found.older, found.count, found.fault), (2, 1, None));
        let all = event::EventQuery { limit: 9, ..event::EventQuery::default() };
        let events = store.read(|read| event::list(read, &all)).unwrap();
        assert_eq!(events.iter().map(|event| event.id).collect::<Vec<_>>(), [5, 4, 1]);
        // What is from before the chain is at least counted.
        let other = Connection::open(store.directory().database()).unwrap();
        other.execute_batch("DROP TRIGGER event_is_kept; DELETE FROM event WHERE id = 4").unwrap();
        assert!(verify().fault.unwrap().problem.contains("2 events from before the chain"));
    }
}

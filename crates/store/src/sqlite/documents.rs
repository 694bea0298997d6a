//! Documents in the database.

use keystile_core::time::Timestamp;
use rusqlite::{Connection, OptionalExtension, Row, params};
use serde::de::IgnoredAny;

use crate::doors::documents::{
    DOCUMENT_BODY_BYTES_MAX, DOCUMENT_NAME_BYTES_MAX, DOCUMENTS_AT_ONCE_BYTES_MAX,
    DOCUMENTS_AT_ONCE_MAX, Document, DocumentChange, DocumentEvent, DocumentName, DocumentVersion,
    ExpectedDocument,
};
use crate::error::{Error, Result};
use crate::sqlite::audit::event::Event;
use crate::sqlite::meta;
use crate::sqlite::writer::write_tx::WriteTx;

/// The last version that was given.
const LAST_VERSION: &str = "document_version";

/// Refuses changes that the store does not make. Run before the writer has them, because looking through
/// bodies takes time.
pub(crate) fn check(changes: &[DocumentChange]) -> Result<()> {
    if changes.len() > DOCUMENTS_AT_ONCE_MAX {
        return Err(Error::Conflict(format!(
            "{} documents are too many at once: change at most {DOCUMENTS_AT_ONCE_MAX}",
            changes.len()
        )));
    }
    let mut bytes = 0_usize;
    for change in changes {
        let name = match change {
            DocumentChange::Put { name, body, .. } => {
                bytes = bytes.saturating_add(body.len());
                check_body(name, body)?;
                name
            }
            DocumentChange::Delete { name, .. } => name,
        };
        let fits = |text: &str| (1..=DOCUMENT_NAME_BYTES_MAX).contains(&text.len());
        if !fits(&name.collection) || !fits(&name.id) {
            return Err(Error::Conflict(format!(
                "the collection and the id of a document have 1 to {DOCUMENT_NAME_BYTES_MAX} bytes"
            )));
        }
    }
    if bytes > DOCUMENTS_AT_ONCE_BYTES_MAX {
        return Err(Error::Conflict(format!(
            "documents of {bytes} bytes are too much at once: {DOCUMENTS_AT_ONCE_BYTES_MAX} is the most"
        )));
    }
    Ok(())
}

fn check_body(name: &DocumentName, body: &str) -> Result<()> {
    let length = body.len();
    if length > DOCUMENT_BODY_BYTES_MAX {
        return Err(Error::Conflict(format!(
            "{} has {length} bytes, and a document has at most {DOCUMENT_BODY_BYTES_MAX}",
            called(name)
        )));
    }
    serde_json::from_str::<IgnoredAny>(body)
        .map(drop)
        .map_err(|error| Error::Conflict(format!("{} is not JSON: {error}", called(name))))
}

fn called(name: &DocumentName) -> String {
    format!("document {} of {}", name.id, name.collection)
}

fn document(row: &Row<'_>) -> rusqlite::Result<Document> {
    Ok(Document {
        id: row.get(0)?,
        version: DocumentVersion(row.get(1)?),
        body: row.get(2)?,
        changed: Timestamp(row.get(3)?),
    })
}

/// Documents of a collection by id, after one, at most so many.
pub(crate) fn list(
    connection: &Connection,
    collection: &str,
    after: &str,
    limit: u32,
) -> Result<Vec<Document>> {
    let mut statement = connection.prepare_cached(
        "SELECT id, version, body, changed FROM document WHERE collection = ?1 AND id > ?2
         ORDER BY id LIMIT ?3",
    )?;
    let found = statement.query_map(params![collection, after, limit], document)?;
    Ok(found.collect::<rusqlite::Result<_>>()?)
}

/// A document, where it is there.
pub(crate) fn find(connection: &Connection, name: &DocumentName) -> Result<Option<Document>> {
    let mut statement = connection.prepare_cached(
        "SELECT id, version, body, changed FROM document WHERE collection = ?1 AND id = ?2",
    )?;
    Ok(statement.query_row([&name.collection, &name.id], document).optional()?)
}

/// Makes changes, and records an event with them. All that is put gets one version.
pub(crate) fn change(
    tx: &mut WriteTx<'_>,
    changes: &[DocumentChange],
    event: Option<&DocumentEvent>,
) -> Result<DocumentVersion> {
    let last = meta::number(tx.connection, LAST_VERSION)?.unwrap_or(0);
    let version = DocumentVersion(last.saturating_add(1));
    for change in changes {
        match change {
            DocumentChange::Put { name, expected, body } => {
                expect(tx.connection, name, *expected)?;
                put(tx, name, version, body)?;
            }
            DocumentChange::Delete { name, expected } => {
                expect(tx.connection, name, *expected)?;
                delete(tx.connection, name)?;
            }
        }
    }
    meta::set(tx.connection, LAST_VERSION, &version.0.to_string())?;
    if let Some(DocumentEvent { kind, subject, actor, detail }) = event {
        tx.record_event(&Event::named(*kind, subject.as_deref(), actor, detail))?;
    }
    Ok(version)
}

/// Refuses a change of something that is not as expected.
fn expect(connection: &Connection, name: &DocumentName, expected: ExpectedDocument) -> Result<()> {
    if expected == ExpectedDocument::Any {
        return Ok(());
    }
    let mut statement = connection
        .prepare_cached("SELECT version FROM document WHERE collection = ?1 AND id = ?2")?;
    let found: Option<i64> =
        statement.query_row([&name.collection, &name.id], |row| row.get(0)).optional()?;
    match (expected, found) {
        (ExpectedDocument::Any, _) | (ExpectedDocument::Absent, None) => Ok(()),
        (ExpectedDocument::Absent, Some(_)) => Err(Error::Exists(format!("a {}", called(name)))),
        (ExpectedDocument::Version(version), found) if found == Some(version.0) => Ok(()),
        (ExpectedDocument::Version(_), _) => Err(Error::Stale(called(name))),
    }
}

fn put(tx: &WriteTx<'_>, name: &DocumentName, version: DocumentVersion, body: &str) -> Result<()> {
    let mut statement = tx.connection.prepare_cached(
        "INSERT INTO document (collection, id, version, body, changed) VALUES (?1, ?2, ?3, ?4, ?5)
         ON CONFLICT (collection, id) DO UPDATE
         SET version = excluded.version, body = excluded.body, changed = excluded.changed",
    )?;
    statement.execute(params![name.collection, name.id, version.0, body, tx.now.0])?;
    Ok(())
}

fn delete(connection: &Connection, name: &DocumentName) -> Result<()> {
    let mut statement =
        connection.prepare_cached("DELETE FROM document WHERE collection = ?1 AND id = ?2")?;
    statement.execute([&name.collection, &name.id])?;
    Ok(())
}

//! Where the sample API keeps its bookmarks: one table in a database file of its own.

use std::path::Path;
use std::sync::{Mutex, PoisonError};

use rusqlite::{Connection, OptionalExtension as _, Result, Row, params};
use serde::{Deserialize, Serialize};

const SCHEMA: &str = "
    PRAGMA journal_mode = WAL;
    PRAGMA synchronous = NORMAL;
    CREATE TABLE IF NOT EXISTS bookmark (
        id    INTEGER PRIMARY KEY AUTOINCREMENT,
        url   TEXT NOT NULL,
        title TEXT NOT NULL
    ) STRICT;";

/// A bookmark without its number: what a caller sends to create or replace one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Draft {
    pub(super) url: String,
    pub(super) title: String,
}

/// A bookmark as it is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Bookmark {
    pub(super) id: i64,
    #[serde(flatten)]
    pub(super) draft: Draft,
}

/// All bookmarks.
#[derive(Debug)]
pub(super) struct Shelf {
    connection: Mutex<Connection>,
}

impl Shelf {
    /// Opens the file, and creates it where it is missing.
    pub(super) fn open(file: &Path) -> Result<Self> {
        let connection = Connection::open(file)?;
        connection.execute_batch(SCHEMA)?;
        Ok(Self { connection: Mutex::new(connection) })
    }

    fn with<T>(&self, work: impl FnOnce(&Connection) -> Result<T>) -> Result<T> {
        work(&self.connection.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// So many bookmarks at most, by number, after the one with this number.
    pub(super) fn list(&self, after: i64, limit: u32) -> Result<Vec<Bookmark>> {
        self.with(|connection| {
            let sql = "SELECT id, url, title FROM bookmark WHERE id > ?1 ORDER BY id LIMIT ?2";
            connection.prepare_cached(sql)?.query_map(params![after, limit], bookmark)?.collect()
        })
    }

    /// One bookmark; `None` where there is none with this number.
    pub(super) fn find(&self, id: i64) -> Result<Option<Bookmark>> {
        self.with(|connection| {
            let sql = "SELECT id, url, title FROM bookmark WHERE id = ?1";
            connection.prepare_cached(sql)?.query_row([id], bookmark).optional()
        })
    }

    /// Adds a bookmark and gives it a number that none had before.
    pub(super) fn add(&self, draft: Draft) -> Result<Bookmark> {
        self.with(|connection| {
            let sql = "INSERT INTO bookmark (url, title) VALUES (?1, ?2)";
            let id = connection.prepare_cached(sql)?.insert(params![draft.url, draft.title])?;
            Ok(Bookmark { id, draft })
        })
    }

    /// Replaces a bookmark; `None` where there is none with this number.
    pub(super) fn replace(&self, id: i64, draft: Draft) -> Result<Option<Bookmark>> {
        self.with(|connection| {
            let sql = "UPDATE bookmark SET url = ?2, title = ?3 WHERE id = ?1";
            let changed =
                connection.prepare_cached(sql)?.execute(params![id, draft.url, draft.title])?;
            Ok((changed > 0).then_some(Bookmark { id, draft }))
        })
    }

    /// Changes what is given; `None` where there is no bookmark with this number.
    pub(super) fn change(
        &self,
        id: i64,
        url: Option<&str>,
        title: Option<&str>,
    ) -> Result<Option<Bookmark>> {
        self.with(|connection| {
            let sql = "UPDATE bookmark SET url = coalesce(?2, url), title = coalesce(?3, title) WHERE id = ?1
                       RETURNING id, url, title";
            connection.prepare_cached(sql)?.query_row(params![id, url, title], bookmark).optional()
        })
    }

    /// Deletes a bookmark; whether there was one.
    pub(super) fn delete(&self, id: i64) -> Result<bool> {
        self.with(|connection| {
            Ok(connection.prepare_cached("DELETE FROM bookmark WHERE id = ?1")?.execute([id])? > 0)
        })
    }
}

fn bookmark(row: &Row<'_>) -> Result<Bookmark> {
    Ok(Bookmark { id: row.get(0)?, draft: Draft { url: row.get(1)?, title: row.get(2)? } })
}

//! Events that rules wait for, besides those of changes.

use std::sync::Arc;

use keystile_core::actor::Actor;

use crate::error::Result;
use crate::key_cache::KeyEntry;
use crate::sqlite::audit::event::{Event, EventKind};
use crate::sqlite::notifications::digest;
use crate::sqlite::notifications::follow::{self, TailBatch};
use crate::store::Store;

impl Store {
    /// Records that a key, or callers without one, are refused over and over.
    ///
    /// # Errors
    /// When the store cannot commit.
    pub async fn record_refusal_burst(
        &self,
        key: Option<Arc<KeyEntry>>,
        detail: String,
    ) -> Result<()> {
        let kind = EventKind::RefusalBurst;
        self.write(move |tx| match key {
            Some(key) => tx.record_event(&Event::of_key(kind, &key, &Actor::System, &detail)),
            None => tx.record_event(&Event::named(kind, None, &Actor::System, &detail)),
        })
        .await
    }

    /// Records that the store could not commit for a while.
    ///
    /// # Errors
    /// When the store cannot commit.
    pub async fn record_storage_failure(&self, detail: String) -> Result<()> {
        let kind = EventKind::StorageFailure;
        self.write(move |tx| tx.record_event(&Event::named(kind, None, &Actor::System, &detail)))
            .await
    }

    /// Rules that wait for records begin with the next one, unless they follow the journal already.
    ///
    /// # Errors
    /// When the store cannot commit.
    pub async fn begin_watching(&self) -> Result<()> {
        if !self.watching().watches_writes() {
            return Ok(());
        }
        let from = self.watch_from();
        self.write(move |tx| tx.begin_watching(from)).await
    }

    /// Reads at most so many records that rules have not seen, and records what they wait for. Says whether
    /// more records wait.
    ///
    /// # Errors
    /// When the store cannot be read or cannot commit.
    pub async fn follow_journal(&self, limit: u32) -> Result<bool> {
        let rules = self.watching();
        if !rules.watches_writes() {
            if self.query(follow::watched_to).await?.is_some() {
                self.write(|tx| tx.stop_watching().map(drop)).await?;
            }
            return Ok(false);
        }
        let (now, begin) = (self.now(), self.watch_from());
        let look = self
            .query(move |connection| {
                let from = follow::watched_to(connection)?.unwrap_or(begin);
                follow::look(connection, &rules, from, now, limit)
            })
            .await?;
        let is_full = look.is_full;
        if !look.is_empty() {
            self.record_watched(look).await?;
        }
        Ok(is_full)
    }

    async fn record_watched(&self, look: TailBatch) -> Result<()> {
        self.write(move |tx| tx.record_watched(&look)).await
    }

    /// Sends the digests of windows that are due.
    ///
    /// # Errors
    /// When the store cannot be read or cannot commit.
    pub async fn close_digests(&self) -> Result<()> {
        let now = self.now();
        if self.query(move |connection| digest::is_due(connection, now)).await? {
            self.write(|tx| tx.close_digests().map(drop)).await?;
        }
        Ok(())
    }
}

//! The store as everybody sees it: typed operations, over whatever keeps the rows.
//!
//! Operations are in a file of their noun in this folder; the rows that they take and give are beside it, in
//! the crate's root, because what keeps the rows imports them too.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use keystile_core::journal::RecordId;
use keystile_core::keys::hash::Pepper;
use keystile_core::notifications::watch::WatchRules;
use keystile_core::time::{Span, Timestamp};
use rusqlite::Connection;

use crate::clock::StoreClock;
use crate::completion_queue::CompletionQueue;
use crate::error::{Error, Result};
use crate::key_cache::KeyCache;
use crate::reservation::{RefusedRecord, ReserveAnswer, ReserveRequest, Reserved, Settlement};
use crate::sqlite::files::directory::DataDirectory;
use crate::sqlite::files::loss::Missing;
use crate::sqlite::journal::order;
use crate::sqlite::store::SqliteStore;
use crate::sqlite::writer::shared::Shared;
use crate::sqlite::writer::write_tx::WriteTx;

mod action_links;
mod applications;
mod audit;
mod backup;
mod credentials;
mod deliveries;
mod devices;
mod documents;
mod journal;
mod keys;
mod meters;
mod notifications;
mod owners;
mod sessions;
mod tokens;

/// How long meters are kept after their window has ended where nothing else was set.
const METER_RETENTION_DEFAULT: Span = Span::from_secs(2 * 86_400);

/// The store of one data directory. Cheap to share behind an `Arc`.
#[derive(Debug)]
pub struct Store {
    sqlite: SqliteStore,
    pepper: Pepper,
    clock: StoreClock,
    /// The last record before rules began to follow the journal.
    watch_from: AtomicI64,
    /// For how many milliseconds ended meters are kept.
    meter_retention: AtomicI64,
}

/// What was found when a store was opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Opened {
    /// Writes that were under way at the last stop, whose outcome is now `unknown`.
    pub left_unknown: usize,
}

impl Store {
    /// Opens the store in a data directory, which is created where it is missing.
    ///
    /// Holds the directory against other processes, brings an older file to the present form, closes what
    /// was left open by a crash, and reads all keys into memory.
    ///
    /// # Errors
    /// When the files cannot be used: they are another program's, newer, damaged, or lack what was
    /// acknowledged. A disk that only takes no writes is no error: the store is then read, and refuses
    /// writes until it does.
    pub fn open(directory: DataDirectory) -> Result<(Arc<Self>, Opened)> {
        Self::open_accepting(directory, Missing::Refused)
    }

    pub(crate) fn open_accepting(
        directory: DataDirectory,
        missing: Missing,
    ) -> Result<(Arc<Self>, Opened)> {
        let (sqlite, found) = SqliteStore::open(directory, missing, Shared::default())?;
        let store = Self {
            sqlite,
            pepper: found.pepper,
            clock: found.clock,
            watch_from: AtomicI64::new(found.last_id),
            meter_retention: AtomicI64::new(METER_RETENTION_DEFAULT.millis()),
        };
        Ok((Arc::new(store), Opened { left_unknown: found.left_unknown }))
    }

    /// The keys, for lookups on the way of a request.
    pub fn keys(&self) -> &KeyCache {
        &self.sqlite.shared().keys
    }

    /// What key texts are hashed with.
    pub fn pepper(&self) -> &Pepper {
        &self.pepper
    }

    /// The time on the store's clock.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Why nothing can be committed; `None` while all is well.
    pub fn fault(&self) -> Option<String> {
        self.sqlite.shared().health.fault()
    }

    /// What is wrong although commits succeed.
    pub fn warning(&self) -> Option<String> {
        self.sqlite.shared().health.warning()
    }

    /// Waits until the writer has ended, in order or not. Nothing can be committed any more.
    pub async fn writer_ended(&self) {
        self.sqlite.writer_ended().await;
    }

    /// How long a write or a change may wait to become durable; past that it is refused.
    pub fn set_timeout(&self, timeout: Span) {
        self.sqlite.shared().health.set_timeout(timeout.duration());
    }

    /// The data directory.
    pub fn directory(&self) -> &DataDirectory {
        self.sqlite.directory()
    }

    /// Which events notify whom, and on which channels.
    pub fn watching(&self) -> Arc<WatchRules> {
        self.sqlite.shared().watching.load_full()
    }

    /// Puts other rules in force, at once and as a whole. Rules that follow the journal where none did
    /// before begin with the next record.
    pub fn set_watching(&self, watching: Arc<WatchRules>) {
        let present = &self.sqlite.shared().watching;
        if watching.watches_writes() && !present.load().watches_writes() {
            match self.read(order::last) {
                Ok((last, _)) => self.watch_from.store(last, Ordering::Release),
                Err(error) => {
                    tracing::warn!(%error, "rules that watch writes begin with an earlier record");
                }
            }
        }
        present.store(watching);
    }

    /// The record after which rules begin that have not followed the journal before.
    pub fn watch_from(&self) -> i64 {
        self.watch_from.load(Ordering::Acquire)
    }

    /// Waits until something is put into the outbox; one call that comes before the wait counts.
    pub async fn outbox_filled(&self) {
        self.sqlite.shared().outbox_signal.notified().await;
    }

    /// Asks for room for a write. Once this returns a reservation, its intent and debit are durable.
    ///
    /// # Errors
    /// `Unavailable` when the store cannot commit, or not in time; nothing is then counted.
    pub async fn reserve(&self, request: ReserveRequest) -> Result<ReserveAnswer> {
        self.sqlite.writer().reserve(request, None).await
    }

    /// The same for a core that hands out its answers itself; see [`CompletionQueue`].
    ///
    /// # Errors
    /// As of [`Store::reserve`].
    pub async fn reserve_through(
        &self,
        request: ReserveRequest,
        completions: &Arc<CompletionQueue>,
    ) -> Result<ReserveAnswer> {
        self.sqlite.writer().reserve(request, Some(completions.clone())).await
    }

    /// Hands out the answers that arrive in the queue of a core, without end. Runs on that core.
    pub async fn drain_completions(&self, completions: &CompletionQueue) {
        let unclaimed = |reserved: Box<Reserved>| {
            // Nobody is left to send it.
            let (reserved, settlement) = reserved.given_up();
            self.settle(reserved, settlement);
        };
        completions.drain(unclaimed).await;
    }

    /// Writes down what became of a write. Not awaited: were it lost in a crash, the write would be
    /// `unknown`, which is then the truth.
    pub fn settle(&self, reserved: Box<Reserved>, settlement: Settlement) {
        self.sqlite.writer().settle(reserved, settlement);
    }

    /// Writes down the length of an answer that was not known when its write was settled.
    pub fn set_response_bytes(&self, id: RecordId, bytes: u64) {
        self.sqlite.writer().set_response_bytes(id, bytes);
    }

    /// Writes down refusals.
    pub fn record_refused(&self, refused: Vec<RefusedRecord>) {
        self.sqlite.writer().record_refused(refused);
    }

    /// Waits until everything that was sent to the store before is durable.
    ///
    /// # Errors
    /// When the store cannot commit.
    pub async fn flush(&self) -> Result<()> {
        self.write(|_| Ok(())).await
    }

    /// Waits for work that reads or changes the store, but not for a disk that does not answer.
    ///
    /// # Errors
    /// `Unanswered` when the disk does not answer.
    pub async fn unless_hung<T>(&self, work: impl Future<Output = T>) -> Result<T> {
        self.sqlite.unless_hung(work).await
    }

    /// Reads beside the writer, from a consistent state. Blocks: call it off the request path.
    ///
    /// # Errors
    /// When the store cannot be read, or what is read fails.
    pub(crate) fn read<T>(&self, read: impl FnOnce(&Connection) -> Result<T>) -> Result<T> {
        self.sqlite.read(read)
    }

    /// Reads beside the writer, from a consistent state, off the threads of the caller's runtime.
    pub(crate) async fn query<T, F>(&self, read: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T> + Send + 'static,
    {
        self.sqlite.query(read).await
    }

    /// Changes something in a transaction of the writer; durable once this returns `Ok`. A change that
    /// fails leaves nothing behind and does not disturb others in its group.
    pub(crate) async fn write<T, F>(&self, change: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&mut WriteTx<'_>) -> Result<T> + Send + 'static,
    {
        self.sqlite.writer().change(change).await
    }

    /// The same for whoever has no runtime, and blocks.
    pub(crate) fn change_now<T, F>(&self, change: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&mut WriteTx<'_>) -> Result<T> + Send + 'static,
    {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
        runtime.map_err(|_| Error::Unavailable)?.block_on(self.write(change))
    }

    /// What keeps the rows.
    pub(crate) fn sqlite(&self) -> &SqliteStore {
        &self.sqlite
    }

    /// Makes the writer panic, for tests of what a server does then.
    #[doc(hidden)]
    pub async fn panic_writer(&self) {
        let _: Result<()> = self.write(|_| panic!("a fault that a test asked for")).await;
    }

    /// Writes down what is waiting and closes. Later calls find the store unavailable.
    pub fn close(&self) {
        self.sqlite.close();
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        self.close();
    }
}

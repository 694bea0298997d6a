//! The durable side of Keystile: applications, keys, the ledger, the journal and events, in SQLite.
//!
//! # What this protects
//!
//! One transaction checks a key's lock, takes a write's cost from its budgets and records its intent,
//! and it is durable before anything is sent (promises P1, P2, P3). Everything that changes goes
//! through one writer thread ([`writer`]); everything that is read is read beside it.
//!
//! # Who does what
//!
//! - [`Store`] is the handle that everyone shares.
//! - `writer` commits in groups; [`WriteTx`] is one of its transactions. `asking` is how others wait for it,
//!   and `health` says whether it gets on.
//! - `reserve` is what happens to a write in it; `ledger` counts budgets; `journal` keeps the rows.
//! - `index` keeps the journal by key without making each write pay for it; `block` and `hour` do the
//!   same for listings by value and for counts.
//! - `listing` and `activity` read the journal for owners.
//! - `tell` and `follow` find what is to be told, `outbox` keeps it until it is.
//!
//! Not here: what a plan allows (core), when something is asked of the store (engine).

use std::path::Path;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread::JoinHandle;

use arc_swap::ArcSwap;
use keystile_core::journal::{Outcome, RecordId};
use keystile_core::key::Pepper;
use keystile_core::notifications::watch::WatchRules;
use keystile_core::time::{Span, Timestamp};
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};
use tokio::sync::{Notify, watch};

pub mod clock;
pub mod error;
pub mod sqlite;
pub mod tokens;

use clock::StoreClock;
use error::{Error, Result};
use sqlite::files::directory::DataDirectory;
use sqlite::files::loss::Missing;
use sqlite::files::opening::{Shared, Start};
use sqlite::journal::Settlement;
use sqlite::keys::key_cache::KeyCache;
pub use sqlite::ledger::BudgetStanding;
use sqlite::ledger::reserve::{RefusedRecord, ReserveAnswer, ReserveRequest, Reserved};
use sqlite::writer::completion_queue::CompletionQueue;
use sqlite::writer::health::Health;
use sqlite::writer::readers::Readers;
pub use sqlite::writer::write_tx::WriteTx;
use sqlite::writer::{Message, Writer};

/// How often a close looks whether the disk still answers.
const CLOSE_LOOK: std::time::Duration = std::time::Duration::from_millis(100);

/// The writer's thread.
#[derive(Debug)]
struct WriterThread {
    thread: JoinHandle<()>,
    ended: Receiver<()>,
}

/// The store of one data directory. Cheap to share behind an `Arc`.
#[derive(Debug)]
pub struct Store {
    queue: Sender<Message>,
    writer: Mutex<Option<WriterThread>>,
    /// Its other side goes with the writer.
    running: watch::Receiver<()>,
    keys: KeyCache,
    pepper: Pepper,
    clock: StoreClock,
    health: Arc<Health>,
    reading: Arc<Readers>,
    directory: DataDirectory,
    watching: Arc<ArcSwap<WatchRules>>,
    outbox_signal: Arc<Notify>,
    /// The last record before rules began to follow the journal.
    watch_from: AtomicI64,
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
    pub fn open(directory: DataDirectory) -> Result<(Arc<Self>, Opened)> {
        Self::open_accepting(directory, Missing::Refused)
    }

    pub(crate) fn open_accepting(
        directory: DataDirectory,
        missing: Missing,
    ) -> Result<(Arc<Self>, Opened)> {
        // Versions before 3.51.3 can lose commits when the WAL is reset while a reader starts.
        assert!(rusqlite::version_number() >= 3_051_003, "the bundled SQLite is too old");
        let keys = KeyCache::default();
        let shared = Shared {
            health: Arc::default(),
            reading: Arc::default(),
            watching: Arc::new(ArcSwap::from_pointee(WatchRules::default())),
            outbox_signal: Arc::new(Notify::new()),
        };
        let (queue, receiver) = mpsc::channel();
        let (held, sharing) = (directory.clone(), shared.clone());
        let (pepper, clock, last_id, left_unknown, work): (_, _, _, _, Box<dyn FnOnce() + Send>) =
            match sqlite::files::opening::start(&directory, missing, &keys, &shared)? {
                Start::Begun(begun) => {
                    let (begun, pepper) = *begun;
                    let (clock, left_unknown) = (begun.clock, begun.left_unknown);
                    let last_id = begun.memory.last_id;
                    let writer = Writer::of(begun, &directory, &shared, receiver)?;
                    (pepper, clock, last_id, left_unknown, Box::new(move || writer.run()))
                }
                Start::Loaded(loaded, error) => {
                    let why = sqlite::writer::describe(&error);
                    tracing::error!(error = %why, "the store can only be read; writes are refused until its disk takes them");
                    shared.health.set(Some(why));
                    let (pepper, clock, last_id, rows) = loaded.into_parts();
                    let work = move || {
                        let begun = sqlite::files::opening::wait_to_begin(
                            &held,
                            (rows, clock),
                            &sharing,
                            receiver,
                        );
                        if let Some(writer) = begun {
                            writer.run();
                        }
                    };
                    (pepper, clock, last_id, 0, Box::new(work))
                }
            };
        let (runs, running) = watch::channel(());
        let (ending, ended) = mpsc::channel();
        let thread = std::thread::Builder::new()
            .name("store".to_owned())
            .spawn(move || {
                let (_runs, _ending): (_, Sender<()>) = (runs, ending);
                work();
            })
            .map_err(|source| Error::Directory { path: directory.path().to_owned(), source })?;
        let store = Self {
            queue,
            writer: Mutex::new(Some(WriterThread { thread, ended })),
            running,
            keys,
            pepper,
            clock,
            health: shared.health,
            reading: shared.reading,
            directory,
            watching: shared.watching,
            outbox_signal: shared.outbox_signal,
            watch_from: AtomicI64::new(last_id),
        };
        Ok((Arc::new(store), Opened { left_unknown }))
    }

    /// The keys, for lookups on the way of a request.
    pub fn keys(&self) -> &KeyCache {
        &self.keys
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
        self.health.fault()
    }

    /// Waits until the writer has ended, in order or not. Nothing can be committed any more.
    pub async fn writer_ended(&self) {
        let mut running = self.running.clone();
        while running.changed().await.is_ok() {}
    }

    /// What is wrong although commits succeed.
    pub fn warning(&self) -> Option<String> {
        self.health.warning()
    }

    /// How long a write or a change may wait to become durable; past that it is refused.
    pub fn set_timeout(&self, timeout: Span) {
        self.health.set_timeout(timeout.duration());
    }

    /// The data directory.
    pub fn directory(&self) -> &DataDirectory {
        &self.directory
    }

    /// What is told, and on which channels.
    pub fn watching(&self) -> Arc<WatchRules> {
        self.watching.load_full()
    }

    /// Puts other rules in force, at once and as a whole. Rules that follow the journal where none did
    /// before begin with the next record.
    pub fn set_watching(&self, watching: Arc<WatchRules>) {
        if watching.watches_writes() && !self.watching.load().watches_writes() {
            match self.read(sqlite::journal::last) {
                Ok((last, _)) => self.watch_from.store(last, Ordering::Release),
                Err(error) => {
                    tracing::warn!(%error, "rules that watch writes begin with an earlier record");
                }
            }
        }
        self.watching.store(watching);
    }

    /// The record after which rules begin that have not followed the journal before.
    pub fn watch_from(&self) -> i64 {
        self.watch_from.load(Ordering::Acquire)
    }

    /// Waits until something is put into the outbox; one call that comes before the wait counts.
    pub async fn outbox_filled(&self) {
        self.outbox_signal.notified().await;
    }

    /// Asks for room for a write. Once this returns a reservation, its intent and debit are durable.
    ///
    /// The queue has no bound of its own: every request waits for its answer, so it holds at most one
    /// message for each connection that the gate admits, and one settlement for each before it. While the
    /// disk does not answer nothing more goes into it.
    pub async fn reserve(&self, request: ReserveRequest) -> Result<ReserveAnswer> {
        self.ask(request, None).await
    }

    /// The same for a core that hands out its answers itself; see [`CompletionQueue`].
    pub async fn reserve_by_mail(
        &self,
        request: ReserveRequest,
        mailbox: &Arc<CompletionQueue>,
    ) -> Result<ReserveAnswer> {
        self.ask(request, Some(mailbox.clone())).await
    }

    /// Writes down what became of a write. Not awaited: were it lost in a crash, the write would be
    /// `unknown`, which is then the truth.
    pub fn settle(&self, reserved: Box<Reserved>, settlement: Settlement) {
        if settlement.outcome != Outcome::NotSent {
            reserved.sending.note();
        }
        if self.queue.send(Message::Settle(reserved, settlement)).is_err() {
            tracing::error!("a write was settled after the store had closed");
        }
    }

    /// Writes down the length of an answer that was not known when its write was settled.
    pub fn set_response_bytes(&self, id: RecordId, bytes: u64) {
        // Best effort: the length is missing from the journal if the store has closed.
        let _ = self.queue.send(Message::ResponseBytes(id.0, bytes));
    }

    /// Writes down refusals.
    pub fn record_refused(&self, refused: Vec<RefusedRecord>) {
        // Best effort: refusals are also counted in the metrics.
        if self.health.admit().is_err() {
            return;
        }
        let _ = self.queue.send(Message::Refused(refused));
    }

    /// Waits until everything that was sent to the store before is durable.
    pub async fn flush(&self) -> Result<()> {
        self.change(|_| Ok(())).await
    }

    /// Reads beside the writer, from a consistent state. Blocks: call it off the request path.
    pub fn read<T>(&self, read: impl FnOnce(&Connection) -> Result<T>) -> Result<T> {
        let _reading = self.health.begin_read()?;
        sqlite::writer::waiting::off_the_worker(|| self.read_here(read))
    }

    /// Reads beside the writer, from a consistent state, off the threads of the caller's runtime.
    pub(crate) async fn query<T, F>(&self, read: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T> + Send + 'static,
    {
        let (health, readers) = (self.health.clone(), self.reading.clone());
        let directory = self.directory.clone();
        let work = tokio::task::spawn_blocking(move || {
            let _reading = health.begin_read()?;
            readers.with(&directory, |connection| in_snapshot(connection, read))
        });
        match self.unless_hung(work).await? {
            Ok(done) => done,
            Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            // The runtime is ending, and nobody waits for the answer.
            Err(_) => Err(Error::Unavailable),
        }
    }

    /// Changes something in a transaction of the writer; durable once this returns `Ok`.
    pub(crate) async fn write<T, F>(&self, change: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&mut WriteTx<'_>) -> Result<T> + Send + 'static,
    {
        self.change(change).await
    }

    fn read_here<T>(&self, read: impl FnOnce(&Connection) -> Result<T>) -> Result<T> {
        self.with_reader(|connection| in_snapshot(connection, read))
    }

    /// Lends a connection that reads.
    pub(crate) fn with_reader<T>(&self, read: impl FnOnce(&Connection) -> Result<T>) -> Result<T> {
        self.reading.with(&self.directory, read)
    }

    /// Writes down what is waiting and closes. Later calls find the store unavailable.
    pub fn close(&self) {
        let _ = self.queue.send(Message::Stop);
        let Some(writer) = self.writer.lock().unwrap_or_else(PoisonError::into_inner).take() else {
            return;
        };
        // The other end is dropped when the writer has ended, however it did.
        while let Err(RecvTimeoutError::Timeout) = writer.ended.recv_timeout(CLOSE_LOOK) {
            if self.health.hung_for().is_some() {
                tracing::error!("the disk does not answer; the store was not closed in order");
                return;
            }
        }
        if writer.thread.join().is_err() {
            tracing::error!("the store's writer had failed");
        }
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        self.close();
    }
}

fn connect(path: &Path, flags: OpenFlags) -> Result<Connection> {
    connect_to(path, flags)
}

fn connect_to(path: impl AsRef<Path>, flags: OpenFlags) -> Result<Connection> {
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

fn in_snapshot<T>(
    connection: &Connection,
    read: impl FnOnce(&Connection) -> Result<T>,
) -> Result<T> {
    let snapshot = connection.unchecked_transaction()?;
    let result = read(&snapshot);
    snapshot.finish()?;
    result
}

fn in_savepoint<T>(
    work: &mut WriteTx<'_>,
    change: impl FnOnce(&mut WriteTx<'_>) -> Result<T>,
) -> Result<T> {
    work.connection().execute_batch("SAVEPOINT change")?;
    let mark = work.mark();
    let result = change(work);
    if result.is_ok() {
        work.connection().execute_batch("RELEASE change")?;
        return result;
    }
    work.rollback_to(mark);
    // Where the change ended the whole transaction there is no savepoint left; the writer sees to that.
    if !work.connection().is_autocommit() {
        work.connection().execute_batch("ROLLBACK TO change; RELEASE change")?;
    }
    result
}

/// Bits from the system's generator.
///
/// # Panics
/// When the system has none, without which no key can be issued.
pub fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).expect("the system has a random number generator");
    bytes
}

/// Looks through the whole database file; what is wrong with it, if anything.
pub fn check(connection: &Connection) -> Result<Option<String>> {
    let answer: String = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
    Ok((answer != "ok").then_some(answer))
}

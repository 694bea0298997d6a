//! The store of one data directory in SQLite: its writer's thread, and its readers.

use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::sync::{Mutex, PoisonError, mpsc};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use keystile_core::keys::hash::Pepper;
use rusqlite::Connection;
use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::sync::watch;
use tokio::time::timeout;

use crate::clock::StoreClock;
use crate::error::{Error, Result};
use crate::sqlite::connection::in_snapshot;
use crate::sqlite::files::directory::DataDirectory;
use crate::sqlite::files::loss::Missing;
use crate::sqlite::opening::{self, Start};
use crate::sqlite::read_only;
use crate::sqlite::writer::handle::WriterHandle;
use crate::sqlite::writer::shared::Shared;
use crate::sqlite::writer::thread::Writer;

/// How often a close looks whether the disk still answers.
const CLOSE_LOOK: Duration = Duration::from_millis(100);
/// How often somebody who waits looks whether the disk still answers.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// What an operation has left to say itself that the store timed out, before it is given up as a whole.
const GRACE: Duration = Duration::from_secs(1);

/// The store of one data directory.
#[derive(Debug)]
pub(crate) struct SqliteStore {
    writer: WriterHandle,
    thread: Mutex<Option<WriterThread>>,
    /// Its other side goes with the writer.
    running: watch::Receiver<()>,
    directory: DataDirectory,
    shared: Shared,
}

#[derive(Debug)]
struct WriterThread {
    thread: JoinHandle<()>,
    ended: Receiver<()>,
}

/// What was found when a store was opened.
pub(crate) struct Found {
    pub(crate) pepper: Pepper,
    pub(crate) clock: StoreClock,
    /// The last record of the journal.
    pub(crate) last_id: i64,
    /// Writes that were under way at the last stop.
    pub(crate) left_unknown: usize,
}

impl SqliteStore {
    /// Opens the store in a data directory, and starts its writer.
    pub(crate) fn open(
        directory: DataDirectory,
        missing: Missing,
        shared: Shared,
    ) -> Result<(Self, Found)> {
        // Versions before 3.51.3 can lose commits when the WAL is reset while a reader starts.
        assert!(rusqlite::version_number() >= 3_051_003, "the bundled SQLite is too old");
        let (queue, receiver) = mpsc::channel();
        let (found, work): (_, Box<dyn FnOnce() + Send>) = match opening::start(
            &directory, missing, &shared,
        )? {
            Start::Begun(begun) => {
                let (begun, pepper) = *begun;
                let found = Found {
                    pepper,
                    clock: begun.clock,
                    last_id: begun.memory.last_id,
                    left_unknown: begun.left_unknown,
                };
                let writer = Writer::of(begun, &directory, &shared, receiver)?;
                (found, Box::new(move || writer.run()))
            }
            Start::Loaded(loaded, error) => {
                let why = error.cause();
                tracing::error!(error = %why, "the store can only be read; writes are refused until its disk takes them");
                shared.health.set(Some(why));
                let found = Found {
                    pepper: loaded.pepper.clone(),
                    clock: loaded.clock,
                    last_id: loaded.last_id,
                    left_unknown: 0,
                };
                let (held, shared) = (directory.clone(), shared.clone());
                let work = move || {
                    let begun = read_only::wait_to_begin(&held, &loaded, &shared, receiver);
                    if let Some(writer) = begun {
                        writer.run();
                    }
                };
                (found, Box::new(work))
            }
        };
        let (runs, running) = watch::channel(());
        let thread = WriterThread::spawn(runs, work)
            .map_err(|source| Error::Directory { path: directory.path().to_owned(), source })?;
        let store = Self {
            writer: WriterHandle::new(queue, shared.health.clone()),
            thread: Mutex::new(Some(thread)),
            running,
            directory,
            shared,
        };
        Ok((store, found))
    }

    /// The way to the writer.
    pub(crate) fn writer(&self) -> &WriterHandle {
        &self.writer
    }

    /// The data directory.
    pub(crate) fn directory(&self) -> &DataDirectory {
        &self.directory
    }

    /// What its parts share.
    pub(crate) fn shared(&self) -> &Shared {
        &self.shared
    }

    /// Waits until the writer has ended, in order or not.
    pub(crate) async fn writer_ended(&self) {
        let mut running = self.running.clone();
        while running.changed().await.is_ok() {}
    }

    /// Reads beside the writer, from a consistent state. Blocks.
    pub(crate) fn read<T>(&self, read: impl FnOnce(&Connection) -> Result<T>) -> Result<T> {
        let _reading = self.shared.health.begin_read()?;
        off_the_worker(|| self.with_reader(|connection| in_snapshot(connection, read)))
    }

    /// Reads beside the writer, from a consistent state, off the threads of the caller's runtime.
    pub(crate) async fn query<T, F>(&self, read: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T> + Send + 'static,
    {
        let (health, readers) = (self.shared.health.clone(), self.shared.readers.clone());
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

    /// Lends a connection that reads.
    pub(crate) fn with_reader<T>(&self, read: impl FnOnce(&Connection) -> Result<T>) -> Result<T> {
        self.shared.readers.with(&self.directory, read)
    }

    /// Waits for work that reads or changes the store, but not for a disk that does not answer.
    pub(crate) async fn unless_hung<T>(&self, work: impl Future<Output = T>) -> Result<T> {
        let health = &self.shared.health;
        let began = Instant::now();
        let mut work = std::pin::pin!(work);
        loop {
            if let Ok(done) = timeout(LOOK_EVERY, &mut work).await {
                return Ok(done);
            }
            let is_late = began.elapsed() >= health.timeout() + GRACE;
            if is_late && health.hung_for().is_some() {
                return Err(Error::Unanswered);
            }
        }
    }

    /// Writes down what is waiting and ends the writer.
    pub(crate) fn close(&self) {
        self.writer.stop();
        let Some(writer) = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take() else {
            return;
        };
        // The other end is dropped when the writer has ended, however it did.
        while let Err(RecvTimeoutError::Timeout) = writer.ended.recv_timeout(CLOSE_LOOK) {
            if self.shared.health.hung_for().is_some() {
                tracing::error!("the disk does not answer; the store was not closed in order");
                return;
            }
        }
        if writer.thread.join().is_err() {
            tracing::error!("the store's writer had failed");
        }
    }
}

impl WriterThread {
    /// Starts the thread; `runs` is dropped when it has ended.
    fn spawn(runs: watch::Sender<()>, work: Box<dyn FnOnce() + Send>) -> std::io::Result<Self> {
        let (ending, ended) = mpsc::channel();
        let thread = std::thread::Builder::new().name("store".to_owned()).spawn(move || {
            let (_runs, _ending): (_, Sender<()>) = (runs, ending);
            work();
        })?;
        Ok(Self { thread, ended })
    }
}

/// Blocks for a moment, or longer where the disk does, without keeping others of this runtime from going
/// on.
fn off_the_worker<T>(work: impl FnOnce() -> T) -> T {
    let flavor = Handle::try_current().map(|handle| handle.runtime_flavor());
    match flavor {
        Ok(RuntimeFlavor::MultiThread) => tokio::task::block_in_place(work),
        Ok(_) | Err(_) => work(),
    }
}

//! Bringing the log into the database, and saying so when that fails.
//!
//! SQLite does this by itself after a commit, and drops what goes wrong: the log then grows without end and
//! without a word. So the writer does it, after everybody has their answer, and looks at what came of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use rusqlite::Connection;
use rusqlite::wal::CheckpointMode;

use crate::error::{Error, Result};
use crate::sqlite::writer::health::Health;

/// The log is brought into the database once it has so many pages.
const PAGES: u32 = 4_000;
/// A log of so many pages that does not get shorter is reported.
const PAGES_WORRYING: u32 = 2 * PAGES;
/// After an attempt that did not bring everything in, the next one waits so long.
const PAUSE: Duration = Duration::from_secs(1);

/// The length of the log, as commits and checkpoints tell it.
#[derive(Debug)]
pub(crate) struct Checkpoints {
    pages: Arc<AtomicU32>,
    tried: Option<Instant>,
}

impl Checkpoints {
    /// Takes over from SQLite.
    pub(crate) fn take_over(connection: &mut Connection) -> Result<Self> {
        connection.execute_batch("PRAGMA wal_autocheckpoint = 0")?;
        let pages = Arc::new(AtomicU32::new(0));
        let counted = pages.clone();
        connection.wal_hook(Some(move |_: &mut _, pages| {
            counted.store(u32::try_from(pages).unwrap_or(0), Ordering::Relaxed);
            Ok(())
        }))?;
        Ok(Self { pages, tried: None })
    }

    /// How many pages the log has after the last commit.
    pub(crate) fn pages(&self) -> u32 {
        self.pages.load(Ordering::Relaxed)
    }

    /// Does it where it is due. An error is a sync that failed.
    pub(crate) fn step(&mut self, connection: &Connection, health: &Health) -> Result<()> {
        let pages = self.pages();
        if pages < PAGES || self.tried.is_some_and(|tried| tried.elapsed() < PAUSE) {
            return Ok(());
        }
        let mib = (u64::from(pages) * 4096) >> 20;
        let problem = match connection.wal_checkpoint_v2(None::<&str>, CheckpointMode::PASSIVE) {
            Ok((all, done)) if done >= all => None,
            Ok(_) if pages < PAGES_WORRYING => None,
            Ok(_) => Some(format!(
                "the log has {mib} MiB and cannot be brought into the database, because somebody has been reading it for long"
            )),
            Err(error) => {
                let error = Error::from(error);
                if error.is_fsync_failure() {
                    return Err(error);
                }
                Some(format!(
                    "the log has {mib} MiB and cannot be brought into the database: {}",
                    error.cause()
                ))
            }
        };
        self.tried = problem.is_some().then(Instant::now);
        health.set_warning(problem);
        Ok(())
    }
}

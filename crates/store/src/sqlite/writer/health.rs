//! Whether the store can commit, and since when its disk has not answered.
//!
//! # What this protects
//!
//! A file system can hang: it neither carries out a write nor fails it. The writer's thread then hangs in
//! the kernel, and only others can say so. It notes when it begins to work on a group, so that everybody
//! else sees for how long it has been at it. Past the store's timeout the store counts as hung: nothing
//! more is put into its queue, which bounds it, and whoever asks is told at once.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::error::{Error, Result};

/// How long a write waits to become durable where nothing else is configured.
pub(crate) const TIMEOUT_DEFAULT: Duration = Duration::from_secs(5);
/// Reads that may wait for a disk that does not answer; each holds a thread.
const STUCK_READS_MAX: usize = 32;

/// How the store is; shared by its writer and all who ask.
#[derive(Debug)]
pub(crate) struct Health {
    started: Instant,
    timeout_ms: AtomicU64,
    /// When the writer began what it is at, in milliseconds since the start and one; 0 while it waits.
    busy_since: AtomicU64,
    is_failing: AtomicBool,
    fault: Mutex<String>,
    warning: Mutex<Option<String>>,
    reads: AtomicUsize,
}

impl Default for Health {
    fn default() -> Self {
        Self {
            started: Instant::now(),
            timeout_ms: AtomicU64::new(millis(TIMEOUT_DEFAULT)),
            busy_since: AtomicU64::new(0),
            is_failing: AtomicBool::new(false),
            fault: Mutex::default(),
            warning: Mutex::default(),
            reads: AtomicUsize::new(0),
        }
    }
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

impl Health {
    /// Why nothing can be committed; `None` while commits succeed.
    pub(crate) fn fault(&self) -> Option<String> {
        if let Some(span) = self.hung_for() {
            return Some(format!("the disk has not answered for {} s", span.as_secs()));
        }
        self.failure()
    }

    /// What was said when the last commit failed, as far as it did.
    pub(crate) fn failure(&self) -> Option<String> {
        self.is_failing
            .load(Ordering::Acquire)
            .then(|| self.fault.lock().unwrap_or_else(PoisonError::into_inner).clone())
    }

    pub(crate) fn set(&self, fault: Option<String>) {
        let is_failing = fault.is_some();
        if let Some(fault) = fault {
            *self.fault.lock().unwrap_or_else(PoisonError::into_inner) = fault;
        }
        self.is_failing.store(is_failing, Ordering::Release);
    }

    /// What is wrong although commits succeed.
    pub(crate) fn warning(&self) -> Option<String> {
        self.warning.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn set_warning(&self, warning: Option<String>) {
        let mut known = self.warning.lock().unwrap_or_else(PoisonError::into_inner);
        match (&*known, &warning) {
            (None, Some(warning)) => tracing::warn!("{warning}"),
            (Some(_), None) => tracing::info!("the log is brought into the database again"),
            (None, None) | (Some(_), Some(_)) => {}
        }
        *known = warning;
    }

    /// How long a write may wait to become durable.
    pub(crate) fn timeout(&self) -> Duration {
        Duration::from_millis(self.timeout_ms.load(Ordering::Relaxed))
    }

    pub(crate) fn set_timeout(&self, timeout: Duration) {
        self.timeout_ms.store(millis(timeout).max(1), Ordering::Relaxed);
    }

    /// The writer begins to work on something; what it did before is done.
    pub(crate) fn begin_work(&self) {
        self.busy_since.store(millis(self.started.elapsed()) + 1, Ordering::Release);
    }

    pub(crate) fn end_work(&self) {
        self.busy_since.store(0, Ordering::Release);
    }

    /// For how long the writer has been at one thing, where that is longer than the timeout.
    pub(crate) fn hung_for(&self) -> Option<Duration> {
        let since = self.busy_since.load(Ordering::Acquire);
        if since == 0 {
            return None;
        }
        let span = self.started.elapsed().saturating_sub(Duration::from_millis(since - 1));
        (span >= self.timeout()).then_some(span)
    }

    /// Refuses what would only wait: were it queued, the queue of a hung store would grow without end.
    pub(crate) fn admit(&self) -> Result<()> {
        if self.hung_for().is_some() { Err(Error::Unavailable) } else { Ok(()) }
    }

    /// Counts a read while it lasts; refuses it where too many hang already.
    pub(crate) fn begin_read(&self) -> Result<Readers<'_>> {
        let under_way = self.reads.fetch_add(1, Ordering::AcqRel);
        let reading = Readers(self);
        if under_way >= STUCK_READS_MAX {
            self.admit()?;
        }
        Ok(reading)
    }
}

/// A read that is under way.
#[derive(Debug)]
pub(crate) struct Readers<'h>(&'h Health);

impl Drop for Readers<'_> {
    fn drop(&mut self) {
        self.0.reads.fetch_sub(1, Ordering::AcqRel);
    }
}

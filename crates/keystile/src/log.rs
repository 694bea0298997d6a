//! The log: for people on a terminal, one JSON object a line elsewhere. `KEYSTILE_LOG` sets what is said.
//!
//! # What this protects
//!
//! Whoever logs does not wait, panic or fail because of it. A line is put into a bounded [`queue`], from
//! which a thread of its own writes; what finds no room is counted, and the count is logged once there is
//! room. What is said over and over is left out and counted too ([`repeat`]).
//!
//! An event with a field named `ends_process` is the last one of its process: it waits a moment until it
//! has been written.

mod queue;
mod repeat;

use std::backtrace::{Backtrace, BacktraceStatus};
use std::fs::File;
use std::io::{self, IsTerminal as _};
use std::os::fd::AsFd as _;
use std::panic::PanicHookInfo;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tracing_subscriber::EnvFilter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use queue::{LAST_LINES_WAIT, LineWriter, LogQueue};
use repeat::{OWN_TARGET, RepeatLayer, RepeatLimit};

/// How often it is looked for messages to sum up.
const SUMMARY_INTERVAL: Duration = Duration::from_secs(1);

/// A log that is being written. Dropping it writes what waits, as far as that takes no longer than a moment.
#[derive(Debug)]
pub struct Log {
    queue: Arc<LogQueue>,
    repeats: Arc<RepeatLimit>,
}

/// Begins to log to standard error, at the `usual` level where the environment names none.
pub fn begin(usual: &str) -> io::Result<Log> {
    let filter = EnvFilter::try_from_env("KEYSTILE_LOG").unwrap_or_else(|_| EnvFilter::new(usual));
    let stderr = io::stderr();
    // Not through the standard library's handle: a write that hangs would hold its lock.
    let stream = File::from(stderr.as_fd().try_clone_to_owned()?);
    let log = Log { queue: Arc::default(), repeats: Arc::default() };
    let (queue, repeats) = (log.queue.clone(), log.repeats.clone());
    std::thread::Builder::new()
        .name("log".to_owned())
        .spawn(move || write_for_ever(&queue, &repeats, stream))?;
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(LineWriter(log.queue.clone()))
        .log_internal_errors(false);
    let registry =
        tracing_subscriber::registry().with(filter).with(RepeatLayer(log.repeats.clone()));
    // A second log in one process, as in tests, is left as it is.
    let _ = if stderr.is_terminal() {
        registry.with(lines.with_target(false).compact()).try_init()
    } else {
        registry.with(lines.json().flatten_event(true)).try_init()
    };
    std::panic::set_hook(Box::new(note_panic));
    Ok(log)
}

impl Drop for Log {
    fn drop(&mut self) {
        self.repeats.end_all().iter().for_each(repeat::Summary::log);
        self.queue.flush(LAST_LINES_WAIT);
    }
}

fn write_for_ever(queue: &LogQueue, repeats: &RepeatLimit, mut stream: File) {
    let mut lines = Vec::new();
    loop {
        let lost = queue.take(&mut lines, SUMMARY_INTERVAL);
        if lost > 0 {
            tracing::warn!(
                target: OWN_TARGET, lines = lost,
                "lines of the log are missing here, because they could not be written in time"
            );
        }
        queue::write(&lines, &mut stream);
        lines.clear();
        repeats.end_over(Instant::now()).iter().for_each(repeat::Summary::log);
    }
}

/// The standard hook writes to standard error itself, and waits for whoever reads it.
fn note_panic(panic: &PanicHookInfo<'_>) {
    let thread = std::thread::current();
    let backtrace = Backtrace::capture();
    let backtrace = (backtrace.status() == BacktraceStatus::Captured).then_some(backtrace);
    tracing::error!(
        thread = thread.name().unwrap_or("unnamed"),
        at = panic.location().map(tracing::field::display),
        problem = panic.payload_as_str().unwrap_or("no text"),
        backtrace = backtrace.as_ref().map(tracing::field::display),
        "a fault of Keystile's own: please report it"
    );
}

//! The writer's thread: what it holds, and the loop that it runs.

use std::fs::File;
use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

use rusqlite::Connection;

use crate::clock::StoreClock;
use crate::doors::meters::MeterValue;
use crate::error::{Error, Result};
use crate::reservation::{Reserved, Settlement};
use crate::sqlite::files::directory::DataDirectory;
use crate::sqlite::files::mark::MarkFile;
use crate::sqlite::journal::subject_index::Pressure;
use crate::sqlite::writer::checkpoint::Checkpoints;
use crate::sqlite::writer::health::Health;
use crate::sqlite::writer::message::{Message, waiting};
use crate::sqlite::writer::readers::Readers;
use crate::sqlite::writer::shared::Shared;
use crate::sqlite::writer::write_tx::WriterState;

/// How often the writer looks for work that nobody asked for.
const MAINTENANCE_EVERY: Duration = Duration::from_secs(1);

/// A store that can take its first write.
pub(crate) struct Begun {
    pub(crate) connection: Connection,
    pub(crate) memory: WriterState,
    pub(crate) clock: StoreClock,
    pub(crate) checkpoints: Checkpoints,
    pub(crate) mark: MarkFile,
    pub(crate) schema_cookie: i64,
    pub(crate) left_unknown: usize,
}

/// The writer's own state.
pub(crate) struct Writer {
    pub(crate) connection: Connection,
    pub(crate) memory: WriterState,
    pub(crate) clock: StoreClock,
    pub(crate) health: Arc<Health>,
    pub(crate) queue: Receiver<Message>,
    pub(crate) unsettled: Vec<(Box<Reserved>, Settlement)>,
    /// Meters that nobody waits for, and whose commit failed.
    pub(crate) unkept: Vec<MeterValue>,
    /// Touched now and then: a disk that hangs shows although nobody writes.
    pub(crate) lock_file: File,
    pub(crate) readers: Arc<Readers>,
    pub(crate) checkpoints: Checkpoints,
    pub(crate) mark: MarkFile,
    /// What the schema had when it was found to be ours.
    pub(crate) schema_cookie: i64,
}

impl Writer {
    /// The writer of a store that has begun.
    pub(crate) fn of(
        begun: Begun,
        directory: &DataDirectory,
        shared: &Shared,
        queue: Receiver<Message>,
    ) -> Result<Self> {
        let Begun { connection, memory, clock, checkpoints, mark, schema_cookie, .. } = begun;
        Ok(Self {
            connection,
            memory,
            clock,
            health: shared.health.clone(),
            queue,
            unsettled: Vec::new(),
            unkept: Vec::new(),
            lock_file: directory.lock_file()?,
            readers: shared.readers.clone(),
            checkpoints,
            mark,
            schema_cookie,
        })
    }

    /// Serves the queue until it is told to stop, or nobody can ask any more.
    pub(crate) fn run(mut self) {
        let mut group = Vec::new();
        let mut last_waiting = 0;
        let mut maintained = Instant::now();
        loop {
            let is_connected = self.collect(&mut group, last_waiting);
            let is_stopping =
                !is_connected || group.iter().any(|message| matches!(message, Message::Stop));
            let is_idle = group.is_empty();
            last_waiting = waiting(&group);
            self.health.begin_work();
            if !is_idle {
                self.commit(std::mem::take(&mut group));
            }
            if maintained.elapsed() >= MAINTENANCE_EVERY {
                self.run_maintenance();
                maintained = Instant::now();
            }
            let pressure = if is_idle { Pressure::Idle } else { Pressure::Busy };
            self.merge_step(pressure, self.memory.settled_to());
            self.facet_step(pressure);
            self.meter_step();
            if let Err(error) = self.checkpoints.step(&self.connection, &self.health) {
                end_after(&error);
            }
            if is_stopping {
                break;
            }
            self.health.end_work();
        }
        self.health.begin_work();
        self.close();
        self.health.end_work();
    }
}

/// A failed fsync is never tried again.
fn end_after(error: &Error) -> ! {
    tracing::error!(error = %error.cause(), "fsync failed: what is on the disk is unknown; ending, to read it again");
    std::process::abort();
}

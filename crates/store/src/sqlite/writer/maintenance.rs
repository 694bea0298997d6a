//! What the writer does of its own accord: between groups, once a second, and at the end.

use std::fs::File;
use std::time::{Duration, Instant};

use rustix::fs::{Timespec, Timestamps, UTIME_NOW, UTIME_OMIT, futimens};

use crate::sqlite::connection::{begin, commit};
use crate::sqlite::journal::subject_index::Pressure;
use crate::sqlite::keys::lock;
use crate::sqlite::meta;
use crate::sqlite::writer::message::{Change, Message};
use crate::sqlite::writer::thread::Writer;

impl Writer {
    pub(crate) fn run_maintenance(&mut self) {
        let is_failing = self.health.failure().is_some();
        let retry = !self.unsettled.is_empty()
            || !self.unkept.is_empty()
            || is_failing
            || touch(&self.lock_file).is_err()
            || self.readers.check_files().is_err();
        let open_locks: Change = Box::new(move |work| {
            // A transaction that writes nothing ends well on a full disk too.
            if retry
                && let Err(error) = meta::set(work.connection, "tried", &work.now.0.to_string())
            {
                tracing::debug!(%error, "the store still cannot write");
            }
            if let Err(error) = lock::open_expired(work) {
                tracing::warn!(%error, "locks that ran out stay listed");
            }
            Box::new(|_| {})
        });
        let is_due = self.memory.node.is_due(self.clock.now());
        if retry || is_due || lock::is_any_timed(&self.connection) {
            self.commit(vec![Message::Change(open_locks)]);
        }
    }

    /// Merges some rows up to one into the list by subject.
    pub(crate) fn merge_step(&mut self, pressure: Pressure, settled_to: i64) {
        if self.health.failure().is_some() || !self.memory.index.wants_step(pressure, settled_to) {
            return;
        }
        let first_open = self.memory.open.first_key_value().map(|(id, _)| *id);
        let first = first_open.into_iter().chain(self.memory.pending_elsewhere).min();
        let pending_from = first.unwrap_or(self.memory.last_id + 1);
        let merged = begin(&self.connection)
            .and_then(|()| self.memory.index.step(&self.connection, settled_to))
            .and_then(|()| meta::set(&self.connection, "pending_from", &pending_from.to_string()))
            .and_then(|()| commit(&self.connection));
        match merged {
            Ok(()) => self.memory.index.step_committed(),
            Err(error) => self.recover(&error, self.memory.last_id),
        }
    }

    /// Fills blocks with some records, in a transaction that nobody waits for. What a stop leaves is done
    /// after the next start.
    pub(crate) fn facet_step(&mut self, pressure: Pressure) {
        let to = self.memory.settled_to();
        if self.health.failure().is_some() || self.memory.blocks.due_in(to) != Some(Duration::ZERO)
        {
            return;
        }
        let began = Instant::now();
        let filled = begin(&self.connection)
            .and_then(|()| self.memory.blocks.step(&self.connection, to))
            .and_then(|()| commit(&self.connection));
        if let Err(error) = filled {
            self.recover(&error, self.memory.last_id);
            self.memory.blocks.forget();
        }
        self.memory.blocks.rest(began.elapsed(), pressure);
    }

    /// Brings some meters from the log into the table.
    pub(crate) fn meter_step(&mut self) {
        if self.health.failure().is_some() || !self.memory.meters.is_due() {
            return;
        }
        let moved = begin(&self.connection)
            .and_then(|()| self.memory.meters.step(&self.connection))
            .and_then(|()| commit(&self.connection));
        match moved {
            Ok(()) => self.memory.meters.step_committed(),
            Err(error) => self.recover(&error, self.memory.last_id),
        }
        self.memory.meters.rest();
    }

    pub(crate) fn close(&mut self) {
        if !self.unsettled.is_empty() || !self.unkept.is_empty() {
            self.commit(Vec::new());
        }
        // Writes under way are merged as well: the next start knows that they were.
        while self.health.failure().is_none()
            && self.memory.index.wants_step(Pressure::Idle, i64::MAX)
        {
            self.merge_step(Pressure::Idle, i64::MAX);
        }
        self.mark.let_go_of_log();
        if self.readers.check_files().is_ok()
            && let Err(error) = self.connection.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)")
        {
            tracing::debug!(%error, "the log stays beside the database until the next start");
        }
    }
}

/// Writes to the file system, though nothing that matters.
fn touch(file: &File) -> std::io::Result<()> {
    let keep = Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT };
    let now = Timespec { tv_sec: 0, tv_nsec: UTIME_NOW };
    Ok(futimens(file, &Timestamps { last_access: keep, last_modification: now })?)
}

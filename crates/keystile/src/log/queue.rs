//! Lines that wait to be written: as many as there is room for, and the number of those that found none.

use std::io::{self, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tracing::Metadata;
use tracing_subscriber::fmt::MakeWriter;

/// How long the end of the process waits for its last lines.
pub(super) const LAST_LINES_WAIT: Duration = Duration::from_secs(1);
/// So many bytes wait. Who reads the log may be gone for the time of some thousand lines.
const WAITING_BYTES_MAX: usize = 1 << 20;
/// A stream that takes nothing, a full disk perhaps, is tried again after this.
const TRY_AGAIN: Duration = Duration::from_millis(100);

/// What waits.
#[derive(Debug, Default)]
struct Waiting {
    lines: Vec<u8>,
    lost: u64,
    /// Lines were taken and are not written yet.
    is_writing: bool,
}

/// A queue that takes lines without ever making anybody wait.
#[derive(Debug, Default)]
pub(super) struct LogQueue {
    waiting: Mutex<Waiting>,
    changed: Condvar,
}

impl LogQueue {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a line, or counts it as lost.
    pub(super) fn push(&self, line: &[u8]) {
        let mut waiting = self.lock();
        if waiting.lines.len() + line.len() > WAITING_BYTES_MAX {
            waiting.lost += 1;
            return;
        }
        waiting.lines.extend_from_slice(line);
        drop(waiting);
        self.changed.notify_all();
    }

    /// Waits for lines, for a while, and moves them into `lines`, which is empty. Gives the number of those
    /// that were lost after them.
    pub(super) fn take(&self, lines: &mut Vec<u8>, wait: Duration) -> u64 {
        let mut waiting = self.lock();
        waiting.is_writing = false;
        self.changed.notify_all();
        let has_none = |waiting: &mut Waiting| waiting.lines.is_empty();
        let (mut waiting, _) = self
            .changed
            .wait_timeout_while(waiting, wait, has_none)
            .unwrap_or_else(PoisonError::into_inner);
        waiting.is_writing = !waiting.lines.is_empty();
        std::mem::swap(&mut waiting.lines, lines);
        std::mem::take(&mut waiting.lost)
    }

    /// Waits until all has been written, for a while.
    pub(super) fn flush(&self, wait: Duration) {
        let is_busy = |waiting: &mut Waiting| waiting.is_writing || !waiting.lines.is_empty();
        // What could not be written in this time is lost with the process.
        drop(self.changed.wait_timeout_while(self.lock(), wait, is_busy));
    }
}

/// Writes all of it, however long that takes: nobody waits for it, and there is no better place to put it.
pub(super) fn write(mut lines: &[u8], stream: &mut impl Write) {
    while !lines.is_empty() {
        match stream.write(lines) {
            Ok(0) => pause(),
            Ok(count) => lines = lines.get(count..).unwrap_or_default(),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            // No room, nobody who reads, or not now: each of them may change.
            Err(_) => pause(),
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "the log's thread holds up nobody")]
fn pause() {
    std::thread::sleep(TRY_AGAIN);
}

/// What the log's lines are written to.
#[derive(Debug)]
pub(super) struct LineWriter(pub(super) Arc<LogQueue>);

/// Takes one line.
#[derive(Debug)]
pub(super) struct Line<'a> {
    queue: &'a LogQueue,
    is_last: bool,
}

impl<'a> MakeWriter<'a> for LineWriter {
    type Writer = Line<'a>;

    fn make_writer(&'a self) -> Line<'a> {
        Line { queue: &self.0, is_last: false }
    }

    fn make_writer_for(&'a self, metadata: &Metadata<'_>) -> Line<'a> {
        let is_last = metadata.fields().field("ends_process").is_some();
        Line { queue: &self.0, is_last }
    }
}

impl Write for Line<'_> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.queue.push(line);
        if self.is_last {
            self.queue.flush(LAST_LINES_WAIT);
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_beyond_the_room_are_counted_and_those_before_are_whole() {
        let queue = LogQueue::default();
        let line = [b"x".repeat(99), b"\n".to_vec()].concat();
        for _ in 0..20_000 {
            queue.push(&line);
        }
        let mut lines = Vec::new();
        let lost = queue.take(&mut lines, Duration::ZERO);
        assert!(lines.len() <= WAITING_BYTES_MAX && lines.len() % 100 == 0);
        assert_eq!(lines.len() as u64 / 100 + lost, 20_000);
        lines.clear();
        queue.push(&line);
        assert_eq!(queue.take(&mut lines, Duration::ZERO), 0, "a loss is told once");
        assert_eq!(lines, line);
    }

    /// A stream that fails in each way before it takes a few bytes.
    struct Reluctant {
        written: Vec<u8>,
        calls: usize,
    }

    impl Write for Reluctant {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.calls += 1;
            match self.calls {
                1 => Err(io::ErrorKind::StorageFull.into()),
                2 => Err(io::ErrorKind::WouldBlock.into()),
                3 => Err(io::ErrorKind::Interrupted.into()),
                4 => Ok(0),
                _ => self.written.write(bytes.get(..3).unwrap_or(bytes)),
            }
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_stream_that_fails_for_a_while_gets_each_byte_once() {
        let mut stream = Reluctant { written: Vec::new(), calls: 0 };
        write(b"one\ntwo\nthree\n", &mut stream);
        assert_eq!(stream.written, b"one\ntwo\nthree\n");
    }

    #[test]
    fn a_flush_ends_though_nobody_writes() {
        let queue = LogQueue::default();
        queue.push(b"a line\n");
        queue.flush(Duration::from_millis(20));
        let mut lines = Vec::new();
        queue.take(&mut lines, Duration::ZERO);
        // Taken, but not yet known to be written.
        queue.flush(Duration::from_millis(20));
        assert_eq!(lines, b"a line\n");
    }
}

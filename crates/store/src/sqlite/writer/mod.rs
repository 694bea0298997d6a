//! The writer: one thread that owns the only writing connection and commits in groups.
//!
//! # How
//!
//! Messages wait in a queue while a commit is under way; the next transaction takes all of them, up to a
//! bound, and its one fsync makes them all durable. Only then are answers given and shared entries
//! changed. When writes come fast the writer waits a moment for more of them, because a group of ten
//! costs little more than a single write; a lone write never waits.
//!
//! # When a commit fails
//!
//! A full or read-only disk: the transaction is rolled back, everyone in it hears that the store is
//! unavailable, what was counted in memory is forgotten and counted anew, and settlements are kept
//! for the next try. A failed fsync ends the process, because nobody can say any more what is on
//! the disk; on restart it is read from there.

use std::fs::File;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use rusqlite::{Connection, ffi};
use rustix::fs::{Timespec, Timestamps, UTIME_NOW, UTIME_OMIT, futimens};
use tokio::sync::oneshot;

use crate::clock::StoreClock;
use crate::error::{Error, Result};
use crate::sqlite::files::directory::DataDirectory;
use crate::sqlite::files::mark::MarkFile;
use crate::sqlite::files::opening::{Begun, Shared};
use crate::sqlite::files::schema;
use crate::sqlite::journal::subject_index::Pressure;
use crate::sqlite::journal::{self, Settlement};
use crate::sqlite::ledger::reserve::{
    self, RefusedRecord, ReserveAnswer, ReserveRequest, Reserved,
};
use crate::sqlite::writer::checkpoint::Checkpoints;
use crate::sqlite::writer::completion_queue::{Completion, CompletionQueue};
use crate::sqlite::writer::health::Health;
use crate::sqlite::writer::readers::Readers;
use crate::sqlite::writer::write_tx::{WriteTx, WriterState};

pub(crate) mod checkpoint;
pub mod completion_queue;
pub mod health;
pub(crate) mod readers;
pub(crate) mod waiting;
pub(crate) mod write_tx;

/// How many messages one transaction takes at most.
const GROUP_MAX: usize = 512;
/// How long the writer waits for company when writes come fast: it looks after each pause, and goes on
/// at once when nobody came. A few long pauses cost less than many short ones.
const GATHER_PAUSES: [Duration; 3] =
    [Duration::from_micros(400), Duration::from_micros(1_300), Duration::from_micros(1_300)];
/// How long settlements linger for the commit of a write that somebody waits for.
const LINGER: Duration = Duration::from_millis(50);
/// How often it looks for work that nobody asked for.
const HOUSEKEEPING: Duration = Duration::from_secs(1);
/// When nobody asked for anything for so long, nobody is kept waiting by a step that fills blocks.
const LULL: Duration = Duration::from_millis(5);
/// Settlements that wait for a store that cannot commit; beyond, their records end as `unknown`.
const UNSETTLED_MAX: usize = 100_000;

/// A change that somebody waits for: run in the transaction, then told how that ended.
pub(crate) type Change = Box<dyn FnOnce(&mut WriteTx<'_>) -> CommitCallback + Send>;
/// Told whether the transaction is durable.
pub(crate) type CommitCallback = Box<dyn FnOnce(Committed) + Send>;

/// Who waits for room for a write.
pub(crate) struct Waiter {
    pub(crate) sender: oneshot::Sender<Result<ReserveAnswer>>,
    /// Where the answer is put, for a core that is woken once for many.
    pub(crate) mailbox: Option<Arc<CompletionQueue>>,
}

/// Tells waiters, each core in one wake-up; gives the reservations of those who have left.
fn wake_waiters(
    told: impl Iterator<Item = (Waiter, Result<ReserveAnswer>)>,
) -> impl Iterator<Item = Box<Reserved>> {
    let (mut left, mut mailboxes) = (Vec::new(), Vec::<Arc<CompletionQueue>>::new());
    for (Waiter { sender, mailbox }, answer) in told {
        match mailbox {
            None => {
                if let Err(Ok(Ok(reserved))) = sender.send(answer) {
                    left.push(reserved);
                }
            }
            Some(mailbox) => {
                mailbox.put(Completion { sender, answer });
                if !mailboxes.iter().any(|known| Arc::ptr_eq(known, &mailbox)) {
                    mailboxes.push(mailbox);
                }
            }
        }
    }
    for mailbox in mailboxes {
        mailbox.wake();
    }
    left.into_iter()
}

/// Tells whoever waits for a message that nothing can be recorded. A change that is dropped tells it itself.
pub(crate) fn tell_unavailable(message: Message) {
    if let Message::Reserve(_, waiter) = message {
        wake_waiters(std::iter::once((waiter, Err(Error::Unavailable)))).for_each(drop);
    }
}

/// Whether a transaction is durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Committed {
    Yes,
    No,
}

/// What is asked of the writer.
pub(crate) enum Message {
    Reserve(Box<ReserveRequest>, Waiter),
    Settle(Box<Reserved>, Settlement),
    ResponseBytes(i64, u64),
    Refused(Vec<RefusedRecord>),
    Change(Change),
    Stop,
}

/// The writer's own state.
pub(crate) struct Writer {
    pub(crate) connection: Connection,
    pub(crate) memory: WriterState,
    pub(crate) clock: StoreClock,
    pub(crate) health: Arc<Health>,
    pub(crate) queue: Receiver<Message>,
    pub(crate) unsettled: Vec<(Box<Reserved>, Settlement)>,
    /// Touched now and then: a disk that hangs shows although nobody writes.
    pub(crate) lock_file: File,
    pub(crate) reading: Arc<Readers>,
    pub(crate) checkpoints: Checkpoints,
    pub(crate) mark: MarkFile,
    /// What the schema had when it was found to be ours.
    pub(crate) schema_cookie: i64,
}

/// What is told once the transaction has ended.
#[derive(Default)]
struct Answers {
    reserved: Vec<(Waiter, ReserveAnswer)>,
    completions: Vec<CommitCallback>,
    settled: Vec<(Box<Reserved>, Settlement)>,
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
            lock_file: directory.lock_file()?,
            reading: shared.reading.clone(),
            checkpoints,
            mark,
            schema_cookie,
        })
    }

    /// Serves the queue until it is told to stop, or nobody can ask any more.
    pub(crate) fn run(mut self) {
        let mut group = Vec::new();
        let mut last_waiting = 0;
        let mut housekept = Instant::now();
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
            if housekept.elapsed() >= HOUSEKEEPING {
                self.run_maintenance();
                housekept = Instant::now();
            }
            let pressure = if is_idle { Pressure::Idle } else { Pressure::Busy };
            self.merge_step(pressure, self.memory.settled_to());
            self.block_step(pressure);
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

    /// Waits for the next group; says whether anybody can still ask. What nobody waits for lingers, to
    /// share the commit of what somebody does.
    fn collect(&self, group: &mut Vec<Message>, last_waiting: usize) -> bool {
        let mut patience = self.patience();
        let mut first = None;
        while waiting(group) == 0 && group.len() < GROUP_MAX {
            match self.queue.recv_timeout(patience) {
                Ok(message) => group.push(message),
                Err(RecvTimeoutError::Timeout) => return true,
                Err(RecvTimeoutError::Disconnected) => return false,
            }
            self.drain(group);
            patience = LINGER.saturating_sub(first.get_or_insert_with(Instant::now).elapsed());
        }
        self.gather(group, last_waiting);
        true
    }

    /// How long to wait when nobody asks for anything.
    fn patience(&self) -> Duration {
        let due_in = self.memory.blocks.due_in(self.memory.settled_to());
        match (due_in, self.health.failure()) {
            (Some(due_in), None) => due_in.clamp(LULL, HOUSEKEEPING),
            (None, _) | (_, Some(_)) => HOUSEKEEPING,
        }
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "the writer's thread is its own; a wait here costs nobody a wake-up"
    )]
    fn gather(&self, group: &mut Vec<Message>, last_waiting: usize) {
        if last_waiting < 2 {
            return;
        }
        for pause in GATHER_PAUSES {
            let before = group.len();
            if waiting(group) >= last_waiting.max(32) {
                break;
            }
            std::thread::sleep(pause);
            self.drain(group);
            if group.len() == before {
                break;
            }
        }
    }

    fn drain(&self, group: &mut Vec<Message>) {
        while group.len() < GROUP_MAX {
            match self.queue.try_recv() {
                Ok(message) => group.push(message),
                Err(_) => break,
            }
        }
    }

    fn commit(&mut self, group: Vec<Message>) {
        let last_id = self.memory.last_id;
        let mut answers = Answers::default();
        let mut waiting = Vec::new();
        match self.transact(group, &mut answers, &mut waiting) {
            Ok(()) => {
                self.health.set(None);
                let told =
                    answers.reserved.into_iter().map(|(waiter, answer)| (waiter, Ok(answer)));
                self.unsettled.extend(wake_waiters(told).map(Reserved::given_up));
                answers.completions.into_iter().for_each(|tell| tell(Committed::Yes));
            }
            Err(error) => {
                self.recover(&error, last_id);
                let waiters = answers.reserved.into_iter().map(|(waiter, _)| waiter).chain(waiting);
                // Nothing was reserved, so nobody who has left leaves anything behind.
                wake_waiters(waiters.map(|waiter| (waiter, Err(Error::Unavailable))))
                    .for_each(drop);
                answers.completions.into_iter().for_each(|tell| tell(Committed::No));
                let again = answers.settled.iter();
                self.memory
                    .open
                    .extend(again.map(|(reserved, _)| (reserved.id.0, reserved.sending.clone())));
                self.unsettled.extend(answers.settled);
                self.unsettled.truncate(UNSETTLED_MAX);
            }
        }
    }

    /// Runs a group in one transaction. After the first error what is left of the group is only sorted
    /// into who has to hear of it.
    fn transact(
        &mut self,
        group: Vec<Message>,
        answers: &mut Answers,
        waiting: &mut Vec<Waiter>,
    ) -> Result<()> {
        answers.settled = std::mem::take(&mut self.unsettled);
        let mut outcome = self.reading.check_files().and_then(|()| begin(&self.connection));
        if outcome.is_ok() {
            outcome = know_schema(&self.connection, &mut self.schema_cookie);
        }
        let mut work = WriteTx::new(&self.connection, &mut self.memory, self.clock.now());
        if outcome.is_ok() {
            let mut again = answers.settled.iter();
            outcome = again.try_for_each(|(reserved, settlement)| {
                reserve::settle(&mut work, reserved, settlement)
            });
        }
        for message in group {
            let result = run(&mut work, message, answers, waiting, outcome.is_ok());
            outcome = outcome.and(result);
        }
        outcome = outcome.and_then(|()| work.memory.audit.write(work.connection));
        let effects = work.into_effects();
        outcome?;
        commit(&self.connection)?;
        self.memory.audit.note_committed();
        self.mark.note(
            self.checkpoints.pages(),
            self.memory.last_id,
            self.memory.audit.committed_count(),
        );
        for effect in effects {
            effect();
        }
        answers.settled.clear();
        Ok(())
    }

    /// After a failed transaction: nothing of it may be left in memory.
    fn recover(&mut self, error: &Error, last_id: i64) {
        if is_fsync_failure(error) {
            tracing::error!(ends_process = true, error = %describe(error), "fsync failed: what is on the disk is unknown; ending, to read it again");
            std::process::abort();
        }
        if !self.connection.is_autocommit()
            && let Err(error) = self.connection.execute_batch("ROLLBACK")
        {
            tracing::error!(ends_process = true, %error, "a failed transaction cannot be rolled back; ending, to read the store again");
            std::process::abort();
        }
        if self.health.failure().is_none() {
            tracing::error!(error = %describe(error), "the store cannot commit; writes are refused until it can");
        }
        self.health.set(Some(describe(error)));
        self.memory.last_id = last_id;
        self.memory.open.split_off(&last_id.saturating_add(1));
        self.memory.index.truncate(last_id);
        self.memory.ledger.clear();
        self.memory.audit.recover(&self.connection);
    }

    fn run_maintenance(&mut self) {
        let is_failing = self.health.failure().is_some();
        let retry = !self.unsettled.is_empty()
            || is_failing
            || touch(&self.lock_file).is_err()
            || self.reading.check_files().is_err();
        let open_locks: Change = Box::new(move |work| {
            // A transaction that writes nothing ends well on a full disk too.
            if retry && let Err(error) = work.try_to_write() {
                tracing::debug!(%error, "the store still cannot write");
            }
            if let Err(error) = work.open_expired_locks() {
                tracing::warn!(%error, "locks that ran out stay listed");
            }
            Box::new(|_| {})
        });
        if retry || has_timed_lock(&self.connection) {
            self.commit(vec![Message::Change(open_locks)]);
        }
    }

    /// Merges some rows up to one into the list by subject.
    fn merge_step(&mut self, pressure: Pressure, settled_to: i64) {
        if self.health.failure().is_some() || !self.memory.index.wants_step(pressure, settled_to) {
            return;
        }
        let first_open = self.memory.open.first_key_value().map(|(id, _)| *id);
        let pending_from = first_open.unwrap_or(self.memory.last_id + 1);
        let merged = begin(&self.connection)
            .and_then(|()| self.memory.index.step(&self.connection, settled_to))
            .and_then(|()| {
                schema::set_meta(&self.connection, "pending_from", &pending_from.to_string())
            })
            .and_then(|()| commit(&self.connection));
        match merged {
            Ok(()) => self.memory.index.step_committed(),
            Err(error) => self.recover(&error, self.memory.last_id),
        }
    }

    /// Fills blocks with some records, in a transaction that nobody waits for. What a stop leaves is done
    /// after the next start.
    fn block_step(&mut self, pressure: Pressure) {
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

    fn close(&mut self) {
        if !self.unsettled.is_empty() {
            self.commit(Vec::new());
        }
        // Writes under way are merged as well: the next start knows that they were.
        while self.health.failure().is_none()
            && self.memory.index.wants_step(Pressure::Idle, i64::MAX)
        {
            self.merge_step(Pressure::Idle, i64::MAX);
        }
        self.mark.let_go_of_log();
        if self.reading.check_files().is_ok()
            && let Err(error) = self.connection.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)")
        {
            tracing::debug!(%error, "the log stays beside the database until the next start");
        }
    }
}

/// How many messages of a group somebody waits for.
fn waiting(group: &[Message]) -> usize {
    let is_waited_for = |message: &&Message| match message {
        Message::Reserve(..) | Message::Change(_) | Message::Stop => true,
        Message::Settle(..) | Message::ResponseBytes(..) | Message::Refused(_) => false,
    };
    group.iter().filter(is_waited_for).count()
}

/// Writes to the file system, though nothing that matters.
fn touch(file: &File) -> std::io::Result<()> {
    let keep = Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT };
    let now = Timespec { tv_sec: 0, tv_nsec: UTIME_NOW };
    Ok(futimens(file, &Timestamps { last_access: keep, last_modification: now })?)
}

/// Refuses a schema that changed into something that is not ours, with what it would do on its own.
fn know_schema(connection: &Connection, known: &mut i64) -> Result<()> {
    let cookie = schema::cookie(connection)?;
    if cookie != *known {
        schema::refuse_foreign(connection)?;
        *known = cookie;
    }
    Ok(())
}

/// A failed fsync is never tried again.
fn end_after(error: &Error) -> ! {
    tracing::error!(error = %describe(error), "fsync failed: what is on the disk is unknown; ending, to read it again");
    std::process::abort();
}

fn begin(connection: &Connection) -> Result<()> {
    connection.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
    Ok(())
}

fn commit(connection: &Connection) -> Result<()> {
    connection.prepare_cached("COMMIT")?.execute([])?;
    Ok(())
}

fn run(
    work: &mut WriteTx<'_>,
    message: Message,
    answers: &mut Answers,
    waiting: &mut Vec<Waiter>,
    is_sound: bool,
) -> Result<()> {
    match message {
        // Nobody waits for it any more, and its caller was told that nothing was sent.
        Message::Reserve(_, waiter) if waiter.sender.is_closed() => {}
        Message::Reserve(_, waiter) if !is_sound => waiting.push(waiter),
        Message::Reserve(request, waiter) => match reserve::reserve(work, &request) {
            Ok(answer) => answers.reserved.push((waiter, answer)),
            Err(error) => {
                waiting.push(waiter);
                return Err(error);
            }
        },
        Message::Settle(reserved, settlement) => {
            let result =
                if is_sound { reserve::settle(work, &reserved, &settlement) } else { Ok(()) };
            answers.settled.push((reserved, settlement));
            return result;
        }
        Message::ResponseBytes(id, bytes) if is_sound => {
            journal::set_response_bytes(work.connection, id, bytes)?;
        }
        Message::Refused(refused) if is_sound => {
            return refused.iter().try_for_each(|refused| reserve::record_refused(work, refused));
        }
        // Outside of the transaction a change would commit by itself. Dropped, it answers that the
        // store is unavailable.
        Message::Change(_) if !is_sound => {}
        Message::Change(change) => {
            answers.completions.push(change(work));
            // A full disk ends the whole transaction, not only the change that met it.
            if work.connection.is_autocommit() {
                return Err(Error::Unavailable);
            }
        }
        // Refusals and sizes that cannot be recorded are counted in the metrics all the same.
        Message::ResponseBytes(..) | Message::Refused(_) | Message::Stop => {}
    }
    Ok(())
}

fn has_timed_lock(connection: &Connection) -> bool {
    let found = connection
        .prepare_cached("SELECT count(*) FROM key WHERE lock IS NOT NULL AND json_extract(lock, '$.until') IS NOT NULL")
        .and_then(|mut statement| statement.query_row([], |row| row.get::<_, u32>(0)));
    found.is_ok_and(|count| count > 0)
}

pub(crate) fn is_fsync_failure(error: &Error) -> bool {
    let Error::Sqlite(rusqlite::Error::SqliteFailure(failure, _)) = error else {
        return false;
    };
    [ffi::SQLITE_IOERR_FSYNC, ffi::SQLITE_IOERR_DIR_FSYNC].contains(&failure.extended_code)
}

pub(crate) fn describe(error: &Error) -> String {
    match error {
        Error::Sqlite(source) => source.to_string(),
        other => other.to_string(),
    }
}

//! Running a group in one transaction, and what follows from how that ended.

use rusqlite::Connection;
use tokio::sync::oneshot;

use crate::doors::meters::MeterValue;
use crate::error::{Error, Result};
use crate::reservation::{ReserveAnswer, Reserved, Settlement};
use crate::sqlite::connection::{begin, commit};
use crate::sqlite::files::schema;
use crate::sqlite::journal::record;
use crate::sqlite::ledger::{reserve, settle};
use crate::sqlite::meters::PutRule;
use crate::sqlite::meters::batch::{MeterBatch, condensed};
use crate::sqlite::writer::message::{CommitCallback, Committed, Message, Waiter, wake_waiters};
use crate::sqlite::writer::thread::Writer;
use crate::sqlite::writer::write_tx::WriteTx;

/// Settlements that wait for a store that cannot commit; beyond, their records end as `unknown`.
const UNSETTLED_MAX: usize = 100_000;
/// Meters that nobody waits for and that wait for a store that cannot commit; beyond, they are dropped, and
/// whoever counts brings them again.
const UNKEPT_MAX: usize = 100_000;

/// What is answered once the transaction has ended.
#[derive(Default)]
struct Answers {
    reserved: Vec<(Waiter, ReserveAnswer)>,
    completions: Vec<CommitCallback>,
    settled: Vec<(Box<Reserved>, Settlement)>,
    meters: MeterBatch,
    metered: Vec<oneshot::Sender<Result<()>>>,
    metered_later: Vec<MeterValue>,
}

impl Answers {
    /// Puts values into the transaction that nobody waits for, and that outlive it where it fails.
    fn keep_later(&mut self, values: Vec<MeterValue>) {
        self.meters.add(values.iter().cloned(), PutRule::KeepLarger);
        self.metered_later.extend(values);
    }
}

/// Wakes those who wait for their meters.
fn wake_metered(senders: Vec<oneshot::Sender<Result<()>>>, answer: impl Fn() -> Result<()>) {
    for sender in senders {
        // It fails where nobody waits any more.
        let _ = sender.send(answer());
    }
}

impl Writer {
    pub(crate) fn commit(&mut self, group: Vec<Message>) {
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
                wake_metered(answers.metered, || Ok(()));
            }
            Err(error) => {
                self.recover(&error, last_id);
                let waiters = answers.reserved.into_iter().map(|(waiter, _)| waiter).chain(waiting);
                // Nothing was reserved, so nobody who has left leaves anything behind.
                wake_waiters(waiters.map(|waiter| (waiter, Err(Error::Unavailable))))
                    .for_each(drop);
                answers.completions.into_iter().for_each(|tell| tell(Committed::No));
                wake_metered(answers.metered, || Err(Error::Unavailable));
                self.unkept = condensed(answers.metered_later, UNKEPT_MAX);
                let again = answers.settled.iter();
                self.memory
                    .open
                    .extend(again.map(|(reserved, _)| (reserved.id.0, reserved.departure.clone())));
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
        answers.keep_later(std::mem::take(&mut self.unkept));
        let mut outcome = self.readers.check_files().and_then(|()| begin(&self.connection));
        if outcome.is_ok() {
            outcome = know_schema(&self.connection, &mut self.schema_cookie);
        }
        let mut work = WriteTx::new(&self.connection, &mut self.memory, self.clock.now());
        if outcome.is_ok() {
            let mut again = answers.settled.iter();
            outcome = again.try_for_each(|(reserved, settlement)| {
                settle::settle(&mut work, reserved, settlement)
            });
        }
        for message in group {
            let result = run(&mut work, message, answers, waiting, outcome.is_ok());
            outcome = outcome.and(result);
        }
        outcome =
            outcome.and_then(|()| work.memory.meters.append(work.connection, &answers.meters));
        outcome = outcome.and_then(|()| work.memory.audit.write(work.connection));
        let renews = work.memory.node.is_due(work.now).then_some(work.now);
        if let Some(now) = renews {
            outcome = outcome.and_then(|()| work.memory.node.renew(work.connection, now));
        }
        let effects = work.into_effects();
        outcome?;
        commit(&self.connection)?;
        self.memory.audit.note_committed();
        self.memory.meters.note_committed(std::mem::take(&mut answers.meters));
        if let Some(now) = renews {
            self.memory.node.note_renewed(now);
        }
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
    pub(crate) fn recover(&mut self, error: &Error, last_id: i64) {
        if error.is_fsync_failure() {
            tracing::error!(ends_process = true, error = %error.cause(), "fsync failed: what is on the disk is unknown; ending, to read it again");
            std::process::abort();
        }
        if !self.connection.is_autocommit()
            && let Err(error) = self.connection.execute_batch("ROLLBACK")
        {
            tracing::error!(ends_process = true, %error, "a failed transaction cannot be rolled back; ending, to read the store again");
            std::process::abort();
        }
        if self.health.failure().is_none() {
            tracing::error!(error = %error.cause(), "the store cannot commit; writes are refused until it can");
        }
        self.health.set(Some(error.cause()));
        self.memory.last_id = last_id;
        self.memory.open.split_off(&last_id.saturating_add(1));
        self.memory.index.truncate(last_id);
        self.memory.ledger.clear();
        self.memory.audit.recover(&self.connection);
    }
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
                if is_sound { settle::settle(work, &reserved, &settlement) } else { Ok(()) };
            answers.settled.push((reserved, settlement));
            return result;
        }
        Message::ResponseBytes(id, bytes) if is_sound => {
            record::set_response_bytes(work.connection, id, bytes)?;
        }
        Message::Refused(refused) if is_sound => {
            return refused.iter().try_for_each(|refused| reserve::record_refused(work, refused));
        }
        Message::Meters(values, rule, sender) => {
            answers.meters.add(values, rule);
            answers.metered.push(sender);
        }
        Message::MetersLater(values) => answers.keep_later(values),
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

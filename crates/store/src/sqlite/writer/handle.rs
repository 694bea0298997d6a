//! Waiting for the writer, and not for ever.
//!
//! # What this protects
//!
//! What was refused is not done later. A request for room that nobody waits for any more is not begun;
//! one that was under way when its caller gave up is given back as `not_sent` once its commit has come,
//! because its caller was told that nothing was sent. A change that had not begun is never made; of one
//! that had, nobody can say, and its answer says so.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::mpsc::Sender;

use keystile_core::journal::{Outcome, RecordId};
use tokio::sync::oneshot;
use tokio::time::timeout;

use crate::completion_queue::CompletionQueue;
use crate::doors::meters::MeterValue;
use crate::error::{Error, Result};
use crate::reservation::{RefusedRecord, ReserveAnswer, ReserveRequest, Reserved, Settlement};
use crate::sqlite::meters::{self, PutRule};
use crate::sqlite::writer::health::Health;
use crate::sqlite::writer::message::{Committed, Message, Waiter};
use crate::sqlite::writer::write_tx::WriteTx;

const WAITING: u8 = 0;
const BEGUN: u8 = 1;
const GIVEN_UP: u8 = 2;

/// What the two sides of a change agree on: either it has begun, or it never will.
#[derive(Clone, Debug, Default)]
struct Ticket(Arc<AtomicU8>);

impl Ticket {
    fn go_to(&self, state: u8) -> bool {
        self.0.compare_exchange(WAITING, state, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }
}

/// The way to the writer.
#[derive(Debug)]
pub(crate) struct WriterHandle {
    queue: Sender<Message>,
    health: Arc<Health>,
}

impl WriterHandle {
    pub(crate) fn new(queue: Sender<Message>, health: Arc<Health>) -> Self {
        Self { queue, health }
    }

    /// Asks for room for a write.
    ///
    /// The queue has no bound of its own: every request waits for its answer, so it holds at most one
    /// message for each connection that the gate admits, and one settlement for each before it. While the
    /// disk does not answer nothing more goes into it.
    pub(crate) async fn reserve(
        &self,
        request: ReserveRequest,
        completions: Option<Arc<CompletionQueue>>,
    ) -> Result<ReserveAnswer> {
        self.health.admit()?;
        let (sender, answer) = oneshot::channel();
        let waiter = Waiter { sender, completions };
        self.queue
            .send(Message::Reserve(Box::new(request), waiter))
            .map_err(|_| Error::Unavailable)?;
        let mut awaited = AwaitedRoom { answer, writer: self };
        match timeout(self.health.timeout(), &mut awaited.answer).await {
            Ok(answered) => answered.map_err(|_| Error::Unavailable)?,
            Err(_) => last_word(&mut awaited.answer).unwrap_or(Err(Error::Unavailable)),
        }
    }

    /// Writes down what became of a write, some time.
    pub(crate) fn settle(&self, reserved: Box<Reserved>, settlement: Settlement) {
        if settlement.outcome != Outcome::NotSent {
            reserved.departure.note();
        }
        if self.queue.send(Message::Settle(reserved, settlement)).is_err() {
            tracing::error!("a write was settled after the store had closed");
        }
    }

    /// Writes down the length of an answer that was not known when its write was settled.
    pub(crate) fn set_response_bytes(&self, id: RecordId, bytes: u64) {
        // Best effort: the length is missing from the journal if the store has closed.
        let _ = self.queue.send(Message::ResponseBytes(id.0, bytes));
    }

    /// Writes down refusals, some time.
    pub(crate) fn record_refused(&self, refused: Vec<RefusedRecord>) {
        // Best effort: refusals are also counted in the metrics.
        if self.health.admit().is_err() {
            return;
        }
        let _ = self.queue.send(Message::Refused(refused));
    }

    /// Puts values of meters into the queue. What comes back waits until they are durable; they are kept also
    /// where nobody waits, because whoever counts has counted them.
    pub(crate) fn begin_put_meters(
        &self,
        values: Vec<MeterValue>,
        rule: PutRule,
    ) -> Result<impl Future<Output = Result<()>> + Send + use<>> {
        meters::check(&values)?;
        self.health.admit()?;
        let (sender, mut answer) = oneshot::channel();
        self.queue.send(Message::Meters(values, rule, sender)).map_err(|_| Error::Unavailable)?;
        let patience = self.health.timeout();
        Ok(async move {
            match timeout(patience, &mut answer).await {
                Ok(answered) => answered.map_err(|_| Error::Unavailable)?,
                Err(_) => last_word(&mut answer).unwrap_or(Err(Error::Unanswered)),
            }
        })
    }

    /// Keeps values of meters, some time soon.
    pub(crate) fn put_meters_later(&self, values: Vec<MeterValue>) -> Result<()> {
        meters::check(&values)?;
        self.health.admit()?;
        // While commits fail whoever counts keeps them, and brings what they are by then.
        if self.health.failure().is_some() {
            return Err(Error::Unavailable);
        }
        self.queue.send(Message::MetersLater(values)).map_err(|_| Error::Unavailable)
    }

    /// Lets the writer end, once it has written down what is waiting.
    pub(crate) fn stop(&self) {
        // It fails where the writer has ended.
        let _ = self.queue.send(Message::Stop);
    }

    /// Changes something in a transaction of the writer; durable once this returns `Ok`. A change that
    /// fails leaves nothing behind and does not disturb others in its group.
    pub(crate) async fn change<T, F>(&self, change: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&mut WriteTx<'_>) -> Result<T> + Send + 'static,
    {
        self.health.admit()?;
        let (sender, mut answer) = oneshot::channel();
        let ticket = Ticket::default();
        let taken = ticket.clone();
        let message = Message::Change(Box::new(move |work| {
            if !taken.go_to(BEGUN) {
                return Box::new(|_| {});
            }
            let result = work.in_savepoint(change);
            Box::new(move |committed| {
                let _ = sender.send(match committed {
                    Committed::Yes => result,
                    Committed::No => Err(result.err().unwrap_or(Error::Unavailable)),
                });
            })
        }));
        self.queue.send(message).map_err(|_| Error::Unavailable)?;
        match timeout(self.health.timeout(), &mut answer).await {
            Ok(answered) => answered.map_err(|_| Error::Unavailable)?,
            Err(_) => match last_word(&mut answer) {
                Some(answered) => answered,
                None if ticket.go_to(GIVEN_UP) => Err(Error::Unavailable),
                None => Err(Error::Unanswered),
            },
        }
    }
}

/// Room that somebody waits for. Whoever stops waiting gives back what was answered in between, because
/// nobody is left to send it.
struct AwaitedRoom<'w> {
    answer: oneshot::Receiver<Result<ReserveAnswer>>,
    writer: &'w WriterHandle,
}

impl Drop for AwaitedRoom<'_> {
    fn drop(&mut self) {
        if let Some(Ok(Ok(reserved))) = last_word(&mut self.answer) {
            let (reserved, settlement) = reserved.given_up();
            self.writer.settle(reserved, settlement);
        }
    }
}

/// An answer that came in just now. After this none comes: whoever has one to give keeps it, and gives
/// back what it reserved.
fn last_word<T>(answer: &mut oneshot::Receiver<T>) -> Option<T> {
    answer.close();
    answer.try_recv().ok()
}

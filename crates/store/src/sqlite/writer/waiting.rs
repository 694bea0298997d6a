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
use std::time::{Duration, Instant};

use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::sync::oneshot;
use tokio::time::timeout;

use crate::Store;
use crate::error::{Error, Result};
use crate::sqlite::ledger::reserve::{ReserveAnswer, ReserveRequest};
use crate::sqlite::writer::completion_queue::CompletionQueue;
use crate::sqlite::writer::write_tx::WriteTx;
use crate::sqlite::writer::{Committed, Message, Waiter};

/// How often somebody who waits looks whether the disk still answers.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// What an operation has left to say itself that the store timed out, before it is given up as a whole.
const GRACE: Duration = Duration::from_secs(1);

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

impl Store {
    pub(crate) async fn ask(
        &self,
        request: ReserveRequest,
        mailbox: Option<Arc<CompletionQueue>>,
    ) -> Result<ReserveAnswer> {
        self.health.admit()?;
        let (sender, mut answer) = oneshot::channel();
        let waiter = Waiter { sender, mailbox };
        self.queue
            .send(Message::Reserve(Box::new(request), waiter))
            .map_err(|_| Error::Unavailable)?;
        match timeout(self.health.timeout(), &mut answer).await {
            Ok(answered) => answered.map_err(|_| Error::Unavailable)?,
            Err(_) => last_word(&mut answer).unwrap_or(Err(Error::Unavailable)),
        }
    }

    /// Changes something in a transaction of the writer; durable once this returns `Ok`. A change that
    /// fails leaves nothing behind and does not disturb others in its group.
    pub async fn change<T, F>(&self, change: F) -> Result<T>
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
            let result = crate::in_savepoint(work, change);
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

    /// The same for whoever has no runtime, and blocks.
    pub(crate) fn change_now<T, F>(&self, change: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&mut WriteTx<'_>) -> Result<T> + Send + 'static,
    {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
        runtime.map_err(|_| Error::Unavailable)?.block_on(self.change(change))
    }

    /// Waits for work that reads or changes the store, but not for a disk that does not answer.
    pub async fn unless_hung<T>(&self, work: impl Future<Output = T>) -> Result<T> {
        let began = Instant::now();
        let mut work = std::pin::pin!(work);
        loop {
            if let Ok(done) = timeout(LOOK_EVERY, &mut work).await {
                return Ok(done);
            }
            let is_late = began.elapsed() >= self.health.timeout() + GRACE;
            if is_late && self.health.hung_for().is_some() {
                return Err(Error::Unanswered);
            }
        }
    }
}

/// An answer that came in just now. After this none comes: whoever has one to give keeps it, and gives
/// back what it reserved.
fn last_word<T>(answer: &mut oneshot::Receiver<T>) -> Option<T> {
    answer.close();
    answer.try_recv().ok()
}

/// Blocks for a moment, or longer where the disk does, without keeping others of this runtime from going
/// on.
pub(crate) fn off_the_worker<T>(work: impl FnOnce() -> T) -> T {
    let flavor = Handle::try_current().map(|handle| handle.runtime_flavor());
    match flavor {
        Ok(RuntimeFlavor::MultiThread) => tokio::task::block_in_place(work),
        Ok(_) | Err(_) => work(),
    }
}

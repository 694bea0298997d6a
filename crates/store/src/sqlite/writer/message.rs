//! What is asked of the writer, and how those who wait hear of it.

use std::sync::Arc;

use tokio::sync::oneshot;

use crate::completion_queue::{Completion, CompletionQueue};
use crate::doors::meters::MeterValue;
use crate::error::{Error, Result};
use crate::reservation::{RefusedRecord, ReserveAnswer, ReserveRequest, Reserved, Settlement};
use crate::sqlite::meters::PutRule;
use crate::sqlite::writer::write_tx::WriteTx;

/// A change that somebody waits for: run in the transaction, then told how that ended.
pub(crate) type Change = Box<dyn FnOnce(&mut WriteTx<'_>) -> CommitCallback + Send>;
/// Told whether the transaction is durable.
pub(crate) type CommitCallback = Box<dyn FnOnce(Committed) + Send>;

/// Who waits for room for a write.
pub(crate) struct Waiter {
    pub(crate) sender: oneshot::Sender<Result<ReserveAnswer>>,
    /// Where the answer is put, for a core that is woken once for many.
    pub(crate) completions: Option<Arc<CompletionQueue>>,
}

/// Tells waiters, each core in one wake-up; gives the reservations of those who have left.
pub(crate) fn wake_waiters(
    told: impl Iterator<Item = (Waiter, Result<ReserveAnswer>)>,
) -> impl Iterator<Item = Box<Reserved>> {
    let (mut left, mut queues) = (Vec::new(), Vec::<Arc<CompletionQueue>>::new());
    for (Waiter { sender, completions }, answer) in told {
        match completions {
            None => {
                if let Err(Ok(Ok(reserved))) = sender.send(answer) {
                    left.push(reserved);
                }
            }
            Some(completions) => {
                completions.put(Completion { sender, answer });
                if !queues.iter().any(|known| Arc::ptr_eq(known, &completions)) {
                    queues.push(completions);
                }
            }
        }
    }
    for completions in queues {
        completions.wake();
    }
    left.into_iter()
}

/// Tells whoever waits for a message that nothing can be recorded. A change that is dropped tells it itself.
pub(crate) fn refuse(message: Message) {
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
    Meters(Vec<MeterValue>, PutRule, oneshot::Sender<Result<()>>),
    /// Values that nobody waits for.
    MetersLater(Vec<MeterValue>),
    Change(Change),
    Stop,
}

/// How many messages of a group somebody waits for.
pub(crate) fn waiting(group: &[Message]) -> usize {
    let is_waited_for = |message: &&Message| match message {
        Message::Reserve(..) | Message::Meters(..) | Message::Change(_) | Message::Stop => true,
        Message::Settle(..)
        | Message::ResponseBytes(..)
        | Message::Refused(_)
        | Message::MetersLater(_) => false,
    };
    group.iter().filter(is_waited_for).count()
}

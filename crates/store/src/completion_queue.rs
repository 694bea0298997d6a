//! Answers of the writer on their way back to a core: many in one wake-up.
//!
//! A commit answers many reservations of the same core at once. Were each sent to its task from the
//! writer's thread, each would cost a system call, and on a busy machine a thread switch. They are
//! put into the core's queue instead, and the core hands them out itself.

use std::sync::{Mutex, PoisonError};

use tokio::sync::{Notify, oneshot};

use crate::error::Result;
use crate::reservation::{ReserveAnswer, Reserved};

/// An answer, and who waits for it.
pub(crate) struct Completion {
    pub(crate) sender: oneshot::Sender<Result<ReserveAnswer>>,
    pub(crate) answer: Result<ReserveAnswer>,
}

/// Where the answers to one core's reservations arrive.
#[derive(Default)]
pub struct CompletionQueue {
    completions: Mutex<Vec<Completion>>,
    arrival: Notify,
}

impl std::fmt::Debug for CompletionQueue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CompletionQueue").finish_non_exhaustive()
    }
}

impl CompletionQueue {
    pub(crate) fn put(&self, completion: Completion) {
        self.completions.lock().unwrap_or_else(PoisonError::into_inner).push(completion);
    }

    /// Wakes the core, once for all that was put.
    pub(crate) fn wake(&self) {
        self.arrival.notify_one();
    }

    /// Hands out answers, for ever, on the core whose queue it is; `unclaimed` takes the reservations of
    /// those who have left.
    pub(crate) async fn drain(&self, unclaimed: impl Fn(Box<Reserved>)) {
        loop {
            self.arrival.notified().await;
            let arrived = std::mem::take(
                &mut *self.completions.lock().unwrap_or_else(PoisonError::into_inner),
            );
            for Completion { sender, answer } in arrived {
                if let Err(Ok(Ok(reserved))) = sender.send(answer) {
                    unclaimed(reserved);
                }
            }
        }
    }
}

//! Answers of the writer on their way back to a core: many in one wake-up.
//!
//! A commit answers many reservations of the same core at once. Were each sent to its task from the
//! writer's thread, each would cost a system call, and on a busy machine a thread switch. They are
//! put into the core's mailbox instead, and the core hands them out itself.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{Notify, oneshot};

use crate::Store;
use crate::error::Result;
use crate::sqlite::ledger::reserve::ReserveAnswer;

/// An answer, and who waits for it.
pub(crate) struct Completion {
    pub(crate) sender: oneshot::Sender<Result<ReserveAnswer>>,
    pub(crate) answer: Result<ReserveAnswer>,
}

/// Where the answers to one core's reservations arrive.
#[derive(Default)]
pub struct CompletionQueue {
    completions_: Mutex<Vec<Completion>>,
    arrival: Notify,
}

impl std::fmt::Debug for CompletionQueue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CompletionQueue").finish_non_exhaustive()
    }
}

impl CompletionQueue {
    pub(crate) fn put(&self, letter: Completion) {
        self.completions_.lock().unwrap_or_else(PoisonError::into_inner).push(letter);
    }

    /// Wakes the core, once for all that was put.
    pub(crate) fn wake(&self) {
        self.arrival.notify_one();
    }

    /// Hands out answers, for ever. Runs on the core whose mailbox it is.
    pub async fn drain(&self, store: &Arc<Store>) {
        loop {
            self.arrival.notified().await;
            let completions_ = std::mem::take(
                &mut *self.completions_.lock().unwrap_or_else(PoisonError::into_inner),
            );
            for Completion { sender, answer } in completions_ {
                if let Err(Ok(Ok(reserved))) = sender.send(answer) {
                    // Nobody is left to send it.
                    let (reserved, settlement) = reserved.given_up();
                    store.settle(reserved, settlement);
                }
            }
        }
    }
}

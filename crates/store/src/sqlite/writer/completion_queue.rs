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
pub(crate) struct Letter {
    pub(crate) sender: oneshot::Sender<Result<ReserveAnswer>>,
    pub(crate) answer: Result<ReserveAnswer>,
}

/// Where the answers to one core's reservations arrive.
#[derive(Default)]
pub struct Mailbox {
    letters: Mutex<Vec<Letter>>,
    arrival: Notify,
}

impl std::fmt::Debug for Mailbox {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Mailbox").finish_non_exhaustive()
    }
}

impl Mailbox {
    pub(crate) fn put(&self, letter: Letter) {
        self.letters.lock().unwrap_or_else(PoisonError::into_inner).push(letter);
    }

    /// Wakes the core, once for all that was put.
    pub(crate) fn ring(&self) {
        self.arrival.notify_one();
    }

    /// Hands out answers, for ever. Runs on the core whose mailbox it is.
    pub async fn hand_out(&self, store: &Arc<Store>) {
        loop {
            self.arrival.notified().await;
            let letters =
                std::mem::take(&mut *self.letters.lock().unwrap_or_else(PoisonError::into_inner));
            for Letter { sender, answer } in letters {
                if let Err(Ok(Ok(reserved))) = sender.send(answer) {
                    // Nobody is left to send it.
                    let (reserved, settlement) = reserved.given_up();
                    store.settle(reserved, settlement);
                }
            }
        }
    }
}

//! A store whose disk takes no writes: it is read, and its writer waits until it can begin.
//!
//! Nothing else changes the files meanwhile, because the data directory is held; so the keys in memory stay
//! the ones that requests hold.

use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use crate::sqlite::files::directory::DataDirectory;
use crate::sqlite::files::loss::Missing;
use crate::sqlite::opening::{self, Loaded};
use crate::sqlite::writer::message::{self, Message};
use crate::sqlite::writer::shared::Shared;
use crate::sqlite::writer::thread::Writer;

/// How often a store that could only be read tries to begin.
const TRY_EVERY: Duration = Duration::from_secs(1);

/// The writer of a store that could only be read: refuses everything until it can begin. `None` where it was
/// told to stop before that.
pub(crate) fn wait_to_begin(
    directory: &DataDirectory,
    loaded: &Loaded,
    shared: &Shared,
    queue: Receiver<Message>,
) -> Option<Writer> {
    let mut tried = Instant::now();
    loop {
        match queue.recv_timeout(TRY_EVERY.saturating_sub(tried.elapsed())) {
            Ok(Message::Stop) | Err(RecvTimeoutError::Disconnected) => return None,
            Ok(message) => {
                message::refuse(message);
                continue;
            }
            Err(RecvTimeoutError::Timeout) => {}
        }
        shared.health.begin_work();
        shared.readers.close();
        let begun = opening::begin(directory, Missing::Refused, Some(loaded.clone()), shared);
        shared.health.end_work();
        tried = Instant::now();
        match begun {
            Ok((begun, _)) => {
                tracing::info!("the store takes writes again");
                shared.health.set(None);
                return Writer::of(begun, directory, shared, queue)
                    .inspect_err(|error| tracing::error!(%error, "the writer cannot begin"))
                    .ok();
            }
            Err(error) => {
                shared.health.set(Some(error.cause()));
                if let Err(error) = shared.readers.fall_back(directory) {
                    tracing::debug!(%error, "the store cannot be read for a moment");
                }
            }
        }
    }
}

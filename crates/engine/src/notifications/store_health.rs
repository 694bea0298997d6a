//! Whether the store commits, as far as owners have been notified, and what is to be sent past it.

use std::sync::{Mutex, MutexGuard, PoisonError};

use keystile_core::time::Timestamp;

use crate::notifications::claimed::ClaimedDelivery;

/// What keeps the store from committing, while something does.
#[derive(Debug, Default)]
pub(crate) struct StoreHealth(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    failure: Option<StoreFailure>,
    /// What is to be sent past the store.
    direct: Vec<ClaimedDelivery>,
}

/// A failure of the store that lasts.
#[derive(Clone, Debug)]
pub(super) struct StoreFailure {
    /// Since when.
    pub(super) since: Timestamp,
    /// What it is, in a sentence.
    pub(super) fault: String,
}

impl StoreHealth {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The failure that owners know of.
    pub(super) fn failure(&self) -> Option<StoreFailure> {
        self.inner().failure.clone()
    }

    /// A failure began; these say so to owners.
    pub(super) fn begin(&self, failure: StoreFailure, direct: Vec<ClaimedDelivery>) {
        *self.inner() = Inner { failure: Some(failure), direct };
    }

    /// The failure is over, and that is on record.
    pub(super) fn end(&self) {
        self.inner().failure = None;
    }

    /// What is to be sent past the store, once.
    pub(super) fn take_direct(&self) -> Vec<ClaimedDelivery> {
        std::mem::take(&mut self.inner().direct)
    }
}

//! Hints that something changed in 3scale, from when they come to when it is looked at.
//!
//! Many hints make few readings: what waits is a set, and whoever looks takes all of it. Hints are in memory
//! only, because a start reads everything.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use keystile_core::time::Timestamp;
use tokio::sync::Notify;

use crate::portal::records::ApplicationId;

/// More applications at once are everything.
const APPLICATIONS_MAX: usize = 20;

/// What may have changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Hint {
    /// This application.
    Application(ApplicationId),
    /// Anything.
    Everything,
}

/// What is to be looked at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum Hinted {
    #[default]
    Nothing,
    Applications(BTreeSet<ApplicationId>),
    Everything,
}

impl Hinted {
    fn add(&mut self, hint: Hint) {
        match (&mut *self, hint) {
            (Self::Everything, _) => {}
            (_, Hint::Everything) => *self = Self::Everything,
            (Self::Nothing, Hint::Application(id)) => *self = Self::Applications([id].into()),
            (Self::Applications(ids), Hint::Application(id)) => {
                ids.insert(id);
                if ids.len() > APPLICATIONS_MAX {
                    *self = Self::Everything;
                }
            }
        }
    }

    fn add_all(&mut self, other: Self) {
        match other {
            Self::Nothing => {}
            Self::Applications(ids) => {
                for id in ids {
                    self.add(Hint::Application(id));
                }
            }
            Self::Everything => self.add(Hint::Everything),
        }
    }
}

/// Hints that wait.
#[derive(Debug, Default)]
pub(super) struct Hints {
    inner: Mutex<Inner>,
    arrived: Notify,
}

#[derive(Debug, Default)]
struct Inner {
    waiting: Hinted,
    last: Option<Timestamp>,
}

impl Hints {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a hint that came.
    pub(super) fn add(&self, hint: Hint, now: Timestamp) {
        let mut inner = self.inner();
        inner.waiting.add(hint);
        inner.last = Some(now);
        self.arrived.notify_one();
    }

    /// When the last one came, since the start.
    pub(super) fn last(&self) -> Option<Timestamp> {
        self.inner().last
    }

    /// Waits until something waits to be looked at.
    pub(super) async fn arrived(&self) {
        while self.inner().waiting == Hinted::Nothing {
            self.arrived.notified().await;
        }
    }

    /// Takes all that waits.
    pub(super) fn take(&self) -> Hinted {
        std::mem::take(&mut self.inner().waiting)
    }

    /// Puts back what could not be looked at.
    pub(super) fn put_back(&self, hinted: Hinted) {
        self.inner().waiting.add_all(hinted);
        self.arrived.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_hints_are_one_reading_and_what_failed_waits_again() {
        let (hints, now) = (Hints::default(), Timestamp(1));
        let ids = |count: u64| (0..count).map(ApplicationId::new);
        for id in ids(20).chain(ids(20)) {
            hints.add(Hint::Application(id), now);
        }
        let taken = hints.take();
        assert_eq!(taken, Hinted::Applications(ids(20).collect()));
        assert_eq!((hints.take(), hints.last()), (Hinted::Nothing, Some(now)));
        hints.add(Hint::Application(ApplicationId::new(99)), now);
        hints.put_back(taken);
        assert_eq!(hints.take(), Hinted::Everything, "more than are looked at one by one");
        hints.add(Hint::Everything, now);
        hints.add(Hint::Application(ApplicationId::new(1)), now);
        assert_eq!(hints.take(), Hinted::Everything);
    }
}

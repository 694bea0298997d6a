//! Applications as the store gives and takes them.

use keystile_core::actor::Actor;
use keystile_core::keys::application::ApplicationState;
use keystile_core::keys::lock::Lock;
use keystile_core::time::Timestamp;
use keystile_core::version::{Expected, version_of};

/// What an application is in the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApplicationRow {
    /// Its row number.
    pub row: i64,
    pub id: String,
    /// Its name.
    pub name: String,
    /// The plan of its new keys.
    pub plan: String,
    /// Whether it may call.
    pub state: ApplicationState,
    /// When it was created.
    pub created: Timestamp,
    /// How many of its keys are not revoked.
    pub keys: u32,
    /// What an owner noted about it.
    pub note: Option<String>,
    /// The lock that is on it and so on all of its keys, which may have run out.
    pub lock: Option<Lock>,
}

impl ApplicationRow {
    /// The lock that holds at a time.
    pub fn lock_at(&self, now: Timestamp) -> Option<&Lock> {
        self.lock.as_ref().filter(|lock| lock.holds_at(now))
    }

    /// The version of what can be edited of it.
    pub fn version_at(&self, now: Timestamp) -> String {
        let Self { id, name, plan, state, note, .. } = self;
        version_of(&(id, name, plan, state, note, self.lock_at(now)))
    }
}

/// An edit of an application.
#[derive(Clone, Debug)]
pub struct ApplicationEdit {
    /// Its name or id.
    pub application: String,
    /// The versions of it that the edit is meant for.
    pub expected: Expected,
    /// Who edits it.
    pub actor: Actor,
}

/// A part of the keys of an application to put on another plan.
#[derive(Clone, Debug)]
pub struct PlanChange {
    /// The plan.
    pub plan: String,
    /// Only keys with a higher row number.
    pub after: i64,
    /// At most so many keys.
    pub limit: u32,
}

/// Whether a change that is made in parts has been made whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// There is more to do.
    Unfinished {
        /// Where to go on.
        after: i64,
    },
    /// All is done.
    Done,
}

/// An application that is not locked.
#[derive(Clone, Debug)]
pub struct UnlockedApplication {
    /// The application as it is now.
    pub application: ApplicationRow,
    /// Whether it carried a lock before.
    pub was_locked: bool,
}

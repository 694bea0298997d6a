//! Keys as the store gives and takes them.

use keystile_core::actor::Actor;
use keystile_core::budget::{Per, Quota};
use keystile_core::keys::hash::KeyHash;
use keystile_core::keys::key::KeyId;
use keystile_core::keys::lock::{Lock, LockChange, LockLevel, LockTarget};
use keystile_core::time::{Span, Timestamp};
use keystile_core::version::{Expected, version_of};

/// Which key is meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyRef {
    /// The one with an id, or the only one with a prefix.
    Named(String),
    /// The one whose text has a hash.
    Hashed(KeyHash),
}

/// Which keys to list.
#[derive(Clone, Debug, Default)]
pub struct KeyQuery {
    /// Only those of this application: its name or id.
    pub application: Option<String>,
    /// Only those on this plan.
    pub plan: Option<String>,
    /// Only those that come from this system.
    pub origin: Option<String>,
    /// Only those in this state, by its name.
    pub state: Option<String>,
    /// Only those that are locked by a lock on this: on themselves, or on their application.
    pub locked_on: Option<LockTarget>,
    /// Only those that were issued after this one.
    pub after: Option<KeyRef>,
    /// At most so many.
    pub limit: u32,
}

/// What a key is in the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyRow {
    /// Its row number.
    pub row: i64,
    pub id: String,
    /// The hash of its text, by which requests find it.
    pub hash: KeyHash,
    /// Its recognizable beginning, or what stands for it where it has none to show.
    pub prefix: String,
    /// Where it comes from, for a key that another system issued.
    pub origin: Option<String>,
    /// Its application's row number.
    pub application_row: i64,
    /// Its application's name.
    pub application: String,
    /// Its plan.
    pub plan: String,
    /// When it was issued.
    pub created: Timestamp,
    /// When it stops working.
    pub expires: Option<Timestamp>,
    /// Since when it is revoked.
    pub revoked: Option<Timestamp>,
    /// The lock that is on it, which may have run out.
    pub lock: Option<Lock>,
    /// The same on its application, which locks every key of it.
    pub application_lock: Option<Lock>,
    /// How often a budget locked it.
    pub locks: u32,
    /// Records up to this one no longer count in its budgets.
    pub counts_after: i64,
    /// What an owner noted about it.
    pub note: Option<String>,
}

impl KeyRow {
    /// Whether it may never be used again, from a time on.
    pub fn is_revoked_at(&self, now: Timestamp) -> bool {
        self.revoked.is_some() || self.expires.is_some_and(|expires| expires <= now)
    }

    /// The lock that holds at a time, its own or its application's: the stricter one where both do.
    pub fn lock_at(&self, now: Timestamp) -> Option<&Lock> {
        let shared = self.application_lock.as_ref();
        let shared = shared.filter(|lock| !self.is_revoked_at(now) && lock.holds_at(now));
        Lock::stricter(self.own_lock_at(now), shared)
    }

    /// The lock of its own that holds at a time.
    pub fn own_lock_at(&self, now: Timestamp) -> Option<&Lock> {
        self.lock.as_ref().filter(|lock| !self.is_revoked_at(now) && lock.holds_at(now))
    }

    /// The name of its state at a time: `active`, `locked` or `revoked`.
    pub fn state_at(&self, now: Timestamp) -> &'static str {
        match (self.is_revoked_at(now), self.lock_at(now)) {
            (true, _) => "revoked",
            (false, Some(_)) => "locked",
            (false, None) => "active",
        }
    }

    /// The version of what can be edited of it.
    pub fn version_at(&self, now: Timestamp) -> String {
        let Self { id, plan, expires, note, .. } = self;
        version_of(&(id, plan, self.state_at(now), self.lock_at(now), expires, note))
    }
}

/// A key to issue.
#[derive(Clone, Debug)]
pub struct NewKeyRow {
    pub id: KeyId,
    /// The hash of its text.
    pub hash: KeyHash,
    /// Its recognizable beginning, or what stands for it where it has none to show.
    pub prefix: String,
    /// Its plan.
    pub plan: String,
    /// Where it comes from, for a key that another system issued.
    pub origin: Option<String>,
}

/// Keys to issue for one application.
#[derive(Clone, Debug)]
pub struct NewKeys {
    /// The application's name; one that is new is created with the plan.
    pub application: String,
    /// The plan of the keys.
    pub plan: String,
    /// The keys.
    pub keys: Vec<NewKeyRow>,
}

/// A key to take over that another system issued.
#[derive(Clone, Debug)]
pub struct ImportedKey {
    /// The application's name; one that is new is created with the key's plan.
    pub application: String,
    /// The key, with where it comes from.
    pub key: NewKeyRow,
    /// What is noted about it.
    pub note: Option<String>,
}

/// An edit of a key.
#[derive(Clone, Debug)]
pub struct KeyEdit {
    /// Which key.
    pub key: KeyRef,
    /// The versions of it that the edit is meant for.
    pub expected: Expected,
    /// Who edits it.
    pub actor: Actor,
}

/// A lock to put on a key.
#[derive(Clone, Debug)]
pub struct NewLock {
    /// Which calls to stop.
    pub level: LockLevel,
    /// Why.
    pub reason: String,
    /// For how long; until it is unlocked where `None`.
    pub span: Option<Span>,
}

/// A key that is locked.
#[derive(Clone, Debug)]
pub struct LockedKey {
    /// The key as it is now.
    pub key: KeyRow,
    /// The lock that it has now, which may be a stricter one than was asked for.
    pub lock: Lock,
    /// What was changed.
    pub change: LockChange,
}

/// A key that is not locked.
#[derive(Clone, Debug)]
pub struct UnlockedKey {
    /// The key as it is now.
    pub key: KeyRow,
    /// Whether it carried a lock before.
    pub was_locked: bool,
}

/// A successor to issue for a key.
#[derive(Clone, Debug)]
pub struct Successor {
    /// The new key; it gets the plan of the old one.
    pub key: NewKeyRow,
    /// How long the old key goes on.
    pub grace: Span,
}

/// A budget of a key, as counted now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CountedBudget {
    /// Its name.
    pub name: String,
    /// Its quota.
    pub quota: Quota,
    /// Whose writes it counts together.
    pub per: Per,
    /// What counts now.
    pub used: u64,
    /// When the first of that leaves the window.
    pub frees_at: Option<Timestamp>,
}

/// A key and its last write on record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedKey {
    /// The key.
    pub key: KeyRow,
    /// When it last wrote.
    pub last_write: Option<Timestamp>,
}

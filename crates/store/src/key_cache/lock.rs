//! Locks in memory, as requests see them: on a key, and on an application with all of its keys.

use std::sync::atomic::{AtomicI64, AtomicU8, AtomicU64, Ordering};

use keystile_core::keys::key::KeyState;
use keystile_core::keys::lock::{LockLevel, LockTarget};
use keystile_core::refusal::LockNotice;
use keystile_core::time::Timestamp;

const ACTIVE: u8 = 0;
const WRITES_LOCKED: u8 = 1;
const ALL_LOCKED: u8 = 2;
const REVOKED: u8 = 3;

/// The lock that is on something, or that it was revoked.
#[derive(Debug)]
pub(crate) struct LockCell {
    standing: AtomicU8,
    /// When the lock opens by itself, `i64::MAX` for one that does not.
    until: AtomicI64,
}

impl Default for LockCell {
    fn default() -> Self {
        Self { standing: AtomicU8::new(ACTIVE), until: AtomicI64::new(i64::MAX) }
    }
}

impl LockCell {
    /// Whether it was revoked.
    pub(crate) fn is_revoked(&self) -> bool {
        self.standing.load(Ordering::Acquire) == REVOKED
    }

    /// The lock that holds at a time.
    pub(crate) fn notice(&self, on: LockTarget, now: Timestamp) -> Option<LockNotice> {
        let level = match self.standing.load(Ordering::Acquire) {
            WRITES_LOCKED => LockLevel::Writes,
            ALL_LOCKED => LockLevel::All,
            _ => return None,
        };
        let until = self.until.load(Ordering::Acquire);
        let until = (until != i64::MAX).then_some(Timestamp(until));
        until.is_none_or(|until| now < until).then_some(LockNotice { level, until, on })
    }

    /// Puts a lock on, or takes it off.
    pub(crate) fn set(&self, lock: Option<LockNotice>, count: &LockedCount) {
        let standing = match lock.map(|lock| lock.level) {
            None => ACTIVE,
            Some(LockLevel::Writes) => WRITES_LOCKED,
            Some(LockLevel::All) => ALL_LOCKED,
        };
        if let Some(lock) = lock {
            // First, so that nobody sees the lock with the end of one before it.
            self.until.store(lock.until.map_or(i64::MAX, |until| until.0), Ordering::Release);
        }
        count.note(self.standing.swap(standing, Ordering::AcqRel), standing);
    }

    /// Revokes what it is of, for good.
    pub(crate) fn revoke(&self, count: &LockedCount) {
        count.note(self.standing.swap(REVOKED, Ordering::AcqRel), REVOKED);
    }
}

/// A key's state with the lock of its application, which revocation outlasts.
pub(crate) fn joined(key: KeyState, application: Option<LockNotice>) -> KeyState {
    match (key, application) {
        (KeyState::Active, Some(lock)) => KeyState::Locked(lock),
        (KeyState::Locked(own), Some(lock)) => KeyState::Locked(own.joined_with(lock)),
        (KeyState::Active | KeyState::Locked(_) | KeyState::Revoked, _) => key,
    }
}

/// How many keys or applications carry a lock, one that has just run out included.
#[derive(Debug, Default)]
pub(crate) struct LockedCount(AtomicU64);

impl LockedCount {
    /// So many.
    pub(crate) fn number(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    fn note(&self, before: u8, now: u8) {
        let is_locked = |standing| matches!(standing, WRITES_LOCKED | ALL_LOCKED);
        match (is_locked(before), is_locked(now)) {
            (false, true) => self.0.fetch_add(1, Ordering::Relaxed),
            (true, false) => self.0.fetch_sub(1, Ordering::Relaxed),
            (true, true) | (false, false) => return,
        };
    }
}

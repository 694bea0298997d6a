//! A lock outlives its key: whoever is given another key in 3scale is locked as before.

use std::sync::Arc;

use keystile_core::keys::lock::{Lock, LockLevel, LockTarget};
use keystile_core::version::Expected;
use keystile_engine::Engine;
use keystile_engine::command::{Failure, FailureKind};
use keystile_engine::keys::key::ShowKey;
use keystile_engine::keys::lock::LockKey;

use crate::drive::account::DrivenAccount;

/// What became of a key that is gone there.
pub(super) enum Ended {
    /// It may be revoked: no lock was on it, or another key has it now.
    Free,
    /// It is its application's last, and stays, locked for all calls, so that the next one is locked as well.
    Kept,
}

impl DrivenAccount {
    /// Locks a key that an application has now as those are locked that it had before.
    pub(super) async fn inherit_locks(
        &self,
        engine: &Arc<Engine>,
        before: &[String],
        new: &str,
    ) -> Result<(), Failure> {
        for key in before.iter().filter(|key| *key != new) {
            if let Some(lock) = self.lock_of(engine, key).await? {
                self.lock_as(engine, new, &lock).await?;
            }
        }
        Ok(())
    }

    /// Sees to it that the lock of a key that is gone there outlives it.
    pub(super) async fn leave_lock(
        &self,
        engine: &Arc<Engine>,
        key: &str,
        others: &[String],
    ) -> Result<Ended, Failure> {
        let Some(lock) = self.lock_of(engine, key).await? else {
            return Ok(Ended::Free);
        };
        for other in others {
            self.lock_as(engine, other, &lock).await?;
        }
        if !others.is_empty() {
            return Ok(Ended::Free);
        }
        self.lock_as(engine, key, &Lock { level: LockLevel::All, ..lock }).await?;
        Ok(Ended::Kept)
    }

    /// A key's own lock; that of an application is on its next keys by itself.
    async fn lock_of(&self, engine: &Arc<Engine>, key: &str) -> Result<Option<Lock>, Failure> {
        let shown = engine.execute(&self.principal(), ShowKey { key: key.to_owned() }).await;
        let key = match shown {
            Ok(shown) => shown.key,
            Err(failure) if failure.kind == FailureKind::Missing => return Ok(None),
            Err(failure) => return Err(failure),
        };
        let is_revoked = key.state == "revoked";
        Ok(key.lock.filter(|lock| !is_revoked && lock.on == LockTarget::Key))
    }

    async fn lock_as(&self, engine: &Arc<Engine>, key: &str, lock: &Lock) -> Result<(), Failure> {
        let now = engine.store().now();
        let command = LockKey {
            key: key.to_owned(),
            level: lock.level,
            reason: lock.reason.clone(),
            for_millis: lock.until.map(|until| until.millis_since(now).max(1)),
            expected: Expected::default(),
        };
        engine.execute(&self.principal(), command).await.map(drop)
    }
}

//! A lock outlives its key: whoever is given another key in 3scale is locked as before.

use std::sync::Arc;

use keystile_core::keys::lock::{Lock, LockLevel, LockTarget};
use keystile_core::label::Label;
use keystile_core::version::Expected;
use keystile_engine::Engine;
use keystile_engine::command::{Failure, FailureKind};
use keystile_engine::keys::key::{KeyView, ShowKey};
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
        let mut is_passed_on = false;
        for other in others {
            if self.working(engine, other).await?.is_some() {
                self.lock_as(engine, other, &lock).await?;
                is_passed_on = true;
            }
        }
        if is_passed_on {
            return Ok(Ended::Free);
        }
        self.lock_as(engine, key, &Lock { level: LockLevel::All, ..lock }).await?;
        Ok(Ended::Kept)
    }

    /// A key's own lock; that of an application is on its next keys by itself.
    async fn lock_of(&self, engine: &Arc<Engine>, key: &str) -> Result<Option<Lock>, Failure> {
        let lock = self.working(engine, key).await?.and_then(|key| key.lock);
        Ok(lock.filter(|lock| lock.on == LockTarget::Key))
    }

    /// A key that is not revoked; an owner may have done that.
    async fn working(&self, engine: &Arc<Engine>, key: &str) -> Result<Option<KeyView>, Failure> {
        match engine.execute(&self.principal(), ShowKey { key: key.to_owned() }).await {
            Ok(shown) => Ok(Some(shown.key).filter(|key| key.state != "revoked")),
            Err(failure) if failure.kind == FailureKind::Missing => Ok(None),
            Err(failure) => Err(failure),
        }
    }

    async fn lock_as(&self, engine: &Arc<Engine>, key: &str, lock: &Lock) -> Result<(), Failure> {
        let now = engine.store().now();
        let command = LockKey {
            key: key.to_owned(),
            level: lock.level,
            reason: match Label::Reason.check(&lock.reason) {
                Ok(()) => lock.reason.clone(),
                Err(_) => "another key of its application is locked".to_owned(),
            },
            for_millis: lock.until.map(|until| until.millis_since(now).max(1)),
            expected: Expected::default(),
        };
        match engine.execute(&self.principal(), command).await {
            // Somebody revoked it meanwhile, which stops more.
            Err(failure) if failure.kind == FailureKind::Conflict => Ok(()),
            locked => locked.map(drop),
        }
    }
}

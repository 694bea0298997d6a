//! What owners do with keys, each in one transaction of the writer.

use std::sync::Arc;

use keystile_core::actor::Actor;
use keystile_core::budget::Writer;
use keystile_core::keys::lock::{Budgets, Lock, LockTarget};
use keystile_core::policy::{Plan, Policy};

use crate::error::{Error, Result};
use crate::key_cache::KeyEntry;
use crate::keys::{
    CountedBudget, ImportedKey, KeyEdit, KeyRef, KeyRow, LockedKey, NewKeys, NewLock, Successor,
    UnlockedKey,
};
use crate::sqlite::keys::key;
use crate::sqlite::ledger::standing::{self, Whose};
use crate::sqlite::writer::write_tx::WriteTx;

/// The key to edit, and the entry that requests see, where it is as expected.
fn begin(tx: &WriteTx<'_>, edit: &KeyEdit) -> Result<(KeyRow, Arc<KeyEntry>)> {
    let row = key::find(tx.connection, &edit.key)?;
    if !edit.expected.allows(|| row.version_at(tx.now)) {
        return Err(Error::Stale("key".to_owned()));
    }
    let entry = tx.entry(row.row)?;
    Ok((row, entry))
}

/// The key as it is now.
fn now(tx: &WriteTx<'_>, row: &KeyRow) -> Result<KeyRow> {
    key::find_key(tx.connection, &row.id)
}

/// How all budgets stand that count what a key writes.
pub(crate) fn budgets(
    tx: &mut WriteTx<'_>,
    key: &KeyRef,
    policy: &Policy,
    plan: &Arc<Plan>,
) -> Result<Vec<CountedBudget>> {
    let row = key::find(tx.connection, key)?;
    let writer = Writer::Key { key: row.row, application: row.application_row };
    standing::budgets(tx, Whose::Key(writer), policy, plan)
}

/// Issues keys for an application, which is created where it is new.
pub(crate) fn create(tx: &mut WriteTx<'_>, new: &NewKeys, actor: &Actor) -> Result<()> {
    let (application, _) = tx.application_or_new(&new.application, Some(&new.plan), actor)?;
    for key in &new.keys {
        tx.create_key(&application, key, actor)?;
    }
    Ok(())
}

/// Takes over a key that another system issued. Its hash is the only one of its text that there is, whatever
/// became of the other key.
pub(crate) fn import(tx: &mut WriteTx<'_>, new: &ImportedKey, actor: &Actor) -> Result<KeyRow> {
    match key::find_key_by_hash(tx.connection, &new.key.hash) {
        Ok(KeyRow { prefix, application, .. }) => {
            return Err(Error::Exists(format!(
                "a key with this text: {prefix} of the application {application}"
            )));
        }
        Err(Error::Missing(_)) => {}
        Err(error) => return Err(error),
    }
    let plan = Some(new.key.plan.as_str());
    let (application, _) = tx.application_or_new(&new.application, plan, actor)?;
    let entry = tx.create_key(&application, &new.key, actor)?;
    if new.note.is_some() {
        tx.set_key_note(&entry, new.note.as_deref(), actor)?;
    }
    key::find_key(tx.connection, &entry.id.to_string())
}

/// Locks a key, or makes its lock stricter.
pub(crate) fn lock(tx: &mut WriteTx<'_>, edit: &KeyEdit, new: NewLock) -> Result<LockedKey> {
    let (row, entry) = begin(tx, edit)?;
    let lock = Lock {
        level: new.level,
        reason: new.reason,
        actor: edit.actor.clone(),
        since: tx.now,
        until: new.span.map(|span| tx.now.plus(span)),
        evidence: None,
        on: LockTarget::Key,
    };
    let (lock, change) = tx.lock_key(&entry, lock)?;
    Ok(LockedKey { key: now(tx, &row)?, lock, change })
}

/// Unlocks a key, and lets its budgets begin anew where that is wanted.
pub(crate) fn unlock(
    tx: &mut WriteTx<'_>,
    edit: &KeyEdit,
    budgets: Budgets,
) -> Result<UnlockedKey> {
    let (row, entry) = begin(tx, edit)?;
    if row.revoked.is_some() {
        return Err(Error::Conflict(
            "a revoked key cannot be unlocked: create a new key".to_owned(),
        ));
    }
    let was_locked = row.lock.is_some();
    match budgets {
        Budgets::Keep if !was_locked => {
            let shared = row.application_lock.as_ref().filter(|lock| lock.holds_at(tx.now));
            if shared.is_some() {
                return Err(Error::LockedApplication(row.application));
            }
        }
        Budgets::Keep => {
            tx.unlock_key(&entry, &edit.actor, "unlocked; what was counted stays counted")?;
        }
        Budgets::Reset => {
            tx.reset_budgets(&entry)?;
            tx.unlock_key(&entry, &edit.actor, "unlocked; its budgets begin anew")?;
        }
    }
    Ok(UnlockedKey { key: now(tx, &row)?, was_locked })
}

/// Issues a successor of a key, on the same plan. The old key as it is now comes back.
pub(crate) fn roll(tx: &mut WriteTx<'_>, edit: &KeyEdit, successor: Successor) -> Result<KeyRow> {
    let (row, entry) = begin(tx, edit)?;
    let Successor { key: mut new, grace } = successor;
    new.plan.clone_from(&row.plan);
    let (old, ends) = ((row, entry), tx.now.plus(grace));
    tx.roll_key(&old, &new, ends, &edit.actor)?;
    now(tx, &old.0)
}

/// Revokes a key for good.
pub(crate) fn revoke(tx: &mut WriteTx<'_>, edit: &KeyEdit) -> Result<KeyRow> {
    let (row, entry) = begin(tx, edit)?;
    if row.revoked.is_none() {
        tx.revoke_key(&entry, &edit.actor, "revoked for good")?;
    }
    now(tx, &row)
}

/// Puts a key on another plan; the plan before comes back too.
pub(crate) fn set_plan(
    tx: &mut WriteTx<'_>,
    edit: &KeyEdit,
    plan: &str,
) -> Result<(KeyRow, String)> {
    let (row, entry) = begin(tx, edit)?;
    if row.revoked.is_some() {
        return Err(Error::Conflict("a revoked key needs no plan".to_owned()));
    }
    tx.set_key_plan(&entry, plan, &edit.actor)?;
    Ok((now(tx, &row)?, row.plan))
}

/// Notes something about a key.
pub(crate) fn set_note(tx: &mut WriteTx<'_>, edit: &KeyEdit, note: Option<&str>) -> Result<KeyRow> {
    let (row, entry) = begin(tx, edit)?;
    if row.note.as_deref() != note {
        tx.set_key_note(&entry, note, &edit.actor)?;
    }
    now(tx, &row)
}

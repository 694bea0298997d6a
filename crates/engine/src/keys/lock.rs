//! Locking and unlocking keys.

use std::sync::Arc;

use keystile_core::keys::lock::{Budgets, LockChange, LockLevel};
use keystile_core::label::Label;
use keystile_core::owners::scope::Scope;
use keystile_core::version::Expected;
use keystile_store::keys::{KeyEdit, LockedKey, NewLock, UnlockedKey};
use serde::{Deserialize, Serialize};

use crate::command::failure::key_failure;
use crate::command::input::{check_label, checked_span};
use crate::command::{Authorized, Command, Edited, Running};
use crate::engine::Engine;
use crate::keys::key::KeyView;

/// Locks a key. One that is locked keeps the stricter level and the later end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LockKey {
    /// Its id, prefix or text.
    pub key: String,
    /// Which calls to stop.
    pub level: LockLevel,
    /// Why, for the owner and the audit.
    pub reason: String,
    /// For how many milliseconds; until unlocked where `None`.
    pub for_millis: Option<i64>,
    /// The versions of it that this is meant for.
    #[serde(default)]
    pub expected: Expected,
}

/// Unlocks a key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnlockKey {
    /// Its id, prefix or text.
    pub key: String,
    /// Whether its budgets begin anew.
    pub budgets: Budgets,
    /// The versions of it that this is meant for.
    #[serde(default)]
    pub expected: Expected,
}

impl Command for LockKey {
    type Answer = Edited<KeyView>;
    const SCOPE: Scope = Scope::Write;

    fn run<'a>(self, engine: &'a Arc<Engine>, by: &'a Authorized) -> Running<'a, Edited<KeyView>> {
        Box::pin(async move {
            let Self { key, level, reason, for_millis, expected } = self;
            check_label(Label::Reason, "a reason", &reason)?;
            let span = checked_span(for_millis)?;
            let lock = NewLock { level, reason: reason.trim().to_owned(), span };
            let (key, actor) = (engine.key_ref(&key), by.actor().clone());
            let locked = engine.store.lock_key(KeyEdit { key, expected, actor }, lock).await;
            let locked = locked.map_err(key_failure)?;
            let done = sentence_of_lock(&locked);
            Ok(Edited { done, now: engine.edited_key(locked.key).await })
        })
    }
}

fn sentence_of_lock(locked: &LockedKey) -> String {
    let LockedKey { key, lock, change } = locked;
    let stopped = match lock.level {
        LockLevel::Writes => "its writes stop and its reads go on",
        LockLevel::All => "all its calls stop",
    };
    let end = match lock.until {
        None => "until it is unlocked".to_owned(),
        Some(until) => format!("until {}", until.readable()),
    };
    let (prefix, application) = (&key.prefix, &key.application);
    match change {
        LockChange::New => format!("Locked {prefix} of {application}: {stopped}, {end}."),
        LockChange::Extended => {
            format!("{prefix} of {application} was locked already; now {stopped}, {end}.")
        }
        LockChange::Unchanged => format!(
            "{prefix} of {application} was locked already and stays so: {stopped}, {end}. To lock it for less, unlock it first."
        ),
    }
}

impl Command for UnlockKey {
    type Answer = Edited<KeyView>;
    const SCOPE: Scope = Scope::Write;

    fn run<'a>(self, engine: &'a Arc<Engine>, by: &'a Authorized) -> Running<'a, Edited<KeyView>> {
        Box::pin(async move {
            let Self { key, budgets, expected } = self;
            let (key, actor) = (engine.key_ref(&key), by.actor().clone());
            let unlocked = engine.store.unlock_key(KeyEdit { key, expected, actor }, budgets).await;
            let UnlockedKey { key, was_locked } = unlocked.map_err(key_failure)?;
            let (prefix, application) = (&key.prefix, &key.application);
            let done = match (was_locked, budgets) {
                (true, Budgets::Keep) => format!("Unlocked {prefix} of {application}."),
                (true, Budgets::Reset) => {
                    format!("Unlocked {prefix} of {application}; its budgets begin anew.")
                }
                (false, Budgets::Keep) => format!("{prefix} of {application} was not locked."),
                (false, Budgets::Reset) => format!(
                    "The budgets of {prefix} of {application} begin anew; it was not locked."
                ),
            };
            Ok(Edited { done, now: engine.edited_key(key).await })
        })
    }
}

//! Revoking keys, changing their plans, and noting something about them.

use std::sync::Arc;

use keystile_core::owners::scope::Scope;
use keystile_core::version::Expected;
use keystile_store::keys::KeyEdit;
use serde::{Deserialize, Serialize};

use crate::command::failure::key_failure;
use crate::command::input::checked_note;
use crate::command::{Authorized, Command, Edited, Running};
use crate::engine::Engine;
use crate::keys::key::KeyView;

/// Revokes a key for good. Revoking one again changes nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RevokeKey {
    /// Its id, prefix or text.
    pub key: String,
    /// The versions of it that this is meant for.
    #[serde(default)]
    pub expected: Expected,
}

/// Puts a key on another plan. What it wrote before counts in the budgets of that.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChangeKeyPlan {
    /// Its id, prefix or text.
    pub key: String,
    /// The plan.
    pub plan: String,
    /// The versions of it that this is meant for.
    #[serde(default)]
    pub expected: Expected,
}

/// Notes something about a key; an empty note removes the one before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SetKeyNote {
    /// Its id, prefix or text.
    pub key: String,
    /// The note.
    pub note: String,
    /// The versions of it that this is meant for.
    #[serde(default)]
    pub expected: Expected,
}

impl Command for RevokeKey {
    type Answer = Edited<KeyView>;
    const SCOPE: Scope = Scope::Write;

    fn run<'a>(self, engine: &'a Arc<Engine>, by: &'a Authorized) -> Running<'a, Edited<KeyView>> {
        Box::pin(async move {
            let (key, actor) = (engine.key_ref(&self.key), by.actor().clone());
            let edit = KeyEdit { key, expected: self.expected, actor };
            let key = engine.store.revoke_key(edit).await.map_err(key_failure)?;
            let done = format!("Revoked {} of {} for good.", key.prefix, key.application);
            Ok(Edited { done, now: engine.edited_key(key).await })
        })
    }
}

impl Command for ChangeKeyPlan {
    type Answer = Edited<KeyView>;
    const SCOPE: Scope = Scope::Write;

    fn run<'a>(self, engine: &'a Arc<Engine>, by: &'a Authorized) -> Running<'a, Edited<KeyView>> {
        Box::pin(async move {
            let Self { key, plan, expected } = self;
            engine.check_plan(&plan)?;
            let (key, actor) = (engine.key_ref(&key), by.actor().clone());
            let edit = KeyEdit { key, expected, actor };
            let changed = engine.store.set_key_plan(edit, plan.clone()).await;
            let (key, before) = changed.map_err(key_failure)?;
            let (prefix, application) = (&key.prefix, &key.application);
            let done = if before == plan {
                format!("{prefix} of {application} is on the plan {plan} already.")
            } else {
                format!(
                    "{prefix} of {application} is on the plan {plan}; what it wrote before counts in its budgets."
                )
            };
            Ok(Edited { done, now: engine.edited_key(key).await })
        })
    }
}

impl Command for SetKeyNote {
    type Answer = Edited<KeyView>;
    const SCOPE: Scope = Scope::Write;

    fn run<'a>(self, engine: &'a Arc<Engine>, by: &'a Authorized) -> Running<'a, Edited<KeyView>> {
        Box::pin(async move {
            let note = checked_note(&self.note)?;
            let (key, actor) = (engine.key_ref(&self.key), by.actor().clone());
            let edit = KeyEdit { key, expected: self.expected, actor };
            let key = engine.store.set_key_note(edit, note).await.map_err(key_failure)?;
            let said = if key.note.is_some() { "Noted for" } else { "Removed the note of" };
            let done = format!("{said} {} of {}.", key.prefix, key.application);
            Ok(Edited { done, now: engine.edited_key(key).await })
        })
    }
}

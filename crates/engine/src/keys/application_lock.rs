//! Unlocking applications, and listing those that are locked. An application is locked by a budget that its keys
//! share, or because its last key ended at its source while it was locked or revoked: to stop one by hand, suspend it.

use std::sync::Arc;

use keystile_core::keys::lock::Budgets;
use keystile_core::owners::scope::Scope;
use keystile_core::version::Expected;
use keystile_store::applications::{ApplicationEdit, UnlockedApplication};
use serde::{Deserialize, Serialize};

use crate::command::failure::application_failure;
use crate::command::{Authorized, Command, Edited, Running};
use crate::engine::Engine;
use crate::keys::application::ApplicationView;

/// Unlocks an application, and with it all of its keys that carry no lock of their own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnlockApplication {
    /// Its name or id.
    pub application: String,
    /// Whether the budgets that its keys share begin anew.
    pub budgets: Budgets,
    /// The versions of it that this is meant for.
    #[serde(default)]
    pub expected: Expected,
}

/// Lists applications that are locked, by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListLockedApplications {
    /// At most so many.
    pub limit: u32,
}

impl Command for UnlockApplication {
    type Answer = Edited<ApplicationView>;
    const SCOPE: Scope = Scope::Write;

    fn run<'a>(
        self,
        engine: &'a Arc<Engine>,
        by: &'a Authorized,
    ) -> Running<'a, Edited<ApplicationView>> {
        Box::pin(async move {
            let Self { application, budgets, expected } = self;
            let edit = ApplicationEdit { application, expected, actor: by.actor().clone() };
            let unlocked = engine.store.unlock_application(edit, budgets).await;
            let UnlockedApplication { application, was_locked } =
                unlocked.map_err(application_failure)?;
            let name = &application.name;
            let done = match (was_locked, budgets) {
                (true, Budgets::Keep) => format!("Unlocked {name}, and with it all of its keys."),
                (true, Budgets::Reset) => format!(
                    "Unlocked {name}, and with it all of its keys; the budgets that they share begin anew."
                ),
                (false, Budgets::Keep) => format!("{name} was not locked."),
                (false, Budgets::Reset) => format!(
                    "The budgets that the keys of {name} share begin anew; it was not locked."
                ),
            };
            Ok(Edited { done, now: ApplicationView::of(application, engine.store.now()) })
        })
    }
}

impl Command for ListLockedApplications {
    type Answer = Vec<ApplicationView>;
    const SCOPE: Scope = Scope::Read;

    fn run<'a>(
        self,
        engine: &'a Arc<Engine>,
        _: &'a Authorized,
    ) -> Running<'a, Vec<ApplicationView>> {
        Box::pin(async move {
            let rows = engine.store.locked_applications(self.limit).await?;
            let now = engine.store.now();
            Ok(rows.into_iter().map(|row| ApplicationView::of(row, now)).collect())
        })
    }
}

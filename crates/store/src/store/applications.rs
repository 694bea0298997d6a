//! Applications: who has keys.

use keystile_core::actor::Actor;
use keystile_core::keys::application::ApplicationState;

use crate::applications::{ApplicationEdit, ApplicationRow, PlanChange, Progress};
use crate::error::Result;
use crate::sqlite::keys::{application_edit, key};
use crate::store::Store;

impl Store {
    /// An application by its name or id.
    ///
    /// # Errors
    /// `Missing` when there is none; when the store cannot be read.
    pub async fn application(&self, name_or_id: String) -> Result<ApplicationRow> {
        self.query(move |connection| key::find_application(connection, &name_or_id)).await
    }

    /// Applications by name, after one, at most so many.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn list_applications(
        &self,
        after: String,
        limit: u32,
    ) -> Result<Vec<ApplicationRow>> {
        self.query(move |connection| key::list_applications(connection, &after, limit)).await
    }

    /// Creates an application without a key.
    ///
    /// # Errors
    /// `Exists` when there is one of the name; when the store cannot commit.
    pub async fn create_application(
        &self,
        name: String,
        plan: String,
        actor: Actor,
    ) -> Result<ApplicationRow> {
        self.write(move |tx| application_edit::create(tx, &name, &plan, &actor)).await
    }

    /// Suspends or resumes an application.
    ///
    /// # Errors
    /// `Missing` when there is none, `Stale` when it is not as expected; when the store cannot commit.
    pub async fn set_application_state(
        &self,
        edit: ApplicationEdit,
        state: ApplicationState,
    ) -> Result<ApplicationRow> {
        self.write(move |tx| application_edit::set_state(tx, &edit, state)).await
    }

    /// Puts some of the keys that are on an application's plan on another one; once none is left, the
    /// application too. Says how many keys were changed, and whether all is done.
    ///
    /// # Errors
    /// As [`Store::set_application_state`].
    pub async fn set_application_plan(
        &self,
        edit: ApplicationEdit,
        change: PlanChange,
    ) -> Result<(usize, Progress)> {
        self.write(move |tx| application_edit::set_plan(tx, &edit, &change)).await
    }

    /// Notes something about an application, or nothing any more.
    ///
    /// # Errors
    /// As [`Store::set_application_state`].
    pub async fn set_application_note(
        &self,
        edit: ApplicationEdit,
        note: Option<String>,
    ) -> Result<ApplicationRow> {
        self.write(move |tx| application_edit::set_note(tx, &edit, note.as_deref())).await
    }
}

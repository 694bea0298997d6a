//! Applications: who has keys.

use std::sync::Arc;

use keystile_core::actor::Actor;
use keystile_core::keys::application::ApplicationState;
use keystile_core::keys::lock::Budgets;
use keystile_core::policy::{Plan, Policy};

use crate::applications::{
    ApplicationEdit, ApplicationRow, PlanChange, Progress, UnlockedApplication,
};
use crate::error::Result;
use crate::keys::CountedBudget;
use crate::sqlite::keys::{application, application_edit, application_lock};
use crate::sqlite::ledger::standing::{self, Whose};
use crate::store::Store;

impl Store {
    /// An application by its name or id.
    ///
    /// # Errors
    /// `Missing` when there is none; when the store cannot be read.
    pub async fn application(&self, name_or_id: String) -> Result<ApplicationRow> {
        self.query(move |connection| application::find_application(connection, &name_or_id)).await
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
        self.query(move |connection| application::list_applications(connection, &after, limit))
            .await
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

    /// Applications that are locked, by name, at most so many.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn locked_applications(&self, limit: u32) -> Result<Vec<ApplicationRow>> {
        let now = self.now();
        let listed =
            self.query(move |connection| application::locked_applications(connection, limit));
        Ok(listed.await?.into_iter().filter(|row| row.lock_at(now).is_some()).collect())
    }

    /// Unlocks an application, and with it all of its keys that carry no lock of their own.
    ///
    /// # Errors
    /// As [`Store::set_application_state`].
    pub async fn unlock_application(
        &self,
        edit: ApplicationEdit,
        budgets: Budgets,
    ) -> Result<UnlockedApplication> {
        self.write(move |tx| application_lock::unlock(tx, &edit, budgets)).await
    }

    /// The plans of an application's keys that are not revoked, at most so many.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn plans_of_application(&self, row: i64, limit: u32) -> Result<Vec<String>> {
        self.query(move |connection| application::plans_of_application(connection, row, limit))
            .await
    }

    /// How the budgets of a plan stand that an application's keys share, among themselves or with others.
    ///
    /// # Errors
    /// When the store cannot commit.
    pub async fn application_budgets(
        &self,
        row: i64,
        policy: Arc<Policy>,
        plan: Arc<Plan>,
    ) -> Result<Vec<CountedBudget>> {
        self.write(move |tx| standing::budgets(tx, Whose::Application(row), &policy, &plan)).await
    }

    /// How the budgets of a plan stand that all of its keys share.
    ///
    /// # Errors
    /// When the store cannot commit.
    pub async fn plan_budgets(
        &self,
        policy: Arc<Policy>,
        plan: Arc<Plan>,
    ) -> Result<Vec<CountedBudget>> {
        self.write(move |tx| standing::budgets(tx, Whose::Plan, &policy, &plan)).await
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

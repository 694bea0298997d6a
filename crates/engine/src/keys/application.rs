//! Applications: how owners see them, listing, showing and creating them.

use std::sync::Arc;

use keystile_core::keys::application::ApplicationState;
use keystile_core::keys::lock::Lock;
use keystile_core::owners::scope::Scope;
use keystile_core::time::Timestamp;
use keystile_core::version::version_of;
use keystile_store::applications::ApplicationRow;
use keystile_store::keys::KeyQuery;
use serde::{Deserialize, Serialize};

use crate::command::failure::application_failure;
use crate::command::input::{LISTED_MAX, check_name};
use crate::command::{Authorized, Command, Failure, Running};
use crate::engine::Engine;
use crate::keys::key::KeyView;
use crate::keys::shared_budgets::SharedBudgetView;

/// An application as it is listed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct ApplicationView {
    pub id: String,
    /// Its name.
    pub name: String,
    /// The plan of its new keys.
    pub plan: String,
    /// Whether it may call.
    pub state: ApplicationState,
    /// When it was created.
    pub created: Timestamp,
    /// How many keys it has that are not revoked.
    pub keys: u32,
    /// What an owner noted about it.
    pub note: Option<String>,
    /// The lock that is on it, and so on all of its keys.
    #[serde(default)]
    pub lock: Option<Lock>,
}

/// An application with its keys.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct ApplicationDetails {
    /// The application.
    #[serde(flatten)]
    pub application: ApplicationView,
    /// The write budgets that its keys share, among themselves or with others on their plans.
    #[serde(default)]
    pub budgets: Vec<SharedBudgetView>,
    /// Its keys.
    pub keys_list: Vec<KeyView>,
}

impl ApplicationView {
    /// An application at a time.
    pub(crate) fn of(row: ApplicationRow, now: Timestamp) -> Self {
        let lock = row.lock_at(now).cloned();
        Self {
            lock,
            id: row.id,
            name: row.name,
            plan: row.plan,
            state: row.state,
            created: row.created,
            keys: row.keys,
            note: row.note,
        }
    }

    /// The version of what can be edited of the application.
    pub fn version(&self) -> String {
        let Self { id, name, plan, state, note, lock, .. } = self;
        version_of(&(id, name, plan, state, note, lock))
    }
}

/// Lists applications by name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListApplications {
    /// Only those whose names come after this one.
    #[serde(default)]
    pub after: String,
    /// At most so many; all of them where `None`.
    #[serde(default)]
    pub limit: Option<u32>,
}

/// Shows an application.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShowApplication {
    /// Its name or id.
    pub application: String,
}

/// Shows an application with its keys.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShowApplicationWithKeys {
    /// Its name or id.
    pub application: String,
}

/// Creates an application without a key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CreateApplication {
    /// Its name.
    pub name: String,
    /// Its plan.
    pub plan: String,
}

impl Command for ListApplications {
    type Answer = Vec<ApplicationView>;
    const SCOPE: Scope = Scope::Read;

    fn run<'a>(
        self,
        engine: &'a Arc<Engine>,
        _: &'a Authorized,
    ) -> Running<'a, Vec<ApplicationView>> {
        Box::pin(async move {
            let limit = self.limit.unwrap_or(u32::MAX);
            let rows = engine.store.list_applications(self.after, limit).await?;
            let now = engine.store.now();
            Ok(rows.into_iter().map(|row| ApplicationView::of(row, now)).collect())
        })
    }
}

impl Command for ShowApplication {
    type Answer = ApplicationView;
    const SCOPE: Scope = Scope::Read;

    fn run<'a>(self, engine: &'a Arc<Engine>, _: &'a Authorized) -> Running<'a, ApplicationView> {
        Box::pin(async move {
            let row = engine.application_row(self.application).await?;
            Ok(ApplicationView::of(row, engine.store.now()))
        })
    }
}

impl Command for ShowApplicationWithKeys {
    type Answer = ApplicationDetails;
    const SCOPE: Scope = Scope::Read;

    fn run<'a>(
        self,
        engine: &'a Arc<Engine>,
        _: &'a Authorized,
    ) -> Running<'a, ApplicationDetails> {
        Box::pin(async move {
            let row = engine.application_row(self.application).await?;
            engine.with_keys(row).await
        })
    }
}

impl Command for CreateApplication {
    type Answer = ApplicationDetails;
    const SCOPE: Scope = Scope::Write;

    fn run<'a>(
        self,
        engine: &'a Arc<Engine>,
        by: &'a Authorized,
    ) -> Running<'a, ApplicationDetails> {
        Box::pin(async move {
            let Self { name, plan } = self;
            check_name(&name)?;
            engine.check_plan(&plan)?;
            let row = engine.store.create_application(name, plan, by.actor().clone()).await?;
            let application = ApplicationView::of(row, engine.store.now());
            Ok(ApplicationDetails { application, budgets: Vec::new(), keys_list: Vec::new() })
        })
    }
}

impl Engine {
    /// An application by its name or id.
    pub(crate) async fn application_row(&self, name: String) -> Result<ApplicationRow, Failure> {
        self.store.application(name).await.map_err(application_failure)
    }

    async fn with_keys(&self, row: ApplicationRow) -> Result<ApplicationDetails, Failure> {
        let query = KeyQuery {
            application: Some(row.id.clone()),
            limit: LISTED_MAX,
            ..KeyQuery::default()
        };
        let keys = self.store.list_keys(query).await?;
        let keys_list = keys.into_iter().map(|key| self.key_view(key)).collect();
        let budgets = self.shared_budgets(&row).await?;
        let application = ApplicationView::of(row, self.store.now());
        Ok(ApplicationDetails { application, budgets, keys_list })
    }
}

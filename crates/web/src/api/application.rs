//! Applications: who has keys.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::Response;
use keystile_core::keys::application::ApplicationState;
use keystile_core::keys::lock::Budgets;
use keystile_engine::command::{Command, Edited};
use keystile_engine::keys::application::{
    ApplicationDetails, ApplicationView, CreateApplication, ListApplications,
    ShowApplicationWithKeys,
};
use keystile_engine::keys::application_edit::{
    ChangeApplicationPlan, SetApplicationNote, SetApplicationState,
};
use keystile_engine::keys::application_lock::UnlockApplication;
use keystile_engine::keys::shared_budgets::{ListPlanBudgets, SharedBudgetView};
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};

use super::answer::{created, tagged};
use super::caller::{Caller, Read, Write};
use super::input::{ApiQuery, Body, IfMatch, Named, page_of};
use super::key::{Change, Unlocking};
use super::listed::Listed;
use super::problem::Problem;
use crate::web::Web;

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ApplicationQuery {
    /// The `next` of the page before.
    cursor: Option<String>,
    /// How many to show at most, up to 1000; 50 where it is not said.
    limit: Option<u32>,
}

/// Applications by name
#[utoipa::path(
    get, path = "/applications", tag = "applications", operation_id = "list_applications",
    params(ApplicationQuery),
    responses((status = OK, body = Listed<ApplicationView>), Problem),
    security(("token" = ["read"]), ("session" = ["read"])),
)]
pub(super) async fn list(
    State(web): State<Arc<Web>>,
    caller: Caller<Read>,
    ApiQuery(query): ApiQuery<ApplicationQuery>,
) -> Result<Json<Listed<ApplicationView>>, Problem> {
    let limit = page_of(query.limit)?;
    let command =
        ListApplications { after: query.cursor.unwrap_or_default(), limit: Some(limit + 1) };
    let list = caller.execute(&web, command).await?;
    Ok(Json(Listed::page(list, limit, |application| application.name.clone())))
}

/// One application with its keys
///
/// `ETag` is the version of what can be edited of it.
#[utoipa::path(
    get, path = "/applications/{application}", tag = "applications",
    operation_id = "show_application",
    params(("application" = String, Path, description = "Its name or id.")),
    responses(
        (status = OK, body = ApplicationDetails, headers(("etag" = String, description = "Its version."))),
        Problem,
    ),
    security(("token" = ["read"]), ("session" = ["read"])),
)]
pub(super) async fn show(
    State(web): State<Arc<Web>>,
    caller: Caller<Read>,
    Named(name): Named,
) -> Result<Response, Problem> {
    let command = ShowApplicationWithKeys { application: name };
    let shown = caller.execute(&web, command).await?;
    Ok(tagged(&shown.application.version(), shown))
}

/// An application to create.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewApplication {
    /// Its name: 1 to 100 characters.
    name: String,
    /// The plan of its new keys.
    plan: String,
}

/// Creates an application without a key
#[utoipa::path(
    post, path = "/applications", tag = "applications", operation_id = "create_application",
    request_body = NewApplication,
    responses((status = CREATED, body = ApplicationDetails), Problem),
    security(("token" = ["write"]), ("session" = ["write"])),
)]
pub(super) async fn create(
    State(web): State<Arc<Web>>,
    caller: Caller<Write>,
    Body(new): Body<NewApplication>,
) -> Result<Response, Problem> {
    let command = CreateApplication { name: new.name, plan: new.plan };
    let made = caller.execute(&web, command).await?;
    let path = format!("/api/v1/applications/{}", made.application.id);
    Ok(created(&path, tagged(&made.application.version(), made)))
}

/// Edits an application, and shows how it is now.
async fn edit<C: Command<Answer = Edited<ApplicationView>>>(
    web: &Web,
    caller: &Caller<Write>,
    command: C,
) -> Result<Response, Problem> {
    let shown = caller.execute(web, command).await?.now;
    Ok(tagged(&shown.version(), shown))
}

/// Puts an application on another plan, or notes something about it
///
/// The keys follow that are on its present plan.
#[utoipa::path(
    patch, path = "/applications/{application}", tag = "applications",
    operation_id = "change_application",
    params(
        ("application" = String, Path, description = "Its name or id."),
        ("if-match" = Option<String>, Header, description = "The ETag that it was shown with."),
    ),
    request_body = Change,
    responses((status = OK, body = ApplicationView), Problem),
    security(("token" = ["write"]), ("session" = ["write"])),
)]
pub(super) async fn change(
    State(web): State<Arc<Web>>,
    caller: Caller<Write>,
    Named(application): Named,
    IfMatch(expected): IfMatch,
    Body(change): Body<Change>,
) -> Result<Response, Problem> {
    match change {
        Change::Plan(plan) => {
            edit(&web, &caller, ChangeApplicationPlan { application, plan, expected }).await
        }
        Change::Note(note) => {
            edit(&web, &caller, SetApplicationNote { application, note, expected }).await
        }
    }
}

/// Stops all calls of an application
#[utoipa::path(
    post, path = "/applications/{application}/suspend", tag = "applications",
    operation_id = "suspend_application",
    params(
        ("application" = String, Path, description = "Its name or id."),
        ("if-match" = Option<String>, Header, description = "The ETag that it was shown with."),
    ),
    responses((status = OK, body = ApplicationView), Problem),
    security(("token" = ["write"]), ("session" = ["write"])),
)]
pub(super) async fn suspend(
    State(web): State<Arc<Web>>,
    caller: Caller<Write>,
    Named(application): Named,
    IfMatch(expected): IfMatch,
) -> Result<Response, Problem> {
    let state = ApplicationState::Suspended;
    edit(&web, &caller, SetApplicationState { application, state, expected }).await
}

/// Lets an application call again
#[utoipa::path(
    post, path = "/applications/{application}/resume", tag = "applications",
    operation_id = "resume_application",
    params(
        ("application" = String, Path, description = "Its name or id."),
        ("if-match" = Option<String>, Header, description = "The ETag that it was shown with."),
    ),
    responses((status = OK, body = ApplicationView), Problem),
    security(("token" = ["write"]), ("session" = ["write"])),
)]
pub(super) async fn resume(
    State(web): State<Arc<Web>>,
    caller: Caller<Write>,
    Named(application): Named,
    IfMatch(expected): IfMatch,
) -> Result<Response, Problem> {
    let state = ApplicationState::Active;
    edit(&web, &caller, SetApplicationState { application, state, expected }).await
}

/// Unlocks an application, and with it all of its keys that carry no lock of their own
///
/// An application is locked by a budget that its keys share.
#[utoipa::path(
    post, path = "/applications/{application}/unlock", tag = "applications",
    operation_id = "unlock_application",
    params(
        ("application" = String, Path, description = "Its name or id."),
        ("if-match" = Option<String>, Header, description = "The ETag that it was shown with."),
    ),
    request_body = Unlocking,
    responses((status = OK, body = ApplicationView), Problem),
    security(("token" = ["write"]), ("session" = ["write"])),
)]
pub(super) async fn unlock(
    State(web): State<Arc<Web>>,
    caller: Caller<Write>,
    Named(application): Named,
    IfMatch(expected): IfMatch,
    Body(Unlocking { budgets }): Body<Unlocking>,
) -> Result<Response, Problem> {
    match budgets {
        Budgets::Keep => {}
        Budgets::Reset => caller.check_recent_authentication()?,
    }
    edit(&web, &caller, UnlockApplication { application, budgets, expected }).await
}

/// The write budgets that everybody on a plan shares, of all plans that have such
#[utoipa::path(
    get, path = "/plan-budgets", tag = "applications", operation_id = "list_plan_budgets",
    responses((status = OK, body = Vec<SharedBudgetView>), Problem),
    security(("token" = ["read"]), ("session" = ["read"])),
)]
pub(super) async fn plan_budgets(
    State(web): State<Arc<Web>>,
    caller: Caller<Read>,
) -> Result<Json<Vec<SharedBudgetView>>, Problem> {
    Ok(Json(caller.execute(&web, ListPlanBudgets).await?))
}

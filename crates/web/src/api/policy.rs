//! The policy as it is in force. The configuration file stays the source; nothing is edited here.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use keystile_core::policy::Plan;
use keystile_core::policy::api::Charge;
use keystile_core::policy::matrix::{self, Cell};
use keystile_engine::policy::{PolicyInForce, ShowPolicy};
use keystile_engine::reload::Reload;
use serde::Serialize;
use utoipa::ToSchema;

use super::caller::{Admin, Caller, Read};
use super::problem::Problem;
use crate::format;
use crate::web::Web;

/// The policy in force.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct PolicyView {
    /// When it was read, and what came of the last attempt to read it again.
    note: String,
    /// The configuration file; null for a server without one.
    #[schema(required)]
    file: Option<String>,
    /// The plans by name.
    plans: Vec<PlanView>,
    /// Every operation that a rule names, and what each plan says of it.
    operations: Vec<OperationView>,
}

/// A plan.
#[derive(Debug, Serialize, ToSchema)]
struct PlanView {
    /// Its name.
    name: String,
    /// Whether it is for callers without a key.
    is_keyless: bool,
    /// Its rules in words, one sentence each.
    rules: Vec<String>,
}

/// An operation.
#[derive(Debug, Serialize, ToSchema)]
struct OperationView {
    /// The API's name.
    api: String,
    /// As in `DELETE /bookmarks/{id}`.
    operation: String,
    /// What it takes from each write budget: 0 for a read, null where it depends on the body.
    #[schema(required)]
    cost: Option<u32>,
    /// What each plan says of it, in the order of the plans.
    plans: Vec<AccessView>,
}

/// What a plan says of an operation.
#[derive(Debug, Serialize, ToSchema)]
struct AccessView {
    /// The plan's name.
    plan: String,
    /// Whether the plan includes it.
    is_allowed: bool,
    /// How many of the plan's write budgets count it.
    budgets: usize,
}

fn operation(row: matrix::Row, plans: &[&Plan]) -> OperationView {
    let access = |(plan, cell): (&&Plan, &Cell)| {
        let (is_allowed, budgets) = match cell {
            Cell::Refused => (false, 0),
            Cell::Allowed { budgets } => (true, *budgets),
        };
        AccessView { plan: plan.name().to_owned(), is_allowed, budgets }
    };
    OperationView {
        cost: match row.charge {
            Charge::Nothing => Some(0),
            Charge::Writes(cost) => Some(cost),
            Charge::ByBody(_) => None,
        },
        plans: plans.iter().zip(&row.cells).map(access).collect(),
        api: row.api,
        operation: row.operation,
    }
}

/// The policy in force: plans in words, and what they say of each operation
#[utoipa::path(
    get, path = "/policy", tag = "policy", operation_id = "show_policy",
    responses((status = OK, body = PolicyView), Problem),
    security(("token" = ["read"]), ("session" = ["read"])),
)]
pub(super) async fn policy(
    State(web): State<Arc<Web>>,
    caller: Caller<Read>,
) -> Result<Json<PolicyView>, Problem> {
    let PolicyInForce { policy, note, .. } = caller.execute(&web, ShowPolicy).await?;
    let mut plans: Vec<&Plan> = policy.plans().map(|plan| &**plan).collect();
    plans.sort_by(|a, b| a.name().cmp(b.name()));
    let plan = |plan: &&Plan| PlanView {
        name: plan.name().to_owned(),
        is_keyless: plan.spec().is_keyless,
        rules: format::plan(plan.spec()),
    };
    let rows = matrix::rows(&policy, &plans);
    Ok(Json(PolicyView {
        note: note.to_string(),
        file: web.settings.file.as_ref().map(|file| file.display().to_string()),
        operations: rows.into_iter().map(|row| operation(row, &plans)).collect(),
        plans: plans.iter().map(plan).collect(),
    }))
}

/// What was done.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Done {
    /// In a sentence.
    message: String,
}

impl Done {
    pub(super) fn of(done: keystile_engine::command::Done) -> Self {
        Self { message: done.0 }
    }
}

/// Reads the configuration file again and puts its policy in force
///
/// A file with mistakes changes nothing.
#[utoipa::path(
    post, path = "/policy/reload", tag = "policy", operation_id = "reload_policy",
    responses((status = OK, body = Done), Problem),
    security(("token" = ["admin"]), ("session" = ["admin"])),
)]
pub(super) async fn reload(
    State(web): State<Arc<Web>>,
    caller: Caller<Admin>,
) -> Result<Json<Done>, Problem> {
    Ok(Json(Done::of(caller.execute(&web, Reload).await?)))
}

//! How the server is, and what happens right now.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use keystile_core::journal::counts::HourCount;
use keystile_core::time::{Span, Timestamp};
use keystile_engine::findings::{Diagnose, Finding};
use keystile_engine::journal::ListHours;
use keystile_engine::keys::budget_warnings::{BudgetWarning, ListBudgetWarnings};
use keystile_engine::status::{ShowStatus, StatusView};
use serde::Deserialize;
use utoipa::IntoParams;

use super::caller::{Caller, Read};
use super::input::{ApiQuery, moment};
use super::listed::Listed;
use super::problem::{Kind, Problem};
use crate::web::Web;

/// Hours are shown of the last day where nothing else is asked for.
const DAY: Span = Span::from_secs(86_400);
/// Hours that are shown at once: a year and a month.
const HOURS_MAX: Span = Span::from_secs(400 * 86_400);

/// How the server is
#[utoipa::path(
    get, path = "/status", tag = "status",
    responses((status = OK, body = StatusView), Problem),
    security(("token" = ["read"]), ("session" = ["read"])),
)]
pub(super) async fn status(
    State(web): State<Arc<Web>>,
    caller: Caller<Read>,
) -> Result<Json<StatusView>, Problem> {
    Ok(Json(caller.execute(&web, ShowStatus).await?))
}

/// Active keys that have used half of a write budget or more, fullest first
#[utoipa::path(
    get, path = "/near-budgets", tag = "status",
    responses((status = OK, body = Listed<BudgetWarning>), Problem),
    security(("token" = ["read"]), ("session" = ["read"])),
)]
pub(super) async fn budget_warnings(
    State(web): State<Arc<Web>>,
    caller: Caller<Read>,
) -> Result<Json<Listed<BudgetWarning>>, Problem> {
    Ok(Json(Listed::whole(caller.execute(&web, ListBudgetWarnings).await?)))
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct HoursQuery {
    /// The first hour: a time, a day of UTC as in `2026-11-24`, or as in `7 days` so long ago. A day ago
    /// where it is not said.
    since: Option<String>,
    /// The last hour. Now where it is not said.
    until: Option<String>,
}

/// Writes and refusals by hour, earliest first
///
/// Exact, and independent of the journal's retention. Hours that had none are left out.
#[utoipa::path(
    get, path = "/hours", tag = "status", params(HoursQuery),
    responses((status = OK, body = Listed<HourCount>), Problem),
    security(("token" = ["read"]), ("session" = ["read"])),
)]
pub(super) async fn hours(
    State(web): State<Arc<Web>>,
    caller: Caller<Read>,
    ApiQuery(query): ApiQuery<HoursQuery>,
) -> Result<Json<Listed<HourCount>>, Problem> {
    let now = web.engine.store().now();
    let until = moment(query.until.as_deref(), now)?.unwrap_or(now);
    let day_before = Timestamp(until.0.saturating_sub(DAY.millis()));
    let since = moment(query.since.as_deref(), now)?.unwrap_or(day_before);
    if until.0.saturating_sub(since.0) > HOURS_MAX.millis() {
        let detail = format!("hours of at most {HOURS_MAX} are shown at once");
        return Err(Problem::new(Kind::NotUnderstood, detail).with_help("ask for parts of it"));
    }
    let hours = caller.execute(&web, ListHours { since, until }).await?;
    Ok(Json(Listed::whole(hours)))
}

/// Looks for damage, through the whole file of the store
#[utoipa::path(
    get, path = "/diagnosis", tag = "status",
    responses((status = OK, body = Listed<Finding>), Problem),
    security(("token" = ["read"]), ("session" = ["read"])),
)]
pub(super) async fn diagnosis(
    State(web): State<Arc<Web>>,
    caller: Caller<Read>,
) -> Result<Json<Listed<Finding>>, Problem> {
    let findings = caller.execute(&web, Diagnose).await?;
    Ok(Json(Listed::whole(findings)))
}

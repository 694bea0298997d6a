//! The audit: who did what in Keystile, and whether the record of it is whole.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use keystile_core::audit::AuditEvent;
use keystile_engine::audit::{AuditReport, EventFilter, ListEvents, VerifyAudit};
use serde::Deserialize;
use utoipa::IntoParams;

use super::caller::{Caller, Read};
use super::input::{ApiQuery, page_of};
use super::listed::Listed;
use super::problem::{Kind, Problem};
use crate::web::Web;

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct AuditQuery {
    /// Only events of this kind, as in `key_locked`.
    kind: Option<String>,
    /// Only those by whoever has this name, or by this sort of actor, as in `owner`.
    actor: Option<String>,
    /// Only those of this key: its id or prefix.
    key: Option<String>,
    /// Only those of this application and its keys: its name or id.
    application: Option<String>,
    /// Only those that concern the owner or token with this name.
    subject: Option<String>,
    /// The `next` of the page before.
    cursor: Option<String>,
    /// How many to show at most, up to 1000; 50 where it is not said.
    limit: Option<u32>,
}

/// What happened, latest first
#[utoipa::path(
    get, path = "/audit", tag = "audit", operation_id = "list_audit", params(AuditQuery),
    responses((status = OK, body = Listed<AuditEvent>), Problem),
    security(("token" = ["read"]), ("session" = ["read"])),
)]
pub(super) async fn list(
    State(web): State<Arc<Web>>,
    caller: Caller<Read>,
    ApiQuery(query): ApiQuery<AuditQuery>,
) -> Result<Json<Listed<AuditEvent>>, Problem> {
    let limit = page_of(query.limit)?;
    let cursor = query.cursor.as_deref().map(str::parse::<i64>).transpose();
    let before = cursor.map_err(|_| Problem::new(Kind::NotUnderstood, "this is no cursor"))?;
    let filter = EventFilter {
        kind: query.kind,
        actor: query.actor,
        key: query.key,
        application: query.application,
        subject: query.subject,
        before,
        after: None,
        limit: limit + 1,
    };
    let events = caller.execute(&web, ListEvents { filter }).await?;
    Ok(Json(Listed::page(events, limit, |event| event.id.to_string())))
}

/// Looks whether the audit is whole
///
/// Keep the count and the head elsewhere: they tell later whether all of it was replaced.
#[utoipa::path(
    get, path = "/audit/verification", tag = "audit", operation_id = "verify_audit",
    responses((status = OK, body = AuditReport), Problem),
    security(("token" = ["read"]), ("session" = ["read"])),
)]
pub(super) async fn verification(
    State(web): State<Arc<Web>>,
    caller: Caller<Read>,
) -> Result<Json<AuditReport>, Problem> {
    Ok(Json(caller.execute(&web, VerifyAudit).await?))
}

//! Key sources: systems that issue keys and stay in charge of them.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use keystile_engine::keys::difference::Side;
use keystile_engine::keys::source::{Deletions, KeySourceView, SyncMode, SyncReport, SyncWanted};
use keystile_engine::keys::source_command::{ListKeySources, SyncKeySources, TakeSide};
use serde::Deserialize;
use utoipa::ToSchema;

use super::caller::{Caller, Read, Write};
use super::input::{Body, Named};
use super::listed::Listed;
use super::policy::Done;
use super::problem::Problem;
use crate::web::Web;

/// Key sources: how they stand, and where they and Keystile differ
///
/// Differences are those of the last reading that are still there. The id of one changes with what it says.
#[utoipa::path(
    get, path = "/sources", tag = "sources", operation_id = "list_sources",
    responses((status = OK, body = Listed<KeySourceView>), Problem),
    security(("token" = ["read"]), ("session" = ["read"])),
)]
pub(super) async fn list(
    State(web): State<Arc<Web>>,
    caller: Caller<Read>,
) -> Result<Json<Listed<KeySourceView>>, Problem> {
    Ok(Json(Listed::whole(caller.execute(&web, ListKeySources).await?)))
}

/// How to synchronize.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Synchronization {
    /// Whether it changes anything.
    #[serde(default)]
    mode: SyncMode,
    /// Whether the keys are revoked also where much is gone there at once.
    #[serde(default)]
    deletions: Deletions,
}

/// Reads a source at once, and follows what changed there
///
/// To confirm deletions, an owner must have authenticated recently.
#[utoipa::path(
    post, path = "/sources/{source}/synchronize", tag = "sources",
    operation_id = "synchronize_source",
    params(("source" = String, Path, description = "Its name.")),
    request_body = Synchronization,
    responses((status = OK, body = Listed<SyncReport>), Problem),
    security(("token" = ["write"]), ("session" = ["write"])),
)]
pub(super) async fn synchronize(
    State(web): State<Arc<Web>>,
    caller: Caller<Write>,
    Named(source): Named,
    Body(Synchronization { mode, deletions }): Body<Synchronization>,
) -> Result<Json<Listed<SyncReport>>, Problem> {
    if deletions == Deletions::Confirmed {
        caller.check_recent_authentication()?;
    }
    let wanted = SyncWanted { mode, deletions };
    let reports = caller.execute(&web, SyncKeySources { source: Some(source), wanted }).await?;
    Ok(Json(Listed::whole(reports)))
}

/// A side that is taken.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct SideToTake {
    /// The difference, by its id.
    difference: String,
    /// The side that is right.
    side: Side,
}

/// Takes a side of a difference
///
/// The application is looked up there once more: where the difference is not as its id says any more, nothing is
/// done. Where it cannot be taken back, an owner must have authenticated recently.
#[utoipa::path(
    post, path = "/sources/{source}/take", tag = "sources", operation_id = "take_side",
    params(("source" = String, Path, description = "Its name.")),
    request_body = SideToTake,
    responses((status = OK, body = Done), Problem),
    security(("token" = ["write"]), ("session" = ["write"])),
)]
pub(super) async fn take(
    State(web): State<Arc<Web>>,
    caller: Caller<Write>,
    Named(source): Named,
    Body(SideToTake { difference, side }): Body<SideToTake>,
) -> Result<Json<Done>, Problem> {
    let sources = caller.execute(&web, ListKeySources).await?;
    let shown = sources.iter().find(|shown| shown.source == source);
    let takeable = shown.and_then(|shown| shown.takeable(&difference, side));
    if takeable.is_some_and(|(_, takeable)| takeable.is_final()) {
        caller.check_recent_authentication()?;
    }
    let done = caller.execute(&web, TakeSide { source, difference, side }).await?;
    Ok(Json(Done::of(done)))
}

//! Owners: who signs in at the console.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use http::StatusCode;
use keystile_engine::owners::claim::{ClaimLink, MakeClaimLink};
use keystile_engine::owners::owner::{ListOwners, OwnerView, RemoveOwner};

use super::caller::{Admin, Caller, Read};
use super::input::Named;
use super::listed::Listed;
use super::problem::Problem;
use crate::web::Web;

/// Owners by name
#[utoipa::path(
    get, path = "/owners", tag = "owners", operation_id = "list_owners",
    responses((status = OK, body = Listed<OwnerView>), Problem),
    security(("token" = ["read"]), ("session" = ["read"])),
)]
pub(super) async fn list(
    State(web): State<Arc<Web>>,
    caller: Caller<Read>,
) -> Result<Json<Listed<OwnerView>>, Problem> {
    Ok(Json(Listed::whole(caller.execute(&web, ListOwners).await?)))
}

/// Makes a link with which somebody becomes an owner, once
///
/// The link is in the answer, and nowhere else ever again.
#[utoipa::path(
    post, path = "/owners/links", tag = "owners", operation_id = "link_owner",
    responses((status = CREATED, body = ClaimLink), Problem),
    security(("token" = ["admin"]), ("session" = ["admin"])),
)]
pub(super) async fn link(
    State(web): State<Arc<Web>>,
    caller: Caller<Admin>,
) -> Result<(StatusCode, Json<ClaimLink>), Problem> {
    let link = caller.execute(&web, MakeClaimLink).await?;
    Ok((StatusCode::CREATED, Json(link)))
}

/// Removes an owner, with all they sign in with; never the last one
///
/// Tokens that they made go on.
#[utoipa::path(
    delete, path = "/owners/{owner}", tag = "owners", operation_id = "remove_owner",
    params(("owner" = String, Path, description = "Their name or id.")),
    responses((status = NO_CONTENT, description = "They are no longer an owner."), Problem),
    security(("token" = ["admin"]), ("session" = ["admin"])),
)]
pub(super) async fn remove(
    State(web): State<Arc<Web>>,
    caller: Caller<Admin>,
    Named(owner): Named,
) -> Result<StatusCode, Problem> {
    caller.execute(&web, RemoveOwner { owner }).await?;
    Ok(StatusCode::NO_CONTENT)
}

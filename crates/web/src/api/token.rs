//! Tokens: what programs show to this API.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use http::StatusCode;
use keystile_core::owners::scope::Scope;
use keystile_engine::owners::token::{CreateToken, ListTokens, NewToken, RevokeToken, TokenView};
use serde::Deserialize;
use utoipa::ToSchema;

use super::caller::{Admin, Caller, Read};
use super::input::{Body, Named, millis};
use super::listed::Listed;
use super::problem::Problem;
use crate::web::Web;

/// Tokens of any state, oldest first
#[utoipa::path(
    get, path = "/tokens", tag = "tokens", operation_id = "list_tokens",
    responses((status = OK, body = Listed<TokenView>), Problem),
    security(("token" = ["read"]), ("session" = ["read"])),
)]
pub(super) async fn list(
    State(web): State<Arc<Web>>,
    caller: Caller<Read>,
) -> Result<Json<Listed<TokenView>>, Problem> {
    let tokens = caller.execute(&web, ListTokens).await?;
    Ok(Json(Listed::whole(tokens)))
}

/// A token to make.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct TokenToCreate {
    /// Its name, by which its acts are known.
    name: String,
    /// What it may do.
    scope: Scope,
    /// How long it works, as in `90 days`; until it is revoked where it is not said.
    r#for: Option<String>,
}

/// Makes a token
///
/// Its text is in the answer, and nowhere else ever again.
#[utoipa::path(
    post, path = "/tokens", tag = "tokens", operation_id = "create_token",
    request_body = TokenToCreate,
    responses((status = CREATED, body = NewToken), Problem),
    security(("token" = ["admin"]), ("session" = ["admin"])),
)]
pub(super) async fn create(
    State(web): State<Arc<Web>>,
    caller: Caller<Admin>,
    Body(new): Body<TokenToCreate>,
) -> Result<(StatusCode, Json<NewToken>), Problem> {
    let TokenToCreate { name, scope, r#for: span } = new;
    let for_millis = span.as_deref().map(millis).transpose()?;
    let made = caller.execute(&web, CreateToken { name, scope, for_millis }).await?;
    Ok((StatusCode::CREATED, Json(made)))
}

/// Revokes a token for good
#[utoipa::path(
    post, path = "/tokens/{token}/revoke", tag = "tokens", operation_id = "revoke_token",
    params(("token" = String, Path, description = "Its name or id.")),
    responses((status = OK, body = TokenView), Problem),
    security(("token" = ["admin"]), ("session" = ["admin"])),
)]
pub(super) async fn revoke(
    State(web): State<Arc<Web>>,
    caller: Caller<Admin>,
    Named(token): Named,
) -> Result<Json<TokenView>, Problem> {
    Ok(Json(caller.execute(&web, RevokeToken { token }).await?))
}

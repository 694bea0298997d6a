//! Copies of the store. They go into the data directory: where else is for the command line to say.

use std::path::PathBuf;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use http::StatusCode;
use keystile_core::time::Timestamp;
use keystile_engine::Engine;
use keystile_engine::backup::{BackUp, ShowLastBackup};
use keystile_engine::command::Failure;
use serde::Serialize;
use utoipa::ToSchema;

use super::caller::{Admin, Caller, Read};
use super::problem::Problem;
use crate::format;
use crate::web::Web;

/// A copy that was made and verified.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct BackupMade {
    /// The file, on the server's machine. It holds the pepper: keep it private.
    file: String,
    /// What is in it, in a sentence.
    message: String,
}

/// Where a copy that is made now goes.
pub(crate) async fn backup_file(engine: &Engine) -> Result<PathBuf, Failure> {
    let name = format::file_time(engine.store().now());
    Ok(engine.store().backup_folder().await?.join(format!("{name}.db")))
}

/// Copies the store into a new file of the data directory and verifies the copy
#[utoipa::path(
    post, path = "/backups", tag = "backups", operation_id = "create_backup",
    responses((status = CREATED, body = BackupMade), Problem),
    security(("token" = ["admin"]), ("session" = ["admin"])),
)]
pub(super) async fn create(
    State(web): State<Arc<Web>>,
    caller: Caller<Admin>,
) -> Result<(StatusCode, Json<BackupMade>), Problem> {
    let to = backup_file(&web.engine).await?;
    let file = to.display().to_string();
    let message = caller.execute(&web, BackUp { to }).await?.0;
    Ok((StatusCode::CREATED, Json(BackupMade { file, message })))
}

/// When the last copy was made.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct LastBackup {
    /// Null where none is on record.
    #[schema(required)]
    time: Option<Timestamp>,
}

/// When the last copy was made
#[utoipa::path(
    get, path = "/backups/last", tag = "backups", operation_id = "show_last_backup",
    responses((status = OK, body = LastBackup), Problem),
    security(("token" = ["read"]), ("session" = ["read"])),
)]
pub(super) async fn last(
    State(web): State<Arc<Web>>,
    caller: Caller<Read>,
) -> Result<Json<LastBackup>, Problem> {
    let time = caller.execute(&web, ShowLastBackup).await?;
    Ok(Json(LastBackup { time }))
}

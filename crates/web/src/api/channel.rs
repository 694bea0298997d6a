//! Channels: how owners are notified, and whether it works.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use http::StatusCode;
use keystile_engine::notifications::delivery::{
    ChannelView, DeliveryView, ListChannels, TestChannel,
};
use keystile_engine::notifications::stop_digests::ResumeDigests;

use super::caller::{Caller, Read, Write};
use super::input::Named;
use super::listed::Listed;
use super::problem::Problem;
use crate::web::Web;

/// Channels, in the order of the configuration file
#[utoipa::path(
    get, path = "/channels", tag = "deliveries", operation_id = "list_channels",
    responses((status = OK, body = Listed<ChannelView>), Problem),
    security(("token" = ["read"]), ("session" = ["read"])),
)]
pub(super) async fn list(
    State(web): State<Arc<Web>>,
    caller: Caller<Read>,
) -> Result<Json<Listed<ChannelView>>, Problem> {
    Ok(Json(Listed::whole(caller.execute(&web, ListChannels).await?)))
}

/// Sends a real message on a channel, and says what the other side answered
///
/// Waits for up to a minute. A channel that is off because its other side went is on again once a test
/// arrives.
#[utoipa::path(
    post, path = "/channels/{channel}/test", tag = "deliveries", operation_id = "test_channel",
    params(("channel" = String, Path, description = "Its name.")),
    responses((status = OK, body = Listed<DeliveryView>), Problem),
    security(("token" = ["write"]), ("session" = ["write"])),
)]
pub(super) async fn test(
    State(web): State<Arc<Web>>,
    caller: Caller<Write>,
    Named(channel): Named,
) -> Result<Json<Listed<DeliveryView>>, Problem> {
    Ok(Json(Listed::whole(caller.execute(&web, TestChannel { channel }).await?)))
}

/// Lets digests of a channel go out again that were stopped from their mails
#[utoipa::path(
    post, path = "/channels/{channel}/digests/resume", tag = "deliveries",
    operation_id = "resume_digests",
    params(("channel" = String, Path, description = "The channel's name.")),
    responses((status = NO_CONTENT, description = "They go out again."), Problem),
    security(("token" = ["write"]), ("session" = ["write"])),
)]
pub(super) async fn resume_digests(
    State(web): State<Arc<Web>>,
    caller: Caller<Write>,
    Named(channel): Named,
) -> Result<StatusCode, Problem> {
    caller.execute(&web, ResumeDigests { channel }).await?;
    Ok(StatusCode::NO_CONTENT)
}

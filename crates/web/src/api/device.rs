//! Devices: browsers that take push messages. Only a browser can subscribe itself, at the console.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use http::StatusCode;
use keystile_core::key::{OwnerId, SubscriptionId};
use keystile_core::time::Timestamp;
use keystile_engine::command::DeliveryView;
use serde::Serialize;
use utoipa::ToSchema;

use super::caller::{Caller, Read, Write};
use super::input::Named;
use super::listed::Listed;
use super::problem::{Kind, Problem};
use crate::carry_out::blocking;
use crate::web::Web;

/// A device that takes push messages.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct DeviceView {
    /// Its id.
    id: SubscriptionId,
    /// The id of its owner.
    owner: OwnerId,
    /// What its owner calls it.
    label: String,
    /// Since when.
    created: Timestamp,
    /// When a message last arrived.
    #[schema(required)]
    used: Option<Timestamp>,
}

fn id_of(text: &str) -> Result<SubscriptionId, Problem> {
    text.parse().map_err(|_| Problem::new(Kind::Missing, format!("there is no device {text}")))
}

/// Devices of all owners, oldest first
#[utoipa::path(
    get, path = "/devices", tag = "deliveries", operation_id = "list_devices",
    responses((status = OK, body = Listed<DeviceView>), Problem),
    security(("token" = ["read"]), ("session" = ["read"])),
)]
pub(super) async fn list(
    State(web): State<Arc<Web>>,
    _: Caller<Read>,
) -> Result<Json<Listed<DeviceView>>, Problem> {
    let devices = blocking(&web.engine, |engine| engine.devices()).await?;
    let views = devices.into_iter().map(|device| DeviceView {
        id: device.id,
        owner: device.owner,
        label: device.label,
        created: device.created,
        used: device.used,
    });
    Ok(Json(Listed::whole(views.collect())))
}

/// Pushes a real message to a device, and says what its push service answered
#[utoipa::path(
    post, path = "/devices/{device}/test", tag = "deliveries", operation_id = "test_device",
    params(("device" = String, Path, description = "Its id.")),
    responses((status = OK, body = Listed<DeliveryView>), Problem),
    security(("token" = ["write"]), ("session" = ["write"])),
)]
pub(super) async fn test(
    State(web): State<Arc<Web>>,
    caller: Caller<Write>,
    Named(device): Named,
) -> Result<Json<Listed<DeliveryView>>, Problem> {
    let sent = web.engine.test_device(id_of(&device)?, caller.actor()).await?;
    Ok(Json(Listed::whole(sent)))
}

/// Removes a device; nothing is pushed to it any more
#[utoipa::path(
    delete, path = "/devices/{device}", tag = "deliveries", operation_id = "remove_device",
    params(("device" = String, Path, description = "Its id.")),
    responses((status = NO_CONTENT, description = "Nothing is pushed to it any more."), Problem),
    security(("token" = ["write"]), ("session" = ["write"])),
)]
pub(super) async fn remove(
    State(web): State<Arc<Web>>,
    caller: Caller<Write>,
    Named(device): Named,
) -> Result<StatusCode, Problem> {
    web.engine.remove_device(id_of(&device)?, caller.actor()).await?;
    Ok(StatusCode::NO_CONTENT)
}

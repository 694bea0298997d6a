//! Devices: browsers that take push messages. Only a browser can subscribe itself, at the console.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use http::StatusCode;
use keystile_core::notifications::subscription::SubscriptionId;
use keystile_engine::notifications::delivery::DeliveryView;
use keystile_engine::notifications::device::{DeviceView, ListDevices, RemoveDevice, TestDevice};

use super::caller::{Caller, Read, Write};
use super::input::Named;
use super::listed::Listed;
use super::problem::{Kind, Problem};
use crate::web::Web;

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
    caller: Caller<Read>,
) -> Result<Json<Listed<DeviceView>>, Problem> {
    Ok(Json(Listed::whole(caller.execute(&web, ListDevices).await?)))
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
    let test = TestDevice { device: id_of(&device)? };
    Ok(Json(Listed::whole(caller.execute(&web, test).await?)))
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
    caller.execute(&web, RemoveDevice { device: id_of(&device)? }).await?;
    Ok(StatusCode::NO_CONTENT)
}

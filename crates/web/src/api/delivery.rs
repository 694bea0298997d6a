//! Deliveries: what was told to whom, and every attempt.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use http::StatusCode;
use keystile_core::notifications::delivery::{DeliveryId, DeliveryState};
use keystile_core::notifications::trigger::Trigger;
use keystile_engine::notifications::delivery::{
    DeliveryDetails, DeliveryFilter, DeliveryView, ListDeliveries, ResendDelivery, ShowDelivery,
};
use serde::Deserialize;
use utoipa::IntoParams;

use super::caller::{Caller, Read, Write};
use super::input::{ApiQuery, Named, page_of};
use super::listed::Listed;
use super::problem::{Kind, Problem};
use crate::web::Web;

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct DeliveriesQuery {
    /// Only those in this state.
    #[param(inline)]
    state: Option<DeliveryState>,
    /// Only those on this channel.
    channel: Option<String>,
    /// Only those of this event.
    #[param(inline)]
    event: Option<Trigger>,
    /// The `next` of the page before.
    cursor: Option<String>,
    /// How many to show at most, up to 1000; 50 where it is not said.
    limit: Option<u32>,
}

/// Deliveries, latest first
#[utoipa::path(
    get, path = "/deliveries", tag = "deliveries", operation_id = "list_deliveries",
    params(DeliveriesQuery), responses((status = OK, body = Listed<DeliveryView>), Problem),
    security(("token" = ["read"]), ("session" = ["read"])),
)]
pub(super) async fn list(
    State(web): State<Arc<Web>>,
    caller: Caller<Read>,
    ApiQuery(query): ApiQuery<DeliveriesQuery>,
) -> Result<Json<Listed<DeliveryView>>, Problem> {
    let limit = page_of(query.limit)?;
    let cursor = query.cursor.as_deref().map(str::parse::<DeliveryId>).transpose();
    let before = cursor.map_err(|_| Problem::new(Kind::NotUnderstood, "this is no cursor"))?;
    let filter = DeliveryFilter {
        state: query.state,
        channel: query.channel,
        event: query.event,
        before,
        limit: limit + 1,
    };
    let found = caller.execute(&web, ListDeliveries { filter }).await?;
    Ok(Json(Listed::page(found, limit, |delivery| delivery.id.to_string())))
}

fn id_of(text: &str) -> Result<DeliveryId, Problem> {
    text.parse().map_err(|_| Problem::new(Kind::Missing, format!("there is no delivery {text}")))
}

/// One delivery with every attempt
#[utoipa::path(
    get, path = "/deliveries/{delivery}", tag = "deliveries", operation_id = "show_delivery",
    params(("delivery" = String, Path, description = "Its id.")),
    responses((status = OK, body = DeliveryDetails), Problem),
    security(("token" = ["read"]), ("session" = ["read"])),
)]
pub(super) async fn show(
    State(web): State<Arc<Web>>,
    caller: Caller<Read>,
    Named(delivery): Named,
) -> Result<Json<DeliveryDetails>, Problem> {
    Ok(Json(caller.execute(&web, ShowDelivery { delivery: id_of(&delivery)? }).await?))
}

/// Sends a delivery that failed again, under its own id
#[utoipa::path(
    post, path = "/deliveries/{delivery}/resend", tag = "deliveries",
    operation_id = "resend_delivery",
    params(("delivery" = String, Path, description = "Its id.")),
    responses((status = NO_CONTENT, description = "It is tried again."), Problem),
    security(("token" = ["write"]), ("session" = ["write"])),
)]
pub(super) async fn resend(
    State(web): State<Arc<Web>>,
    caller: Caller<Write>,
    Named(delivery): Named,
) -> Result<StatusCode, Problem> {
    caller.execute(&web, ResendDelivery { delivery: id_of(&delivery)? }).await?;
    Ok(StatusCode::NO_CONTENT)
}

//! Devices: a browser subscribes itself to push messages with one button.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use keystile_core::notifications::subscription::SubscriptionId;
use keystile_engine::notifications::device::{
    NewDevice, RemoveDevice, SubscribeDevice, TestDevice,
};
use serde::Deserialize;
use serde_json::json;

use crate::flash::Flash;
use crate::page::redirect;
use crate::sign_in::session::SignedIn;
use crate::web::Web;

/// `PushSubscription.toJSON()`, and what its owner calls the device.
#[derive(Deserialize)]
pub(crate) struct Offered {
    subscription: Subscription,
    label: Option<String>,
}

#[derive(Deserialize)]
struct Subscription {
    #[serde(rename = "endpoint")]
    push_address: String,
    keys: Keys,
}

#[derive(Deserialize)]
struct Keys {
    p256dh: String,
    auth: String,
}

pub(crate) async fn subscribe(
    State(web): State<Arc<Web>>,
    owner: SignedIn,
    Json(offered): Json<Offered>,
) -> Response {
    let label = offered.label.as_deref().map(str::trim).filter(|label| !label.is_empty());
    let device = NewDevice {
        push_address: offered.subscription.push_address,
        p256dh: offered.subscription.keys.p256dh,
        auth: offered.subscription.keys.auth,
        label: label.unwrap_or("this browser").to_owned(),
    };
    match web.engine.execute(&owner.principal(), SubscribeDevice { device }).await {
        Ok(_) => {
            web.flashes
                .put(owner.session(), Flash::done("This device gets notifications from now on."));
            Json(json!({ "to": "/settings#devices" })).into_response()
        }
        Err(failure) => {
            (StatusCode::BAD_REQUEST, Json(json!({ "problem": failure.message }))).into_response()
        }
    }
}

pub(crate) async fn test(
    State(web): State<Arc<Web>>,
    owner: SignedIn,
    Path(id): Path<String>,
) -> Response {
    let Ok(device) = id.parse::<SubscriptionId>() else {
        return redirect("/settings");
    };
    let (flash, back) = match web.engine.execute(&owner.principal(), TestDevice { device }).await {
        Ok(sent) => {
            let text = "A real message is on its way; below is what the push service answered.";
            let back = sent.first().map(|one| format!("/deliveries/{}", one.id));
            (Flash::done(text), back)
        }
        Err(failure) => (Flash::failed(&failure), None),
    };
    web.flashes.put(owner.session(), flash);
    redirect(back.as_deref().unwrap_or("/settings"))
}

pub(crate) async fn remove(
    State(web): State<Arc<Web>>,
    owner: SignedIn,
    Path(id): Path<String>,
) -> Response {
    if let Ok(device) = id.parse::<SubscriptionId>() {
        let flash = match web.engine.execute(&owner.principal(), RemoveDevice { device }).await {
            Ok(()) => Flash::done("Nothing is pushed to that device any more."),
            Err(failure) => Flash::failed(&failure),
        };
        web.flashes.put(owner.session(), flash);
    }
    redirect("/settings")
}

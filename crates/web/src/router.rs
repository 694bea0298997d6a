//! Every route, grouped by who may use it.

use std::sync::Arc;

use axum::Router;
use axum::middleware::from_fn_with_state;
use axum::routing::{get, post};
use tower_http::compression::CompressionLayer;

use crate::page::{application, audit, find, journal, key, now, policy};
use crate::web::Web;
use crate::{asset, guard, health};

/// The console, ready to be served.
pub fn router(web: Arc<Web>) -> Router {
    Router::new()
        // For anybody who reaches the address: health for orchestrators, metrics for Prometheus.
        .route("/healthz", get(health::healthz))
        .route("/readyz", get(health::readyz))
        .route("/metrics", get(health::metrics))
        .route("/assets/{name}", get(asset::asset))
        // For owners who are signed in: their handlers take a `SignedIn`, or `Proved` for what wants a
        // fresh proof.
        .route("/", get(now::now))
        .route("/find", post(find::find))
        .route("/journal", get(journal::journal))
        .route("/journal/export", get(journal::export))
        .route("/journal/{id}", get(journal::record))
        .route("/keys", get(key::keys).post(key::create))
        .route("/keys/new", get(key::new_key))
        .route("/keys/{id}", get(key::key))
        .route("/keys/{id}/lock", post(key::lock))
        .route("/keys/{id}/unlock", post(key::unlock))
        .route("/keys/{id}/more-room", get(key::more_room_page).post(key::more_room))
        .route("/keys/{id}/roll", post(key::roll))
        .route("/keys/{id}/revoke", get(key::revoke_page).post(key::revoke))
        .route("/keys/{id}/plan", post(key::change_plan))
        .route("/keys/{id}/note", post(key::set_note))
        .route("/applications", get(application::applications))
        .route("/applications/{name}", get(application::application))
        .route(
            "/applications/{name}/suspend",
            get(application::suspend_page).post(application::suspend),
        )
        .route("/applications/{name}/resume", post(application::resume))
        .route("/applications/{name}/plan", post(application::change_plan))
        .route("/applications/{name}/note", post(application::set_note))
        .route("/policy", get(policy::policy))
        .route("/policy/reload", post(policy::reload))
        .route("/audit", get(audit::audit))
        .route("/audit/verify", post(audit::verify))
        .layer(from_fn_with_state(web.clone(), guard::stand_guard))
        .layer(CompressionLayer::new())
        .with_state(web)
}

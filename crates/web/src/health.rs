//! What machines ask: whether the process answers, whether writes can be recorded, and the metrics.

use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;

use crate::web::Web;

pub(crate) async fn healthz() -> &'static str {
    "ok\n"
}

pub(crate) async fn readyz(State(web): State<Arc<Web>>) -> Response {
    match web.engine.store().fault() {
        None => "ready\n".into_response(),
        Some(fault) => {
            let why = format!("writes cannot be recorded: {fault}\n");
            (StatusCode::SERVICE_UNAVAILABLE, why).into_response()
        }
    }
}

pub(crate) async fn metrics(State(web): State<Arc<Web>>) -> String {
    (web.metrics)()
}

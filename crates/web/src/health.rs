//! What machines ask: whether the process answers, whether writes can be recorded, and the metrics.
//!
//! # What this protects
//!
//! Why writes fail, and how many calls each API gets, is told to whom the configuration lets read it. The
//! names of hosts play no part here: orchestrators reach the address under whatever name.

use std::sync::Arc;

use axum::extract::{FromRequestParts, State};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::AUTHORIZATION;
use http::request::Parts;
use keystile_engine::command::Failure;

use crate::api::caller::{Caller, Read};
use crate::api::problem::Problem;
use crate::settings::Access;
use crate::web::Web;

/// Somebody who may ask for health.
#[derive(Debug)]
pub(crate) struct HealthReader;
/// Somebody who may ask for the metrics.
#[derive(Debug)]
pub(crate) struct MetricsReader;

pub(crate) async fn healthz(_: HealthReader) -> &'static str {
    "ok\n"
}

pub(crate) async fn readyz(_: HealthReader, State(web): State<Arc<Web>>) -> Response {
    match web.engine.store().fault() {
        None => "ready\n".into_response(),
        Some(fault) => {
            let why = format!("writes cannot be recorded: {fault}\n");
            (StatusCode::SERVICE_UNAVAILABLE, why).into_response()
        }
    }
}

pub(crate) async fn metrics(_: MetricsReader, State(web): State<Arc<Web>>) -> String {
    (web.metrics)()
}

impl FromRequestParts<Arc<Web>> for HealthReader {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, web: &Arc<Web>) -> Result<Self, Response> {
        admit(web.settings.health, parts, web).await.map(|()| Self)
    }
}

impl FromRequestParts<Arc<Web>> for MetricsReader {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, web: &Arc<Web>) -> Result<Self, Response> {
        admit(web.settings.metrics, parts, web).await.map(|()| Self)
    }
}

async fn admit(access: Access, parts: &mut Parts, web: &Arc<Web>) -> Result<(), Response> {
    match access {
        Access::Open => Ok(()),
        Access::Off => Err(StatusCode::NOT_FOUND.into_response()),
        Access::Token => with_token(parts, web).await.map_err(IntoResponse::into_response),
    }
}

/// A token opens it, and nothing else: a browser's cookie does not, because no guard stands before this.
async fn with_token(parts: &mut Parts, web: &Arc<Web>) -> Result<(), Problem> {
    if !parts.headers.contains_key(AUTHORIZATION) {
        return Err(Problem::unknown("this needs a token", ""));
    }
    let asking = Caller::<Read>::from_request_parts(parts, web);
    let store = web.engine.store();
    store.unless_hung(asking).await.map_err(|error| Problem::from(Failure::from(error)))??;
    Ok(())
}

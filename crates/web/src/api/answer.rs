//! What answers say beside their body: which version of a thing it shows, and where a new one is.

use axum::Json;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::{ETAG, HeaderName, HeaderValue, LOCATION};
use serde::Serialize;

/// Something with the version of what can be edited of it.
pub(super) fn tagged(version: &str, body: impl Serialize) -> Response {
    ([header(ETAG, &format!("\"{version}\""))], Json(body)).into_response()
}

/// Something new, and where it is from now on.
pub(super) fn created(path: &str, response: impl IntoResponse) -> Response {
    (StatusCode::CREATED, [header(LOCATION, path)], response).into_response()
}

fn header(name: HeaderName, value: &str) -> (HeaderName, HeaderValue) {
    // Versions are hexadecimal digits, and paths are encoded.
    (name, HeaderValue::from_str(value).unwrap_or(HeaderValue::from_static("")))
}

//! The page that shows the API's description: Swagger UI, out of the crate that carries it.
//!
//! Nothing on the page is inline and nothing comes from elsewhere, so it has a stricter policy than the
//! console's own pages: it may send no form.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::{
    CACHE_CONTROL, CONTENT_ENCODING, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderValue,
};

use crate::sign_in::session::SignedIn;
use crate::web::Web;

const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
     connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

const PAGE: &str = include_str!("../../assets/api/docs.html");

struct File {
    name: &'static str,
    kind: &'static str,
    encoding: Option<&'static str>,
    bytes: &'static [u8],
}

const FILES: &[File] = &[
    File {
        name: "docs.js",
        kind: "text/javascript; charset=utf-8",
        encoding: None,
        bytes: include_bytes!("../../assets/api/docs.js"),
    },
    File {
        name: "swagger-ui-bundle.js",
        kind: "text/javascript; charset=utf-8",
        encoding: Some("gzip"),
        bytes: include_bytes!(concat!(env!("OUT_DIR"), "/swagger-ui-bundle.js.gz")),
    },
    File {
        name: "swagger-ui.css",
        kind: "text/css; charset=utf-8",
        encoding: Some("gzip"),
        bytes: include_bytes!(concat!(env!("OUT_DIR"), "/swagger-ui.css.gz")),
    },
];

pub(super) async fn page(State(_): State<Arc<Web>>, _: SignedIn) -> Response {
    let headers = [(CONTENT_TYPE, "text/html; charset=utf-8"), (CONTENT_SECURITY_POLICY, POLICY)];
    (headers, PAGE).into_response()
}

pub(super) async fn file(
    State(_): State<Arc<Web>>,
    _: SignedIn,
    Path(name): Path<String>,
) -> Response {
    let Some(file) = FILES.iter().find(|file| file.name == name) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let headers = [
        (CONTENT_TYPE, HeaderValue::from_static(file.kind)),
        (CACHE_CONTROL, HeaderValue::from_static("private, max-age=86400")),
    ];
    let mut response = (headers, file.bytes).into_response();
    if let Some(encoding) = file.encoding {
        response.headers_mut().insert(CONTENT_ENCODING, HeaderValue::from_static(encoding));
    }
    response
}

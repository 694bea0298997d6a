//! What a request asks for: its body, its query, its path and the version that it expects, each with a
//! problem where it cannot be read.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::{JsonRejection, PathRejection};
use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use http::StatusCode;
use http::header::IF_MATCH;
use http::request::Parts;
use keystile_core::time::{Span, Timestamp};
use keystile_core::version::Expected;
use serde::de::DeserializeOwned;

use super::problem::{Kind, Problem};
use crate::web::Web;

/// Bodies are names and notes; the longest has some hundred characters.
pub(crate) const BODY_BYTES_MAX: usize = 64 * 1024;

/// A body of JSON.
#[derive(Debug)]
pub(crate) struct Body<T>(pub(crate) T);

impl<T: DeserializeOwned> FromRequest<Arc<Web>> for Body<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, web: &Arc<Web>) -> Result<Self, Problem> {
        let read = Json::<T>::from_request(request, web).await;
        read.map(|Json(body)| Self(body)).map_err(|rejection| body_problem(&rejection))
    }
}

fn body_problem(rejection: &JsonRejection) -> Problem {
    match rejection.status() {
        StatusCode::PAYLOAD_TOO_LARGE => {
            let detail = format!("a body has at most {BODY_BYTES_MAX} bytes");
            Problem::new(Kind::TooLarge, detail)
        }
        StatusCode::UNSUPPORTED_MEDIA_TYPE => {
            Problem::new(Kind::NotJson, "this needs a body of JSON")
                .with_help("send it with `Content-Type: application/json`")
        }
        _ => Problem::new(Kind::NotUnderstood, rejection.body_text())
            .with_help("see /api/docs for what the body is"),
    }
}

/// The parameters after the question mark. One that is not known is a mistake, not to be passed over: a
/// filter that was misspelt would show everything.
#[derive(Debug)]
pub(crate) struct ApiQuery<T>(pub(crate) T);

impl<T: DeserializeOwned + Send> FromRequestParts<Arc<Web>> for ApiQuery<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, web: &Arc<Web>) -> Result<Self, Problem> {
        let read = Query::<T>::from_request_parts(parts, web).await;
        read.map(|Query(query)| Self(query)).map_err(|rejection| {
            Problem::new(Kind::NotUnderstood, rejection.body_text())
                .with_help("see /api/docs for what can be asked")
        })
    }
}

/// The name or id in the path.
#[derive(Debug)]
pub(crate) struct Named(pub(crate) String);

impl FromRequestParts<Arc<Web>> for Named {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, web: &Arc<Web>) -> Result<Self, Problem> {
        let read: Result<_, PathRejection> = Path::<String>::from_request_parts(parts, web).await;
        read.map(|Path(name)| Self(name))
            .map_err(|rejection| Problem::new(Kind::NotUnderstood, rejection.body_text()))
    }
}

/// The version that If-Match expects. Strong comparison: a weak tag fits nothing (RFC 9110 section 13.1.1).
#[derive(Debug)]
pub(crate) struct IfMatch(pub(crate) Expected);

impl FromRequestParts<Arc<Web>> for IfMatch {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &Arc<Web>) -> Result<Self, Problem> {
        let mut versions = None::<Vec<String>>;
        for value in parts.headers.get_all(IF_MATCH) {
            let text = value.to_str().unwrap_or_default().trim();
            if text == "*" {
                return Ok(Self(Expected::Any));
            }
            let tags = text.split(',').filter_map(|tag| {
                tag.trim().strip_prefix('"')?.strip_suffix('"').map(str::to_owned)
            });
            versions.get_or_insert_default().extend(tags);
        }
        Ok(Self(versions.map_or(Expected::Any, Expected::OneOf)))
    }
}

/// How many items a page has where it is not said.
pub(super) const PAGE: u32 = 50;
pub(super) const PAGE_MAX: u32 = 1_000;

/// The number of items that was asked for.
pub(crate) fn page_of(limit: Option<u32>) -> Result<u32, Problem> {
    match limit {
        None => Ok(PAGE),
        Some(limit) if (1..=PAGE_MAX).contains(&limit) => Ok(limit),
        Some(limit) => {
            let detail = format!("a page has 1 to {PAGE_MAX} items, not {limit}");
            Err(Problem::new(Kind::NotUnderstood, detail).with_help("go on with `cursor`"))
        }
    }
}

/// A moment, where one is stated.
pub(crate) fn moment(text: Option<&str>, now: Timestamp) -> Result<Option<Timestamp>, Problem> {
    let read = text.map(|text| crate::page::journal::moment(text, now)).transpose();
    read.map_err(|failure| Problem::new(Kind::NotUnderstood, failure.message))
}

/// A length of time as people write it, in milliseconds.
pub(crate) fn millis(text: &str) -> Result<i64, Problem> {
    let read = text.parse::<Span>().map(Span::millis);
    read.map_err(|error| Problem::new(Kind::Invalid, error.to_string()))
}

//! The Service Management API: authorizations, reports, and whether the backend is there.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;

use super::respond::{Reply, of_answer, reply, unavailable};
use crate::account::{Account, Question};
use crate::backend::answer::{self, Answer};
use crate::backend::call::Operation;
use crate::backend::error::{BadRequest, RequestError};
use crate::backend::options::Options;
use crate::backend::params::QUERY_BYTES_MAX;
use crate::backend::report::Form;

/// How long the body of a report may take.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);

/// The header of extensions.
const OPTIONS: HeaderName = HeaderName::from_static("3scale-options");
/// What `/status` says the version is: that of the reference whose contract this is.
const STATUS: &str = r#"{"status":"ok","version":{"backend":"3.4.3"}}"#;

/// Fields that browsers ask for before they send a call from another site.
const CORS: [(&str, &str); 5] = [
    ("access-control-allow-origin", "*"),
    ("access-control-expose-headers", "ETag, Link, 3scale-rejection-reason"),
    ("access-control-allow-methods", "GET, POST, PUT, DELETE, OPTIONS, HEAD"),
    (
        "access-control-allow-headers",
        "Authorization, Accept-Encoding, Content-Type, Cache-Control, Accept, If-Match, If-Modified-Since, \
         If-None-Match, If-Unmodified-Since, X-Requested-With, X-HTTP-Method-Override, 3scale-options",
    ),
    ("access-control-max-age", "86400"),
];

/// Answers a request.
pub(super) async fn answer(
    account: &Arc<Account>,
    request: Request<Incoming>,
    address: IpAddr,
) -> Reply {
    let (parts, body) = request.into_parts();
    let path = parts.uri.path();
    let query = parts.uri.query().unwrap_or_default();
    if parts.method == Method::OPTIONS {
        return preflight();
    }
    if let Some(operation) = Operation::at(path).filter(|_| parts.method == Method::GET) {
        let options = options_of(&parts.headers);
        let question = Question { operation, query: query.as_bytes(), options };
        let answered = account.authorize(question, address).await;
        return answered.map_or_else(|_| unavailable(), of_answer);
    }
    match (&parts.method, path) {
        (&Method::POST, "/transactions.xml") => report(account, query, &parts.headers, body).await,
        (&Method::GET, "/check.txt") => reply(StatusCode::OK, "text/plain", "ok"),
        (&Method::GET, "/status") => reply(StatusCode::OK, "application/json", STATUS),
        (&Method::GET | &Method::HEAD, "/available") => {
            reply(StatusCode::OK, "text/plain", Bytes::new())
        }
        _ => reply(StatusCode::NOT_FOUND, answer::CONTENT_TYPE, Bytes::new()),
    }
}

fn options_of(headers: &HeaderMap) -> Option<&[u8]> {
    headers.get(OPTIONS).map(HeaderValue::as_bytes)
}

async fn report(account: &Account, query: &str, headers: &HeaderMap, body: Incoming) -> Reply {
    let options = options_of(headers);
    let refuse = |error: RequestError| of_answer(Answer::of_error(&error, Options::default()));
    let media_type = headers.get(CONTENT_TYPE).map(|value| value.to_str().unwrap_or("?"));
    match Form::of_content_type(media_type) {
        Ok(Form::UrlEncoded) => {}
        // Nobody's client sends one, and the reference reads it only because its framework does.
        Ok(Form::Multipart) => {
            return refuse(RequestError::ContentTypeInvalid("multipart/form-data".to_owned()));
        }
        Err(error) => return refuse(error),
    }
    let form = Limited::new(body, QUERY_BYTES_MAX).collect();
    let Ok(form) = tokio::time::timeout(BODY_TIMEOUT, form).await else {
        return reply(StatusCode::REQUEST_TIMEOUT, answer::CONTENT_TYPE, Bytes::new());
    };
    let Ok(form) = form else {
        return refuse(BadRequest::Size.into());
    };
    match account.report(query.as_bytes(), &form.to_bytes(), options).await {
        Ok(Ok(())) => reply(StatusCode::ACCEPTED, answer::CONTENT_TYPE, Bytes::new()),
        Ok(Err(answer)) => of_answer(answer),
        Err(_) => unavailable(),
    }
}

fn preflight() -> Reply {
    let mut reply = reply(StatusCode::NO_CONTENT, "text/plain", Bytes::new());
    let headers = reply.headers_mut();
    headers.remove(CONTENT_TYPE);
    for (name, value) in CORS {
        headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    reply
}

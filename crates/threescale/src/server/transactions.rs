//! The Service Management API: authorizations, reports, and whether the backend is there.

use std::net::IpAddr;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode};
use hyper::body::Incoming;

use super::body::BodyFault;
use super::respond::{Reply, of_answer, reply, unavailable};
use super::served::Served;
use crate::account::Question;
use crate::backend::answer::{self, Answer};
use crate::backend::call::Operation;
use crate::backend::error::{BadRequest, RequestError};
use crate::backend::options::Options;
use crate::backend::report::Form;

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
pub(super) async fn answer(served: &Served, request: Request<Incoming>, address: IpAddr) -> Reply {
    let (parts, body) = request.into_parts();
    let path = parts.uri.path();
    let query = parts.uri.query().unwrap_or_default();
    if parts.method == Method::OPTIONS {
        return preflight();
    }
    // Sinatra answers HEAD wherever there is GET: the same is done, and the body is left out.
    let is_read = matches!(parts.method, Method::GET | Method::HEAD);
    if let Some(operation) = Operation::at(path).filter(|_| is_read) {
        let options = options_of(&parts.headers);
        let question = Question { operation, query: query.as_bytes(), options };
        let answered = served.account.authorize(question, address).await;
        return answered.map_or_else(|_| unavailable(), of_answer);
    }
    match (&parts.method, path) {
        (&Method::POST, "/transactions.xml") => report(served, query, &parts.headers, body).await,
        (&Method::GET | &Method::HEAD, "/check.txt") => reply(StatusCode::OK, "text/plain", "ok"),
        (&Method::GET | &Method::HEAD, "/status") => {
            reply(StatusCode::OK, "application/json", STATUS)
        }
        (&Method::GET | &Method::HEAD, "/available") => {
            reply(StatusCode::OK, "text/plain", Bytes::new())
        }
        _ => reply(StatusCode::NOT_FOUND, answer::CONTENT_TYPE, Bytes::new()),
    }
}

fn options_of(headers: &HeaderMap) -> Option<&[u8]> {
    headers.get(OPTIONS).map(HeaderValue::as_bytes)
}

async fn report(
    Served { account, room, .. }: &Served,
    query: &str,
    headers: &HeaderMap,
    body: Incoming,
) -> Reply {
    let refuse = |error: RequestError| of_answer(Answer::of_error(&error, Options::default()));
    let media_type = headers.get(CONTENT_TYPE).map(|value| value.to_str().unwrap_or("?"));
    if let Err(error) = Form::of_content_type(media_type) {
        return refuse(error);
    }
    let body = match room.read(body).await {
        Ok(body) => body,
        Err(BodyFault::Size) => return refuse(BadRequest::Size.into()),
        Err(BodyFault::NoRoom) => return unavailable(),
        Err(BodyFault::Slow) => {
            return reply(StatusCode::REQUEST_TIMEOUT, answer::CONTENT_TYPE, Bytes::new());
        }
    };
    let form = (media_type.unwrap_or_default(), body.bytes.as_slice());
    match account.report(query.as_bytes(), form, options_of(headers)).await {
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

//! The paths of the internal API.

use std::borrow::Cow;
use std::net::IpAddr;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::request::Parts;
use http::{HeaderValue, Method, StatusCode};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use serde_json::json;

use super::access::Access;
use super::call::Call;
use super::fields::{self, Fields};
use super::json::{Answered, Json};
use super::usage_limits::Place;
use super::{
    alert_limits, applications, batch, events, integration_errors, keys, metrics, referrer_filters,
    service_tokens, services, usage_limits, utilization,
};
use crate::account::Account;
use crate::backend;
use crate::server::respond::{RETRY_SECS, Reply, reply};

/// The largest body. A batch of applications has to fit.
const BODY_BYTES_MAX: usize = 1024 * 1024;
/// How long a body may take.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);
/// What stands before all paths.
const ROOT: &str = "/internal";

/// What is left of a path of the internal API, where it is one.
pub(crate) fn behind_root(path: &str) -> Option<&str> {
    path.strip_prefix(ROOT).filter(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Answers a request. Nothing of its body is read before it is known to be from who may send it.
pub(crate) async fn answer(
    account: &Account,
    access: Option<&Access>,
    (parts, address): (&Parts, IpAddr),
    body: Incoming,
) -> Reply {
    let Some(access) = access else {
        let error = "the internal API is not open: `threescale_backend` has no `internal`";
        return written(&Json::failed(StatusCode::FORBIDDEN, error));
    };
    if !access.hears(address) {
        let error = "the internal API answers callers on its own machine: `internal` has no `remote = true`";
        return written(&Json::failed(StatusCode::FORBIDDEN, error));
    }
    if !access.permits(account, &parts.headers) {
        let error = "name and password of the internal API are missing or wrong";
        let mut reply = written(&Json::failed(StatusCode::UNAUTHORIZED, error));
        let challenge = HeaderValue::from_static(r#"Basic realm="internal", charset="UTF-8""#);
        reply.headers_mut().insert(WWW_AUTHENTICATE, challenge);
        return reply;
    }
    let answered = match read(body).await {
        Ok(body) => answer_read(account, access, parts, &body).await,
        Err(failed) => Err(failed),
    };
    written(&answered.unwrap_or_else(|failed| failed))
}

async fn read(body: Incoming) -> Result<Bytes, Json> {
    match tokio::time::timeout(BODY_TIMEOUT, Limited::new(body, BODY_BYTES_MAX).collect()).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(_)) => {
            let error = format!("a body has at most {BODY_BYTES_MAX} bytes");
            Err(Json::failed(StatusCode::PAYLOAD_TOO_LARGE, error))
        }
        Err(_) => Err(Json::failed(StatusCode::REQUEST_TIMEOUT, "the body did not come in time")),
    }
}

async fn answer_read(account: &Account, access: &Access, parts: &Parts, body: &[u8]) -> Answered {
    let media_type = parts.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let query = parts.uri.query().unwrap_or_default();
    let values = fields::read(query, media_type.unwrap_or_default(), body)?;
    let call = Call { account, by: access.principal(), fields: Fields::of_request(&values) };
    let rest = behind_root(parts.uri.path()).unwrap_or_default();
    // A slash at the end makes no difference; in the reference it must be there, or must not.
    let rest = rest.strip_prefix('/').unwrap_or(rest);
    let rest = rest.strip_suffix('/').unwrap_or(rest);
    let path: Option<Vec<Cow<'_, str>>> = rest.split('/').map(unescaped).collect();
    let path = path.ok_or_else(no_path)?;
    let path: Vec<&str> = path.iter().map(AsRef::as_ref).collect();
    if path.contains(&"") {
        return Err(no_path());
    }
    // What is read with GET can be asked about with HEAD.
    let method = if parts.method == Method::HEAD { &Method::GET } else { &parts.method };
    route(&call, method, &path).await
}

fn no_path() -> Json {
    Json::not_found("Not found")
}

/// A segment of a path without its escapes, where they are in order. `+` is no space there.
fn unescaped(segment: &str) -> Option<Cow<'_, str>> {
    if !segment.contains('%') {
        return Some(Cow::Borrowed(segment));
    }
    let mut bytes = Vec::with_capacity(segment.len());
    let mut rest = segment.as_bytes();
    while let Some((byte, behind)) = rest.split_first() {
        rest = behind;
        if *byte == b'%' {
            let (digits, behind) = rest.split_first_chunk::<2>()?;
            let digits = str::from_utf8(digits).ok()?;
            let is_hexadecimal = digits.bytes().all(|digit| digit.is_ascii_hexdigit());
            bytes.push(u8::from_str_radix(digits, 16).ok().filter(|_| is_hexadecimal)?);
            rest = behind;
        } else {
            bytes.push(*byte);
        }
    }
    String::from_utf8(bytes).ok().map(Cow::Owned)
}

async fn route(call: &Call<'_>, method: &Method, path: &[&str]) -> Answered {
    match (method, path) {
        (&Method::GET, ["check.json"]) => Ok(Json::ok()),
        (&Method::GET, ["status"]) => {
            Ok(Json::ok().with("version", json!({ "backend": backend::VERSION })))
        }
        (&Method::POST, ["services"]) => services::create(call).await,
        (&Method::GET, ["services", id]) => services::find(call, id),
        (&Method::PUT, ["services", id]) => services::change(call, id).await,
        (&Method::DELETE, ["services", id]) => services::delete(call, id).await,
        (&Method::PUT, ["services", "change_provider_key", key]) => {
            services::change_provider_key(call, key).await
        }
        (_, ["services", service, "applications", rest @ ..]) => {
            route_applications(call, method, service, rest).await
        }
        (_, ["services", service, rest @ ..]) => route_service(call, method, service, rest).await,
        (&Method::GET, ["service_tokens", token, service]) => {
            service_tokens::exists(call, token, service)
        }
        (&Method::GET, ["service_tokens", token, service, "provider_key"]) => {
            service_tokens::provider_key(call, token, service)
        }
        (&Method::POST, ["service_tokens"]) => service_tokens::create(call).await,
        (&Method::DELETE, ["service_tokens"]) => service_tokens::delete(call).await,
        (&Method::GET, ["events"]) => events::list(call).await,
        (&Method::DELETE, ["events"]) => events::delete_up_to(call).await,
        (&Method::DELETE, ["events", id]) => events::delete(call, id).await,
        _ => Err(no_path()),
    }
}

async fn route_service(call: &Call<'_>, method: &Method, service: &str, path: &[&str]) -> Answered {
    match (method, path) {
        (&Method::GET, ["metrics", id]) => metrics::find(call, service, id),
        (&Method::POST, ["metrics", id]) => metrics::create(call, service, id).await,
        (&Method::PUT, ["metrics", id]) => metrics::change(call, service, id).await,
        (&Method::DELETE, ["metrics", id]) => metrics::delete(call, service, id).await,
        (_, ["plans", plan, "usagelimits", metric, period]) => {
            let place = Place { service, plan, metric, period };
            match *method {
                Method::GET => usage_limits::find(call, place),
                Method::PUT => usage_limits::change(call, place).await,
                Method::DELETE => usage_limits::delete(call, place).await,
                _ => Err(no_path()),
            }
        }
        (&Method::GET, ["alert_limits"]) => Ok(alert_limits::list(call, service)),
        (&Method::POST, ["alert_limits"]) => alert_limits::create(call, service).await,
        (&Method::DELETE, ["alert_limits", value]) => {
            alert_limits::delete(call, service, value).await
        }
        (&Method::GET, ["errors"]) => integration_errors::list(call, service).await,
        (&Method::DELETE, ["errors"]) => integration_errors::delete(call, service).await,
        (&Method::DELETE, ["stats"]) => services::delete_stats(call, service),
        _ => Err(no_path()),
    }
}

async fn route_applications(
    call: &Call<'_>,
    method: &Method,
    service: &str,
    path: &[&str],
) -> Answered {
    match (method, path) {
        (&Method::PUT, ["batch"]) => batch::keep(call, service).await,
        (&Method::GET, ["key", key]) => keys::find_by_user_key(call, service, key),
        (&Method::DELETE, ["key", key]) => keys::delete_user_key(call, service, key).await,
        (&Method::PUT, [id, "key", key]) => keys::change_user_key(call, service, id, key).await,
        (&Method::GET, [id]) => applications::find(call, service, id),
        (&Method::POST, [id]) => applications::create(call, service, id).await,
        (&Method::PUT, [id]) => applications::change(call, service, id).await,
        (&Method::DELETE, [id]) => applications::delete(call, service, id).await,
        (&Method::GET, [id, "keys"]) => keys::list(call, service, id),
        (&Method::POST, [id, "keys"]) => keys::create(call, service, id).await,
        (&Method::DELETE, [id, "keys", key]) => keys::delete(call, service, id, key).await,
        (&Method::GET, [id, "referrer_filters"]) => referrer_filters::list(call, service, id),
        (&Method::POST, [id, "referrer_filters"]) => {
            referrer_filters::create(call, service, id).await
        }
        (&Method::DELETE, [id, "referrer_filters", value]) => {
            referrer_filters::delete(call, service, id, value).await
        }
        (&Method::GET, [id, "utilization"]) => utilization::find(call, service, id),
        _ => Err(no_path()),
    }
}

fn written(answer: &Json) -> Reply {
    let body = serde_json::to_vec(&answer.body).expect("an object of JSON can be written");
    let mut reply = reply(answer.status, "application/json", body);
    if answer.status == StatusCode::SERVICE_UNAVAILABLE {
        reply.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static(RETRY_SECS));
    }
    reply
}

//! The paths by which gateways ask for their configurations.

use std::sync::Arc;

use http::header::{HOST, WWW_AUTHENTICATE};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use serde_json::{Value, json};

use super::access::Access;
use super::page::Paging;
use super::render::{self, Backend};
use crate::account::Account;
use crate::account::gateway::GatewayRecord;
use crate::backend::params::Params;
use crate::backend::query::Query;
use crate::portal::records::Environment;
use crate::server::respond::{Reply, reply};

/// Whether a path is one of those that the portal has, and not the backend.
pub(crate) fn is_portal(path: &str) -> bool {
    path.starts_with("/admin/api/") || path.starts_with("/master/api/")
}

/// Answers a request, of which only the head counts.
pub(crate) fn answer(account: &Account, access: Option<&Access>, parts: &Parts) -> Reply {
    let Some(access) = access else {
        let error = "no gateway is served: `threescale_backend` has no `gateways`";
        return json_reply(StatusCode::FORBIDDEN, &json!({ "error": error }));
    };
    let query = Query::parse(parts.uri.query().unwrap_or_default().as_bytes());
    let params = query.as_ref().ok().and_then(|query| query.params().ok());
    let Some(params) = params else {
        let error = "the parameters cannot be read";
        return json_reply(StatusCode::BAD_REQUEST, &json!({ "error": error }));
    };
    let path: Vec<&str> = parts.uri.path().split('/').skip(1).collect();
    if !access.permits(account, &parts.headers, params) {
        return refused(path.first() == Some(&"master"));
    }
    if !matches!(parts.method, Method::GET | Method::HEAD) {
        return not_found();
    }
    let url = access.backend.clone().or_else(|| reached_at(&parts.headers, access.scheme));
    let Some(url) = url else {
        let error = "a request names the host that it is for";
        return json_reply(StatusCode::BAD_REQUEST, &json!({ "error": error }));
    };
    route(account, &Backend::new(access, &url), params, &path)
}

/// Without the right token: the portal says 403 of its own API, and 401 of the one above all portals.
fn refused(is_master: bool) -> Reply {
    if !is_master {
        return json_reply(StatusCode::FORBIDDEN, &json!({ "error": "Access denied" }));
    }
    let mut reply = reply(StatusCode::UNAUTHORIZED, "text/plain", "unauthorized");
    let challenge = HeaderValue::from_static(r#"Basic realm="gateways", charset="UTF-8""#);
    reply.headers_mut().insert(WWW_AUTHENTICATE, challenge);
    reply
}

/// Where a gateway reached this backend to ask.
fn reached_at(headers: &HeaderMap, scheme: &str) -> Option<String> {
    let host = headers.get(HOST)?.to_str().ok()?;
    let is_authority = |byte: u8| byte.is_ascii_alphanumeric() || b".-_:[]".contains(&byte);
    let is_host = !host.is_empty() && host.bytes().all(is_authority);
    is_host.then(|| format!("{scheme}://{host}"))
}

fn route(account: &Account, backend: &Backend<'_>, params: &Params<'_>, path: &[&str]) -> Reply {
    let invalid = |status| json_reply(status, &json!({ "error": "invalid environment" }));
    match path {
        ["admin", "api", "services.json"] => services(account, params),
        ["admin", "api", "nginx", "spec.json"] => {
            let records = account.gateways(Environment::Production);
            let records = records.iter().map(AsRef::as_ref);
            json_reply(StatusCode::OK, &render::spec(&account.catalog(), records, backend))
        }
        ["admin", "api", "account", "proxy_configs", file] => match environment(file) {
            Some(environment) => {
                let found = wanted(account.gateways(environment), params);
                let catalog = account.catalog();
                let show = |record: &Arc<GatewayRecord>| render::config(&catalog, record, backend);
                let page = Paging::of(params).cut("proxy_configs", &found, show);
                json_reply(StatusCode::OK, &page)
            }
            None => invalid(StatusCode::UNPROCESSABLE_ENTITY),
        },
        ["admin", "api", "services", id, "proxy", "configs", file] => match environment(file) {
            Some(_) if account.catalog().service(id).is_none() => not_found(),
            Some(environment) => {
                list(account, backend, account.gateway(id, environment).into_iter())
            }
            None => invalid(StatusCode::BAD_REQUEST),
        },
        ["admin", "api", "services", "proxy", "configs", file]
        | ["master", "api", "proxy", "configs", file] => match environment(file) {
            Some(environment) => {
                list(account, backend, wanted(account.gateways(environment), params).into_iter())
            }
            None => invalid(StatusCode::BAD_REQUEST),
        },
        ["admin", "api", "services", id, "proxy", "configs", name, file] => {
            match Environment::named(name) {
                Some(environment) => one(account, backend, (id, environment), file),
                None => invalid(StatusCode::BAD_REQUEST),
            }
        }
        _ => not_found(),
    }
}

fn environment(file: &str) -> Option<Environment> {
    Environment::named(file.strip_suffix(".json")?)
}

/// Of configurations, those of a host and of a version, where these are named.
fn wanted(records: Vec<Arc<GatewayRecord>>, params: &Params<'_>) -> Vec<Arc<GatewayRecord>> {
    let (host, version) = (params.text("host"), params.text("version"));
    let is_wanted = |record: &Arc<GatewayRecord>| {
        let has_host = |host| record.content.hosts().any(|own| own.eq_ignore_ascii_case(host));
        host.is_none_or(has_host)
            && version.is_none_or(|text| text == "latest" || is_version(record, text))
    };
    records.into_iter().filter(is_wanted).collect()
}

fn is_version(record: &GatewayRecord, text: &str) -> bool {
    text.parse() == Ok(record.version)
}

fn list(
    account: &Account,
    backend: &Backend<'_>,
    records: impl Iterator<Item = Arc<GatewayRecord>>,
) -> Reply {
    let catalog = account.catalog();
    let shown: Vec<Value> =
        records.map(|record| render::config(&catalog, &record, backend)).collect();
    json_reply(StatusCode::OK, &json!({ "proxy_configs": shown }))
}

/// One configuration: the latest, which is the only one that is kept, or the same by its number.
fn one(
    account: &Account,
    backend: &Backend<'_>,
    (service, environment): (&str, Environment),
    file: &str,
) -> Reply {
    let Some(record) = account.gateway(service, environment) else {
        if account.catalog().service(service).is_none() {
            return not_found();
        }
        let error = format!(
            "the service {service} has no configuration for {}: `keystile threescale import` brings it over",
            environment.name()
        );
        let body = json!({ "status": "Not found", "error": error });
        return json_reply(StatusCode::NOT_FOUND, &body);
    };
    let version = file.strip_suffix(".json");
    if version.is_some_and(|text| text == "latest" || is_version(&record, text)) {
        json_reply(StatusCode::OK, &render::config(&account.catalog(), &record, backend))
    } else {
        not_found()
    }
}

fn services(account: &Account, params: &Params<'_>) -> Reply {
    let catalog = account.catalog();
    let all: Vec<_> = catalog.services().collect();
    let page = Paging::of(params).cut("services", &all, |entry| {
        let of = |environment| account.gateway(&entry.record.id, environment);
        let record = of(Environment::Production).or_else(|| of(Environment::Sandbox));
        render::service(entry, record.as_deref())
    });
    json_reply(StatusCode::OK, &page)
}

fn not_found() -> Reply {
    json_reply(StatusCode::NOT_FOUND, &json!({ "status": "Not found" }))
}

fn json_reply(status: StatusCode, body: &Value) -> Reply {
    let body = serde_json::to_vec(body).expect("a value of JSON can be written");
    reply(status, "application/json; charset=utf-8", body)
}

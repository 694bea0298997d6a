//! What a gateway reads of a service: what was brought over, with this backend in the place of 3scale's.

use serde_json::{Map, Value, json};

use super::access::Access;
use crate::account::catalog::{Catalog, ServiceEntry};
use crate::account::gateway::GatewayRecord;
use crate::backend::catalog::{BackendVersion, State};

/// This backend, as gateways reach it.
#[derive(Debug)]
pub(super) struct Backend<'t> {
    /// Where it is.
    pub(super) url: &'t str,
    /// What opens it.
    pub(super) service_token: &'t str,
}

impl<'t> Backend<'t> {
    pub(super) fn new(access: &'t Access, url: &'t str) -> Self {
        Self { url, service_token: &access.service_token }
    }
}

/// An id as the portal has it. `APIcast` would write a longer number with an exponent.
fn number(id: &str) -> Value {
    const NUMBER_MAX: u64 = 99_999_999_999_999;
    let parsed = id.parse::<u64>().ok().filter(|number| *number <= NUMBER_MAX);
    parsed.filter(|number| number.to_string() == id).map_or_else(|| id.into(), Value::from)
}

/// The host of an address, without its port.
fn host(url: &str) -> &str {
    let behind = url.split_once("://").map_or(url, |(_, behind)| behind);
    let host = behind.split('/').next().unwrap_or_default();
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    }
}

/// What a service is to its gateways.
fn content(entry: &ServiceEntry, record: &GatewayRecord, backend: &Backend<'_>) -> Value {
    let mut fields = record.content.fields();
    fields.insert("id".to_owned(), number(&entry.record.id));
    let version = BackendVersion::named(&entry.record.backend_version).name();
    fields.insert("backend_version".to_owned(), version.into());
    fields.insert("backend_authentication_type".to_owned(), "service_token".into());
    fields.insert("backend_authentication_value".to_owned(), backend.service_token.into());
    if let Some(Value::Object(proxy)) = fields.get_mut("proxy") {
        let place = json!({ "endpoint": backend.url, "host": host(backend.url) });
        proxy.insert("backend".to_owned(), place);
    }
    Value::Object(fields)
}

/// A configuration, as lists have it and as it stands alone.
pub(super) fn config(catalog: &Catalog, record: &GatewayRecord, backend: &Backend<'_>) -> Value {
    let Some(entry) = catalog.service(&record.service_id) else { return Value::Null };
    json!({ "proxy_config": {
        "id": record.id,
        "version": record.version,
        "environment": record.environment.name(),
        "content": content(entry, record, backend),
    }})
}

/// All services in one document, as gateways before `proxy_configs` read it.
pub(super) fn spec<'r>(
    catalog: &Catalog,
    records: impl Iterator<Item = &'r GatewayRecord>,
    backend: &Backend<'_>,
) -> Value {
    let services = records.filter_map(|record| {
        let entry = catalog.service(&record.service_id)?;
        Some(content(entry, record, backend))
    });
    json!({ "services": services.collect::<Vec<_>>() })
}

/// A service in the list of services.
pub(super) fn service(entry: &ServiceEntry, record: Option<&GatewayRecord>) -> Value {
    let content = record.map(|record| &record.content);
    let version = BackendVersion::named(&entry.record.backend_version).name();
    let method = content.and_then(|content| content.proxy("authentication_method"));
    let mut fields = Map::new();
    fields.insert("id".to_owned(), number(&entry.record.id));
    let name = content.and_then(|content| content.name()).unwrap_or(&entry.record.id);
    fields.insert("name".to_owned(), name.into());
    let system_name = content.and_then(|content| content.system_name());
    fields.insert("system_name".to_owned(), system_name.unwrap_or(&entry.record.id).into());
    fields.insert("state".to_owned(), State::named(&entry.record.state).name().into());
    let method = method.cloned().unwrap_or_else(|| version.into());
    fields.insert("backend_version".to_owned(), method);
    fields.insert("deployment_option".to_owned(), "self_managed".into());
    json!({ "service": fields })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_a_number_where_a_gateway_reads_it_back_as_the_same() {
        assert_eq!(number("2555417982793"), json!(2_555_417_982_793_u64));
        for id in ["notes", "007", "-1", "1000000000000000", "18446744073709551616", ""] {
            assert_eq!(number(id), json!(id));
        }
    }

    #[test]
    fn the_host_of_a_backend_has_no_port() {
        for (backend, expected) in [
            ("http://127.0.0.1:7090", "127.0.0.1"),
            ("https://backend.example.org", "backend.example.org"),
            ("https://backend.example.org:443/", "backend.example.org"),
            ("http://[::1]:7090", "[::1]"),
            ("http://[::1]", "[::1]"),
        ] {
            assert_eq!(host(backend), expected, "{backend}");
        }
    }
}

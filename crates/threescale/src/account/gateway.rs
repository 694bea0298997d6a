//! What gateways are told of a service: the hosts and rules by which they serve it.
//!
//! # What this protects
//!
//! A gateway gets what it reads and nothing else: of what a portal says, only the fields in [`SERVICE`],
//! [`PROXY`] and [`RULE`] are kept. Tokens are not among them; whoever serves a configuration puts its own in.
//! What is kept may hold secrets of the owner's (the one shared with the upstream, those of policies), so it
//! does not print.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::portal::records::Environment;

pub(super) const GATEWAYS: &str = "3scale-gateway";

/// What is kept of a service. How its applications authenticate is the account's to say.
const SERVICE: [&str; 2] = ["name", "system_name"];

/// What is kept of how it is served.
const PROXY: [&str; 27] = [
    "api_backend",
    "auth_app_id",
    "auth_app_key",
    "auth_user_key",
    "authentication_method",
    "credentials_location",
    "error_auth_failed",
    "error_auth_missing",
    "error_headers_auth_failed",
    "error_headers_auth_missing",
    "error_headers_limits_exceeded",
    "error_headers_no_match",
    "error_limits_exceeded",
    "error_no_match",
    "error_status_auth_failed",
    "error_status_auth_missing",
    "error_status_limits_exceeded",
    "error_status_no_match",
    "hostname_rewrite",
    "hosts",
    "jwt_claim_with_client_id",
    "jwt_claim_with_client_id_type",
    "oidc_issuer_endpoint",
    "oidc_issuer_type",
    "policy_chain",
    "proxy_rules",
    "secret_token",
];

/// What is kept of a mapping rule.
const RULE: [&str; 10] = [
    "delta",
    "http_method",
    "last",
    "metric_system_name",
    "owner_id",
    "owner_type",
    "parameters",
    "pattern",
    "position",
    "querystring_parameters",
];

/// What gateways of an environment are told of a service.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GatewayRecord {
    /// The service.
    pub service_id: String,
    /// Which gateways.
    pub environment: Environment,
    /// The portal's number for it.
    #[serde(default)]
    pub id: Option<u64>,
    /// Its version, which is higher the newer it is.
    pub version: u64,
    /// What it says.
    pub content: GatewayContent,
}

impl fmt::Debug for GatewayRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GatewayRecord")
            .field("service_id", &self.service_id)
            .field("environment", &self.environment)
            .field("version", &self.version)
            .finish_non_exhaustive()
    }
}

/// A service as its gateways read it, without what is not theirs to know.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GatewayContent(Map<String, Value>);

/// All configurations, by service and environment.
pub(super) type Gateways = BTreeMap<(String, Environment), Arc<GatewayRecord>>;

/// The id of a configuration's document. No id of a service holds a slash.
pub(super) fn document_id(service: &str, environment: Environment) -> String {
    format!("{service}/{}", environment.name())
}

impl fmt::Debug for GatewayContent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("GatewayContent")
    }
}

/// Why something is no configuration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{at} {fault}")]
pub struct ContentFault {
    /// Where.
    pub at: String,
    /// What is wrong with it.
    pub fault: &'static str,
}

impl GatewayContent {
    /// What is kept of what a portal tells gateways.
    ///
    /// # Errors
    /// When it is not one service, or its hosts or rules are no lists.
    pub fn of(portal: &Value) -> Result<Self, ContentFault> {
        let fault = |at: &str, fault| ContentFault { at: at.to_owned(), fault };
        let service = portal.as_object().ok_or_else(|| fault("content", "is no object"))?;
        let mut kept = only(service, &SERVICE);
        let proxy = service.get("proxy").and_then(Value::as_object);
        let proxy = proxy.ok_or_else(|| fault("content.proxy", "is no object"))?;
        let mut proxy = only(proxy, &PROXY);
        if let Some(hosts) = proxy.get("hosts") {
            let texts = hosts.as_array().is_some_and(|hosts| hosts.iter().all(Value::is_string));
            texts
                .then_some(())
                .ok_or_else(|| fault("content.proxy.hosts", "is no list of texts"))?;
        }
        if let Some(chain) = proxy.get("policy_chain") {
            let is_list = chain.is_array();
            is_list
                .then_some(())
                .ok_or_else(|| fault("content.proxy.policy_chain", "is no list"))?;
        }
        if let Some(rules) = proxy.remove("proxy_rules") {
            let no_list = || fault("content.proxy.proxy_rules", "is no list of rules");
            let rules = rules.as_array().ok_or_else(no_list)?.iter();
            let rules = rules.map(|rule| Some(Value::Object(only(rule.as_object()?, &RULE))));
            let rules = rules.collect::<Option<Vec<_>>>().ok_or_else(no_list)?;
            proxy.insert("proxy_rules".to_owned(), rules.into());
        }
        kept.insert("proxy".to_owned(), proxy.into());
        Ok(Self(kept))
    }

    /// The service's name for people, where it has one.
    pub fn name(&self) -> Option<&str> {
        self.0.get("name")?.as_str()
    }

    /// The service's name for programs, where it has one.
    pub fn system_name(&self) -> Option<&str> {
        self.0.get("system_name")?.as_str()
    }

    /// The hosts that the service has at its gateways.
    pub fn hosts(&self) -> impl Iterator<Item = &str> {
        let hosts = self.proxy("hosts").and_then(Value::as_array);
        hosts.into_iter().flatten().filter_map(Value::as_str)
    }

    /// Its mapping rules.
    pub fn rules(&self) -> impl Iterator<Item = &Value> {
        self.proxy("proxy_rules").and_then(Value::as_array).into_iter().flatten()
    }

    /// A field of how it is served.
    pub fn proxy(&self, name: &str) -> Option<&Value> {
        self.0.get("proxy")?.get(name).filter(|value| !value.is_null())
    }

    /// How long it is, as JSON.
    pub fn bytes(&self) -> usize {
        serde_json::to_string(&self.0).map_or(usize::MAX, |text| text.len())
    }

    /// All of it.
    pub fn fields(&self) -> Map<String, Value> {
        self.0.clone()
    }
}

fn only(fields: &Map<String, Value>, names: &[&str]) -> Map<String, Value> {
    let of = |name: &&str| Some(((*name).to_owned(), fields.get(*name)?.clone()));
    names.iter().filter_map(of).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_gateway_gets_what_it_reads_and_no_secret_of_the_portal() {
        let portal = json!({
            "id": 7, "account_id": 2, "name": "Notes", "system_name": "notes",
            "backend_authentication_type": "service_token",
            "backend_authentication_value": "TOPSECRET",
            "proxy": {
                "hosts": ["notes.example"], "api_backend": "http://up:80", "api_test_path": "/x",
                "backend": {"endpoint": "https://su1.3scale.net"}, "deployed_at": "now",
                "proxy_rules": [{"http_method": "GET", "pattern": "/", "delta": 1,
                                 "metric_system_name": "hits", "tenant_id": 4}],
            },
        });
        let content = GatewayContent::of(&portal).unwrap();
        let expected = json!({
            "name": "Notes", "system_name": "notes",
            "proxy": {
                "hosts": ["notes.example"], "api_backend": "http://up:80",
                "proxy_rules": [{"http_method": "GET", "pattern": "/", "delta": 1,
                                 "metric_system_name": "hits"}],
            },
        });
        assert_eq!(Value::Object(content.fields()), expected);
        assert_eq!(content.hosts().collect::<Vec<_>>(), ["notes.example"]);
        assert_eq!(format!("{content:?}"), "GatewayContent");
    }

    #[test]
    fn what_is_no_configuration_is_named() {
        for (portal, said) in [
            (json!([]), "content is no object"),
            (json!({"proxy": 1}), "content.proxy is no object"),
            (json!({"proxy": {"hosts": "a"}}), "content.proxy.hosts is no list of texts"),
            (json!({"proxy": {"hosts": [1]}}), "content.proxy.hosts is no list of texts"),
            (json!({"proxy": {"policy_chain": {}}}), "content.proxy.policy_chain is no list"),
            (
                json!({"proxy": {"proxy_rules": [1]}}),
                "content.proxy.proxy_rules is no list of rules",
            ),
        ] {
            assert_eq!(GatewayContent::of(&portal).unwrap_err().to_string(), said);
        }
    }
}

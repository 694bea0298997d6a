//! What is kept of an account: services and applications as JSON documents, without a secret.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD_NO_PAD;
use keystile_core::keys::hash::KeyHash;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::backend::period::Period;

/// The collection of services.
pub(super) const SERVICES: &str = "3scale-service";
/// The collection of applications.
pub(super) const APPLICATIONS: &str = "3scale-application";
/// The collection of what applications are here.
pub(super) const LINKS: &str = "3scale-application-here";

/// A service, with its metrics, tokens and the limits of its plans.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceRecord {
    /// The portal's id.
    pub id: String,
    /// The key of its provider.
    pub provider: SecretHash,
    /// Whether calls that name no service are for it.
    pub is_default: bool,
    /// `1`, `2` or `oauth`.
    pub backend_version: String,
    /// `active`, or anything else for a service that takes no calls.
    pub state: String,
    /// Whether it looks at the referrers of applications that have filters.
    pub referrer_filters_required: bool,
    /// What it counts.
    #[serde(default)]
    pub metrics: Vec<MetricRecord>,
    /// The limits of all its plans.
    #[serde(default)]
    pub limits: Vec<LimitRecord>,
    /// Its tokens.
    #[serde(default)]
    pub tokens: Vec<SecretHash>,
    /// At how many percent of a limit it alerts.
    #[serde(default)]
    pub alert_limits: Vec<u16>,
    /// What of it an import brought.
    #[serde(default)]
    pub brought: Brought,
}

/// Which metrics and limits of a service an import brought, so that the next one takes no others away.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Brought {
    /// Metrics, by id.
    pub metrics: BTreeSet<String>,
    /// Limits, by plan, metric and period.
    pub limits: BTreeSet<(String, String, Period)>,
}

/// A metric or a method.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MetricRecord {
    /// The portal's id.
    pub id: String,
    /// The system name, which calls use.
    pub name: String,
    /// The metric above it.
    #[serde(default)]
    pub parent_id: Option<String>,
}

/// A limit of a plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LimitRecord {
    /// The plan's id.
    pub plan_id: String,
    /// The metric's id.
    pub metric_id: String,
    /// Its windows.
    pub period: Period,
    /// The most in a window.
    pub max: u64,
}

/// An application.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApplicationRecord {
    /// Its service.
    pub service_id: String,
    /// The id that calls use.
    pub id: String,
    /// What people call it, where that is known: the portal does not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// `active`, or anything else for an application that may not call.
    pub state: String,
    /// Its plan.
    pub plan_id: String,
    /// What answers call the plan.
    pub plan_name: String,
    /// Its user key, where it has one.
    #[serde(default)]
    pub user_key: Option<SecretHash>,
    /// Its application keys.
    #[serde(default)]
    pub keys: Vec<AppKeyRecord>,
    /// Which referrers are in order.
    #[serde(default)]
    pub referrer_filters: Vec<String>,
    /// Where OAuth sends its users.
    #[serde(default)]
    pub redirect_url: Option<String>,
}

impl ApplicationRecord {
    /// The id of its document. No id of the portal holds a slash.
    pub(super) fn document_id(service: &str, application: &str) -> String {
        format!("{service}/{application}")
    }
}

/// An application key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "StoredAppKey")]
pub struct AppKeyRecord {
    /// The key alone, as calls of gateways show it beside the `app_id`.
    pub key: SecretHash,
    /// Both together, as the gate knows them; not known of keys from before the gate read pairs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pair: Option<SecretHash>,
}

/// The same as it may be stored: versions before kept the first part alone.
#[derive(Deserialize)]
#[serde(untagged)]
enum StoredAppKey {
    Alone(SecretHash),
    Pair { key: SecretHash, pair: Option<SecretHash> },
}

impl From<StoredAppKey> for AppKeyRecord {
    fn from(stored: StoredAppKey) -> Self {
        match stored {
            StoredAppKey::Alone(key) => Self { key, pair: None },
            StoredAppKey::Pair { key, pair } => Self { key, pair },
        }
    }
}

/// A secret as it is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SecretHash(pub KeyHash);

impl Serialize for SecretHash {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&BASE64_STANDARD_NO_PAD.encode(self.0.as_bytes()))
    }
}

impl<'de> Deserialize<'de> for SecretHash {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let bytes = BASE64_STANDARD_NO_PAD.decode(text).ok();
        let hash = bytes.and_then(|bytes| KeyHash::from_slice(&bytes));
        hash.map(Self).ok_or_else(|| serde::de::Error::custom("not the hash of a secret"))
    }
}

//! Services, their plans, metrics, limits and rules, and what gateways are told of them.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

use super::id::{BackendId, LimitId, MetricId, PlanId, RuleId, ServiceId};
use super::lenient::{flag, maybe_number, maybe_text, number, text};

/// An API product of the tenant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Service {
    /// Its number.
    pub id: ServiceId,
    /// For people.
    #[serde(default, deserialize_with = "text")]
    pub name: String,
    /// For programs.
    #[serde(deserialize_with = "text")]
    pub system_name: String,
    /// How its applications authenticate.
    #[serde(rename = "backend_version", default)]
    pub authentication: Authentication,
    /// Where its gateway runs, as `hosted` or `self_managed`.
    #[serde(default, deserialize_with = "maybe_text")]
    pub deployment_option: Option<String>,
    /// Whether the referrer of a call is held against the filters of its application.
    #[serde(default, deserialize_with = "flag")]
    pub referrer_filters_required: bool,
}

/// How the applications of a service authenticate.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Authentication {
    /// By one key.
    UserKey,
    /// By an `app_id`, and a key where the application has any.
    AppId,
    /// By a token of an identity provider, whose client is the `app_id`.
    OpenIdConnect,
    /// In a way that is not known here, or that the portal does not say.
    #[default]
    Unknown,
}

impl Authentication {
    /// The portal's name of it; empty where it is not known.
    pub fn name(&self) -> &'static str {
        match self {
            Self::UserKey => "1",
            Self::AppId => "2",
            Self::OpenIdConnect => "oidc",
            Self::Unknown => "",
        }
    }
}

impl Serialize for Authentication {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

impl<'de> Deserialize<'de> for Authentication {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let version = maybe_text(deserializer)?;
        Ok(match version.as_deref() {
            Some("1") => Self::UserKey,
            Some("2") => Self::AppId,
            Some("oauth" | "oidc") => Self::OpenIdConnect,
            Some(_) | None => Self::Unknown,
        })
    }
}

/// A plan that applications are on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApplicationPlan {
    /// Its number.
    pub id: PlanId,
    /// For people.
    #[serde(default, deserialize_with = "text")]
    pub name: String,
    /// For programs.
    #[serde(default, deserialize_with = "maybe_text")]
    pub system_name: Option<String>,
    /// `published` or `hidden`.
    #[serde(default, deserialize_with = "maybe_text")]
    pub state: Option<String>,
    /// Whether it was made for one application.
    #[serde(default, deserialize_with = "flag")]
    pub custom: bool,
    /// Whether new applications get it where nobody chose.
    #[serde(default, deserialize_with = "flag")]
    pub default: bool,
    /// Whether somebody has to accept an application on it.
    #[serde(default, deserialize_with = "flag")]
    pub approval_required: bool,
}

/// What is counted: a metric, or a method below one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Metric {
    /// Its number.
    pub id: MetricId,
    /// For programs: what gateways report. That of a backend ends in a point and the backend's number.
    #[serde(deserialize_with = "text")]
    pub system_name: String,
    /// For people.
    #[serde(default, deserialize_with = "maybe_text")]
    pub friendly_name: Option<String>,
    /// What one of it is called.
    #[serde(default, deserialize_with = "maybe_text")]
    pub unit: Option<String>,
    /// The metric that it is also counted in; a method has one.
    #[serde(rename = "parent_id", default)]
    pub parent: Option<MetricId>,
}

/// How much of a metric an application on a plan has in each period.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UsageLimit {
    /// Its number.
    pub id: LimitId,
    /// The plan.
    #[serde(rename = "plan_id")]
    pub plan: PlanId,
    /// The metric or method.
    #[serde(rename = "metric_id")]
    pub metric: MetricId,
    /// `minute`, `hour`, `day`, `week`, `month`, `year` or `eternity`, by the calendar in UTC.
    #[serde(deserialize_with = "text")]
    pub period: String,
    /// How much. With 0 the metric may not be used.
    #[serde(deserialize_with = "number")]
    pub value: u64,
}

/// What calls of a method and pattern count as.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MappingRule {
    /// Its number.
    pub id: RuleId,
    /// What is counted.
    #[serde(rename = "metric_id")]
    pub metric: MetricId,
    /// The method of the calls.
    #[serde(deserialize_with = "text")]
    pub http_method: String,
    /// The pattern of their paths, in 3scale's own grammar.
    #[serde(deserialize_with = "text")]
    pub pattern: String,
    /// How many of the metric one call is.
    #[serde(deserialize_with = "number")]
    pub delta: u64,
    /// Its place among the rules.
    #[serde(default, deserialize_with = "maybe_number")]
    pub position: Option<u64>,
    /// Whether no rule after it is looked at.
    #[serde(default, deserialize_with = "flag")]
    pub last: bool,
}

/// Which gateways.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Environment {
    /// Those for trying it out, which the portal also calls staging.
    Sandbox,
    /// Those for callers.
    Production,
}

impl Environment {
    /// The environment of a name as paths have it.
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "sandbox" | "staging" => Some(Self::Sandbox),
            "production" => Some(Self::Production),
            _ => None,
        }
    }

    /// As paths have it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sandbox => "sandbox",
            Self::Production => "production",
        }
    }
}

/// What the gateways of an environment are told of a service. Its content has secrets, so that it does not
/// print.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProxyConfig {
    /// Its number.
    #[serde(default, deserialize_with = "maybe_number")]
    pub id: Option<u64>,
    /// Its version, which counts up in each environment.
    #[serde(deserialize_with = "number")]
    pub version: u64,
    /// The environment, as the portal writes it.
    #[serde(default, deserialize_with = "text")]
    pub environment: String,
    /// The service as the gateway `APIcast` reads it.
    pub content: Value,
}

impl fmt::Debug for ProxyConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProxyConfig")
            .field("version", &self.version)
            .field("environment", &self.environment)
            .finish_non_exhaustive()
    }
}

/// That a service uses a backend, whose metrics are also its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub struct BackendUsage {
    /// The backend.
    #[serde(rename = "backend_id")]
    pub backend: BackendId,
}

/// Something that has no counterpart here, of which only the name counts.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Unused {
    /// Its name, where it has one.
    #[serde(default, deserialize_with = "maybe_text")]
    pub name: Option<String>,
}

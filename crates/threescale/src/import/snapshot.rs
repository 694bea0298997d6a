//! What a portal says of an account, as it is read, and as a file holds it.
//!
//! # The file
//!
//! One JSON object. `format` is `keystile-threescale-1`; `services` and `applications` are lists of what the
//! portal's Account Management API has, each record with the fields that it has there. What belongs to a service
//! or to an application stands beside it: `{"service": {..}, "metrics": [..], "plans": [..]}`. Fields that are not
//! known are passed over, as they are in what a portal says.
//!
//! It holds keys and tokens as they are, because whoever imports it must be able to let callers in with them. A
//! [`Snapshot`] does not print.

use std::collections::HashMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::account::gateway::GatewayContent;
use crate::portal::records::{
    Application, ApplicationPlan, Credential, Environment, MappingRule, Metric, MetricId,
    ProxyConfig, Service, ServiceId, UsageLimit,
};

/// What a file of this form calls itself.
pub const FORMAT: &str = "keystile-threescale-1";

/// What a file is, its beginning says.
const HEAD_BYTES: usize = 4_096;

/// The largest file that is read: a hundred thousand applications have less.
pub const FILE_BYTES_MAX: u64 = 256 * 1024 * 1024;

/// What a portal says of an account.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    /// [`FORMAT`].
    pub format: String,
    /// Where it is from, for people.
    #[serde(default)]
    pub portal: String,
    /// Whether all of its services are in it, so that others are gone there.
    #[serde(default)]
    pub whole: bool,
    /// Its services.
    pub services: Vec<ServiceSnapshot>,
    /// Its applications.
    pub applications: Vec<ApplicationSnapshot>,
}

/// A service with what belongs to it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceSnapshot {
    /// The service.
    pub service: Service,
    /// What it counts, also of its backends.
    #[serde(default)]
    pub metrics: Vec<Metric>,
    /// Its plans, also those that are one application's.
    #[serde(default)]
    pub plans: Vec<PlanSnapshot>,
    /// What calls count as.
    #[serde(default)]
    pub mapping_rules: Vec<MappingRule>,
    /// What its gateways are told, of each environment.
    #[serde(default)]
    pub proxy_configs: Vec<ProxyConfig>,
    /// How many features it has.
    #[serde(default)]
    pub features: u64,
}

/// A plan with its limits.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlanSnapshot {
    /// The plan.
    pub application_plan: ApplicationPlan,
    /// Its limits.
    #[serde(default)]
    pub limits: Vec<UsageLimit>,
    /// How many pricing rules it has.
    #[serde(default)]
    pub pricing_rules: u64,
}

/// An application with what belongs to it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApplicationSnapshot {
    /// The application.
    pub application: Application,
    /// Its keys beside its `app_id`.
    #[serde(default)]
    pub keys: Vec<Credential>,
    /// Where its calls may come from.
    #[serde(default)]
    pub referrer_filters: Vec<String>,
}

impl fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Snapshot").field("portal", &self.portal).finish_non_exhaustive()
    }
}

impl fmt::Debug for ServiceSnapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServiceSnapshot").field("service", &self.service).finish_non_exhaustive()
    }
}

impl fmt::Debug for PlanSnapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plan = &self.application_plan;
        f.debug_struct("PlanSnapshot").field("application_plan", plan).finish_non_exhaustive()
    }
}

impl fmt::Debug for ApplicationSnapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ApplicationSnapshot").finish_non_exhaustive()
    }
}

impl ServiceSnapshot {
    /// What its gateways are told for callers, or else for trying it out.
    pub fn gateway_content(&self) -> Option<GatewayContent> {
        let of = |environment: Environment| {
            let mut configs = self.proxy_configs.iter();
            configs.find(|config| Environment::named(&config.environment) == Some(environment))
        };
        let config = of(Environment::Production).or_else(|| of(Environment::Sandbox))?;
        GatewayContent::of(&config.content).ok()
    }
}

/// Why a file is no snapshot.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FileFault {
    /// There is nothing in it.
    #[error("it is empty")]
    Empty,
    /// It is no JSON, or lacks something.
    #[error("{place}: {fault}")]
    Unreadable {
        /// Where, as in `services[0].metrics[2].system_name`; line and column where it is no JSON.
        place: String,
        /// What is wrong; nothing of the file's own texts.
        fault: String,
    },
    /// It is JSON of another kind.
    #[error(
        "it is not a file that `keystile threescale export` wrote: its `format` is not {FORMAT:?}"
    )]
    Format,
    /// What 3scale's toolbox writes.
    #[error(
        "it is a file of 3scale's toolbox, which holds no applications and no keys; read the portal itself with \
         `keystile threescale export --from NAME`"
    )]
    Toolbox,
    /// A service that was asked for.
    #[error("it holds no service {0}")]
    NoService(ServiceId),
}

impl Snapshot {
    /// Reads what a file holds.
    ///
    /// # Errors
    /// When it is no snapshot; the place is named, and no text of the file's, which may be a key.
    pub fn parse(bytes: &[u8]) -> Result<Self, FileFault> {
        #[derive(Deserialize)]
        struct Head {
            format: Option<Value>,
        }
        if bytes.trim_ascii().is_empty() {
            return Err(FileFault::Empty);
        }
        let head = &bytes[..bytes.len().min(HEAD_BYTES)];
        if head.split(|byte| *byte == b'\n').any(|line| line.starts_with(b"apiVersion:")) {
            return Err(FileFault::Toolbox);
        }
        if bytes.trim_ascii_start().first().is_some_and(|byte| *byte != b'{') {
            return Err(FileFault::Format);
        }
        let head: Head = serde_json::from_slice(bytes).map_err(|error| no_json(&error))?;
        if head.format.as_ref().and_then(Value::as_str) != Some(FORMAT) {
            return Err(FileFault::Format);
        }
        let mut reader = serde_json::Deserializer::from_slice(bytes);
        let read: Self = serde_path_to_error::deserialize(&mut reader).map_err(|error| {
            let place = error.path().to_string();
            let inner = error.inner();
            FileFault::Unreadable { place, fault: without_place(inner) }
        })?;
        check_enabled(bytes)?;
        read.check()?;
        Ok(read)
    }

    /// Looks for what the account here would refuse when other services had come over already.
    ///
    /// # Errors
    /// When metrics stand in a circle; the service and the metric are named.
    pub fn check(&self) -> Result<(), FileFault> {
        for (index, one) in self.services.iter().enumerate() {
            let parents: HashMap<_, _> =
                one.metrics.iter().map(|metric| (metric.id, metric.parent)).collect();
            for (at, metric) in one.metrics.iter().enumerate() {
                // Itself as its parent stands for none.
                let above = |id: MetricId| {
                    parents.get(&id).copied().flatten().filter(|parent| *parent != id)
                };
                let mut ancestors = std::iter::successors(above(metric.id), |id| above(*id));
                if ancestors.by_ref().take(one.metrics.len()).any(|id| id == metric.id) {
                    let place = format!("services[{index}].metrics[{at}].parent_id");
                    let fault = format!("the metric {} is one of its own parents", metric.id);
                    return Err(FileFault::Unreadable { place, fault });
                }
            }
        }
        Ok(())
    }

    /// Leaves only the services that are wanted, and what belongs to them; all of them where none is named.
    ///
    /// # Errors
    /// When one of them is not there.
    pub fn only(mut self, wanted: &[ServiceId]) -> Result<Self, FileFault> {
        if wanted.is_empty() {
            return Ok(self);
        }
        let is_there = |id: &&ServiceId| self.services.iter().any(|one| one.service.id == **id);
        if let Some(missing) = wanted.iter().find(|id| !is_there(id)) {
            return Err(FileFault::NoService(*missing));
        }
        self.whole = false;
        self.services.retain(|one| wanted.contains(&one.service.id));
        self.applications.retain(|one| wanted.contains(&one.application.service));
        Ok(self)
    }
}

/// A portal always says whether an application may call; in a file that was made by hand it may be forgotten, and
/// the application would come over suspended without a word.
fn check_enabled(bytes: &[u8]) -> Result<(), FileFault> {
    #[derive(Deserialize)]
    struct Outer {
        applications: Vec<Middle>,
    }
    #[derive(Deserialize)]
    struct Middle {
        application: Inner,
    }
    #[derive(Deserialize)]
    struct Inner {
        enabled: Option<serde::de::IgnoredAny>,
    }
    let outer: Outer = serde_json::from_slice(bytes).map_err(|error| no_json(&error))?;
    let mut applications = outer.applications.iter();
    match applications.position(|one| one.application.enabled.is_none()) {
        None => Ok(()),
        Some(at) => Err(FileFault::Unreadable {
            place: format!("applications[{at}].application"),
            fault: "missing field `enabled`".to_owned(),
        }),
    }
}

fn no_json(error: &serde_json::Error) -> FileFault {
    let place = format!("line {}, column {}", error.line(), error.column());
    FileFault::Unreadable { place, fault: without_place(error) }
}

/// The error without the text that it may quote, and without the place, which is told before.
fn without_place(error: &serde_json::Error) -> String {
    let said = error.to_string();
    let said = said.split(" at line ").next().unwrap_or_default();
    // What serde quotes stands behind `string "`: it may be a key.
    match said.split_once(": string \"") {
        Some((before, behind)) => {
            let expected = behind.rsplit_once(", expected ").map_or("", |(_, what)| what);
            format!("{before}: a text, expected {expected}")
        }
        None => said.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_file_that_is_none_names_the_place_and_no_key() {
        let application = json!({"application": {"id": 1, "state": "live", "service_id": "TOPSECRET",
            "plan_id": 1, "account_id": 1}});
        let no_word = json!({"application": {"id": 1, "state": "live", "service_id": 7, "plan_id": 1,
            "account_id": 1}, "keys": [], "referrer_filters": []});
        // What 3scale's toolbox writes of a product is YAML, without numbers and applications.
        for (other, fault) in [
            ("[]", FileFault::Format),
            ("apiVersion: v1\nkind: List\nitems: []\n", FileFault::Toolbox),
            (" \n", FileFault::Empty),
        ] {
            assert_eq!(Snapshot::parse(other.as_bytes()), Err(fault));
        }
        for (file, said) in [
            ("{".to_owned(), "line 1, column 1: EOF while parsing an object"),
            (
                "{}".to_owned(),
                "it is not a file that `keystile threescale export` wrote: its `format` is not \"keystile-threescale-1\"",
            ),
            (
                json!({"format": FORMAT, "services": [{"service": {"id": 1}}], "applications": []})
                    .to_string(),
                "services[0].service: missing field `system_name`",
            ),
            (
                json!({"format": FORMAT, "services": [], "applications": [application]})
                    .to_string(),
                "applications[0].application.service_id: invalid type: a text, expected a whole number",
            ),
            (" \n".to_owned(), "it is empty"),
            (
                json!({"format": FORMAT, "services": [], "applications": [no_word]}).to_string(),
                "applications[0].application: missing field `enabled`",
            ),
            (
                json!({"format": FORMAT, "services": "TOPSECRET", "applications": []}).to_string(),
                "services: invalid type: a text, expected a sequence",
            ),
            (
                json!({"format": FORMAT, "applications": [], "services": [{
                    "service": {"id": 7, "name": "N", "system_name": "n", "backend_version": "1"},
                    "metrics": [
                        {"id": 10, "system_name": "hits", "parent_id": 10},
                        {"id": 11, "system_name": "a", "parent_id": 12},
                        {"id": 12, "system_name": "b", "parent_id": 11},
                    ],
                }]})
                .to_string(),
                "services[0].metrics[1].parent_id: the metric 11 is one of its own parents",
            ),
        ] {
            let fault = Snapshot::parse(file.as_bytes()).unwrap_err().to_string();
            assert_eq!(fault, said);
        }
    }
}

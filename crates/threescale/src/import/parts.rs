//! What the running server takes over, a part at a time: so many applications as one commit may have.
//!
//! A part holds keys and tokens as texts, because only the server can hash them. It prints none of them.

use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::account::gateway::GatewayRecord;
use crate::account::record::{LimitRecord, MetricRecord};
use crate::portal::records::Credential;

/// So many applications are in a part: writes at the gate wait for its commit.
pub const APPLICATIONS_AT_ONCE: usize = 200;
/// So many ids are in a part.
const IDS_AT_ONCE: usize = 1_000;
/// So many bytes of applications are in a part, which is one message to the server.
pub const APPLICATIONS_BYTES_MAX: usize = 256 * 1024;

/// A part of an account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Part {
    /// A service with what it counts, and the limits of its plans.
    Service(ServicePart),
    /// What gateways of an environment are told of a service.
    Gateway(GatewayRecord),
    /// Applications of a service.
    Applications {
        /// The service.
        service: String,
        /// The applications.
        applications: Vec<ApplicationPart>,
    },
    /// Which services there are, of an account that was read whole.
    Services(BTreeSet<String>),
    /// Which applications a service has.
    ApplicationIds {
        /// The service.
        service: String,
        /// Some of them.
        range: IdRange,
    },
}

/// All ids behind one and up to another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IdRange {
    /// Behind this one, or from the first.
    pub after: Option<String>,
    /// Up to this one, or to the last.
    pub until: Option<String>,
    /// The ids.
    pub ids: BTreeSet<String>,
}

impl IdRange {
    /// Ranges that hold every id there can be, with those that are there.
    pub fn all(ids: BTreeSet<String>) -> Vec<Self> {
        let (mut ranges, mut after, mut some) = (Vec::new(), None, BTreeSet::new());
        for id in ids {
            some.insert(id.clone());
            if some.len() >= IDS_AT_ONCE {
                let range = Self { after, until: Some(id.clone()), ids: std::mem::take(&mut some) };
                ranges.push(range);
                after = Some(id);
            }
        }
        ranges.push(Self { after, until: None, ids: some });
        ranges
    }

    /// Whether an id is between its ends.
    pub fn holds(&self, id: &str) -> bool {
        self.after.as_deref().is_none_or(|after| id > after)
            && self.until.as_deref().is_none_or(|until| id <= until)
    }
}

/// A service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServicePart {
    /// The portal's id.
    pub id: String,
    /// Its name, for people.
    pub name: String,
    /// `1`, `2` or `oauth`.
    pub backend_version: String,
    /// Whether it looks at the referrers of applications that have filters.
    pub referrer_filters_required: bool,
    /// What it counts.
    pub metrics: Vec<MetricRecord>,
    /// The limits of all its plans.
    pub limits: Vec<LimitRecord>,
    /// Tokens that open it.
    pub tokens: Vec<Credential>,
}

/// An application.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ApplicationPart {
    /// The id that calls use.
    pub id: String,
    /// Whose it is, and what it is called.
    pub name: String,
    /// Whether it may call.
    pub is_active: bool,
    /// Its plan.
    pub plan_id: String,
    /// What answers call the plan.
    pub plan_name: String,
    /// Its user key, where it has one.
    pub user_key: Option<Credential>,
    /// Its application keys.
    pub keys: Vec<Credential>,
    /// Which referrers are in order.
    pub referrer_filters: Vec<String>,
    /// Where OAuth sends its users.
    pub redirect_url: Option<String>,
}

impl fmt::Debug for ApplicationPart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ApplicationPart")
            .field("id", &self.id)
            .field("name", &self.name)
            .field("plan_id", &self.plan_id)
            .finish_non_exhaustive()
    }
}

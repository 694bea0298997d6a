//! Accounts, their applications, and what those authenticate with.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::credential::Credential;
use super::id::{AccountId, ApplicationId, PlanId, ServiceId};
use super::lenient::{flag, maybe_text, text};

/// A developer's organization.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Account {
    /// Its number.
    pub id: AccountId,
    /// Its name.
    #[serde(default, deserialize_with = "maybe_text")]
    pub org_name: Option<String>,
    /// As `approved`, `pending`, `rejected` or `suspended`. Only applications of approved ones may call.
    #[serde(default, deserialize_with = "maybe_text")]
    pub state: Option<String>,
    /// When it was made, in RFC 3339.
    #[serde(default, deserialize_with = "maybe_text")]
    pub created_at: Option<String>,
}

/// The state of an application, in the order of its life.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ApplicationState {
    /// Waits for somebody to accept it.
    Pending,
    /// May call, if its account may.
    Live,
    /// May not call until it is resumed.
    Suspended,
    /// Another one, as `deprecated`.
    Other(String),
}

impl<'de> Deserialize<'de> for ApplicationState {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let state = text(deserializer)?;
        Ok(match state.as_str() {
            "pending" => Self::Pending,
            "live" => Self::Live,
            "suspended" => Self::Suspended,
            _ => Self::Other(state),
        })
    }
}

impl ApplicationState {
    /// The portal's name of it.
    pub fn name(&self) -> &str {
        match self {
            Self::Pending => "pending",
            Self::Live => "live",
            Self::Suspended => "suspended",
            Self::Other(name) => name,
        }
    }
}

impl Serialize for ApplicationState {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

/// An application of an account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Application {
    /// Its number.
    pub id: ApplicationId,
    /// Its state.
    pub state: ApplicationState,
    /// Whether it may call: it is live, and its account is approved.
    #[serde(default, deserialize_with = "flag")]
    pub enabled: bool,
    /// Its name.
    #[serde(default, deserialize_with = "maybe_text")]
    pub name: Option<String>,
    /// What its developer says of it.
    #[serde(default, deserialize_with = "maybe_text")]
    pub description: Option<String>,
    /// What it calls.
    #[serde(rename = "service_id")]
    pub service: ServiceId,
    /// The name of that.
    #[serde(default, deserialize_with = "maybe_text")]
    pub service_name: Option<String>,
    /// Its plan; one of its own where it was customized.
    #[serde(rename = "plan_id")]
    pub plan: PlanId,
    /// The name of that.
    #[serde(default, deserialize_with = "maybe_text")]
    pub plan_name: Option<String>,
    /// Whose it is.
    #[serde(rename = "account_id")]
    pub account: AccountId,
    /// The name of those.
    #[serde(default, deserialize_with = "maybe_text")]
    pub org_name: Option<String>,
    /// What it authenticates with, where its service goes by user keys.
    #[serde(default)]
    pub user_key: Option<Credential>,
    /// What it is known by elsewhere; it may have keys beside it.
    #[serde(rename = "application_id", default, deserialize_with = "maybe_text")]
    pub app_id: Option<String>,
    /// Where an identity provider sends its users.
    #[serde(default, deserialize_with = "maybe_text")]
    pub redirect_url: Option<String>,
    /// When it first called, in RFC 3339.
    #[serde(default, deserialize_with = "maybe_text")]
    pub first_traffic_at: Option<String>,
    /// When it first called on the last day on which it did.
    #[serde(default, deserialize_with = "maybe_text")]
    pub first_daily_traffic_at: Option<String>,
    /// When it was made.
    #[serde(default, deserialize_with = "maybe_text")]
    pub created_at: Option<String>,
    /// When it was last changed.
    #[serde(default, deserialize_with = "maybe_text")]
    pub updated_at: Option<String>,
}

/// A key of an application beside its `app_id`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApplicationKey {
    /// The key.
    pub value: Credential,
    /// When it was made.
    #[serde(default, deserialize_with = "maybe_text")]
    pub created_at: Option<String>,
}

/// Where the calls of an application may come from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReferrerFilter {
    /// A host or address, in which `*` stands for anything.
    #[serde(deserialize_with = "text")]
    pub value: String,
}

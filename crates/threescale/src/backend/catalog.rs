//! What calls are about: services, plans and applications, as plain values.
//!
//! No secret stands here, because Keystile keeps their hashes only. Whoever holds them answers through
//! [`Directory`] whether a presented text is one. What `list_app_keys` may show of a key is for the
//! same holder to say, in [`AppKey`].

use std::sync::Arc;

use super::metrics::{MetricIndex, Metrics};
use super::period::Period;

/// How the applications of a service are known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BackendVersion {
    /// By a user key.
    One,
    /// By an id, and a key where the application has any.
    Two,
    /// By an id, and a key where the call has one.
    Oauth,
}

impl BackendVersion {
    /// Reads the portal's name of it. The reference takes all that it does not know for `2`.
    pub fn named(name: &str) -> Self {
        match name {
            "1" => Self::One,
            "oauth" => Self::Oauth,
            _ => Self::Two,
        }
    }

    /// The portal's name of it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::One => "1",
            Self::Two => "2",
            Self::Oauth => "oauth",
        }
    }
}

/// Whether calls may pass, for a service as for an application.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum State {
    /// They may.
    Active,
    /// They may not. Every state of the portal but `active` is this one.
    Suspended,
}

impl State {
    /// Reads the portal's name of it.
    pub fn named(name: &str) -> Self {
        if name == "active" { Self::Active } else { Self::Suspended }
    }

    /// The portal's name of it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Suspended => "suspended",
        }
    }
}

/// Whether the referrers of a service's calls are looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ReferrerFilters {
    /// Those of applications that have filters are.
    Required,
    /// They are not.
    Ignored,
}

/// A service: an API as the portal knows it.
#[derive(Clone, Debug)]
pub struct Service {
    /// The portal's id.
    pub id: Box<str>,
    /// How its applications are known.
    pub backend_version: BackendVersion,
    /// Whether it takes calls.
    pub state: State,
    /// Whether it looks at referrers.
    pub referrer_filters: ReferrerFilters,
    /// What it counts.
    pub metrics: Metrics,
}

/// A limit of a plan: at most so much of a metric in each window.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct UsageLimit {
    /// The metric of the plan's service.
    pub metric: MetricIndex,
    /// The windows.
    pub period: Period,
    /// The most that is in order; zero disables the metric.
    pub max: u64,
}

/// A plan of a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// The portal's id.
    pub id: Box<str>,
    /// What answers call it.
    pub name: Box<str>,
    limits: Vec<UsageLimit>,
}

impl Plan {
    /// A plan with limits, of which answers tell metric by metric, the longest period first.
    pub fn new(id: &str, name: &str, mut limits: Vec<UsageLimit>) -> Self {
        limits.sort_by_key(|limit| (limit.metric, std::cmp::Reverse(limit.period)));
        Self { id: id.into(), name: name.into(), limits }
    }

    /// Its limits, in the order of answers.
    pub fn limits(&self) -> &[UsageLimit] {
        &self.limits
    }
}

/// A key of an application, of which only a hash is kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AppKey {
    /// What `list_app_keys` may show in place of the key; `None` leaves the key out.
    pub shown: Option<Box<str>>,
}

/// An application of a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Application {
    /// The id that calls use.
    pub id: Box<str>,
    /// Whether its calls may pass; also suspended while its key is locked.
    pub state: State,
    /// The plan, with its limits.
    pub plan: Arc<Plan>,
    /// Its keys. Where there are any, calls of version 2 need one.
    pub keys: Vec<AppKey>,
    /// Which referrers are in order; `*` stands for anything. Empty allows all.
    pub referrer_filters: Vec<Box<str>>,
    /// Where OAuth sends its users.
    pub redirect_url: Option<Box<str>>,
}

/// Where services and applications are found, and where secrets are compared.
///
/// A call asks each method a few times at most. What they answer within one call must be of one moment.
pub trait Directory {
    /// The service that has an id.
    fn service(&self, id: &str) -> Option<&Service>;

    /// The default service of the provider that has a key.
    fn default_service(&self, provider_key: &str) -> Option<&Service>;

    /// Whether a text is the key of a service's provider.
    fn is_provider_key(&self, service: &Service, presented: &str) -> bool;

    /// Whether a text is a token of a service.
    fn is_service_token(&self, service: &Service, presented: &str) -> bool;

    /// The application of a service that has an id.
    fn application(&self, service: &Service, id: &str) -> Option<&Application>;

    /// The application of a service that has a user key.
    fn application_with_user_key(&self, service: &Service, presented: &str)
    -> Option<&Application>;

    /// Whether a text is a key of an application.
    fn is_app_key(&self, service: &Service, application: &Application, presented: &str) -> bool;
}

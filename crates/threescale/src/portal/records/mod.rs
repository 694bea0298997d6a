//! What the portal has, as plain values.
//!
//! They are read leniently: fields that are not known are passed over, a number may be a text, and what is
//! not there is nothing. Only what a record cannot be without must be there.

mod applications;
mod credential;
mod id;
mod lenient;
mod products;
mod tokens;

pub use applications::{Account, Application, ApplicationKey, ApplicationState, ReferrerFilter};
pub use credential::Credential;
pub use id::{
    AccountId, ApplicationId, BackendId, LimitId, MetricId, PlanId, RuleId, ServiceId, TokenId,
};
pub use products::{
    ApplicationPlan, Authentication, BackendUsage, Environment, MappingRule, Metric, ProxyConfig,
    Service, Unused, UsageLimit,
};
pub use tokens::{TokenFacts, TokenPermission};

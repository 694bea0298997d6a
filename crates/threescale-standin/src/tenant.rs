//! What a tenant of 3scale has: services with their plans, and accounts with their applications.

use serde_json::Value;

pub use crate::token::{AccessToken, Permission};

/// How the applications of a service authenticate, as the portal writes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BackendVersion {
    /// One key for each application.
    UserKey,
    /// An id, and up to five keys.
    AppId,
    /// By tokens of an identity provider: the id is the client's.
    Oidc,
}

/// A state of an application.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Waits for somebody to accept it.
    Pending,
    /// May call.
    Live,
    /// May not call until it is resumed.
    Suspended,
}

/// What changes an application's state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StateEvent {
    /// From pending to live.
    Accept,
    /// From live to suspended.
    Suspend,
    /// From suspended to live.
    Resume,
}

/// An API product.
#[derive(Clone, Debug)]
pub struct Service {
    pub(crate) id: u64,
    pub(crate) name: String,
    pub(crate) system_name: String,
    pub(crate) backend_version: BackendVersion,
}

/// A metric of a service, or a method, which has a parent.
#[derive(Clone, Debug)]
pub struct Metric {
    pub(crate) id: u64,
    pub(crate) service: u64,
    pub(crate) system_name: String,
    pub(crate) parent: Option<u64>,
}

/// An application plan.
#[derive(Clone, Debug)]
pub struct Plan {
    pub(crate) id: u64,
    pub(crate) service: u64,
    pub(crate) name: String,
    pub(crate) system_name: String,
}

/// A usage limit of a plan.
#[derive(Clone, Debug)]
pub struct Limit {
    pub(crate) id: u64,
    pub(crate) plan: u64,
    pub(crate) metric: u64,
    pub(crate) period: String,
    pub(crate) value: u64,
}

/// A mapping rule of a service.
#[derive(Clone, Debug)]
pub struct MappingRule {
    pub(crate) id: u64,
    pub(crate) service: u64,
    pub(crate) metric: u64,
    pub(crate) http_method: String,
    pub(crate) pattern: String,
    pub(crate) delta: u64,
    pub(crate) position: u64,
}

/// A developer's organization.
#[derive(Clone, Debug)]
pub struct Account {
    pub(crate) id: u64,
    pub(crate) org_name: String,
}

/// An application of an account, on a plan.
#[derive(Clone, Debug)]
pub struct Application {
    /// The portal's number for it.
    pub id: u64,
    /// Whose it is.
    pub account: u64,
    /// Its plan.
    pub plan: u64,
    /// Its name.
    pub name: String,
    /// Its state.
    pub state: State,
    /// What it authenticates with where the service goes by user keys.
    pub user_key: String,
    /// What it is known by elsewhere.
    pub app_id: String,
    /// The keys beside its id.
    pub keys: Vec<String>,
    /// Where its calls may come from, with their numbers.
    pub referrers: Vec<(u64, String)>,
}

/// A version of a service's configuration for gateways.
#[derive(Clone, Debug)]
pub struct ProxyConfig {
    pub(crate) id: u64,
    pub(crate) service: u64,
    pub(crate) environment: String,
    pub(crate) version: u64,
    pub(crate) content: Value,
}

/// All that a tenant has. Its functions make what they are named after and give its number.
#[derive(Clone, Debug, Default)]
pub struct Tenant {
    last_id: u64,
    pub(crate) tokens: Vec<(u64, AccessToken)>,
    pub(crate) services: Vec<Service>,
    pub(crate) metrics: Vec<Metric>,
    pub(crate) plans: Vec<Plan>,
    pub(crate) limits: Vec<Limit>,
    pub(crate) rules: Vec<MappingRule>,
    pub(crate) accounts: Vec<Account>,
    pub(crate) applications: Vec<Application>,
    pub(crate) configs: Vec<ProxyConfig>,
    /// Services, and the backends that they use.
    pub(crate) usages: Vec<(u64, u64)>,
    /// Services, and the names of their features.
    pub(crate) features: Vec<(u64, String)>,
    /// Plans that have a pricing rule.
    pub(crate) pricing: Vec<u64>,
}

impl Tenant {
    /// A tenant with one token that may do everything.
    pub fn with_token(value: &str) -> Self {
        let mut tenant = Self::default();
        tenant.add_token(AccessToken::new(value));
        tenant
    }

    fn next_id(&mut self) -> u64 {
        self.last_id = self.last_id.saturating_add(1);
        self.last_id
    }

    /// A token of one of the tenant's users.
    pub fn add_token(&mut self, token: AccessToken) -> u64 {
        let id = self.next_id();
        self.tokens.push((id, token));
        id
    }

    /// Puts a token in the place of all others.
    pub fn replace_tokens(&mut self, token: AccessToken) {
        self.tokens.clear();
        self.add_token(token);
    }

    /// A service. As in the portal, it has the metric `hits` from the start.
    pub fn add_service(&mut self, name: &str, backend_version: BackendVersion) -> u64 {
        let (id, system_name) = (self.next_id(), system_name(name));
        self.services.push(Service { id, name: name.to_owned(), system_name, backend_version });
        self.add_metric(id, "hits");
        id
    }

    /// A metric of a service.
    pub fn add_metric(&mut self, service: u64, system_name: &str) -> u64 {
        let (id, system_name) = (self.next_id(), system_name.to_owned());
        self.metrics.push(Metric { id, service, system_name, parent: None });
        id
    }

    /// A method below a metric of the same service.
    pub fn add_method(&mut self, service: u64, parent: u64, system_name: &str) -> u64 {
        let (id, system_name) = (self.next_id(), system_name.to_owned());
        self.metrics.push(Metric { id, service, system_name, parent: Some(parent) });
        id
    }

    /// A backend that a service uses; it has the metric `hits` with its number.
    pub fn add_backend(&mut self, service: u64) -> u64 {
        let id = self.next_id();
        self.usages.push((service, id));
        self.add_metric(id, &format!("hits.{id}"));
        id
    }

    /// A feature of a service.
    pub fn add_feature(&mut self, service: u64, name: &str) {
        self.features.push((service, name.to_owned()));
    }

    /// A pricing rule of a plan.
    pub fn add_pricing(&mut self, plan: u64) {
        self.pricing.push(plan);
    }

    /// The metric `hits` of a service.
    pub fn hits(&self, service: u64) -> u64 {
        let is_hits = |metric: &&Metric| metric.service == service && metric.system_name == "hits";
        self.metrics.iter().find(is_hits).expect("each service is made with hits").id
    }

    /// An application plan of a service.
    pub fn add_plan(&mut self, service: u64, name: &str) -> u64 {
        let (id, system_name) = (self.next_id(), system_name(name));
        self.plans.push(Plan { id, service, name: name.to_owned(), system_name });
        id
    }

    /// A usage limit: so many of a metric in each `minute`, `hour`, `day`, `week`, `month`, `year` or
    /// `eternity`.
    pub fn add_limit(&mut self, plan: u64, metric: u64, period: &str, value: u64) -> u64 {
        let id = self.next_id();
        self.limits.push(Limit { id, plan, metric, period: period.to_owned(), value });
        id
    }

    /// A mapping rule: what calls of a method and pattern count as.
    pub fn add_rule(
        &mut self,
        service: u64,
        metric: u64,
        method: &str,
        pattern: &str,
        delta: u64,
    ) -> u64 {
        let id = self.next_id();
        let others = self.rules.iter().filter(|rule| rule.service == service).count();
        self.rules.push(MappingRule {
            id,
            service,
            metric,
            http_method: method.to_owned(),
            pattern: pattern.to_owned(),
            delta,
            position: u64::try_from(others).unwrap_or(u64::MAX).saturating_add(1),
        });
        id
    }

    /// An account of a developer's organization.
    pub fn add_account(&mut self, org_name: &str) -> u64 {
        let id = self.next_id();
        self.accounts.push(Account { id, org_name: org_name.to_owned() });
        id
    }

    /// A live application on a plan, with the user key `key-N` and the id `app-N` of its number.
    pub fn add_application(&mut self, account: u64, plan: u64, name: &str) -> u64 {
        let id = self.next_id();
        self.applications.push(Application {
            id,
            account,
            plan,
            name: name.to_owned(),
            state: State::Live,
            user_key: format!("key-{id}"),
            app_id: format!("app-{id}"),
            keys: Vec::new(),
            referrers: Vec::new(),
        });
        id
    }

    /// A place that an application's calls may come from.
    pub fn add_referrer(&mut self, application: u64, value: &str) -> u64 {
        let id = self.next_id();
        self.application_mut(application).referrers.push((id, value.to_owned()));
        id
    }

    /// The next version of a service's configuration for `sandbox` or `production` gateways.
    pub fn add_config(&mut self, service: u64, environment: &str, content: Value) -> u64 {
        let id = self.next_id();
        let is_same =
            |config: &&ProxyConfig| config.service == service && config.environment == environment;
        let version = self.configs.iter().filter(is_same).map(|config| config.version).max();
        let version = version.unwrap_or(0).saturating_add(1);
        let environment = environment.to_owned();
        self.configs.push(ProxyConfig { id, service, environment, version, content });
        id
    }

    /// An application that was added.
    pub fn application(&self, id: u64) -> &Application {
        let found = self.applications.iter().find(|application| application.id == id);
        found.expect("a test names an application that it added")
    }

    /// The same, to be changed.
    pub fn application_mut(&mut self, id: u64) -> &mut Application {
        let found = self.applications.iter_mut().find(|application| application.id == id);
        found.expect("a test names an application that it added")
    }

    /// Deletes an application.
    pub fn remove_application(&mut self, id: u64) {
        self.applications.retain(|application| application.id != id);
    }

    pub(crate) fn plan(&self, id: u64) -> &Plan {
        let found = self.plans.iter().find(|plan| plan.id == id);
        found.expect("a plan is never deleted")
    }

    pub(crate) fn service(&self, id: u64) -> &Service {
        let found = self.services.iter().find(|service| service.id == id);
        found.expect("a service is never deleted")
    }

    /// The service of an application, which is its plan's.
    pub(crate) fn service_of(&self, application: &Application) -> &Service {
        self.service(self.plan(application.plan).service)
    }
}

impl State {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Live => "live",
            Self::Suspended => "suspended",
        }
    }

    /// The state after an event; nothing where the event is not for this one.
    pub(crate) fn after(self, event: StateEvent) -> Option<Self> {
        match (event, self) {
            (StateEvent::Accept, Self::Pending) | (StateEvent::Resume, Self::Suspended) => {
                Some(Self::Live)
            }
            (StateEvent::Suspend, Self::Live) => Some(Self::Suspended),
            (StateEvent::Accept, Self::Live | Self::Suspended)
            | (StateEvent::Suspend, Self::Pending | Self::Suspended)
            | (StateEvent::Resume, Self::Pending | Self::Live) => None,
        }
    }
}

impl StateEvent {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Accept => "accept",
            Self::Suspend => "suspend",
            Self::Resume => "resume",
        }
    }
}

impl BackendVersion {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::UserKey => "1",
            Self::AppId => "2",
            Self::Oidc => "oidc",
        }
    }
}

fn system_name(name: &str) -> String {
    let letters =
        name.chars().map(|c| if c.is_alphanumeric() { c.to_ascii_lowercase() } else { '_' });
    letters.collect()
}

//! What can be asked of the portal.

use std::fmt;
use std::time::Duration;

use http::Method;
use serde::de::DeserializeOwned;
use url::form_urlencoded::Serializer;

use super::document::Document;
use super::error::PortalError;
use super::page::{PER_PAGE, Page, PageNumber};
use super::place::Place;
use super::quote::Quoter;
use super::records::{
    Account, AccountId, Application, ApplicationId, ApplicationKey, ApplicationPlan, BackendId,
    BackendUsage, Credential, Environment, MappingRule, Metric, MetricId, PlanId, ProxyConfig,
    ReferrerFilter, Service, ServiceId, TokenFacts, Unused, UsageLimit,
};
use super::settings::{PortalSettings, SettingsError};
use super::token::Token;
use super::transport::{Call, Transport};

/// Pages of a list that is read as a whole: 100,000 services, or limits of one plan, are a fault.
const PAGES_MAX: u32 = 200;

/// How long is waited where the portal does not say.
const PAUSE: Duration = Duration::from_secs(10);
/// The least, where it says none.
const PAUSE_MIN: Duration = Duration::from_secs(1);
/// The most for one page, in all.
const PAUSES_MAX: Duration = Duration::from_mins(10);

/// How an application is named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ApplicationReference {
    /// By the portal's own number.
    Id(ApplicationId),
    /// By its user key, where the service goes by user keys. Name the service too: another one may know the
    /// same key.
    UserKey(Credential),
    /// By its `app_id`, or the id that it has as an identity provider's client. Name the service too.
    AppId(String),
}

/// A client of one tenant's portal.
pub struct PortalClient {
    settings: PortalSettings,
    transport: Transport,
    /// Told of each pause, by a client that waits where the portal takes no more calls for now.
    on_pause: Option<Box<dyn Fn(Duration) + Send + Sync>>,
}

impl fmt::Debug for PortalClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PortalClient").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl PortalClient {
    /// A client, which has called nobody yet. Fails when the certificates to trust cannot be used.
    pub fn new(settings: PortalSettings) -> Result<Self, SettingsError> {
        let transport = Transport::new(&settings)?;
        Ok(Self { settings, transport, on_pause: None })
    }

    /// A client that waits and reads again where the portal takes no more calls for now, and says for how long. For
    /// somebody who reads a whole account; a server has its own pace.
    #[must_use]
    pub fn waiting(mut self, on_pause: impl Fn(Duration) + Send + Sync + 'static) -> Self {
        self.on_pause = Some(Box::new(on_pause));
        self
    }

    /// All services that the token's user may see.
    pub async fn services(&self) -> Result<Vec<Service>, PortalError> {
        self.all_pages("services.json", "services", "service").await
    }

    /// The application plans of a service, without those that were customized for one application.
    pub async fn application_plans(
        &self,
        service: ServiceId,
    ) -> Result<Vec<ApplicationPlan>, PortalError> {
        let path = format!("services/{service}/application_plans.json");
        self.list(&path, "plans", "application_plan").await
    }

    /// The metrics of a service, and its methods, which have a parent.
    pub async fn metrics(&self, service: ServiceId) -> Result<Vec<Metric>, PortalError> {
        self.list(&format!("services/{service}/metrics.json"), "metrics", "metric").await
    }

    /// The methods below a metric.
    pub async fn methods(
        &self,
        service: ServiceId,
        metric: MetricId,
    ) -> Result<Vec<Metric>, PortalError> {
        let path = format!("services/{service}/metrics/{metric}/methods.json");
        self.list(&path, "methods", "method").await
    }

    /// The backends that a service uses.
    pub async fn backend_usages(
        &self,
        service: ServiceId,
    ) -> Result<Vec<BackendUsage>, PortalError> {
        let path = format!("services/{service}/backend_usages.json");
        self.read(&path, "", None).await?.bare_list("backend_usage")
    }

    /// The metrics of a backend, and its methods.
    pub async fn backend_metrics(&self, backend: BackendId) -> Result<Vec<Metric>, PortalError> {
        let path = format!("backend_apis/{backend}/metrics.json");
        self.all_pages(&path, "metrics", "metric").await
    }

    /// The features of a service, which people read and no gateway does.
    pub async fn features(&self, service: ServiceId) -> Result<Vec<Unused>, PortalError> {
        let path = format!("services/{service}/features.json");
        self.list(&path, "features", "feature").await
    }

    /// What a plan costs by use.
    pub async fn pricing_rules(&self, plan: PlanId) -> Result<Vec<Unused>, PortalError> {
        let path = format!("application_plans/{plan}/pricing_rules.json");
        self.list(&path, "pricing_rules", "pricing_rule").await
    }

    /// The usage limits of a plan, also those on metrics of the service's backends.
    pub async fn usage_limits(&self, plan: PlanId) -> Result<Vec<UsageLimit>, PortalError> {
        let path = format!("application_plans/{plan}/limits.json");
        self.all_pages(&path, "limits", "limit").await
    }

    /// The mapping rules of a service itself. Those of its backends are in its [`ProxyConfig`].
    pub async fn mapping_rules(&self, service: ServiceId) -> Result<Vec<MappingRule>, PortalError> {
        let path = format!("services/{service}/proxy/mapping_rules.json");
        self.list(&path, "mapping_rules", "mapping_rule").await
    }

    /// The configuration that gateways of an environment last got. Fails with `NotFound` where none was
    /// promoted to it.
    pub async fn proxy_config(
        &self,
        service: ServiceId,
        environment: Environment,
    ) -> Result<ProxyConfig, PortalError> {
        let environment = environment.name();
        let path = format!("services/{service}/proxy/configs/{environment}/latest.json");
        self.read(&path, "", None).await?.one("proxy_config")
    }

    /// A page of the accounts.
    pub async fn accounts(&self, page: PageNumber) -> Result<Page<Account>, PortalError> {
        self.page("accounts.json", page, &[], ("accounts", "account")).await
    }

    /// A page of the applications of a service, or of all.
    pub async fn applications(
        &self,
        service: Option<ServiceId>,
        page: PageNumber,
    ) -> Result<Page<Application>, PortalError> {
        let service = service.map(|service| ("service_id", service.to_string()));
        let names = ("applications", "application");
        self.page("applications.json", page, service.as_slice(), names).await
    }

    /// An application by one of its names. Fails with `NotFound` where none is named so.
    pub async fn find_application(
        &self,
        reference: &ApplicationReference,
        service: Option<ServiceId>,
    ) -> Result<Application, PortalError> {
        let (name, value, hidden) = match reference {
            ApplicationReference::Id(id) => ("application_id", id.to_string(), None),
            ApplicationReference::UserKey(key) => ("user_key", key.reveal().to_owned(), Some(key)),
            ApplicationReference::AppId(id) => ("app_id", id.clone(), None),
        };
        let service = service.map(|service| ("service_id", service.to_string()));
        let query = pairs([(name, value)].into_iter().chain(service));
        let document = self.read("applications/find.json", &query, hidden).await?;
        document.one("application")
    }

    /// The keys of an application, beside its id. None where the service goes by user keys.
    pub async fn application_keys(
        &self,
        account: AccountId,
        application: ApplicationId,
    ) -> Result<Vec<ApplicationKey>, PortalError> {
        let path = format!("accounts/{account}/applications/{application}/keys.json");
        self.list(&path, "keys", "key").await
    }

    /// Where the calls of an application may come from.
    pub async fn referrer_filters(
        &self,
        account: AccountId,
        application: ApplicationId,
    ) -> Result<Vec<ReferrerFilter>, PortalError> {
        let path = format!("accounts/{account}/applications/{application}/referrer_filters.json");
        self.list(&path, "referrer_filters", "referrer_filter").await
    }

    /// What the portal says of the access tokens of the token's user. It does not say which of them is this
    /// one, unless there is just one.
    pub async fn access_tokens(&self) -> Result<Vec<TokenFacts>, PortalError> {
        self.list("personal/access_tokens.json", "access_tokens", "access_token").await
    }

    /// Makes a change and gives the answer's document.
    pub(super) async fn change(
        &self,
        path: &str,
        form: &[(&str, String)],
    ) -> Result<Document, PortalError> {
        let form = pairs(form.iter().cloned());
        self.call(Method::PUT, path, String::new(), Some(form), None).await
    }

    async fn list<T: DeserializeOwned>(
        &self,
        path: &str,
        list: &str,
        name: &str,
    ) -> Result<Vec<T>, PortalError> {
        self.read(path, "", None).await?.many(list, name)
    }

    async fn all_pages<T: DeserializeOwned>(
        &self,
        path: &str,
        list: &str,
        name: &str,
    ) -> Result<Vec<T>, PortalError> {
        let mut records = Vec::new();
        let mut next = Some(PageNumber::FIRST);
        while let Some(number) = next {
            if number.get() > PAGES_MAX {
                let place = self.place(Method::GET, path);
                return Err(PortalError::TooManyPages { place, pages_max: PAGES_MAX });
            }
            let page = self.page(path, number, &[], (list, name)).await?;
            records.extend(page.records);
            next = page.next;
        }
        Ok(records)
    }

    async fn page<T: DeserializeOwned>(
        &self,
        path: &str,
        number: PageNumber,
        filters: &[(&str, String)],
        (list, name): (&str, &str),
    ) -> Result<Page<T>, PortalError> {
        let paging = [("page", number.get().to_string()), ("per_page", PER_PAGE.to_string())];
        let query = pairs(paging.into_iter().chain(filters.iter().cloned()));
        let document = self.read(path, &query, None).await?;
        Page::of(document, number, list, name)
    }

    async fn read(
        &self,
        path: &str,
        query: &str,
        hidden: Option<&Credential>,
    ) -> Result<Document, PortalError> {
        let mut waited = Duration::ZERO;
        loop {
            let read = self.call(Method::GET, path, query.to_owned(), None, hidden).await;
            let (Some(on_pause), Err(PortalError::RateLimited { retry_after, .. })) =
                (&self.on_pause, &read)
            else {
                return read;
            };
            let pause = retry_after.unwrap_or(PAUSE).max(PAUSE_MIN);
            waited = waited.saturating_add(pause);
            if waited > PAUSES_MAX {
                return read;
            }
            on_pause(pause);
            tokio::time::sleep(pause).await;
        }
    }

    async fn call(
        &self,
        method: Method,
        path: &str,
        query: String,
        form: Option<String>,
        hidden: Option<&Credential>,
    ) -> Result<Document, PortalError> {
        let token = Token::read(&self.settings.token)?;
        let hidden = hidden.map(|credential| credential.reveal().to_owned());
        let quoter = Quoter::hiding(token.forms().into_iter().chain(hidden));
        let place = self.place(method, path);
        let call = Call { place, path: api_path(path), query, form, quoter };
        self.transport.send(call, &token).await?.accept()
    }

    fn place(&self, method: Method, path: &str) -> Place {
        Place::new(method, &self.settings.address, &api_path(path))
    }
}

/// A query or a form.
fn pairs<'a>(pairs: impl Iterator<Item = (&'a str, String)>) -> String {
    Serializer::new(String::new()).extend_pairs(pairs).finish()
}

fn api_path(path: &str) -> String {
    format!("/admin/api/{path}")
}

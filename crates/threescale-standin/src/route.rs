//! Which request is answered how.
//!
//! The order is the portal's: who asks, then whether the record is there, then whether the change makes
//! sense, and only when something is written whether the token may write.

use http::Method;
use serde_json::{Value, json};

use crate::page::Paging;
use crate::render;
use crate::request::ApiRequest;
use crate::tenant::{Application, BackendVersion, StateEvent, Tenant};
use crate::token::{AccessToken, Permission};

/// What the portal answers.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) content_type: &'static str,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn json(status: u16, body: &Value) -> Self {
        Self { status, content_type: "application/json; charset=utf-8", body: body.to_string() }
    }

    fn not_found() -> Self {
        Self::json(404, &json!({ "status": "Not found" }))
    }

    fn not_permitted() -> Self {
        let words = "Your access token does not have the correct permissions";
        Self::json(403, &json!({ "error": words }))
    }

    fn no_such_page() -> Self {
        let body = "<!DOCTYPE html><html><body><h1>Not found</h1></body></html>".to_owned();
        Self { status: 404, content_type: "text/html; charset=utf-8", body }
    }
}

/// A list under its name.
fn all(name: &str, items: impl Iterator<Item = Value>) -> Answer {
    Answer::json(200, &json!({ name: items.collect::<Vec<_>>() }))
}

pub(crate) fn answer(tenant: &mut Tenant, request: &ApiRequest) -> Answer {
    let Some(token) = token_of(tenant, request) else {
        return Answer::json(403, &json!({ "error": "Access denied" }));
    };
    if !token.manages_accounts() {
        return Answer::not_permitted();
    }
    let Some(path) = request.path.strip_prefix("/admin/api/") else {
        return Answer::no_such_page();
    };
    let Some(path) = path.strip_suffix(".json") else {
        let body = "The stand-in answers in JSON only".to_owned();
        return Answer { status: 406, content_type: "text/plain", body };
    };
    let parts = path.split('/').collect::<Vec<_>>();
    let found = match request.method {
        Method::GET => read(tenant, request, &token, &parts),
        Method::PUT => write(tenant, request, &token, &parts),
        _ => Some(Answer::no_such_page()),
    };
    found.unwrap_or_else(Answer::not_found)
}

fn token_of(tenant: &Tenant, request: &ApiRequest) -> Option<AccessToken> {
    let value = request.token()?;
    let found = tenant.tokens.iter().find(|(_, token)| token.value == value && !token.expired);
    found.map(|(_, token)| token.clone())
}

/// The number in a path, where something of the list has it.
fn id_in<T>(text: &str, list: &[T], id: impl Fn(&T) -> u64) -> Option<u64> {
    let wanted = text.parse::<u64>().ok()?;
    list.iter().any(|item| id(item) == wanted).then_some(wanted)
}

fn read(
    tenant: &Tenant,
    request: &ApiRequest,
    token: &AccessToken,
    parts: &[&str],
) -> Option<Answer> {
    let paging = Paging::of(request);
    let service = |text| id_in(text, &tenant.services, |service| service.id);
    let paged = |name: &str, items| Some(Answer::json(200, &paging.cut(name, items)));
    match *parts {
        ["services"] => paged("services", tenant.services.iter().map(render::service).collect()),
        ["accounts"] => paged("accounts", tenant.accounts.iter().map(render::account).collect()),
        ["applications"] => paged("applications", applications(tenant, request)),
        ["applications", "find"] => {
            let found = find(tenant, request)?;
            Some(Answer::json(200, &render::application(tenant, found)))
        }
        ["application_plans", plan, "limits"] => {
            let plan = id_in(plan, &tenant.plans, |plan| plan.id)?;
            let limits = tenant.limits.iter().filter(|limit| limit.plan == plan);
            paged("limits", limits.map(render::limit).collect())
        }
        ["application_plans", plan, "pricing_rules"] => {
            let plan = id_in(plan, &tenant.plans, |plan| plan.id)?;
            let rules = tenant.pricing.iter().filter(|of| **of == plan);
            Some(all("pricing_rules", rules.map(|plan| render::pricing(*plan))))
        }
        ["backend_apis", backend, "metrics"] => {
            let (_, backend) =
                tenant.usages.iter().find(|(_, known)| known.to_string() == backend)?;
            let metrics = tenant.metrics.iter().filter(|metric| metric.service == *backend);
            paged("metrics", metrics.map(render::metric).collect())
        }
        ["accounts", account, "applications", application, list] => {
            let found = application_of(tenant, account, application)?;
            match list {
                "keys" => Some(all("keys", found.keys.iter().map(|key| render::key(key)))),
                "referrer_filters" => {
                    let filters = found.referrers.iter().map(render::referrer);
                    Some(all("referrer_filters", filters))
                }
                _ => Some(Answer::no_such_page()),
            }
        }
        ["personal", "access_tokens"] => {
            let name = request.param("name").unwrap_or_default();
            let own = tenant.tokens.iter().filter(|(_, known)| known.owner == token.owner);
            let named = own.filter(|(_, known)| known.name.contains(name));
            Some(all("access_tokens", named.map(render::token)))
        }
        ["services", id, ref rest @ ..] => read_service(tenant, service(id)?, rest),
        _ => Some(Answer::no_such_page()),
    }
}

fn read_service(tenant: &Tenant, service: u64, parts: &[&str]) -> Option<Answer> {
    let metrics = tenant.metrics.iter().filter(|metric| metric.service == service);
    match *parts {
        ["application_plans"] => {
            let plans = tenant.plans.iter().filter(|plan| plan.service == service);
            Some(all("plans", plans.map(render::plan)))
        }
        ["metrics"] => Some(all("metrics", metrics.map(render::metric))),
        ["features"] => {
            let features = tenant.features.iter().filter(|(of, _)| *of == service);
            Some(all("features", features.map(|(_, name)| render::feature(name))))
        }
        ["backend_usages"] => {
            let usages = tenant.usages.iter().filter(|(of, _)| *of == service);
            let usages = usages.map(|(service, backend)| render::usage(*service, *backend));
            Some(Answer::json(200, &usages.collect()))
        }
        ["metrics", metric, "methods"] => {
            let metrics = metrics.collect::<Vec<_>>();
            let metric = id_in(metric, &metrics, |metric| metric.id)?;
            let methods = metrics.iter().filter(|other| other.parent == Some(metric));
            Some(all("methods", methods.map(|metric| render::method(metric))))
        }
        ["proxy", "mapping_rules"] => {
            let rules = tenant.rules.iter().filter(|rule| rule.service == service);
            Some(all("mapping_rules", rules.map(render::rule)))
        }
        ["proxy", "configs", environment, "latest"] => {
            if !matches!(environment, "sandbox" | "production") {
                return Some(Answer::json(400, &json!({ "error": "invalid environment" })));
            }
            let of_service = tenant.configs.iter().filter(|config| config.service == service);
            let of_both = of_service.filter(|config| config.environment == environment);
            let latest = of_both.max_by_key(|config| config.version)?;
            Some(Answer::json(200, &render::config(latest)))
        }
        _ => Some(Answer::no_such_page()),
    }
}

fn applications(tenant: &Tenant, request: &ApiRequest) -> Vec<Value> {
    let matches = |application: &&Application| {
        let service = request.id("service_id");
        let plan = request.id("plan_id");
        service.is_none_or(|id| tenant.service_of(application).id == id)
            && plan.is_none_or(|id| application.plan == id)
            && request.param("state").is_none_or(|state| application.state.name() == state)
    };
    let found = tenant.applications.iter().filter(matches);
    found.map(|application| render::application(tenant, application)).collect()
}

/// The application that a parameter names. A user key finds only where services go by user keys, an id
/// only elsewhere.
fn find<'a>(tenant: &'a Tenant, request: &ApiRequest) -> Option<&'a Application> {
    let service = request.id("service_id");
    let matches = |application: &&Application| {
        let of = tenant.service_of(application);
        let by_user_key = of.backend_version == BackendVersion::UserKey;
        let is_named = if let Some(key) = request.param("user_key") {
            by_user_key && application.user_key == key
        } else if let Some(id) = request.param("app_id") {
            !by_user_key && application.app_id == id
        } else {
            request.id("application_id") == Some(application.id)
        };
        is_named && service.is_none_or(|id| of.id == id)
    };
    tenant.applications.iter().find(matches)
}

fn application_of<'a>(
    tenant: &'a Tenant,
    account: &str,
    application: &str,
) -> Option<&'a Application> {
    let (account, application) = (account.parse::<u64>().ok()?, application.parse::<u64>().ok()?);
    let of_account = tenant.applications.iter().filter(|known| known.account == account);
    of_account.into_iter().find(|known| known.id == application)
}

fn write(
    tenant: &mut Tenant,
    request: &ApiRequest,
    token: &AccessToken,
    parts: &[&str],
) -> Option<Answer> {
    let ["accounts", account, "applications", application, change] = *parts else {
        return Some(Answer::no_such_page());
    };
    let application = application_of(tenant, account, application)?.id;
    let may_write = token.permission == Permission::ReadWrite;
    match change {
        "accept" => Some(move_state(tenant, application, StateEvent::Accept, may_write)),
        "suspend" => Some(move_state(tenant, application, StateEvent::Suspend, may_write)),
        "resume" => Some(move_state(tenant, application, StateEvent::Resume, may_write)),
        "change_plan" => {
            let plan = id_in(request.param("plan_id")?, &tenant.plans, |plan| plan.id)?;
            let service = tenant.service_of(tenant.application(application)).id;
            if tenant.plan(plan).service != service {
                let words = json!({ "errors": { "plan": ["must belong to the same product"] } });
                return Some(Answer::json(422, &words));
            }
            if tenant.application(application).plan != plan {
                if !may_write {
                    return Some(Answer::not_permitted());
                }
                tenant.application_mut(application).plan = plan;
            }
            Some(Answer::json(200, &render::plan(tenant.plan(plan))))
        }
        _ => Some(Answer::no_such_page()),
    }
}

fn move_state(tenant: &mut Tenant, id: u64, event: StateEvent, may_write: bool) -> Answer {
    let application = tenant.application_mut(id);
    let Some(state) = application.state.after(event) else {
        let words = format!("cannot transition via \"{}\"", event.name());
        return Answer::json(422, &json!({ "errors": { "state": [words] } }));
    };
    if !may_write {
        return Answer::not_permitted();
    }
    application.state = state;
    Answer::json(200, &render::application(tenant, tenant.application(id)))
}

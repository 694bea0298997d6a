//! The JSON that the portal writes of each kind of record.

use serde_json::{Value, json};

use crate::tenant::{
    Account, Application, BackendVersion, Limit, MappingRule, Metric, Plan, ProxyConfig, Service,
    State, Tenant,
};
use crate::token::AccessToken;

/// When everything here was made and changed.
pub(crate) const MADE_AT: &str = "2026-01-05T10:00:00Z";

pub(crate) fn service(service: &Service) -> Value {
    json!({ "service": {
        "id": service.id,
        "name": service.name,
        "state": "incomplete",
        "system_name": service.system_name,
        "backend_version": service.backend_version.name(),
        "deployment_option": "self_managed",
        "support_email": "api@tenant.example",
        "intentions_required": false,
        "buyers_manage_apps": true,
        "buyers_manage_keys": true,
        "referrer_filters_required": false,
        "custom_keys_enabled": true,
        "buyer_key_regenerate_enabled": true,
        "mandatory_app_key": true,
        "buyer_can_select_plan": false,
        "buyer_plan_change_permission": "request",
        "created_at": MADE_AT,
        "updated_at": MADE_AT,
        "links": [{ "rel": "self", "href": format!("https://portal/admin/api/services/{}", service.id) }],
    }})
}

pub(crate) fn metric(metric: &Metric) -> Value {
    let mut fields = json!({
        "id": metric.id,
        "name": metric.system_name,
        "system_name": metric.system_name,
        "friendly_name": metric.system_name,
        "unit": "hit",
        "created_at": MADE_AT,
        "updated_at": MADE_AT,
    });
    if let Some(parent) = metric.parent {
        fields["parent_id"] = parent.into();
    }
    json!({ "metric": fields })
}

pub(crate) fn method(metric: &Metric) -> Value {
    json!({ "method": {
        "id": metric.id,
        "name": metric.system_name,
        "system_name": metric.system_name,
        "friendly_name": metric.system_name,
        "parent_id": metric.parent,
        "created_at": MADE_AT,
        "updated_at": MADE_AT,
    }})
}

pub(crate) fn plan(plan: &Plan) -> Value {
    json!({ "application_plan": {
        "id": plan.id,
        "name": plan.name,
        "state": "published",
        "setup_fee": 0.0,
        "cost_per_month": 0.0,
        "trial_period_days": 0,
        "cancellation_period": 0,
        "approval_required": false,
        "default": false,
        "created_at": MADE_AT,
        "updated_at": MADE_AT,
        "custom": false,
        "system_name": plan.system_name,
    }})
}

pub(crate) fn limit(limit: &Limit) -> Value {
    json!({ "limit": {
        "id": limit.id,
        "period": limit.period,
        "value": limit.value,
        "metric_id": limit.metric,
        "plan_id": limit.plan,
        "created_at": MADE_AT,
        "updated_at": MADE_AT,
    }})
}

pub(crate) fn rule(rule: &MappingRule) -> Value {
    json!({ "mapping_rule": {
        "id": rule.id,
        "metric_id": rule.metric,
        "pattern": rule.pattern,
        "http_method": rule.http_method,
        "delta": rule.delta,
        "position": rule.position,
        "last": false,
        "created_at": MADE_AT,
        "updated_at": MADE_AT,
    }})
}

pub(crate) fn account(account: &Account) -> Value {
    json!({ "account": {
        "id": account.id,
        "created_at": MADE_AT,
        "updated_at": MADE_AT,
        "credit_card_stored": false,
        "monthly_billing_enabled": true,
        "monthly_charging_enabled": true,
        "state": "approved",
        "org_name": account.org_name,
    }})
}

pub(crate) fn application(tenant: &Tenant, application: &Application) -> Value {
    let plan = tenant.plan(application.plan);
    let service = tenant.service(plan.service);
    let owner = tenant.accounts.iter().find(|account| account.id == application.account);
    let mut fields = json!({
        "id": application.id,
        "state": application.state.name(),
        "enabled": application.state == State::Live,
        "created_at": MADE_AT,
        "updated_at": MADE_AT,
        "service_id": service.id,
        "service_name": service.name,
        "plan_id": plan.id,
        "plan_name": plan.name,
        "account_id": application.account,
        "org_name": owner.map(|account| account.org_name.as_str()),
        "first_traffic_at": null,
        "first_daily_traffic_at": null,
        "name": application.name,
        "description": format!("{} of a test", application.name),
    });
    match service.backend_version {
        BackendVersion::UserKey => {
            fields["user_key"] = application.user_key.as_str().into();
            fields["provider_verification_key"] = "verification".into();
        }
        BackendVersion::AppId => fields["application_id"] = application.app_id.as_str().into(),
        BackendVersion::Oidc => {
            fields["application_id"] = application.app_id.as_str().into();
            fields["redirect_url"] = Value::Null;
            fields["client_id"] = application.app_id.as_str().into();
            fields["client_secret"] = application.keys.first().cloned().into();
        }
    }
    json!({ "application": fields })
}

pub(crate) fn key(value: &str) -> Value {
    json!({ "key": { "value": value, "created_at": MADE_AT, "updated_at": MADE_AT } })
}

pub(crate) fn referrer((id, value): &(u64, String)) -> Value {
    json!({ "referrer_filter": {
        "id": id,
        "value": value,
        "created_at": MADE_AT,
        "updated_at": MADE_AT,
    }})
}

pub(crate) fn config(config: &ProxyConfig) -> Value {
    json!({ "proxy_config": {
        "id": config.id,
        "version": config.version,
        "environment": config.environment,
        "content": config.content,
    }})
}

/// A token without its value, which the portal shows once, when it is made.
pub(crate) fn token((id, token): &(u64, AccessToken)) -> Value {
    json!({ "access_token": {
        "id": id,
        "name": token.name,
        "scopes": token.scopes,
        "permission": token.permission.name(),
        "expires_at": token.expires_at,
    }})
}

pub(crate) fn usage(service: u64, backend: u64) -> Value {
    json!({ "backend_usage": {
        "id": backend, "path": "/", "service_id": service, "backend_id": backend,
    }})
}

pub(crate) fn feature(name: &str) -> Value {
    json!({ "feature": { "id": 1, "name": name, "scope": "application_plan", "visible": true } })
}

pub(crate) fn pricing(plan: u64) -> Value {
    json!({ "pricing_rule": { "id": plan, "metric_id": 1, "cost_per_unit": "0.1", "min": 1, "max": null } })
}

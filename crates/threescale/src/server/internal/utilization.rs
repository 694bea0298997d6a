//! How the limits of an application stand.

use serde_json::{Value, json};

use super::call::Call;
use super::json::{Answered, Json};

/// `GET /services/:service_id/applications/:app_id/utilization/`
pub(super) fn find(call: &Call<'_>, service: &str, id: &str) -> Answered {
    let catalog = call.account.catalog();
    let entry = catalog.service(service).ok_or_else(|| Json::not_found("service not found"))?;
    let application = entry.application(id);
    let application = application.ok_or_else(|| Json::not_found("application not found"))?;
    let metrics = &entry.service().metrics;
    let now = call.account.now();
    let counters = application.counters();
    let limits = application.application().plan.limits();
    let shown = limits.iter().map(|limit| {
        let metric = metrics.metric(limit.metric);
        json!({
            "period": limit.period.name(),
            "metric_name": metric.name,
            "max_value": limit.max,
            "current_value": counters.value(&metric.id, limit.period, limit.period.window(now)),
        })
    });
    Ok(Json::found().with("utilization", shown.collect::<Value>()))
}

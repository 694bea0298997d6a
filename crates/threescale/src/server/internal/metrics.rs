//! Metrics and methods of services.

use serde_json::{Value, json};

use super::call::Call;
use super::json::{Answered, Json};
use crate::account::record::MetricRecord;

fn shown(service: &str, metric: &MetricRecord) -> Value {
    json!({
        "service_id": service,
        "id": metric.id,
        "parent_id": metric.parent_id,
        "name": metric.name,
    })
}

fn not_found() -> Json {
    Json::not_found("metric not found")
}

/// `GET /services/:service_id/metrics/:id`
pub(super) fn find(call: &Call<'_>, service: &str, id: &str) -> Answered {
    let catalog = call.account.catalog();
    let entry = catalog.service(service).ok_or_else(not_found)?;
    let metric = entry.record.metrics.iter().find(|metric| metric.id == id);
    Ok(Json::found().with("metric", shown(service, metric.ok_or_else(not_found)?)))
}

async fn keep(call: &Call<'_>, service: &str, id: &str) -> Result<Value, Json> {
    let fields = call.wrapped("metric")?;
    let name = fields.text("name")?.filter(|name| !name.is_empty());
    let parent_id = fields.text("parent_id")?.filter(|parent| !parent.is_empty());
    // The reference fails on them.
    if fields.list("children")?.is_some_and(|children| !children.is_empty()) {
        return Err(Json::invalid("metric.children is not supported: send each metric by itself"));
    }
    call.change_service(service, |record| {
        let place = record.metrics.iter().position(|metric| metric.id == id);
        let before = place.map(|place| record.metrics[place].clone());
        let name = name.or(before.as_ref().map(|metric| metric.name.clone()));
        let metric = MetricRecord {
            id: id.to_owned(),
            name: name.ok_or_else(|| Json::invalid("metric.name is missing"))?,
            parent_id: parent_id.or(before.and_then(|metric| metric.parent_id)),
        };
        let kept = shown(service, &metric);
        match place {
            Some(place) => record.metrics[place] = metric,
            None => record.metrics.push(metric),
        }
        Ok(kept)
    })
    .await
}

/// `POST /services/:service_id/metrics/:id`
pub(super) async fn create(call: &Call<'_>, service: &str, id: &str) -> Answered {
    let metric = keep(call, service, id).await?;
    Ok(Json::created().with("metric", metric))
}

/// `PUT /services/:service_id/metrics/:id`, which also makes it.
pub(super) async fn change(call: &Call<'_>, service: &str, id: &str) -> Answered {
    let metric = keep(call, service, id).await?;
    Ok(Json::kept("modified").with("metric", metric))
}

/// `DELETE /services/:service_id/metrics/:id`: with its limits, which would hold for another metric of that id.
pub(super) async fn delete(call: &Call<'_>, service: &str, id: &str) -> Answered {
    let is_there = call.account.catalog().service(service).is_some();
    if !is_there {
        return Err(not_found());
    }
    call.change_service(service, |record| {
        let before = record.metrics.len();
        record.metrics.retain(|metric| metric.id != id);
        if record.metrics.len() == before {
            return Err(not_found());
        }
        record.limits.retain(|limit| limit.metric_id != id);
        Ok(Json::deleted())
    })
    .await
}

//! What a service here keeps beside what the portal says: metrics and limits that no import brought.
//!
//! A limit that somebody made here by hand must not go with the next import, or calls would have no limit without a
//! word. So only what an earlier import brought goes when the portal has it no longer.

use std::collections::BTreeMap;

use keystile_core::text::printable;

use crate::account::record::{Brought, LimitRecord, MetricRecord, ServiceRecord};
use crate::backend::period::Period;

/// So many are told one by one.
const SAID_MAX: usize = 50;

/// The names of plans, by their ids, as far as they are known.
pub(super) type PlanNames = BTreeMap<String, String>;

/// Adds to a service, which is as the portal says, what it had before and the portal never did. Says what stays so.
pub(super) fn keep(
    before: Option<&ServiceRecord>,
    now: &mut ServiceRecord,
    plans: &PlanNames,
) -> Vec<String> {
    now.brought = Brought {
        metrics: now.metrics.iter().map(|metric| metric.id.clone()).collect(),
        limits: now.limits.iter().map(key).collect(),
    };
    let Some(before) = before else { return Vec::new() };
    let mut said = Vec::new();
    let at = format!("DELETE /internal/services/{}", now.id);
    for metric in &before.metrics {
        let is_there = |known: &MetricRecord| known.id == metric.id || known.name == metric.name;
        if before.brought.metrics.contains(&metric.id) || now.metrics.iter().any(is_there) {
            continue;
        }
        let shown = printable(&metric.name);
        said.push(format!(
            "The metric {shown} ({}) is not in 3scale, and stays here; it goes with {at}/metrics/{}.",
            metric.id, metric.id
        ));
        now.metrics.push(metric.clone());
    }
    for limit in &before.limits {
        let is_there = now.limits.iter().any(|known| key(known) == key(limit));
        let has_metric = now.metrics.iter().any(|metric| metric.id == limit.metric_id);
        if before.brought.limits.contains(&key(limit)) || is_there || !has_metric {
            continue;
        }
        let LimitRecord { plan_id, metric_id, period, .. } = limit;
        said.push(format!(
            "The limit of {} is not in 3scale, and stays here; it goes with \
             {at}/plans/{plan_id}/usagelimits/{metric_id}/{period}.",
            shown(limit, &now.metrics, plans)
        ));
        now.limits.push(limit.clone());
    }
    bounded(said)
}

/// Which metrics and limits go, come, or have another number.
pub(super) fn differences(
    before: &ServiceRecord,
    now: &ServiceRecord,
    plans: &PlanNames,
) -> Vec<String> {
    let mut said = Vec::new();
    for limit in &before.limits {
        let shown = shown(limit, &before.metrics, plans);
        match now.limits.iter().find(|known| key(known) == key(limit)) {
            None => said.push(format!("the limit of {shown} goes")),
            Some(known) if known.max != limit.max => {
                said.push(format!("the limit of {shown} becomes {}", known.max));
            }
            Some(_) => {}
        }
    }
    for metric in &before.metrics {
        let name = printable(&metric.name);
        match now.metrics.iter().find(|known| known.id == metric.id) {
            None => said.push(format!("the metric {name} ({}) goes", metric.id)),
            Some(known) if known != metric => said.push(format!(
                "the metric {name} ({}) has another name, or stands below another",
                metric.id
            )),
            Some(_) => {}
        }
    }
    let is_new = |metric: &&MetricRecord| before.metrics.iter().all(|known| known.id != metric.id);
    for metric in now.metrics.iter().filter(is_new) {
        said.push(format!("the metric {} ({}) is new", printable(&metric.name), metric.id));
    }
    let is_new = |limit: &&LimitRecord| before.limits.iter().all(|known| key(known) != key(limit));
    for limit in now.limits.iter().filter(is_new) {
        said.push(format!("the limit of {} is new", shown(limit, &now.metrics, plans)));
    }
    bounded(said)
}

fn key(limit: &LimitRecord) -> (String, String, Period) {
    (limit.plan_id.clone(), limit.metric_id.clone(), limit.period)
}

fn shown(limit: &LimitRecord, metrics: &[MetricRecord], plans: &PlanNames) -> String {
    let LimitRecord { plan_id, metric_id, period, max } = limit;
    let metric = metrics.iter().find(|metric| metric.id == *metric_id);
    let metric = printable(metric.map_or(metric_id, |metric| &metric.name));
    let plan = match plans.get(plan_id).filter(|name| !name.is_empty()) {
        Some(name) => format!("{} ({plan_id})", printable(name)),
        None => plan_id.clone(),
    };
    format!("{max} {metric} per {period} of the plan {plan}")
}

/// As many sentences as a message has room for.
pub(super) fn bounded(mut said: Vec<String>) -> Vec<String> {
    let more = said.len().saturating_sub(SAID_MAX);
    said.truncate(SAID_MAX);
    if more > 0 {
        said.push(format!("and {more} more"));
    }
    said
}

//! Limits of plans.

use serde_json::{Value, json};

use super::call::Call;
use super::json::{Answered, Json};
use crate::account::record::LimitRecord;
use crate::backend::period::Period;

/// The longest id of a plan or a metric.
const ID_BYTES_MAX: usize = 100;

/// Which limit a path is of.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place<'p> {
    pub(super) service: &'p str,
    pub(super) plan: &'p str,
    pub(super) metric: &'p str,
    pub(super) period: &'p str,
}

impl Place<'_> {
    fn shown(&self, value: impl Into<Value>) -> Value {
        let mut limit = json!({
            "service_id": self.service,
            "plan_id": self.plan,
            "metric_id": self.metric,
        });
        limit[self.period] = value.into();
        limit
    }

    fn is_of(&self, limit: &LimitRecord) -> bool {
        limit.plan_id == self.plan
            && limit.metric_id == self.metric
            && limit.period.name() == self.period
    }
}

/// `GET /services/:service_id/plans/:plan_id/usagelimits/:metric_id/:period`
pub(super) fn find(call: &Call<'_>, place: Place<'_>) -> Answered {
    let not_found = || Json::not_found("usagelimit not found");
    let catalog = call.account.catalog();
    let entry = catalog.service(place.service).ok_or_else(not_found)?;
    let limit = entry.record.limits.iter().find(|limit| place.is_of(limit));
    let limit = limit.ok_or_else(not_found)?;
    Ok(Json::found().with("usagelimit", place.shown(limit.max)))
}

/// `PUT /services/:service_id/plans/:plan_id/usagelimits/:metric_id/:period`
///
/// The metric may come later: until then the limit counts nothing.
pub(super) async fn change(call: &Call<'_>, place: Place<'_>) -> Answered {
    let fields = call.wrapped("usagelimit")?;
    let sent = fields.value(place.period).ok_or_else(|| Json::missing(place.period))?;
    let max = fields.number(place.period)?.ok_or_else(|| Json::missing(place.period))?;
    let Some(period) = Period::named(place.period) else {
        return Err(Json::invalid(format!("{} is no period of limits", place.period)));
    };
    if place.plan.len().max(place.metric.len()) > ID_BYTES_MAX {
        return Err(Json::invalid(format!("an id has 1 to {ID_BYTES_MAX} bytes")));
    }
    call.change_service(place.service, |record| {
        match record.limits.iter_mut().find(|limit| place.is_of(limit)) {
            Some(limit) => limit.max = max,
            None => record.limits.push(LimitRecord {
                plan_id: place.plan.to_owned(),
                metric_id: place.metric.to_owned(),
                period,
                max,
            }),
        }
        Ok(Json::kept("modified").with("usagelimit", place.shown(sent.clone())))
    })
    .await
}

/// `DELETE /services/:service_id/plans/:plan_id/usagelimits/:metric_id/:period`, which is in order where there is
/// none.
pub(super) async fn delete(call: &Call<'_>, place: Place<'_>) -> Answered {
    if call.account.catalog().service(place.service).is_none() {
        return Ok(Json::deleted());
    }
    call.change_service(place.service, |record| {
        record.limits.retain(|limit| !place.is_of(limit));
        Ok(Json::deleted())
    })
    .await
}

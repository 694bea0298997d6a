//! At how much of a limit a service alerts.

use serde_json::{Value, json};

use super::call::Call;
use super::json::{Answered, Json};
use crate::backend::alerts::Threshold;

fn shown(service: &str, percent: u16) -> Value {
    json!({ "service_id": service, "value": percent })
}

/// The level that a text names. The reference also keeps 0, which never alerts.
fn level(text: &str) -> Option<u16> {
    let percent = text.parse().ok().filter(|percent: &u16| percent.to_string() == text)?;
    (percent == 0 || Threshold::at(percent).is_some()).then_some(percent)
}

/// `GET /services/:service_id/alert_limits/`
pub(super) fn list(call: &Call<'_>, service: &str) -> Json {
    let catalog = call.account.catalog();
    let mut levels =
        catalog.service(service).map(|entry| entry.record.alert_limits.clone()).unwrap_or_default();
    levels.sort_unstable();
    let shown: Value = levels.into_iter().map(|percent| shown(service, percent)).collect();
    Json::found().with("alert_limits", shown)
}

/// `POST /services/:service_id/alert_limits/`. The reference takes a level that is there for an invalid one.
pub(super) async fn create(call: &Call<'_>, service: &str) -> Answered {
    let sent = match call.fields.under("alert_limit")? {
        Some(fields) => fields.text("value")?,
        None => None,
    };
    let percent = sent.as_deref().and_then(level);
    let percent = percent.ok_or_else(|| Json::refused("alert limit is invalid"))?;
    call.change_service(service, |record| {
        if !record.alert_limits.contains(&percent) {
            record.alert_limits.push(percent);
        }
        Ok(Json::created().with("alert_limit", shown(service, percent)))
    })
    .await
}

/// `DELETE /services/:service_id/alert_limits/:value`
pub(super) async fn delete(call: &Call<'_>, service: &str, value: &str) -> Answered {
    let not_found = || Json::not_found("alert limit not found");
    let percent = level(value).ok_or_else(not_found)?;
    let is_there = call.account.catalog().service(service).is_some();
    if !is_there {
        return Err(not_found());
    }
    call.change_service(service, |record| {
        let before = record.alert_limits.len();
        record.alert_limits.retain(|known| *known != percent);
        if record.alert_limits.len() < before { Ok(Json::deleted()) } else { Err(not_found()) }
    })
    .await
}

//! What happened to applications, until the portal has taken it.

use keystile_core::time::Timestamp;
use serde_json::{Value, json};

use super::call::Call;
use super::json::{Answered, Json};
use crate::account::event::{Event, EventKind};

/// A time as the reference shows it: `2026-01-28 14:11:52 UTC`.
pub(super) fn shown_time(time: Timestamp) -> String {
    let time = jiff::Timestamp::from_millisecond(time.0).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    time.strftime("%Y-%m-%d %H:%M:%S UTC").to_string()
}

/// Of one, as the reference has it: 0.8 is 80 percent.
fn of_one(percent: u64) -> f64 {
    f64::from(u32::try_from(percent).unwrap_or(u32::MAX)) / 100.0
}

fn shown(number: u64, event: &Event) -> Value {
    let time = shown_time(event.time);
    let mut object = json!({
        "service_id": event.service_id,
        "application_id": event.application_id,
        "timestamp": time,
    });
    let kind = match &event.kind {
        EventKind::FirstTraffic => "first_traffic",
        EventKind::FirstDailyTraffic => "first_daily_traffic",
        EventKind::Alert { utilization, limit, percent } => {
            object["id"] = number.into();
            object["utilization"] = (*utilization).into();
            object["max_utilization"] = of_one(*percent).into();
            object["limit"] = limit.as_str().into();
            "alert"
        }
    };
    json!({ "id": number, "type": kind, "timestamp": time, "object": object })
}

/// `GET /events/`
pub(super) async fn list(call: &Call<'_>) -> Answered {
    let events = call.account.told_events().await?;
    let shown: Value = events.iter().map(|(number, event)| shown(*number, event)).collect();
    Ok(Json::found().with("events", shown))
}

/// `DELETE /events/:id`
pub(super) async fn delete(call: &Call<'_>, id: &str) -> Answered {
    let removed = match id.parse::<u64>() {
        Ok(id) => call.account.forget_events(|known| known == id).await?,
        Err(_) => 0,
    };
    if removed > 0 { Ok(Json::deleted()) } else { Err(Json::not_found("event not found")) }
}

/// `DELETE /events/`: up to the id that the request names, or none.
pub(super) async fn delete_up_to(call: &Call<'_>) -> Answered {
    let last = call.fields.number("upto_id")?.unwrap_or(0);
    let removed = call.account.forget_events(|known| known <= last).await?;
    Ok(Json::deleted().with("num_events", removed))
}

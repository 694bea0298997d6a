//! Reports of a service that did not count, newest first.

use serde_json::{Value, json};

use super::call::Call;
use super::events::shown_time;
use super::json::{Answered, Json};
use crate::account::event::ReportError;

/// So many errors are on a page where a request does not say.
const PER_PAGE: u64 = 100;

fn check_service(call: &Call<'_>, service: &str) -> Result<(), Json> {
    let is_there = call.account.catalog().service(service).is_some();
    is_there.then_some(()).ok_or_else(|| Json::not_found("service not found"))
}

/// A number from 1, where a request has one.
fn positive(call: &Call<'_>, name: &str) -> Result<Option<u64>, Json> {
    let Some(text) = call.fields.text(name)? else { return Ok(None) };
    let number = text.parse().ok().filter(|number| *number > 0);
    number.map(Some).ok_or_else(|| Json::refused(format!("{name} needs to be > 0")))
}

/// What was called is not kept, so that no key is.
fn shown(error: &ReportError) -> Value {
    json!({
        "code": error.code,
        "message": error.message,
        "timestamp": shown_time(error.time),
        "context_info": {},
    })
}

/// `GET /services/:service_id/errors/`
pub(super) async fn list(call: &Call<'_>, service: &str) -> Answered {
    check_service(call, service)?;
    let per_page = positive(call, "per_page")?.unwrap_or(PER_PAGE);
    let page = positive(call, "page")?.unwrap_or(1);
    let size = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
    let before = size(page.saturating_sub(1).saturating_mul(per_page));
    let errors = call.account.told_errors(service).await?;
    let shown: Value = errors.iter().rev().skip(before).take(size(per_page)).map(shown).collect();
    Ok(Json::found().with("errors", shown).with("count", errors.len()))
}

/// `DELETE /services/:service_id/errors/`
pub(super) async fn delete(call: &Call<'_>, service: &str) -> Answered {
    check_service(call, service)?;
    call.account.forget_errors(service).await?;
    Ok(Json::deleted())
}

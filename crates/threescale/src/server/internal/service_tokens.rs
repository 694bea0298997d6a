//! Tokens with which gateways call for one service.

use std::collections::BTreeMap;

use http::StatusCode;
use serde_json::Value;

use super::call::Call;
use super::fields::Fields;
use super::json::{Answered, Json};
use crate::account::catalog::Catalog;
use crate::account::record::{SecretHash, ServiceRecord};

fn is_token(call: &Call<'_>, token: &str, service: &str) -> bool {
    let secret = call.account.provider_secret(token);
    let catalog = call.account.catalog();
    catalog.service(service).is_some_and(|entry| entry.record.tokens.contains(&secret))
}

/// `HEAD /service_tokens/:token/:service_id/`
pub(super) fn exists(call: &Call<'_>, token: &str, service: &str) -> Answered {
    if is_token(call, token, service) {
        Ok(Json::found())
    } else {
        Err(Json::not_found("token/service combination not found"))
    }
}

/// `GET /service_tokens/:token/:service_id/provider_key`: that there is one, since only its hash is kept.
pub(super) fn provider_key(call: &Call<'_>, token: &str, service: &str) -> Answered {
    exists(call, token, service).map(|found| found.with("provider_key", Value::Null))
}

/// Tokens by the service that they are for.
type Pairs = BTreeMap<String, Vec<SecretHash>>;

fn missing() -> Json {
    Json::refused("missing parameter 'service_tokens'")
}

fn blank(what: &str) -> Json {
    Json::failed(StatusCode::UNPROCESSABLE_ENTITY, format!("{what} cannot be blank"))
}

/// The services of some pairs, changed..
fn changed(
    catalog: &Catalog,
    pairs: &Pairs,
    mut change: impl FnMut(&mut ServiceRecord, &[SecretHash]),
) -> Result<Vec<ServiceRecord>, Json> {
    let mut records = Vec::new();
    for (service, tokens) in pairs {
        let Some(entry) = catalog.service(service) else {
            return Err(Json::not_found("service not found"));
        };
        let mut record = entry.record.clone();
        change(&mut record, tokens);
        if record != entry.record {
            records.push(record);
        }
    }
    Ok(records)
}

/// `POST /service_tokens/`: all of the tokens, or none.
pub(super) async fn create(call: &Call<'_>) -> Answered {
    let tokens = call.fields.under("service_tokens")?.ok_or_else(missing)?;
    if tokens.iter().any(|(token, _)| token.is_empty()) {
        return Err(blank("Service token"));
    }
    let mut pairs = Pairs::new();
    for (token, info) in tokens.iter() {
        // The place does not show the token.
        let info = Fields::of_element("service_tokens[…]".to_owned(), info)?;
        let service = info.text("service_id")?.filter(|id| !id.is_empty());
        let service = service.ok_or_else(|| blank("Service ID"))?;
        pairs.entry(service).or_default().push(call.account.provider_secret(token));
    }
    let add = |record: &mut ServiceRecord, tokens: &[SecretHash]| {
        for token in tokens {
            if !record.tokens.contains(token) {
                record.tokens.push(*token);
            }
        }
    };
    call.account.change_services(call.by, |catalog| changed(catalog, &pairs, add)).await?;
    Ok(Json::created())
}

/// `DELETE /service_tokens/`: those of the tokens that are there.
pub(super) async fn delete(call: &Call<'_>) -> Answered {
    let list = call.fields.list("service_tokens")?.ok_or_else(missing)?;
    let mut pairs = Pairs::new();
    for (at, pair) in list.iter().enumerate() {
        let pair = Fields::of_element(format!("service_tokens[{at}]"), pair)?;
        if let (Some(token), Some(service)) =
            (pair.text("service_token")?, pair.text("service_id")?)
        {
            pairs.entry(service).or_default().push(call.account.provider_secret(&token));
        }
    }
    let mut deleted = 0_usize;
    let change = |catalog: &Catalog| {
        pairs.retain(|service, _| catalog.service(service).is_some());
        changed(catalog, &pairs, |record, tokens| {
            let before = record.tokens.len();
            record.tokens.retain(|token| !tokens.contains(token));
            deleted = deleted.saturating_add(before.saturating_sub(record.tokens.len()));
        })
    };
    call.account.change_services(call.by, change).await?;
    Ok(Json::deleted().with("count", deleted))
}

//! Keys of applications: application keys, and the user key, of which an application has one.

use std::fmt::Write as _;

use serde_json::json;

use super::call::Call;
use super::json::{Answered, Json};
use crate::account::record::ApplicationRecord;

/// So many keys an application has at most; no list of them shows more.
const KEYS_MAX: usize = 256;
/// The longest key, in bytes.
const KEY_BYTES_MAX: usize = 1_024;

/// Gives an application one more key.
pub(super) fn add(call: &Call<'_>, record: &mut ApplicationRecord, key: &str) -> Result<(), Json> {
    if key.is_empty() || key.len() > KEY_BYTES_MAX {
        return Err(Json::invalid(format!("an application key has 1 to {KEY_BYTES_MAX} bytes")));
    }
    let hash = call.account.app_key(&record.id, key);
    if !record.keys.iter().any(|known| known.key == hash.key) {
        if record.keys.len() >= KEYS_MAX {
            return Err(Json::invalid(format!("an application has at most {KEYS_MAX} keys")));
        }
        record.keys.push(hash);
    }
    Ok(())
}

/// As long and as random as the reference's.
fn random_key() -> String {
    keystile_store::random::<16>().iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// `GET /services/:service_id/applications/:app_id/keys/`: how many there are, since only hashes are kept.
pub(super) fn list(call: &Call<'_>, service: &str, id: &str) -> Answered {
    let catalog = call.account.catalog();
    let entry = catalog.service(service).and_then(|service| service.application(id));
    let entry = entry.ok_or_else(|| Json::not_found("application not found"))?;
    let shown = json!({ "service_id": service, "app_id": id, "value": null });
    let keys = vec![shown; entry.record.keys.len()];
    Ok(Json::found().with("application_keys", keys))
}

/// `POST /services/:service_id/applications/:app_id/keys/`. Without a value, a key is made.
pub(super) async fn create(call: &Call<'_>, service: &str, id: &str) -> Answered {
    let sent = match call.fields.under("application_key")? {
        Some(fields) => fields.text("value")?,
        None => None,
    };
    let key = sent.filter(|key| !key.is_empty()).unwrap_or_else(random_key);
    call.change_application(service, id, |record| add(call, record, &key)).await?;
    let key = json!({ "app_id": id, "value": key });
    Ok(Json::created().with("application_key", key))
}

/// `DELETE /services/:service_id/applications/:app_id/keys/:value`
pub(super) async fn delete(call: &Call<'_>, service: &str, id: &str, key: &str) -> Answered {
    let hash = call.account.key(key);
    call.change_application(service, id, |record| {
        let before = record.keys.len();
        record.keys.retain(|known| known.key != hash);
        if record.keys.len() < before {
            Ok(Json::deleted())
        } else {
            Err(Json::not_found("application key not found"))
        }
    })
    .await
}

/// The application that has a user key.
fn holder(call: &Call<'_>, service: &str, user_key: &str) -> Option<String> {
    let hash = call.account.key(user_key).0;
    let catalog = call.account.catalog();
    let entry = catalog.service(service)?.application_with_user_key(&hash)?;
    Some(entry.record.id.clone())
}

fn with_application(answer: Json, id: &str) -> Json {
    answer.with("application", json!({ "id": id }))
}

/// `GET /services/:service_id/applications/key/:user_key`
pub(super) fn find_by_user_key(call: &Call<'_>, service: &str, user_key: &str) -> Answered {
    let id = holder(call, service, user_key);
    let id = id.ok_or_else(|| Json::not_found("application key not found"))?;
    Ok(with_application(Json::found(), &id))
}

/// `PUT /services/:service_id/applications/:id/key/:user_key`, which takes the place of the one before.
pub(super) async fn change_user_key(
    call: &Call<'_>,
    service: &str,
    id: &str,
    user_key: &str,
) -> Answered {
    if user_key.len() > KEY_BYTES_MAX {
        return Err(Json::invalid(format!("a user key has 1 to {KEY_BYTES_MAX} bytes")));
    }
    let hash = call.account.key(user_key);
    call.change_application(service, id, |record| {
        record.user_key = Some(hash);
        Ok(())
    })
    .await?;
    Ok(with_application(Json::kept("modified"), id))
}

/// `DELETE /services/:service_id/applications/key/:user_key`, which is in order where nobody has it.
pub(super) async fn delete_user_key(call: &Call<'_>, service: &str, user_key: &str) -> Answered {
    let hash = call.account.key(user_key);
    if let Some(id) = holder(call, service, user_key) {
        let removed = call.change_application(service, &id, |record| {
            record.user_key = record.user_key.filter(|known| *known != hash);
            Ok(())
        });
        removed.await?;
    }
    Ok(Json::deleted())
}

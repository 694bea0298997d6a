//! Which referrers an application may be called from.

use base64::Engine as _;
use base64::alphabet::URL_SAFE;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use super::call::Call;
use super::json::{Answered, Json};
use crate::account::record::ApplicationRecord;

/// So many filters an application has at most: each is tried on each call.
const FILTERS_MAX: usize = 256;
/// The longest filter, in bytes.
const FILTER_BYTES_MAX: usize = 1_024;

/// With padding or without.
const URL_BASE64: GeneralPurpose = GeneralPurpose::new(
    &URL_SAFE,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Gives an application one more filter.
pub(super) fn add(record: &mut ApplicationRecord, filter: &str) -> Result<(), Json> {
    if filter.trim().is_empty() {
        return Err(Json::refused("referrer filter can't be blank"));
    }
    if filter.len() > FILTER_BYTES_MAX {
        return Err(Json::refused(format!(
            "a referrer filter has at most {FILTER_BYTES_MAX} bytes"
        )));
    }
    if !record.referrer_filters.iter().any(|known| known == filter) {
        if record.referrer_filters.len() >= FILTERS_MAX {
            return Err(Json::refused(format!("an application has at most {FILTERS_MAX} filters")));
        }
        record.referrer_filters.push(filter.to_owned());
    }
    Ok(())
}

/// `GET /services/:service_id/applications/:app_id/referrer_filters`
pub(super) fn list(call: &Call<'_>, service: &str, id: &str) -> Answered {
    let catalog = call.account.catalog();
    let entry = catalog.service(service).and_then(|service| service.application(id));
    let entry = entry.ok_or_else(|| Json::not_found("application not found"))?;
    let mut filters = entry.record.referrer_filters.clone();
    filters.sort_unstable();
    Ok(Json::found().with("referrer_filters", filters))
}

/// `POST /services/:service_id/applications/:app_id/referrer_filters`
pub(super) async fn create(call: &Call<'_>, service: &str, id: &str) -> Answered {
    let filter = call.fields.text("referrer_filter")?.unwrap_or_default();
    call.change_application(service, id, |record| add(record, &filter)).await?;
    Ok(Json::created().with("referrer_filter", filter))
}

/// `DELETE /services/:service_id/applications/:app_id/referrer_filters/:value`, which is in order where there is
/// none.
///
/// The value is the filter in base64, or as it is where that is none. What reads as both is both: `abcd` is a
/// filter too.
pub(super) async fn delete(call: &Call<'_>, service: &str, id: &str, value: &str) -> Answered {
    let decoded = URL_BASE64.decode(value).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    call.change_application(service, id, |record| {
        let filters = &mut record.referrer_filters;
        let meant = decoded.filter(|decoded| filters.contains(decoded));
        let meant = meant.as_deref().unwrap_or(value);
        filters.retain(|known| known != meant);
        Ok(Json::deleted())
    })
    .await
}

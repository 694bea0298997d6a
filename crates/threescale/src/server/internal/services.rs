//! Services: made, changed and deleted by the portal.

use serde_json::{Value, json};

use super::call::Call;
use super::json::{Answered, Json};
use crate::account::catalog::{Catalog, ServiceEntry};
use crate::account::record::{Brought, SecretHash, ServiceRecord};
use crate::backend::catalog::State;

/// What a request says of a service; `None` leaves an attribute as it is.
struct Sent {
    id: Option<String>,
    provider_key: Option<String>,
    state: Option<&'static str>,
    backend_version: Option<String>,
    referrer_filters_required: Option<bool>,
    default_service: Option<bool>,
}

/// What becomes of attributes that a request does not name.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Unnamed {
    /// They are as in a new service.
    Reset,
    /// They stay.
    Stay,
}

impl Sent {
    fn read(call: &Call<'_>) -> Result<Self, Json> {
        let fields = call.wrapped("service")?;
        Ok(Self {
            id: fields.text("id")?,
            provider_key: fields.text("provider_key")?.filter(|key| !key.is_empty()),
            state: fields.text("state")?.map(|name| State::named(&name).name()),
            backend_version: fields.text("backend_version")?,
            referrer_filters_required: fields.flag("referrer_filters_required")?,
            default_service: fields.flag("default_service")?,
        })
    }

    /// The service with what was sent, and the one that is no longer its provider's default.
    fn applied(
        &self,
        catalog: &Catalog,
        (id, provider): (&str, Option<SecretHash>),
        unnamed: Unnamed,
    ) -> Result<Vec<ServiceRecord>, Json> {
        let before = catalog.service(id).map(|entry| &entry.record);
        let missing = || Json::invalid("service.provider_key is missing");
        let provider = provider.or(before.map(|record| record.provider)).ok_or_else(missing)?;
        let mut record = before.cloned().unwrap_or_else(|| new(id, provider));
        if unnamed == Unnamed::Reset {
            State::Active.name().clone_into(&mut record.state);
            record.referrer_filters_required = false;
        }
        record.provider = provider;
        if let Some(state) = self.state {
            state.clone_into(&mut record.state);
        }
        if let Some(version) = &self.backend_version {
            record.backend_version.clone_from(version);
        }
        if let Some(required) = self.referrer_filters_required {
            record.referrer_filters_required = required;
        }
        let default = catalog.default_service(&provider).map(|entry| &entry.record);
        record.is_default = match (self.default_service, default) {
            (Some(true), _) => true,
            // A provider's default is replaced by another, and never by none.
            (Some(false) | None, Some(default)) => default.id == record.id,
            (is_meant, None) => is_meant.is_none(),
        };
        let replaced = default.filter(|default| record.is_default && default.id != record.id);
        let replaced =
            replaced.map(|default| ServiceRecord { is_default: false, ..default.clone() });
        Ok(std::iter::once(record).chain(replaced).collect())
    }
}

fn new(id: &str, provider: SecretHash) -> ServiceRecord {
    ServiceRecord {
        id: id.to_owned(),
        provider,
        is_default: false,
        backend_version: String::new(),
        state: State::Active.name().to_owned(),
        referrer_filters_required: false,
        metrics: Vec::new(),
        limits: Vec::new(),
        tokens: Vec::new(),
        alert_limits: Vec::new(),
        brought: Brought::default(),
    }
}

/// A service as answers show it. Its provider's key is shown to whoever sent it.
fn shown(record: &ServiceRecord, provider_key: Option<&str>) -> Value {
    let version = &record.backend_version;
    json!({
        "id": record.id,
        "state": State::named(&record.state).name(),
        "provider_key": provider_key,
        "backend_version": (!version.is_empty()).then_some(version),
        "referrer_filters_required": record.referrer_filters_required,
        "default_service": record.is_default,
    })
}

/// `GET /services/:id`
pub(super) fn find(call: &Call<'_>, id: &str) -> Answered {
    let catalog = call.account.catalog();
    let entry = catalog.service(id).ok_or_else(Json::unknown)?;
    Ok(Json::found().with("service", shown(&entry.record, None)))
}

async fn keep(call: &Call<'_>, id: &str, sent: &Sent, unnamed: Unnamed) -> Result<Value, Json> {
    let provider_key = sent.provider_key.as_deref();
    let provider = provider_key.map(|key| call.account.provider_secret(key));
    let mut kept = Value::Null;
    let change = |catalog: &Catalog| {
        let records = sent.applied(catalog, (id, provider), unnamed)?;
        kept = records.first().map_or(Value::Null, |record| shown(record, provider_key));
        Ok::<_, Json>(records)
    };
    call.account.change_services(call.by, change).await?;
    Ok(kept)
}

/// `POST /services/`
pub(super) async fn create(call: &Call<'_>) -> Answered {
    let sent = Sent::read(call)?;
    let id = sent.id.clone().ok_or_else(|| Json::invalid("service.id is missing"))?;
    let service = keep(call, &id, &sent, Unnamed::Reset).await?;
    Ok(Json::created().with("service", service))
}

/// `PUT /services/:id`
pub(super) async fn change(call: &Call<'_>, id: &str) -> Answered {
    let sent = Sent::read(call)?;
    if sent.id.as_deref().is_some_and(|other| other != id) {
        return Err(Json::invalid("service.id is another than in the path"));
    }
    let service = keep(call, id, &sent, Unnamed::Stay).await?;
    Ok(Json::ok().with("service", service))
}

/// `PUT /services/change_provider_key/:key`
pub(super) async fn change_provider_key(call: &Call<'_>, key: &str) -> Answered {
    let new_key = call.fields.text("new_key")?.filter(|new| !new.is_empty() && new != key);
    let Some(new_key) = new_key else {
        return Err(Json::refused("Provider keys are not valid, must be not nil and different"));
    };
    let (old, new) = (call.account.provider_secret(key), call.account.provider_secret(&new_key));
    let change = |catalog: &Catalog| {
        let of_provider = |provider: SecretHash| {
            catalog.services().filter(move |entry| entry.record.provider == provider)
        };
        if of_provider(new).next().is_some() {
            return Err(Json::refused(format!("Provider key=\"{new_key}\" already exists")));
        }
        let moved = |entry: &ServiceEntry| ServiceRecord { provider: new, ..entry.record.clone() };
        let records: Vec<_> = of_provider(old).map(moved).collect();
        if records.is_empty() {
            return Err(Json::refused(format!("Provider key=\"{key}\" does not exist")));
        }
        Ok(records)
    };
    call.account.change_services(call.by, change).await?;
    Ok(Json::ok())
}

/// `DELETE /services/:id`: with its applications, metrics, limits, tokens and errors.
pub(super) async fn delete(call: &Call<'_>, id: &str) -> Answered {
    let unknown = || Json::not_found(&format!("service id \"{id}\" is invalid"));
    {
        let catalog = call.account.catalog();
        let record = &catalog.service(id).ok_or_else(unknown)?.record;
        let has_others = catalog
            .services()
            .any(|other| other.record.provider == record.provider && other.record.id != record.id);
        if record.is_default && has_others {
            let error = format!("Service id=\"{id}\" is the default service, cannot be removed");
            return Err(Json::refused(error));
        }
    }
    if !call.account.delete_service(call.by, id).await? {
        return Err(unknown());
    }
    call.account.forget_errors(id).await?;
    Ok(Json::deleted())
}

/// `DELETE /services/:service_id/stats`, which is not supported: what a service has counted is what its limits
/// rest on. It goes with the service and with each application.
pub(super) fn delete_stats(call: &Call<'_>, service: &str) -> Answered {
    if call.account.catalog().service(service).is_none() {
        return Err(Json::not_found("service not found"));
    }
    Err(Json::invalid(
        "not supported: limits rest on what a service has counted; it goes when the service is deleted",
    ))
}

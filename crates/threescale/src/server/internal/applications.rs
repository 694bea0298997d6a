//! Applications: made, changed and deleted by the portal.

use http::StatusCode;
use serde_json::{Map, Value};

use super::call::Call;
use super::fields::Fields;
use super::json::{Answered, Json};
use crate::account::record::ApplicationRecord;

/// What a request says of an application; `None` leaves an attribute as it is. Whether it may call is always
/// said.
#[derive(Debug)]
pub(super) struct Sent {
    state: String,
    plan_id: Option<String>,
    plan_name: Option<String>,
    redirect_url: Option<String>,
}

impl Sent {
    /// Reads what is said of the application that has an id.
    pub(super) fn read(fields: &Fields<'_>, id: &str) -> Result<Self, Json> {
        let no_state = || {
            let error = format!("Application with id=\"{id}\" has no state");
            Json::failed_as(StatusCode::BAD_REQUEST, "bad_request", error)
        };
        Ok(Self {
            plan_id: fields.text("plan_id")?,
            plan_name: fields.text("plan_name")?,
            redirect_url: fields.text("redirect_url")?,
            state: fields.text("state")?.filter(|state| !state.is_empty()).ok_or_else(no_state)?,
        })
    }

    /// The application with what was sent.
    pub(super) fn applied(
        self,
        (service, id): (&str, &str),
        before: Option<ApplicationRecord>,
    ) -> ApplicationRecord {
        let mut record = before.unwrap_or_else(|| ApplicationRecord {
            service_id: service.to_owned(),
            id: id.to_owned(),
            name: None,
            state: String::new(),
            plan_id: String::new(),
            plan_name: String::new(),
            user_key: None,
            keys: Vec::new(),
            referrer_filters: Vec::new(),
            redirect_url: None,
        });
        record.state = self.state;
        record.plan_id = self.plan_id.unwrap_or(record.plan_id);
        record.plan_name = self.plan_name.unwrap_or(record.plan_name);
        record.redirect_url = self.redirect_url.or(record.redirect_url);
        record
    }
}

/// An application as answers show it: as it is kept, also where the request named only a part.
pub(super) fn shown(record: &ApplicationRecord) -> Map<String, Value> {
    let unless_empty = |text: &String| (!text.is_empty()).then(|| text.clone());
    let entries: [(&str, Value); 6] = [
        ("service_id", record.service_id.clone().into()),
        ("id", record.id.clone().into()),
        ("state", record.state.clone().into()),
        ("plan_id", unless_empty(&record.plan_id).into()),
        ("plan_name", unless_empty(&record.plan_name).into()),
        ("redirect_url", record.redirect_url.clone().into()),
    ];
    entries.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// `GET /services/:service_id/applications/:id`
pub(super) fn find(call: &Call<'_>, service: &str, id: &str) -> Answered {
    let catalog = call.account.catalog();
    let entry = catalog.service(service).and_then(|service| service.application(id));
    let entry = entry.ok_or_else(|| Json::not_found("application not found"))?;
    Ok(Json::found().with("application", shown(&entry.record)))
}

/// `POST /services/:service_id/applications/:id`
pub(super) async fn create(call: &Call<'_>, service: &str, id: &str) -> Answered {
    let fields = call.wrapped("application")?;
    let mut result = Err(Json::failed_as(
        StatusCode::METHOD_NOT_ALLOWED,
        "exists",
        "application cannot be created, exists already",
    ));
    let change = |before: Option<ApplicationRecord>| {
        if before.is_some() {
            return None;
        }
        let record = Sent::read(&fields, id).map(|sent| sent.applied((service, id), None));
        result = record.as_ref().map(shown).map_err(Clone::clone);
        record.ok()
    };
    call.account.change_application(call.by, service, id, change).await?;
    Ok(Json::created().with("application", result?))
}

/// `PUT /services/:service_id/applications/:id`, which also makes it.
pub(super) async fn change(call: &Call<'_>, service: &str, id: &str) -> Answered {
    let sent = Sent::read(&call.wrapped("application")?, id)?;
    let mut done = "created";
    let change = |before: Option<ApplicationRecord>| {
        if before.is_some() {
            done = "modified";
        }
        Some(sent.applied((service, id), before))
    };
    let kept = call.account.change_application(call.by, service, id, change).await?;
    let kept = kept.as_ref().map(shown).unwrap_or_default();
    Ok(Json::kept(done).with("application", kept))
}

/// `DELETE /services/:service_id/applications/:id`: with its keys and filters.
pub(super) async fn delete(call: &Call<'_>, service: &str, id: &str) -> Answered {
    if call.account.delete_application(call.by, service, id).await? {
        Ok(Json::deleted())
    } else {
        Err(Json::not_found("application not found"))
    }
}

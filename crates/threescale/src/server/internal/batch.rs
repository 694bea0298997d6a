//! Many applications in one request, with keys and filters.
//!
//! All of them are kept in one commit. One that cannot be kept is told of and changes nothing; the reference
//! keeps what comes before its fault.

use std::collections::HashMap;

use keystile_core::keys::hash::KeyHash;
use serde_json::{Value, json};

use super::applications::{Sent, shown};
use super::call::Call;
use super::fields::Fields;
use super::json::{Answered, Json};
use super::{keys, referrer_filters};
use crate::account::catalog::ServiceEntry;
use crate::account::record::{ApplicationRecord, SecretHash};

/// So many applications are kept at once: the store commits no more.
const APPLICATIONS_MAX: usize = 1_000;

/// What comes of each application of a batch, in order.
#[derive(Default)]
struct Results {
    applications: Vec<Value>,
    failures: Vec<Value>,
}

/// The applications of a service as the batch has changed them so far.
struct Draft<'d> {
    service: &'d ServiceEntry,
    changed: HashMap<String, ApplicationRecord>,
    /// Whose user key it is now, or no longer anybody's.
    user_keys: HashMap<KeyHash, Option<String>>,
}

impl Draft<'_> {
    fn before(&self, id: &str) -> Option<ApplicationRecord> {
        let kept = || self.service.application(id).map(|entry| entry.record.clone());
        self.changed.get(id).cloned().or_else(kept)
    }

    fn has_user_key(&self, hash: &KeyHash) -> Option<String> {
        let kept = || self.service.application_with_user_key(hash);
        self.user_keys
            .get(hash)
            .cloned()
            .unwrap_or_else(|| kept().map(|entry| entry.record.id.clone()))
    }

    /// Gives an application a user key that no other has.
    fn set_user_key(
        &mut self,
        record: &mut ApplicationRecord,
        key: SecretHash,
    ) -> Result<(), Json> {
        if self.has_user_key(&key.0).is_some_and(|other| other != record.id) {
            return Err(Json::invalid("another application has this user key"));
        }
        if let Some(SecretHash(before)) = record.user_key.replace(key) {
            self.user_keys.insert(before, None);
        }
        self.user_keys.insert(key.0, Some(record.id.clone()));
        Ok(())
    }

    /// Applies one entry of the batch, and says what it is then.
    fn apply(&mut self, call: &Call<'_>, fields: &Fields<'_>, id: &str) -> Result<Value, Json> {
        let service = self.service.record.id.as_str();
        let before = self.before(id);
        let done = if before.is_some() { "modified" } else { "created" };
        let user_key = fields.text("user_key")?;
        let application_keys = fields.texts("application_keys")?.unwrap_or_default();
        let filters = fields.texts("referrer_filters")?.unwrap_or_default();
        let mut record = Sent::read(fields, id)?.applied((service, id), before);
        for key in &application_keys {
            keys::add(call, &mut record, key)?;
        }
        for filter in &filters {
            referrer_filters::add(&mut record, filter)?;
        }
        match user_key.as_deref() {
            None => {}
            Some("") => {
                return Err(Json::invalid(format!(
                    "Application id=\"{id}\" with user_key=\"\" has inconsistent data and could not be saved"
                )));
            }
            Some(key) => self.set_user_key(&mut record, call.account.key(key))?,
        }
        let mut application = shown(&record);
        application.insert("user_key".to_owned(), user_key.into());
        // Those that were sent; of others only hashes are kept.
        application.insert("application_keys".to_owned(), application_keys.into());
        application.insert("referrer_filters".to_owned(), record.referrer_filters.clone().into());
        self.changed.insert(id.to_owned(), record);
        Ok(json!({ "status": done, "application": application }))
    }
}

impl Results {
    fn add(&mut self, id: Option<&str>, result: Result<Value, Json>) {
        match result {
            Ok(application) => self.applications.push(application),
            Err(failed) => {
                let error = failed.body.get("error").cloned().unwrap_or_default();
                self.applications.push(json!({ "status": "error", "id": id, "error": error }));
                self.failures.push(json!({ "id": id, "error": error }));
            }
        }
    }

    fn answer(self) -> Json {
        let (total, failed) = (self.applications.len(), self.failures.len());
        let answer = Json::kept("completed")
            .with("total", total)
            .with("successful", total.saturating_sub(failed))
            .with("failed", failed)
            .with("applications", self.applications);
        if failed > 0 { answer.with("failures", self.failures) } else { answer }
    }
}

/// `PUT /services/:service_id/applications/batch`
pub(super) async fn keep(call: &Call<'_>, service: &str) -> Answered {
    let list = call.fields.list("applications")?.ok_or_else(|| Json::missing("applications"))?;
    if list.len() > APPLICATIONS_MAX {
        return Err(Json::invalid(format!("applications has more than {APPLICATIONS_MAX}")));
    }
    let mut results = Results::default();
    let change = |service: &ServiceEntry| {
        let mut draft = Draft { service, changed: HashMap::new(), user_keys: HashMap::new() };
        for (at, entry) in list.iter().enumerate() {
            let (id, result) = one(call, &mut draft, at, entry);
            results.add(id.as_deref(), result);
        }
        Ok::<_, Json>(draft.changed.into_values().collect())
    };
    call.account.change_applications(call.by, service, change).await?;
    Ok(results.answer())
}

fn one(
    call: &Call<'_>,
    draft: &mut Draft<'_>,
    at: usize,
    entry: &Value,
) -> (Option<String>, Result<Value, Json>) {
    let fields = match Fields::of_element(format!("applications[{at}]"), entry) {
        Ok(fields) => fields,
        Err(failed) => return (None, Err(failed)),
    };
    match fields.text("id") {
        Ok(Some(id)) if !id.is_empty() => {
            let result = draft.apply(call, &fields, &id);
            (Some(id), result)
        }
        Ok(_) => (None, Err(Json::invalid("Application has no id"))),
        Err(failed) => (None, Err(failed)),
    }
}

//! What a change of the account becomes in the store: documents, what the audit says, and what follows here, in one
//! commit.

use std::sync::{MutexGuard, PoisonError};

use keystile_core::actor::Actor;
use keystile_core::keys::hash::KeyHash;
use keystile_core::owners::principal::Principal;
use keystile_engine::command::Failure;
use keystile_engine::keys::source_change::ChangeSource;
use keystile_store::audit::EventKind;
use keystile_store::doors::documents::{
    DocumentChange, DocumentEvent, DocumentName, ExpectedDocument,
};
use keystile_store::doors::source_change::{FollowedApplication, SourceChange, SourceEvent};

use super::difference::{self, Difference};
use super::mirror::{self, Link, Links, ORIGIN};
use super::record::{APPLICATIONS, ApplicationRecord, LINKS, SERVICES, ServiceRecord};
use super::state::Account;

/// A change that is being put together.
#[derive(Debug, Default)]
pub(super) struct Draft {
    pub(super) documents: Vec<DocumentChange>,
    /// Each with its subject, and the id of the application's document that it concerns.
    differences: Vec<(Difference, String, Option<String>)>,
    followed: Vec<(String, Link, FollowedApplication)>,
}

pub(super) fn put(collection: &str, id: String, record: &impl serde::Serialize) -> DocumentChange {
    DocumentChange::Put {
        name: DocumentName { collection: collection.to_owned(), id },
        expected: ExpectedDocument::Any,
        body: serde_json::to_string(record).expect("records are texts and numbers"),
    }
}

pub(super) fn delete(collection: &str, id: String) -> DocumentChange {
    let name = DocumentName { collection: collection.to_owned(), id };
    DocumentChange::Delete { name, expected: ExpectedDocument::Any }
}

/// Who carries out what no portal asked for, as at a start.
pub fn own_principal() -> Principal {
    Principal::KeySource { name: ORIGIN.to_owned() }
}

/// Who asks for a change in the portal's place.
pub(crate) fn portal_principal(user: &str) -> Principal {
    Principal::KeySource { name: format!("{ORIGIN}, {user}") }
}

impl Account {
    /// The links, held against others.
    pub(super) fn links(&self) -> MutexGuard<'_, Links> {
        self.links.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn link(&self, id: &str) -> Option<Link> {
        self.links().get(id).cloned()
    }

    /// The plan here of an application there; none where it is not mirrored.
    fn plan_here(&self, record: &ApplicationRecord) -> Option<String> {
        let plan = self.mirror.as_ref()?.plan_of(record)?;
        let policy = self.engine.policy();
        let known = policy.plan(plan).filter(|plan| !plan.spec().is_keyless)?;
        Some(known.name().to_owned())
    }

    /// Adds what follows of an application that is there.
    pub(super) fn follow(
        &self,
        draft: &mut Draft,
        service: &ServiceRecord,
        record: &ApplicationRecord,
    ) {
        if self.mirror.is_none() {
            return;
        }
        let id = ApplicationRecord::document_id(&record.service_id, &record.id);
        let plan = self.plan_here(record);
        let followed = mirror::follow(service, record, self.link(&id).as_ref(), plan.as_deref());
        if let Some((link, followed)) = followed {
            self.hand_over(draft, (&record.service_id, &record.id), &followed.ended);
            draft.followed.push((id, link, followed));
        }
    }

    /// Adds that keys which end go on as those of another service's application that has the same.
    fn hand_over(
        &self,
        draft: &mut Draft,
        (service, application): (&str, &str),
        ended: &[KeyHash],
    ) {
        let catalog = self.catalog();
        let others = catalog.services().filter(|other| other.record.id != service);
        for (other, hash) in others.flat_map(|other| ended.iter().map(move |hash| (other, hash))) {
            let Some(heir) = other.application_with_gate_key(application, hash) else { continue };
            let id = ApplicationRecord::document_id(&heir.record.service_id, &heir.record.id);
            let link = self.link(&id);
            let is_first = draft.followed.iter().all(|(known, ..)| *known != id);
            if let (Some(link), true) = (link, is_first) {
                let followed = mirror::take_again(&link, *hash);
                draft.followed.push((id, link, followed));
            }
        }
    }

    /// Adds an application as it is to be.
    pub(super) fn keep_application(
        &self,
        draft: &mut Draft,
        service: &ServiceRecord,
        (before, record): (Option<&ApplicationRecord>, &ApplicationRecord),
    ) {
        let id = ApplicationRecord::document_id(&record.service_id, &record.id);
        draft.documents.push(put(APPLICATIONS, id.clone(), record));
        if let Some(difference) = difference::of_application(before, record) {
            draft.differences.push((difference, id.clone(), Some(id)));
        }
        self.follow(draft, service, record);
    }

    /// Adds the end of an application. One that goes with its service is not told of by itself.
    pub(super) fn let_application_go(&self, draft: &mut Draft, service: &str, application: &str) {
        let id = ApplicationRecord::document_id(service, application);
        draft.documents.push(delete(APPLICATIONS, id.clone()));
        self.let_go(draft, id);
    }

    /// Adds the end of an application here.
    pub(super) fn let_go(&self, draft: &mut Draft, id: String) {
        if self.mirror.is_some()
            && let Some((link, followed)) = self.link(&id).as_ref().and_then(mirror::let_go)
        {
            let (service, application) = id.split_once('/').unwrap_or_default();
            self.hand_over(draft, (service, application), &followed.ended);
            draft.followed.push((id, link, followed));
        }
    }

    /// Makes a change, and knows it once it is durable.
    pub(super) async fn record(&self, by: &Principal, draft: Draft) -> Result<(), Failure> {
        let Draft { mut documents, differences, followed } = draft;
        let mut known = Links::new();
        let mut applications = Vec::new();
        for (id, link, application) in followed {
            documents.push(put(LINKS, id.clone(), &link));
            known.insert(id, link);
            applications.push(application);
        }
        let events = {
            let (links, actor) = (self.links(), by.actor());
            let told = differences.into_iter().map(|(difference, subject, application)| {
                let link = application.and_then(|id| known.get(&id).or_else(|| links.get(&id)));
                let event = event(difference, subject, &actor);
                SourceEvent { event, application: link.map(|link| link.application) }
            });
            told.collect()
        };
        let change = SourceChange { documents, applications, events };
        for why in self.engine.execute(by, ChangeSource { change }).await? {
            tracing::warn!(%why, "a key of the 3scale backend could not be taken over");
        }
        let ids: Vec<String> = known.keys().cloned().collect();
        self.links().extend(known);
        self.note_here(ids.iter());
        Ok(())
    }

    /// Has the catalog know which applications of Keystile's some of its own are as well.
    pub(super) fn note_here<'i>(&self, ids: impl Iterator<Item = &'i String>) {
        let mut catalog = self.catalog_to_change();
        let links = self.links();
        for id in ids {
            let (service, application) = id.split_once('/').unwrap_or_default();
            let link = links.get(id);
            let here = link.and_then(|link| self.store.keys().application(link.application));
            catalog.set_here(service, application, here);
        }
    }
}

fn event(difference: Difference, subject: String, actor: &Actor) -> DocumentEvent {
    let Difference { kind, detail } = difference;
    DocumentEvent { kind, subject: Some(subject), actor: actor.clone(), detail }
}

impl Draft {
    /// Adds a service as it is to be.
    pub(super) fn keep_service(&mut self, before: Option<&ServiceRecord>, record: &ServiceRecord) {
        self.documents.push(put(SERVICES, record.id.clone(), record));
        for difference in difference::of_service(before, record) {
            self.differences.push((difference, record.id.clone(), None));
        }
    }

    /// Says what happened beside changes of records: mostly that something is gone.
    pub(super) fn note(&mut self, kind: EventKind, subject: String, detail: String) {
        self.differences.push((Difference { kind, detail }, subject, None));
    }

    /// How many applications follow.
    pub(super) fn followed(&self) -> usize {
        self.followed.len()
    }
}

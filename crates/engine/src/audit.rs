//! The audit: what happened, who did it, and whether the record of it is whole.

use std::path::Path;

use keystile_core::lock::Actor;
use keystile_core::time::Timestamp;
use keystile_store::sqlite::audit;
use keystile_store::sqlite::audit::event;
use keystile_store::sqlite::audit::event::{EventKind, EventQuery};
use keystile_store::sqlite::files::backup;
use keystile_store::sqlite::keys::key;
use serde::{Deserialize, Serialize};

use crate::Engine;
use crate::command::Failure;
use crate::execute::{LISTED_MAX, failure};
use crate::keys::view;
use crate::legacy::Answer;

/// Which events to list.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventFilter {
    /// Only those of this kind, as in `key_locked`.
    pub kind: Option<String>,
    /// Only those by whoever has this name, or by this sort of actor, as in `owner`.
    pub actor: Option<String>,
    /// Only those of this key: its id, prefix or text.
    pub key: Option<String>,
    /// Only those of this application and its keys: its name or id.
    pub application: Option<String>,
    /// Only those that concern the owner or token with this name.
    pub subject: Option<String>,
    /// Only those with a lower number: the next page.
    pub before: Option<i64>,
    /// Only those with a higher number: what is new.
    pub after: Option<i64>,
    /// At most so many; as many as a listing may have, where it is 0.
    pub limit: u32,
}

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct EventView {
    /// Its number.
    pub id: i64,
    /// When.
    pub time: Timestamp,
    /// What, as in `key_locked`.
    pub kind: String,
    /// The id of the key that it concerns.
    pub key: Option<String>,
    /// The name of the application that it concerns.
    pub application: Option<String>,
    /// The name of the owner or token that it concerns.
    pub subject: Option<String>,
    /// Who did it.
    pub actor: Actor,
    /// More about it, in a sentence.
    pub detail: String,
}

/// What came of looking through the audit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct AuditReport {
    /// How many events are from before the chain, which nothing protects.
    pub older: u64,
    /// How many events are in the chain, as far as it fits.
    pub count: u64,
    /// The hash of the last of them, in hexadecimal digits. Kept elsewhere together with the count, it
    /// tells later whether the whole audit was replaced.
    pub head: String,
    /// The first thing that does not fit; `None` where the audit is whole.
    pub fault: Option<AuditFault>,
}

/// Where the chain breaks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct AuditFault {
    /// The number of the event that does not fit; `None` where the end is missing or the head is wrong.
    pub event: Option<i64>,
    /// What is wrong, as in `event 7 is not what was written`.
    pub problem: String,
}

impl Engine {
    /// Events, latest first.
    pub fn events(&self, filter: &EventFilter) -> Result<Vec<EventView>, Failure> {
        let kind = filter.kind.as_deref().map(kind_named).transpose()?;
        let key_row = match &filter.key {
            Some(key) => Some(self.find_key(key)?.row),
            None => None,
        };
        let application_row = match &filter.application {
            Some(name) => Some(self.store.read(|read| key::application_row_of(read, name))?),
            None => None,
        };
        let query = EventQuery {
            kind,
            actor: filter.actor.clone(),
            key_row,
            application_row,
            subject: filter.subject.clone(),
            before: filter.before,
            after: filter.after,
            limit: if filter.limit == 0 { LISTED_MAX } else { filter.limit.min(LISTED_MAX) },
        };
        let rows = self.store.read(|read| event::list(read, &query))?;
        Ok(rows.into_iter().map(view::event).collect())
    }

    /// Looks through all events. Takes about a second for each half million.
    pub fn verify_audit(&self) -> Result<AuditReport, Failure> {
        let pepper = self.store.pepper();
        let verdict = self.store.read(|read| audit::verify(read, pepper))?;
        let fault = verdict.fault.map(|fault| AuditFault {
            event: fault.event,
            problem: match fault.event {
                Some(event) => format!("event {event} {}", fault.problem),
                None => fault.problem,
            },
        });
        let head = verdict.head.iter().map(|byte| format!("{byte:02x}")).collect();
        Ok(AuditReport { older: verdict.older, count: verdict.count, head, fault })
    }

    /// Writes an event of the server itself. It has happened all the same where the store cannot write.
    pub(crate) async fn note(&self, kind: EventKind, actor: Actor, detail: String) {
        let noted = self.store.change(move |work| work.tell_of(kind, None, &actor, &detail)).await;
        if let Err(error) = noted {
            tracing::warn!(%error, event.kind = kind.name(), "an event could not be written");
        }
    }

    /// Copies the store into a new file and verifies the copy.
    pub(crate) async fn back_up(&self, to: &Path, actor: Actor) -> Result<Answer, Failure> {
        let contents = backup::backup(&self.store, to)?;
        let file = to.display();
        self.note(EventKind::BackupMade, actor, format!("to {file}")).await;
        Ok(Answer::Done(format!(
            "Backed up {} keys and {} records to {file} ({} bytes) and verified the copy. It holds the pepper: keep it private.",
            contents.keys, contents.records, contents.bytes
        )))
    }

    /// Notes that the configuration was read again.
    pub async fn note_reload(&self, actor: Actor) {
        self.note(EventKind::PolicyReloaded, actor, "the new policy is in force".to_owned()).await;
    }

    /// Notes that a new policy could not be read; the one in force stays.
    pub async fn note_failed_reload(&self, problem: &str, actor: Actor) {
        let now = self.store.now().readable();
        let before = self.policy_note.load();
        let kept = before.split("; a reload at").next().unwrap_or_default();
        self.policy_note
            .store(std::sync::Arc::new(format!("{kept}; a reload at {now} failed: {problem}")));
        self.note(EventKind::PolicyReloadFailed, actor, problem.to_owned()).await;
    }
}

fn kind_named(name: &str) -> Result<EventKind, Failure> {
    let found = EventKind::ALL.iter().find(|kind| kind.name() == name);
    found.copied().ok_or_else(|| {
        let names: Vec<_> = EventKind::ALL.iter().map(|kind| kind.name()).collect();
        failure(
            format!("there is no kind of event named {name}"),
            &format!("the kinds are: {}", names.join(", ")),
        )
    })
}

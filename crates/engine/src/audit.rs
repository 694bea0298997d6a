//! The audit: what happened, who did it, and whether the record of it is whole.

use std::sync::Arc;

use keystile_core::actor::Actor;
use keystile_core::audit::AuditEvent;
use keystile_core::owners::scope::Scope;
use keystile_store::audit::{EventKind, EventOwner, EventQuery};
use serde::{Deserialize, Serialize};

use crate::command::failure::{failure, key_failure};
use crate::command::input::listed_limit;
use crate::command::{Authorized, Command, Failure, Running};
use crate::engine::Engine;

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

/// Lists events, latest first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListEvents {
    /// Which ones.
    #[serde(flatten)]
    pub filter: EventFilter,
}

/// Looks through all events whether the record is whole. Takes about a second for each half million.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VerifyAudit;

impl Command for ListEvents {
    type Answer = Vec<AuditEvent>;
    const SCOPE: Scope = Scope::Read;

    fn run<'a>(self, engine: &'a Arc<Engine>, _: &'a Authorized) -> Running<'a, Vec<AuditEvent>> {
        Box::pin(async move { engine.events(self.filter).await })
    }
}

impl Command for VerifyAudit {
    type Answer = AuditReport;
    const SCOPE: Scope = Scope::Read;

    fn run<'a>(self, engine: &'a Arc<Engine>, _: &'a Authorized) -> Running<'a, AuditReport> {
        Box::pin(async move {
            let checked = engine.store.verify_audit().await?;
            let fault = checked.fault.map(|fault| AuditFault {
                event: fault.event,
                problem: match fault.event {
                    Some(event) => format!("event {event} {}", fault.problem),
                    None => fault.problem,
                },
            });
            let head = checked.head.iter().map(|byte| format!("{byte:02x}")).collect();
            Ok(AuditReport { older: checked.older, count: checked.count, head, fault })
        })
    }
}

impl Engine {
    /// Events, latest first.
    pub(crate) async fn events(&self, filter: EventFilter) -> Result<Vec<AuditEvent>, Failure> {
        let EventFilter { kind, actor, key, application, subject, before, after, limit } = filter;
        let owner = EventOwner { key: key.map(|key| self.key_ref(&key)), application };
        let query = EventQuery {
            kind: kind.as_deref().map(kind_named).transpose()?,
            actor,
            subject,
            before,
            after,
            limit: listed_limit(limit),
            ..EventQuery::default()
        };
        self.store.list_events(owner, query).await.map_err(key_failure)
    }

    /// Writes an event of the server itself. It has happened all the same where the store cannot write.
    pub(crate) async fn note(&self, kind: EventKind, actor: Actor, detail: String) {
        if let Err(error) = self.store.record_server_event(kind, actor, detail).await {
            tracing::warn!(%error, event.kind = kind.name(), "an event could not be written");
        }
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
        self.policy_note.store(Arc::new(format!("{kept}; a reload at {now} failed: {problem}")));
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

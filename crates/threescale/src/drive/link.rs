//! What is kept of an application that was brought over.

use keystile_core::time::Timestamp;
use keystile_engine::Engine;
use keystile_engine::command::{Failure, FailureKind};
use keystile_store::doors::documents::{DocumentEvent, DocumentName, ExpectedDocument};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::drive::settings::OnLock;
use crate::portal::records::{ApplicationId, PlanId};

/// Documents that are read at once.
const PAGE: u32 = 1_000;

/// An application there, and what it is here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Link {
    /// The id of the application here.
    pub(super) application: String,
    /// Its name here.
    pub(super) name: String,
    /// The ids of its keys here that are also there.
    pub(super) keys: Vec<String>,
    /// The plan here that its plan there last stood for.
    pub(super) plan: String,
    /// Whether it may call there, apart from what a lock here asked for.
    pub(super) access: Access,
    /// Whose the suspension here is.
    #[serde(default)]
    pub(super) suspension: Suspension,
    /// How far 3scale is with following a lock here.
    #[serde(default)]
    pub(super) lock: Option<LockThere>,
}

/// Whether an application may call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Access {
    Allowed,
    Barred,
}

/// Whether an application is suspended here because it is there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Suspension {
    /// It is not, or an owner did it.
    #[default]
    NotOurs,
    /// It is, and ends with the one there.
    Followed,
}

/// How far 3scale is with following a lock.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct LockThere {
    /// What is done there while the lock holds, and undone after it.
    #[serde(default)]
    pub(super) measure: Measure,
    pub(super) standing: Standing,
    /// Since when it is at this standing.
    pub(super) since: Timestamp,
    /// How often the present step failed.
    #[serde(default)]
    pub(super) attempts: u32,
    /// When it is tried, where there is something to try.
    pub(super) next: Option<Timestamp>,
    /// Whether a request may have been carried out whose answer was lost.
    #[serde(default)]
    pub(super) sent: Sent,
    /// Why the last attempt failed.
    #[serde(default)]
    pub(super) said: Option<String>,
}

/// What is done there, as it was set up when the lock came: what undoes it follows from this, and not from what
/// is set up later.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Measure {
    /// The application is suspended, and resumed.
    #[default]
    Suspend,
    /// The application is put on another plan, and back.
    ChangePlan {
        /// The name of the plan.
        plan: String,
        /// Between which plans; known before it is asked for.
        moved: Option<Moved>,
    },
}

/// The plans of a change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Moved {
    /// The plan that it was on before.
    pub(super) from: PlanId,
    /// The name of that.
    pub(super) from_name: String,
    /// The plan that it is put on.
    pub(super) to: PlanId,
}

/// What is to be done or was done there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Standing {
    /// The measure is to be taken.
    Asked,
    /// It was taken for the lock.
    #[serde(alias = "suspended")]
    Done,
    /// It was so there already, for another reason, and is left as it is.
    #[serde(alias = "found_barred")]
    FoundSo,
    /// Somebody undid it there while the key is locked here.
    Overruled,
    /// The measure is to be undone.
    #[serde(alias = "resume_asked")]
    UndoAsked,
}

/// Whether a request may have been carried out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Sent {
    /// None was.
    #[default]
    Not,
    /// One whose answer was lost, perhaps.
    Perhaps,
}

/// When the portal was last read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct SyncNote {
    /// When it was read to the end.
    #[serde(default)]
    pub(super) synchronized: Option<Timestamp>,
    /// Why the last attempt came to nothing, where it did.
    #[serde(default)]
    pub(super) problem: Option<String>,
    /// Since when no attempt came to anything.
    #[serde(default)]
    pub(super) failing_since: Option<Timestamp>,
    /// Whether an owner has to confirm that much is gone there.
    #[serde(default)]
    pub(super) awaits_confirmation: bool,
}

impl Measure {
    /// What settings ask for, where they ask for something.
    pub(super) fn of(on_lock: &OnLock) -> Option<Self> {
        match on_lock {
            OnLock::Suspend => Some(Self::Suspend),
            OnLock::ChangePlan(plan) => Some(Self::ChangePlan { plan: plan.clone(), moved: None }),
            OnLock::Nothing => None,
        }
    }
}

impl LockThere {
    /// Whether the measure is in force there, or may be.
    fn may_be_in_force(&self) -> bool {
        match self.standing {
            Standing::Done | Standing::UndoAsked => true,
            Standing::Asked => self.sent == Sent::Perhaps,
            Standing::FoundSo | Standing::Overruled => false,
        }
    }
}

impl Link {
    /// Whether it is suspended there because of a lock here, or may be.
    pub(super) fn is_suspended_for_lock(&self) -> bool {
        let lock = self.lock.as_ref().filter(|lock| lock.measure == Measure::Suspend);
        lock.is_some_and(LockThere::may_be_in_force)
    }

    /// The change of plan that a lock here asked for, where it is in force there, or may be.
    pub(super) fn moved_for_lock(&self) -> Option<&Moved> {
        match &self.lock.as_ref().filter(|lock| lock.may_be_in_force())?.measure {
            Measure::ChangePlan { moved, .. } => moved.as_ref(),
            Measure::Suspend => None,
        }
    }
}

/// The documents of one account.
#[derive(Clone, Debug)]
pub(super) struct Documents {
    links: String,
    notes: String,
}

const NOTE: &str = "synchronization";

impl Documents {
    pub(super) fn of(name: &str) -> Self {
        Self {
            links: format!("threescale/{name}/applications"),
            notes: format!("threescale/{name}"),
        }
    }

    /// All links, with the numbers of the applications there. Fails when the store or one of them cannot be
    /// read.
    pub(super) async fn links(
        &self,
        engine: &Engine,
    ) -> Result<Vec<(ApplicationId, Link)>, Failure> {
        let (mut links, mut after) = (Vec::new(), String::new());
        loop {
            let page =
                engine.store().list_documents(self.links.clone(), after.clone(), PAGE).await?;
            let Some(last) = page.last() else {
                return Ok(links);
            };
            after.clone_from(&last.id);
            for document in page {
                let id = document.id.parse().map_err(|_| broken(&document.id))?;
                links.push((ApplicationId::new(id), read(&document.body, &document.id)?));
            }
        }
    }

    /// Keeps a link, with an event in the same transaction where there is one. Fails when the store cannot
    /// commit.
    pub(super) async fn put_link(
        &self,
        engine: &Engine,
        (id, link): (ApplicationId, &Link),
        event: Option<DocumentEvent>,
    ) -> Result<(), Failure> {
        let name = DocumentName { collection: self.links.clone(), id: id.to_string() };
        let body = write(link)?;
        engine.store().put_document(name, ExpectedDocument::Any, body, event).await?;
        Ok(())
    }

    /// Forgets a link. Fails when the store cannot commit.
    pub(super) async fn delete_link(
        &self,
        engine: &Engine,
        id: ApplicationId,
    ) -> Result<(), Failure> {
        let name = DocumentName { collection: self.links.clone(), id: id.to_string() };
        Ok(engine.store().delete_document(name, ExpectedDocument::Any, None).await?)
    }

    pub(super) async fn note(&self, engine: &Engine) -> Result<SyncNote, Failure> {
        self.record(engine, NOTE).await
    }

    pub(super) async fn put_note(&self, engine: &Engine, note: &SyncNote) -> Result<(), Failure> {
        self.put_record(engine, (NOTE, note), None).await
    }

    /// What is kept of the account under an id. Fails when the store or the record cannot be read.
    pub(super) async fn record<T: DeserializeOwned + Default>(
        &self,
        engine: &Engine,
        id: &str,
    ) -> Result<T, Failure> {
        let name = DocumentName { collection: self.notes.clone(), id: id.to_owned() };
        match engine.store().document(name).await? {
            Some(document) => read(&document.body, id),
            None => Ok(T::default()),
        }
    }

    /// Keeps it, with an event in the same transaction where there is one. Fails when the store cannot commit.
    pub(super) async fn put_record(
        &self,
        engine: &Engine,
        (id, record): (&str, &(impl Serialize + Sync)),
        event: Option<DocumentEvent>,
    ) -> Result<(), Failure> {
        let name = DocumentName { collection: self.notes.clone(), id: id.to_owned() };
        engine.store().put_document(name, ExpectedDocument::Any, write(record)?, event).await?;
        Ok(())
    }
}

pub(super) fn read<T: DeserializeOwned>(body: &str, id: &str) -> Result<T, Failure> {
    serde_json::from_str(body).map_err(|_| broken(id))
}

pub(super) fn write(value: &impl Serialize) -> Result<String, Failure> {
    serde_json::to_string(value).map_err(|_| broken("a record"))
}

pub(super) fn broken(id: &str) -> Failure {
    Failure {
        kind: FailureKind::Fault,
        message: format!("what the store keeps of 3scale cannot be read at {id:?}"),
        help: Some("see whether a newer version wrote it".to_owned()),
    }
}

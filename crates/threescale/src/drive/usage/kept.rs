//! What is kept of usage, in memory as in the store, and changes that are made in both.
//!
//! A change is drawn up first ([`Draft`]), committed, and made in memory once it is durable. Each commit expects
//! the state as it was read, so that one which was given up and still came through makes the next one fail, and
//! not count the same twice.

use std::collections::BTreeMap;

use keystile_engine::Engine;
use keystile_engine::command::Failure;
use keystile_engine::keys::source::{MissingUsage, UsageStanding};
use keystile_store::doors::documents::{
    DocumentChange, DocumentEvent, DocumentName, DocumentVersion, ExpectedDocument,
};

use super::record::{Batch, Place, Slot, State, document_id, place_of, sum};
use crate::drive::link::{broken, read, write};

/// Documents that are read at once.
const PAGE: u32 = 1_000;
/// The most slots of one draft: a commit changes a thousand documents, and the state and the report are two.
pub(super) const SLOTS_AT_ONCE: usize = 900;

const STATE: &str = "state";
const REPORT: &str = "report";

/// Where an account keeps what it reports.
#[derive(Clone, Debug)]
pub(super) struct Collections {
    usage: String,
    slots: String,
}

impl Collections {
    pub(super) fn of(name: &str) -> Self {
        Self {
            usage: format!("threescale/{name}/usage"),
            slots: format!("threescale/{name}/usage/slots"),
        }
    }

    fn usage(&self, id: &str) -> DocumentName {
        DocumentName { collection: self.usage.clone(), id: id.to_owned() }
    }

    fn slot(&self, place: Place) -> DocumentName {
        DocumentName { collection: self.slots.clone(), id: document_id(place) }
    }
}

/// What is kept.
#[derive(Debug)]
pub(super) struct Kept {
    version: Option<DocumentVersion>,
    pub(super) state: State,
    /// Calls that are in no report yet.
    pub(super) slots: BTreeMap<Place, Slot>,
    pub(super) batch: Option<Batch>,
}

/// A change of what is kept.
#[derive(Debug)]
pub(super) struct Draft {
    pub(super) state: State,
    pub(super) slots: BTreeMap<Place, Option<Slot>>,
    pub(super) batch: BatchChange,
}

/// What becomes of the report that is kept.
#[derive(Debug)]
pub(super) enum BatchChange {
    Stays,
    Becomes(Batch),
    Ends,
}

impl Kept {
    /// Reads it from the store.
    pub(super) async fn read(engine: &Engine, collections: &Collections) -> Result<Self, Failure> {
        let store = engine.store();
        // First: what is committed after this is seen by the commit that expects this.
        let state = store.document(collections.usage(STATE)).await?;
        let version = state.as_ref().map(|document| document.version);
        let state = state.map(|document| read(&document.body, STATE)).transpose()?;
        let batch = store.document(collections.usage(REPORT)).await?;
        let batch = batch.map(|document| read(&document.body, REPORT)).transpose()?;
        let (mut slots, mut after) = (BTreeMap::new(), String::new());
        loop {
            let page = store.list_documents(collections.slots.clone(), after.clone(), PAGE).await?;
            let Some(last) = page.last() else {
                break;
            };
            after.clone_from(&last.id);
            for document in page {
                let place = place_of(&document.id).ok_or_else(|| broken(&document.id))?;
                slots.insert(place, read(&document.body, &document.id)?);
            }
        }
        Ok(Self { version, state: state.unwrap_or_default(), slots, batch })
    }

    pub(super) fn draft(&self) -> Draft {
        Draft { state: self.state.clone(), slots: BTreeMap::new(), batch: BatchChange::Stays }
    }

    /// Commits a draft and makes its changes. Fails when it was not committed, or when that is not known: what is
    /// kept has to be read again then.
    pub(super) async fn commit(
        &mut self,
        engine: &Engine,
        collections: &Collections,
        draft: Draft,
        event: Option<DocumentEvent>,
    ) -> Result<(), Failure> {
        let expected = self.version.map_or(ExpectedDocument::Absent, ExpectedDocument::Version);
        let (name, body) = (collections.usage(STATE), write(&draft.state)?);
        let mut changes = vec![DocumentChange::Put { name, expected, body }];
        let change = |name, body: Option<String>| match body {
            Some(body) => DocumentChange::Put { name, expected: ExpectedDocument::Any, body },
            None => DocumentChange::Delete { name, expected: ExpectedDocument::Any },
        };
        match &draft.batch {
            BatchChange::Stays => {}
            BatchChange::Becomes(batch) => {
                changes.push(change(collections.usage(REPORT), Some(write(batch)?)));
            }
            BatchChange::Ends => changes.push(change(collections.usage(REPORT), None)),
        }
        for (place, slot) in &draft.slots {
            let body = slot.as_ref().map(write).transpose()?;
            changes.push(change(collections.slot(*place), body));
        }
        self.version = Some(engine.store().change_documents(changes, event).await?);
        self.make(draft);
        Ok(())
    }

    /// Makes the changes of a draft in memory.
    pub(super) fn make(&mut self, draft: Draft) {
        self.state = draft.state;
        match draft.batch {
            BatchChange::Stays => {}
            BatchChange::Becomes(batch) => self.batch = Some(batch),
            BatchChange::Ends => self.batch = None,
        }
        for (place, slot) in draft.slots {
            match slot {
                Some(slot) => self.slots.insert(place, slot),
                None => self.slots.remove(&place),
            };
        }
    }

    #[cfg(test)]
    pub(super) fn of(state: State, slots: BTreeMap<Place, Slot>) -> Self {
        Self { version: None, state, slots, batch: None }
    }

    pub(super) fn standing(&self) -> UsageStanding {
        let batched = self.batch.iter().flat_map(|batch| &batch.transactions);
        let waiting = batched.map(|transaction| &transaction.slot).chain(self.slots.values());
        let waiting = waiting.fold(0_u64, |all, slot| all.saturating_add(sum(&slot.calls)));
        let missing = self.state.missing();
        let total = |count: fn(&MissingUsage) -> u64| {
            missing.iter().map(count).fold(0, u64::saturating_add)
        };
        UsageStanding {
            waiting,
            reported: self.state.reported,
            uncertain: total(|missing| missing.uncertain),
            unreported: total(|missing| missing.unreported),
            last: self.state.last,
            problem: self.state.problem.clone(),
            missing,
        }
    }
}

impl Draft {
    /// The calls of a place as they are in the draft, to be added to.
    pub(super) fn slot<'d>(&'d mut self, kept: &Kept, place: Place, new: Slot) -> &'d mut Slot {
        let slot = self.slots.entry(place).or_insert_with(|| kept.slots.get(&place).cloned());
        slot.get_or_insert(new)
    }

    /// Whether no more slots fit.
    pub(super) fn is_full(&self) -> bool {
        self.slots.len() >= SLOTS_AT_ONCE
    }
}

//! What happened, for programs that come and ask: a list of the latest, kept in the store.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use keystile_store::Store;
use keystile_store::doors::documents::{
    DOCUMENTS_AT_ONCE_MAX, Document, DocumentChange, DocumentName, ExpectedDocument,
};
use keystile_store::error::Result;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// The id of the document that tells the last number: a list that was emptied goes on behind it, because whoever
/// has seen a number takes it for the same entry.
const LAST: &str = "last";
const EXPECTED: ExpectedDocument = ExpectedDocument::Any;

/// A numbered list whose oldest entries make room for new ones.
#[derive(Debug)]
pub struct Log<T> {
    collection: &'static str,
    entries_max: usize,
    state: Mutex<State<T>>,
    /// Held by whoever brings the store up to date, so that its commits come in the order of the list.
    saving: tokio::sync::Mutex<()>,
}

#[derive(Debug)]
struct State<T> {
    entries: VecDeque<(u64, T)>,
    next: u64,
    /// Numbers that the store does not know yet, and numbers that it should forget.
    unsaved: Vec<u64>,
    doomed: Vec<u64>,
}

impl<T: Clone + Serialize + DeserializeOwned> Log<T> {
    /// A list of what the store kept in a collection. What cannot be read is passed over.
    pub(super) fn restored(
        collection: &'static str,
        entries_max: usize,
        kept: Vec<Document>,
    ) -> Self {
        let last = kept.iter().find(|document| document.id == LAST);
        let last = last.and_then(|document| document.body.parse().ok()).unwrap_or(0);
        let entry = |document: Document| {
            Some((document.id.parse().ok()?, serde_json::from_str(&document.body).ok()?))
        };
        let entries: VecDeque<(u64, T)> = kept.into_iter().filter_map(entry).collect();
        let last = entries.back().map_or(last, |(number, _)| last.max(*number));
        let next = last.saturating_add(1);
        let state = State { entries, next, unsaved: Vec::new(), doomed: Vec::new() };
        Self {
            collection,
            entries_max,
            state: Mutex::new(state),
            saving: tokio::sync::Mutex::default(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds an entry.
    pub fn add(&self, entry: T) {
        let mut state = self.state();
        let number = state.next;
        state.next = number.saturating_add(1);
        state.entries.push_back((number, entry));
        state.unsaved.push(number);
        while state.entries.len() > self.entries_max {
            if let Some((oldest, _)) = state.entries.pop_front() {
                state.doomed.push(oldest);
            }
        }
    }

    /// All entries with their numbers, oldest first.
    pub fn list(&self) -> Vec<(u64, T)> {
        self.state().entries.iter().cloned().collect()
    }

    /// The same, once the store has them: what is told of them outlives a crash.
    ///
    /// # Errors
    /// When the store cannot commit.
    pub(super) async fn list_durable(&self, store: &Store) -> Result<Vec<(u64, T)>> {
        self.save(store).await?;
        let state = self.state();
        let first_unsaved = state.unsaved.first().copied().unwrap_or(u64::MAX);
        let durable = state.entries.iter().take_while(|(number, _)| *number < first_unsaved);
        Ok(durable.cloned().collect())
    }

    /// Removes the entries that are meant, from the store first. Says how many.
    ///
    /// # Errors
    /// When the store cannot commit.
    pub(super) async fn remove(
        &self,
        store: &Store,
        is_meant: impl Fn(u64, &T) -> bool,
    ) -> Result<usize> {
        let _saving = self.saving.lock().await;
        let (meant, last) = {
            let state = self.state();
            let meant = state.entries.iter().filter(|(number, entry)| is_meant(*number, entry));
            let meant: Vec<u64> = meant.map(|(number, _)| *number).collect();
            (meant, state.next.saturating_sub(1))
        };
        for some in meant.chunks(DOCUMENTS_AT_ONCE_MAX - 1) {
            let deletes = some.iter().map(|number| self.deleted(*number));
            let changes = deletes.chain([self.last(last)]).collect();
            store.change_documents(changes, None).await?;
            let mut state = self.state();
            let stays = |number: &u64| some.binary_search(number).is_err();
            state.entries.retain(|(number, _)| stays(number));
            state.unsaved.retain(stays);
        }
        Ok(meant.len())
    }

    /// Brings the store up to date; what fails is tried again with the next call.
    ///
    /// # Errors
    /// When the store cannot commit.
    pub(super) async fn save(&self, store: &Store) -> Result<()> {
        let _saving = self.saving.lock().await;
        loop {
            let (changes, saved, removed) = self.changes();
            if changes.is_empty() {
                return Ok(());
            }
            store.change_documents(changes, None).await?;
            let mut state = self.state();
            state.unsaved.retain(|number| !saved.contains(number));
            state.doomed.retain(|number| !removed.contains(number));
        }
    }

    fn changes(&self) -> (Vec<DocumentChange>, Vec<u64>, Vec<u64>) {
        let state = self.state();
        // With room for the last number.
        let half = (DOCUMENTS_AT_ONCE_MAX - 1) / 2;
        let saved: Vec<u64> = state.unsaved.iter().take(half).copied().collect();
        let removed: Vec<u64> = state.doomed.iter().take(half).copied().collect();
        let bodies = state.entries.iter().filter(|(number, _)| saved.contains(number));
        let puts = bodies.filter_map(|(number, entry)| {
            let body = serde_json::to_string(entry).ok()?;
            Some(DocumentChange::Put { name: self.name(*number), expected: EXPECTED, body })
        });
        let deletes = removed.iter().map(|number| self.deleted(*number));
        let last = state.next.saturating_sub(1);
        let last = (!removed.is_empty()).then(|| self.last(last));
        (puts.chain(deletes).chain(last).collect(), saved, removed)
    }

    /// What the store calls an entry: in the order of numbers.
    fn name(&self, number: u64) -> DocumentName {
        DocumentName { collection: self.collection.to_owned(), id: format!("{number:020}") }
    }

    fn deleted(&self, number: u64) -> DocumentChange {
        DocumentChange::Delete { name: self.name(number), expected: EXPECTED }
    }

    fn last(&self, last: u64) -> DocumentChange {
        let name = DocumentName { collection: self.collection.to_owned(), id: LAST.to_owned() };
        DocumentChange::Put { name, expected: EXPECTED, body: last.to_string() }
    }
}

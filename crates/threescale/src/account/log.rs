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

/// A numbered list whose oldest entries make room for new ones.
#[derive(Debug)]
pub struct Log<T> {
    collection: &'static str,
    entries_max: usize,
    state: Mutex<State<T>>,
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
        Self { collection, entries_max, state: Mutex::new(state) }
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

    /// Removes the entries that are meant. Says how many.
    pub fn remove(&self, is_meant: impl Fn(u64, &T) -> bool) -> usize {
        let mut state = self.state();
        let State { entries, doomed, .. } = &mut *state;
        let before = entries.len();
        entries.retain(|(number, entry)| {
            let stays = !is_meant(*number, entry);
            if !stays {
                doomed.push(*number);
            }
            stays
        });
        before.saturating_sub(entries.len())
    }

    /// Brings the store up to date; what fails is tried again with the next call.
    ///
    /// # Errors
    /// When the store cannot commit.
    pub(super) async fn save(&self, store: &Store) -> Result<()> {
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
        let name = |number: &u64| DocumentName {
            collection: self.collection.to_owned(),
            // In the order of numbers.
            id: format!("{number:020}"),
        };
        let expected = ExpectedDocument::Any;
        // With room for the last number.
        let half = (DOCUMENTS_AT_ONCE_MAX - 1) / 2;
        let saved: Vec<u64> = state.unsaved.iter().take(half).copied().collect();
        let removed: Vec<u64> = state.doomed.iter().take(half).copied().collect();
        let bodies = state.entries.iter().filter(|(number, _)| saved.contains(number));
        let puts = bodies.filter_map(|(number, entry)| {
            let body = serde_json::to_string(entry).ok()?;
            Some(DocumentChange::Put { name: name(number), expected, body })
        });
        let deletes =
            removed.iter().map(|number| DocumentChange::Delete { name: name(number), expected });
        let last = (!removed.is_empty()).then(|| DocumentChange::Put {
            name: DocumentName { collection: self.collection.to_owned(), id: LAST.to_owned() },
            expected,
            body: state.next.saturating_sub(1).to_string(),
        });
        (puts.chain(deletes).chain(last).collect(), saved, removed)
    }
}

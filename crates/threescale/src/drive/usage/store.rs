//! The one place through which what is kept of usage changes.
//!
//! Reads are counted in memory until they are kept, so this also knows those that were taken from memory and of
//! which it is not certain that they were committed. Every commit numbers the state. When it is read again after
//! a commit whose answer is not known, its number says which commit was the last to come through.

use keystile_engine::Engine;
use keystile_engine::command::Failure;
use keystile_store::doors::documents::DocumentEvent;
use keystile_store::sent::reads::ReadCounts;
use keystile_store::sent::writes::JournalPosition;

use super::kept::{Collections, Draft, Kept};
use crate::portal::records::ApplicationId;

/// Reads that were taken from memory.
pub(super) type TakenReads = Vec<(ApplicationId, ReadCounts)>;

/// What is kept, and the reads of which that is not certain.
#[derive(Debug)]
pub(super) struct UsageStore {
    collections: Collections,
    /// Nothing where it has to be read.
    kept: Option<Kept>,
    serial: u64,
    doubt: Option<Doubt>,
}

/// Reads that a commit had whose answer is not known.
#[derive(Debug)]
struct Doubt {
    reads: TakenReads,
    /// The numbers of all commits that had them.
    serials: Vec<u64>,
}

impl UsageStore {
    pub(super) fn new(collections: Collections) -> Self {
        Self { collections, kept: None, serial: 0, doubt: None }
    }

    /// What is kept, read where it has to be. Fails when the store cannot be read.
    pub(super) async fn kept(&mut self, engine: &Engine) -> Result<&Kept, Failure> {
        if self.kept.is_none() {
            let kept = Kept::read(engine, &self.collections).await?;
            let serial = kept.state.serial;
            self.doubt.take_if(|doubt| doubt.serials.contains(&serial));
            self.serial = self.serial.max(serial);
            self.kept = Some(kept);
        }
        Ok(self.kept.as_ref().expect("it was read just now"))
    }

    /// Remembers how far writes were counted where none was found. The next commit keeps it.
    pub(super) fn pass_over(&mut self, position: JournalPosition) {
        if let Some(kept) = &mut self.kept {
            kept.state.position = Some(position);
        }
    }

    /// Commits a draft of what is kept. Fails when that is not known to be done; what is kept is read again then.
    pub(super) async fn commit(
        &mut self,
        engine: &Engine,
        mut draft: Draft,
        event: Option<DocumentEvent>,
    ) -> Result<(), Failure> {
        self.serial = self.serial.saturating_add(1);
        draft.state.serial = self.serial;
        let kept = self.kept.as_mut().expect("a draft is of what was read");
        let committed = kept.commit(engine, &self.collections, draft, event).await;
        if committed.is_err() {
            self.kept = None;
        }
        committed
    }

    /// Reads that may not be kept. No others are taken before they are.
    pub(super) fn reads_in_doubt(&self) -> Option<TakenReads> {
        self.doubt.as_ref().map(|doubt| doubt.reads.clone())
    }

    /// Commits a draft that holds reads, as [`UsageStore::commit`] does. They are in doubt until that is known.
    pub(super) async fn commit_reads(
        &mut self,
        engine: &Engine,
        draft: Draft,
        reads: TakenReads,
    ) -> Result<(), Failure> {
        let doubt = self.doubt.get_or_insert(Doubt { reads, serials: Vec::new() });
        doubt.serials.push(self.serial.saturating_add(1));
        self.commit(engine, draft, None).await?;
        self.doubt = None;
        Ok(())
    }
}
